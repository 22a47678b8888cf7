use proptest::prelude::*;

use super::super::record::VersionError;
use super::fuzz::{Outcome, feed, fuzz_records};
use super::*;

const LIMITS: ConnectionLimits =
    ConnectionLimits { params_bytes_max: 300, requests_max: 2, connections_max: 50 };

/// One record with some padding.
fn record(record_type: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = RecordHeader::padded(record_type.into(), id, content.len() as u16).encode().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(8), 0xee);
    bytes
}

const BEGIN: u8 = 1;
const ABORT: u8 = 2;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const DATA: u8 = 8;
const GET_VALUES: u8 = 9;

fn begin(id: u16) -> Vec<u8> {
    record(BEGIN, id, &BeginRequest { role: Role::Responder, keep_conn: true }.encode())
}

/// A request up to the end of its parameters.
fn head(id: u16) -> Vec<u8> {
    [begin(id), record(PARAMS, id, b"\x01\x02Abc"), record(PARAMS, id, b"")].concat()
}

fn request_event(id: u16) -> Event {
    Event::Request { id, params: [(&b"A"[..], &b"bc"[..])].into_iter().collect() }
}

fn body_event(id: u16, bytes: &'static [u8]) -> Event {
    Event::Body { id, bytes: Bytes::from_static(bytes) }
}

/// What `input` does: whole, one byte at a time, and with the first bytes of another record behind it.
fn outcome_of(records: &[Vec<u8>]) -> Outcome {
    let input = records.concat();
    let whole = feed(LIMITS, &input, None);
    assert_eq!(feed(LIMITS, &input, std::iter::repeat(1)), whole, "one byte at a time");
    let trailing = [&input[..], &[1, BEGIN, 0, 77, 0]].concat();
    assert_eq!(feed(LIMITS, &trailing, None), whole, "with trailing bytes");
    whole
}

fn error_of(records: &[Vec<u8>]) -> ProtocolError {
    outcome_of(records).error.expect("an error")
}

#[test]
fn a_request_is_its_parameters_its_body_and_the_end_of_it() {
    let outcome = outcome_of(&[head(1), record(STDIN, 1, b"hello"), record(STDIN, 1, b"")]);
    assert_eq!(outcome.events, [request_event(1), body_event(1, b"hello"), Event::BodyEnd { id: 1 }]);
    assert_eq!((outcome.output, outcome.error), (vec![], None));
}

#[test]
fn parameters_may_be_cut_anywhere_between_records() {
    let records =
        [begin(1), record(PARAMS, 1, b"\x01"), record(PARAMS, 1, b"\x02A"), record(PARAMS, 1, b"bc")];
    let outcome = outcome_of(&[records.concat(), record(PARAMS, 1, b"")]);
    assert_eq!(outcome.events, [request_event(1)]);
}

#[test]
fn a_request_without_parameters_is_one_too() {
    let outcome = outcome_of(&[begin(1), record(PARAMS, 1, b"")]);
    assert_eq!(outcome.events, [Event::Request { id: 1, params: Params::default() }]);
}

#[test]
fn requests_interleave_on_one_connection() {
    let outcome = outcome_of(&[
        head(1),
        head(2),
        record(STDIN, 2, b"two"),
        record(STDIN, 1, b"one"),
        record(STDIN, 2, b""),
        record(STDIN, 1, b""),
    ]);
    let expected = [
        request_event(1),
        request_event(2),
        body_event(2, b"two"),
        body_event(1, b"one"),
        Event::BodyEnd { id: 2 },
        Event::BodyEnd { id: 1 },
    ];
    assert_eq!(outcome.events, expected);
}

