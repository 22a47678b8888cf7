//! What must hold for a connection whatever comes in; called by the tests and by the fuzzer.  Pure.

use super::*;

/// What became of an input: joined events, output, and the error if there was one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    pub(super) output: Vec<u8>,
    pub(super) error: Option<ProtocolError>,
}

/// Feeds `input` in pieces of the lengths that `pieces` yields. Pieces of one body that follow each other are
/// joined, because where they are cut depends on the reads alone.
pub(super) fn feed(
    limits: ConnectionLimits,
    input: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> Outcome {
    let mut connection = Connection::new(limits);
    let mut outcome = Outcome::default();
    let mut pieces = pieces.into_iter();
    let mut buffer = BytesMut::new();
    let mut rest = input;
    while !rest.is_empty() && outcome.error.is_none() {
        let length = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        buffer.extend_from_slice(piece);
        outcome.error = connection.handle_input(&mut buffer).err();
        if outcome.error.is_none() {
            assert!(buffer.len() <= GET_VALUES_MAX, "only the start of a short record is left");
            assert!(connection.requests.len() <= limits.requests_max);
        }
        while let Some(event) = connection.poll_event() {
            outcome.record(event);
        }
        while let Some(bytes) = connection.poll_output() {
            outcome.output.extend_from_slice(&bytes);
        }
    }
    outcome
}

impl Outcome {
    fn record(&mut self, event: Event) {
        if let (Some(Event::Body { id: last, bytes: so_far }), Event::Body { id, bytes }) =
            (self.events.last_mut(), &event)
            && last == id
        {
            *so_far = [&so_far[..], &bytes[..]].concat().into();
            return;
        }
        self.events.push(event);
    }
}

/// Any input gives the same events however it is cut, and never a panic.
#[doc(hidden)]
pub fn fuzz_records(input: &[u8]) {
    let limits = ConnectionLimits { params_bytes_max: 600, requests_max: 3, connections_max: 7 };
    let whole = feed(limits, input, None);
    let written: usize = whole.output.len();
    assert!(written <= 16 * input.len(), "the output is bounded by the input");
    assert_eq!(feed(limits, input, std::iter::repeat(1)), whole, "one byte at a time");
    let seed = input.first().copied().map_or(1, usize::from);
    let pieces = (0..).map(|n: usize| (n * 31 + seed) % 23);
    assert_eq!(feed(limits, input, pieces), whole, "in odd pieces");
    let mut open = Vec::new();
    for event in &whole.events {
        match event {
            Event::Request { id, .. } => open.push(*id),
            Event::Body { id, bytes } => assert!(open.contains(id) && !bytes.is_empty()),
            Event::BodyEnd { id } | Event::Abort { id } => assert!(open.contains(id)),
        }
    }
}
