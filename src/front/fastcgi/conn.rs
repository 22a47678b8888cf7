//! One FastCGI connection without its socket: bytes in, events and answers out.  Pure.
//!
//! Here is what the records of one connection mean together (FastCGI 1.0, sections 3.3, 3.5, 4, 5 and 6.2). No socket,
//! no clock and no task may appear here, and nothing that knows what a parameter means. The answers to requests are
//! written by `batch`; only the answers that the protocol itself demands are made here.
//! <https://fastcgi-archives.github.io/FastCGI_Specification.html>

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

pub use super::event::{ConnectionLimits, Event, ProtocolError};
use super::pairs::{Params, encode_pair};
use super::record::{
    BeginRequest, FIXED_BODY_LENGTH, HEADER_LENGTH, NULL_REQUEST_ID, ProtocolStatus, RecordHeader,
    RecordType, Role, end_request, unknown_type,
};

/// Content of the longest `FCGI_GET_VALUES` record that is answered. The three names that exist take 49 bytes.
pub const GET_VALUES_MAX: usize = 1024;

/// The protocol state of one connection.
///
/// Call [`handle_input`](Self::handle_input) with what was read, then [`poll_event`](Self::poll_event) and
/// [`poll_output`](Self::poll_output) until both say `None`, then read again. When the answer to a request, with its
/// `FCGI_END_REQUEST`, is written, call [`end`](Self::end) before the next `handle_input`. When
/// [`is_finished`](Self::is_finished), close. After an error nothing but closing is left.
#[derive(Debug)]
pub struct Connection {
    limits: ConnectionLimits,
    /// The record that is arriving, once its header is there.
    record: Option<Record>,
    /// The open requests: few, so that a scan is the fastest look-up.
    requests: Vec<(u16, Phase)>,
    events: VecDeque<Event>,
    output: BytesMut,
    /// It is not to be kept: a request came without `FCGI_KEEP_CONN` (section 3.5), or the web server will not use it again.
    close: bool,
    /// A request was ended before its body was.
    owed: bool,
}

/// The record whose header has been read.
#[derive(Debug, Clone, Copy)]
struct Record {
    sink: Sink,
    /// Content bytes still to come, then padding bytes.
    content: usize,
    padding: usize,
}

/// Where the content of a record goes.
#[derive(Debug, Clone, Copy)]
enum Sink {
    /// Read when it is there as a whole; its length has been checked.
    Begin(u16),
    GetValues,
    /// Taken piece by piece as it arrives.
    Params(u16),
    Body(u16),
    Ignore,
}

/// How far a request has come.
#[derive(Debug)]
enum Phase {
    Params(Block),
    Body,
    Complete,
}

/// The stream of parameters so far: not copied as long as it is one piece.
#[derive(Debug, Default)]
struct Block {
    first: Bytes,
    /// Everything, `first` included, once there is a second piece.
    joined: BytesMut,
}