#[test]
fn a_body_is_handed_on_without_copying_and_before_its_record_is_whole() {
    let mut connection = Connection::new(LIMITS);
    let mut input = BytesMut::from(&[head(1), record(STDIN, 1, &[b'x'; 1000])].concat()[..]);
    input.truncate(500);
    let buffer = input.as_ptr() as usize..input.as_ptr() as usize + 500;
    connection.handle_input(&mut input).unwrap();
    assert_eq!(connection.poll_event(), Some(request_event(1)));
    let Some(Event::Body { bytes, .. }) = connection.poll_event() else { panic!("no piece of the body") };
    assert!(buffer.contains(&(bytes.as_ptr() as usize)));
    assert_eq!(connection.poll_event(), None);
    assert!(connection.is_body_arriving() && input.is_empty());
}

#[test]
fn roles_other_than_the_responder_are_refused() {
    for role in [Role::Authorizer, Role::Filter, Role::Other(0), Role::Other(99)] {
        let begin = record(BEGIN, 1, &BeginRequest { role, keep_conn: true }.encode());
        let outcome = outcome_of(&[begin, record(PARAMS, 1, b"\x01\x02Abc"), record(PARAMS, 1, b"")]);
        assert_eq!(outcome.output, end_request(1, ProtocolStatus::UnknownRole));
        assert_eq!((outcome.events, outcome.error), (vec![], None));
    }
}

#[test]
fn one_request_too_many_is_refused_and_the_others_go_on() {
    let outcome = outcome_of(&[begin(1), begin(2), head(3), record(STDIN, 3, b"x"), record(PARAMS, 1, b"")]);
    assert_eq!(outcome.output, end_request(3, ProtocolStatus::Overloaded));
    assert_eq!(outcome.events, [Event::Request { id: 1, params: Params::default() }]);

    let single = ConnectionLimits { requests_max: 1, ..LIMITS };
    let outcome = feed(single, &[begin(1), begin(2)].concat(), None);
    assert_eq!(outcome.output, end_request(2, ProtocolStatus::CantMultiplex));
}

#[test]
fn an_id_is_free_again_once_its_request_has_ended() {
    let mut connection = Connection::new(LIMITS);
    for _ in 0..3 {
        let mut input = BytesMut::from(&[head(1), record(STDIN, 1, b"")].concat()[..]);
        connection.handle_input(&mut input).unwrap();
        assert_eq!(connection.poll_event(), Some(request_event(1)));
        assert_eq!(connection.poll_event(), Some(Event::BodyEnd { id: 1 }));
        connection.end(1);
        assert!(!connection.is_finished() && !connection.is_input_owed());
    }
}

#[test]
fn what_comes_for_a_request_that_has_ended_is_ignored_and_remembered_as_owed() {
    let mut connection = Connection::new(LIMITS);
    let upload = [head(1), record(STDIN, 1, &[b'x'; 100])].concat();
    let (now, later) = upload.split_at(upload.len() - 50);
    connection.handle_input(&mut BytesMut::from(now)).unwrap();
    while connection.poll_event().is_some() {}
    connection.end(1);
    assert!(connection.is_input_owed());
    let mut rest = BytesMut::from(&[later, &record(STDIN, 1, b"more"), &record(STDIN, 1, b"")].concat()[..]);
    connection.handle_input(&mut rest).unwrap();
    assert_eq!(connection.poll_event(), None);
    assert!(rest.is_empty());
}

#[test]
fn without_keep_conn_the_connection_is_finished_after_the_last_request() {
    let closing = BeginRequest { role: Role::Responder, keep_conn: false }.encode();
    let mut connection = Connection::new(LIMITS);
    connection
        .handle_input(&mut BytesMut::from(&[begin(1), record(BEGIN, 2, &closing)].concat()[..]))
        .unwrap();
    connection.end(2);
    assert!(!connection.is_finished(), "another request is open");
    connection.end(1);
    assert!(connection.is_finished());
}

#[test]
fn an_abort_ends_a_request_whose_parameters_are_not_complete_at_once() {
    let outcome = outcome_of(&[begin(1), record(ABORT, 1, b""), record(PARAMS, 1, b"")]);
    assert_eq!(outcome.output, end_request(1, ProtocolStatus::RequestComplete));
    assert_eq!(outcome.events, []);
}

#[test]
fn an_abort_of_a_running_request_is_told() {
    let before = outcome_of(&[head(1), record(ABORT, 1, b"")]);
    assert_eq!(before.events, [request_event(1), Event::Abort { id: 1 }]);
    let after = outcome_of(&[head(1), record(STDIN, 1, b""), record(ABORT, 1, b"")]);
    assert_eq!(after.events, [request_event(1), Event::BodyEnd { id: 1 }, Event::Abort { id: 1 }]);
    assert_eq!(outcome_of(&[record(ABORT, 1, b"")]), Outcome::default(), "of one that is not open");
}

#[test]
fn questions_are_answered_as_far_as_they_are_known() {
    let question = b"\x0e\0FCGI_MAX_CONNS\x05\0OTHER\x0f\0FCGI_MPXS_CONNS\x0d\0FCGI_MAX_REQS";
    let outcome = outcome_of(&[record(GET_VALUES, 0, question)]);
    let answer = b"\x0e\x02FCGI_MAX_CONNS50\x0f\x01FCGI_MPXS_CONNS1\x0d\x01FCGI_MAX_REQS2";
    let header = RecordHeader::padded(RecordType::GetValuesResult, 0, answer.len() as u16);
    let mut expected = [&header.encode()[..], answer].concat();
    expected.resize(expected.len().next_multiple_of(8), 0);
    assert_eq!(outcome.output, expected);

    let nothing = outcome_of(&[record(GET_VALUES, 0, b"")]);
    assert_eq!(nothing.output, [] as [u8; 0], "a record without content asks nothing");
}

#[test]
fn management_records_of_unknown_types_are_told_so_and_answers_are_not_answered() {
    let outcome =
        outcome_of(&[record(12, 0, b"what?"), record(0, 0, b""), record(10, 0, b""), record(11, 0, &[0; 8])]);
    assert_eq!(outcome.output, [unknown_type(12), unknown_type(0)].concat());
    assert_eq!((outcome.events, outcome.error), (vec![], None));
}

#[test]
fn records_of_requests_that_are_not_open_are_ignored_whatever_their_type() {
    for record_type in (0..=255).filter(|record_type| *record_type != BEGIN) {
        let outcome = outcome_of(&[record(record_type, 5, b"content"), head(1)]);
        assert_eq!((outcome.events, outcome.output), (vec![request_event(1)], vec![]), "type {record_type}");
    }
}

#[test]
fn data_for_a_filter_is_ignored() {
    let outcome =
        outcome_of(&[begin(1), record(DATA, 1, b"file"), record(PARAMS, 1, b""), record(DATA, 1, b"")]);
    assert_eq!(outcome.events, [Event::Request { id: 1, params: Params::default() }]);
}

#[test]
fn the_end_of_a_body_may_be_said_twice_but_nothing_may_follow_it() {
    let ended = [head(1), record(STDIN, 1, b""), record(STDIN, 1, b"")].concat();
    assert_eq!(outcome_of(std::slice::from_ref(&ended)).events, [request_event(1), Event::BodyEnd { id: 1 }]);
    assert!(matches!(error_of(&[ended, record(STDIN, 1, b"x")]), ProtocolError::OutOfPlace { id: 1, .. }));
}

#[test]
fn more_parameters_than_allowed_get_status_431_and_the_connection_lives_on() {
    let many = record(PARAMS, 1, &[0; 299]);
    let outcome = outcome_of(&[begin(1), many, record(PARAMS, 1, b"12"), record(PARAMS, 1, b""), head(2)]);
    assert_eq!(outcome.events, [request_event(2)]);
    let text = b"Status: 431 Request Header Fields Too Large\r\n\r\n";
    let ended = end_request(1, ProtocolStatus::RequestComplete);
    let expected =
        [&[1, STDOUT, 0, 1, 0, 47, 1, 0][..], text, &[0], &[1, STDOUT, 0, 1, 0, 0, 0, 0], &ended].concat();
    assert_eq!(outcome.output, expected);
}