impl Connection {
    /// A fresh connection.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            record: None,
            requests: Vec::new(),
            events: VecDeque::new(),
            output: BytesMut::new(),
            close: false,
            owed: false,
        }
    }

    /// Takes in what is whole, or can be handed on piece by piece, from the front of `input`. At most a header or a
    /// short record, [`GET_VALUES_MAX`] bytes, is left in it; append what is read next.
    ///
    /// # Errors
    /// The other side broke the protocol; nothing after the error is looked at.
    pub fn handle_input(&mut self, input: &mut BytesMut) -> Result<(), ProtocolError> {
        loop {
            let Some(record) = self.record else {
                let Some(header) = input.first_chunk::<HEADER_LENGTH>() else { return Ok(()) };
                let header = RecordHeader::decode(*header)?;
                input.advance(HEADER_LENGTH);
                let sink = self.open_record(header)?;
                let content = usize::from(header.content_length);
                self.record = Some(Record { sink, content, padding: usize::from(header.padding_length) });
                continue;
            };
            let available = record.content.min(input.len());
            let whole = matches!(record.sink, Sink::Begin(_) | Sink::GetValues);
            if available < record.content && (whole || available == 0) {
                return Ok(());
            }
            if available > 0 {
                match record.sink {
                    Sink::Ignore => input.advance(available),
                    _ => self.handle_content(record.sink, input.split_to(available).freeze())?,
                }
            }
            let content = record.content - available;
            let skipped = if content == 0 { record.padding.min(input.len()) } else { 0 };
            input.advance(skipped);
            let padding = record.padding - skipped;
            self.record = (content + padding > 0).then_some(Record { sink: record.sink, content, padding });
            if self.record.is_some() && input.is_empty() {
                return Ok(());
            }
        }
    }

    /// What requests did, in the order it happened. `None`: more input is needed.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes to be written: whole records that answer for the protocol itself. `None`: nothing to say.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| self.output.split().freeze())
    }

    /// The answer to request `id` has been written. What still comes for it is ignored (section 3.3, "Managing
    /// request ids").
    pub fn end(&mut self, id: u16) {
        if let Some(at) = self.requests.iter().position(|(open, _)| *open == id) {
            let (_, phase) = self.requests.swap_remove(at);
            self.owed |= !matches!(phase, Phase::Complete);
        }
    }

    /// Nothing more will come that anybody wants answered: see [`is_finished`](Self::is_finished).
    pub fn close(&mut self) {
        self.close = true;
    }

    /// Whether the connection is now to be closed: a request came without `FCGI_KEEP_CONN`, or
    /// [`close`](Self::close) was called, and no request is open any more.
    pub fn is_finished(&self) -> bool {
        self.close && self.requests.is_empty()
    }

    /// Whether a request was ended before its body, so that the web server may still be writing. Closing a socket
    /// with unread input can destroy the answer on its way.
    pub fn is_input_owed(&self) -> bool {
        self.owed
    }

    /// Whether no request is open and none has begun to arrive: another process could go on here as if the connection
    /// were new.
    pub fn is_between_requests(&self) -> bool {
        self.requests.is_empty() && self.record.is_none() && self.output.is_empty()
    }

    /// Whether a body is on its way, so that large reads are worth their memory.
    pub fn is_body_arriving(&self) -> bool {
        self.requests.iter().any(|(_, phase)| matches!(phase, Phase::Body))
    }

    /// Decides by its header what becomes of a record, and does what needs no content.
    fn open_record(&mut self, header: RecordHeader) -> Result<Sink, ProtocolError> {
        let RecordHeader { record_type, request_id: id, content_length, .. } = header;
        let length = usize::from(content_length);
        if id == NULL_REQUEST_ID {
            return self.open_management_record(record_type, length);
        }
        let found = self.requests.iter_mut().find(|(open, _)| *open == id).map(|(_, phase)| phase);
        if record_type == RecordType::BeginRequest {
            return match (found, length) {
                (Some(_), _) => Err(ProtocolError::AlreadyOpen(id)),
                (None, FIXED_BODY_LENGTH) => Ok(Sink::Begin(id)),
                (None, _) => Err(ProtocolError::BeginLength(length)),
            };
        }
        // Section 3.3: a record with the id of a request that is not active is ignored.
        let Some(phase) = found else { return Ok(Sink::Ignore) };
        match (record_type, &mut *phase) {
            (RecordType::Params, Phase::Params(_)) if length > 0 => Ok(Sink::Params(id)),
            (RecordType::Params, Phase::Params(block)) => {
                let params = Params::decode(std::mem::take(block).complete())?;
                *phase = Phase::Body;
                self.events.push_back(Event::Request { id, params });
                Ok(Sink::Ignore)
            }
            (RecordType::Stdin, Phase::Body) if length > 0 => Ok(Sink::Body(id)),
            (RecordType::Stdin, Phase::Body) => {
                *phase = Phase::Complete;
                self.events.push_back(Event::BodyEnd { id });
                Ok(Sink::Ignore)
            }
            // Saying twice that a stream has ended is odd, but loses nothing.
            (RecordType::Stdin, Phase::Complete) if length == 0 => Ok(Sink::Ignore),
            (RecordType::AbortRequest, Phase::Params(_)) => {
                self.refuse(id, ProtocolStatus::RequestComplete);
                self.end(id);
                Ok(Sink::Ignore)
            }
            (RecordType::AbortRequest, _) => {
                self.events.push_back(Event::Abort { id });
                Ok(Sink::Ignore)
            }
            // Only a filter has a use for it (section 6.4).
            (RecordType::Data, _) => Ok(Sink::Ignore),
            (_, phase) => Err(ProtocolError::OutOfPlace { id, record_type, state: phase.name() }),
        }
    }

    /// A record of the connection as a whole (section 4).
    fn open_management_record(
        &mut self,
        record_type: RecordType,
        length: usize,
    ) -> Result<Sink, ProtocolError> {
        match record_type {
            RecordType::GetValues if length <= GET_VALUES_MAX => Ok(Sink::GetValues),
            RecordType::GetValues => Err(ProtocolError::GetValuesLength(length)),
            RecordType::Other(number) => {
                self.output.extend_from_slice(&unknown_type(number));
                Ok(Sink::Ignore)
            }
            // Answers to questions that were never asked. To answer an answer could go on for ever.
            RecordType::GetValuesResult | RecordType::UnknownType => Ok(Sink::Ignore),
            _ => Err(ProtocolError::NullRequestId(record_type)),
        }
    }

    /// Takes a record's content: all of it or, for a stream, a piece that is not empty.
    fn handle_content(&mut self, sink: Sink, bytes: Bytes) -> Result<(), ProtocolError> {
        match sink {
            Sink::Begin(id) => {
                let begin = bytes
                    .first_chunk()
                    .expect("a record that begins a request has been checked for its length");
                self.begin(id, BeginRequest::decode(*begin));
            }
            Sink::GetValues => self.answer_values(&Params::decode(bytes)?),
            Sink::Params(id) => self.extend_params(id, bytes),
            // The request may have been ended in the middle of this record.
            Sink::Body(id) if self.requests.iter().any(|(open, _)| *open == id) => {
                self.events.push_back(Event::Body { id, bytes });
            }
            Sink::Body(_) | Sink::Ignore => {}
        }
        Ok(())
    }

    /// Opens a request, or refuses it (section 5.5).
    fn begin(&mut self, id: u16, begin: BeginRequest) {
        self.close |= !begin.keep_conn;
        if begin.role != Role::Responder {
            self.refuse(id, ProtocolStatus::UnknownRole);
        } else if self.requests.len() < self.limits.requests_max {
            self.requests.push((id, Phase::Params(Block::default())));
        } else if self.limits.requests_max == 1 {
            self.refuse(id, ProtocolStatus::CantMultiplex);
        } else {
            self.refuse(id, ProtocolStatus::Overloaded);
        }
    }

    /// Ends a request that the handler does not get to see.
    fn refuse(&mut self, id: u16, status: ProtocolStatus) {
        self.output.extend_from_slice(&end_request(id, status));
    }

    /// Takes a piece of the parameters of request `id`.
    fn extend_params(&mut self, id: u16, bytes: Bytes) {
        let Some((_, Phase::Params(block))) = self.requests.iter_mut().find(|(open, _)| *open == id) else {
            // The request was refused in the middle of this record.
            return;
        };
        if block.length() + bytes.len() <= self.limits.params_bytes_max {
            block.extend(bytes);
            return;
        }
        const ANSWER: &[u8] = b"Status: 431 Request Header Fields Too Large\r\n\r\n";
        for content in [ANSWER, b""] {
            let header = RecordHeader::padded(RecordType::Stdout, id, content.len() as u16);
            self.output.extend_from_slice(&header.encode());
            self.output.extend_from_slice(content);
            self.output.extend_from_slice(&[0; 8][..usize::from(header.padding_length)]);
        }
        self.refuse(id, ProtocolStatus::RequestComplete);
        self.end(id);
    }

    /// Answers those questions that are known (section 4.1).
    fn answer_values(&mut self, asked: &Params) {
        let multiplexed = self.limits.requests_max > 1;
        let mut content = BytesMut::new();
        for (name, _) in asked {
            let value = match name {
                b"FCGI_MAX_CONNS" => self.limits.connections_max,
                // The one web server that asks, HAProxy, takes it as the limit of each connection.
                b"FCGI_MAX_REQS" => self.limits.requests_max,
                b"FCGI_MPXS_CONNS" => usize::from(multiplexed),
                _ => continue,
            };
            encode_pair(name, value.to_string().as_bytes(), &mut content);
        }
        let length = u16::try_from(content.len()).expect("the question was short, so the answer is");
        let header = RecordHeader::padded(RecordType::GetValuesResult, NULL_REQUEST_ID, length);
        self.output.extend_from_slice(&header.encode());
        self.output.extend_from_slice(&content);
        self.output.extend_from_slice(&[0; 8][..usize::from(header.padding_length)]);
    }
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Params(_) => "before the end of its parameters",
            Self::Body => "after the end of its parameters",
            Self::Complete => "after the end of its body",
        }
    }
}

impl Block {
    fn length(&self) -> usize {
        self.first.len().max(self.joined.len())
    }

    fn extend(&mut self, bytes: Bytes) {
        if self.first.is_empty() {
            self.first = bytes;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.first);
        }
        self.joined.extend_from_slice(&bytes);
    }

    fn complete(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[doc(hidden)]
#[path = "conn_fuzz.rs"]
pub mod fuzz;

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