#[test]
fn a_broken_protocol_is_an_error_that_says_what_was_wrong() {
    let out_of_place =
        |records: &[Vec<u8>]| matches!(error_of(records), ProtocolError::OutOfPlace { id: 1, .. });
    assert_eq!(error_of(&[vec![2, 1, 0, 1, 0, 8, 0, 0]]), VersionError(2).into());
    assert_eq!(error_of(&[b"GET / HTTP/1.1\r\n\r\n".to_vec()]), VersionError(b'G').into());
    assert_eq!(error_of(&[begin(1), begin(1)]), ProtocolError::AlreadyOpen(1));
    assert_eq!(error_of(&[record(BEGIN, 1, &[0; 7])]), ProtocolError::BeginLength(7));
    assert_eq!(error_of(&[record(BEGIN, 1, &[0; 900])]), ProtocolError::BeginLength(900));
    assert_eq!(error_of(&[record(GET_VALUES, 0, &[0; 1025])]), ProtocolError::GetValuesLength(1025));
    for record_type in 1..=8 {
        assert_eq!(
            error_of(&[record(record_type, 0, &[0; 8])]),
            ProtocolError::NullRequestId(record_type.into())
        );
    }
    assert!(out_of_place(&[begin(1), record(STDIN, 1, b"early")]));
    assert!(out_of_place(&[head(1), record(PARAMS, 1, b"late")]));
    assert!(out_of_place(&[head(1), record(STDOUT, 1, b"wrong way")]));
    assert!(out_of_place(&[head(1), record(200, 1, b"unknown")]));
    assert!(matches!(
        error_of(&[begin(1), record(PARAMS, 1, b"\x05\x05A"), record(PARAMS, 1, b"")]),
        ProtocolError::Pairs(_)
    ));
    assert!(matches!(error_of(&[record(GET_VALUES, 0, b"\xff\xff\xff\xff\0")]), ProtocolError::Pairs(_)));
}

#[test]
fn an_input_that_stops_anywhere_needs_more_and_is_no_error() {
    let input = [head(1), record(STDIN, 1, b"hello"), record(STDIN, 1, b"")].concat();
    for length in 0..input.len() {
        let outcome = feed(LIMITS, &input[..length], None);
        assert_eq!(outcome.error, None, "after {length} bytes");
        assert!(!outcome.events.contains(&Event::BodyEnd { id: 1 }) || length >= input.len() - 8);
    }
}

/// Records that mostly make sense, so that random sequences get far.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![
        3 => Just(Vec::new()),
        2 => Just(b"\x01\x02Abc".to_vec()),
        2 => Just(BeginRequest { role: Role::Responder, keep_conn: true }.encode().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ];
    let record_type = prop_oneof![8 => Just(BEGIN), 6 => Just(PARAMS), 6 => Just(STDIN), 1 => 0u8..14];
    let id = prop_oneof![1 => Just(0u16), 20 => 1u16..5];
    (record_type, id, content, any::<u8>()).prop_map(|(record_type, id, content, padding_length)| {
        let header = RecordHeader {
            record_type: record_type.into(),
            request_id: id,
            content_length: content.len() as u16,
            padding_length,
        };
        let padding = vec![0; usize::from(padding_length)];
        [&header.encode()[..], &content, &padding].concat()
    })
}

proptest! {
    #[test]
    fn any_sequence_of_records_means_the_same_however_it_is_cut(records in prop::collection::vec(any_record(), 0..40)) {
        fuzz_records(&records.concat());
    }

    #[test]
    fn requests_of_any_shape_mean_the_same_however_they_are_cut(
        heads in prop::collection::vec(1u16..5, 1..6),
        rest in prop::collection::vec(any_record(), 0..10),
    ) {
        let heads: Vec<_> = heads.into_iter().flat_map(head).collect();
        fuzz_records(&[heads, rest.concat()].concat());
    }

    #[test]
    fn no_bytes_break_the_connection(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_records(&bytes);
        fuzz_records(&[head(1), bytes].concat());
    }
}
