//! A raw FastCGI client, as a web server would be one: it writes records and reads records, and can do both wrongly.
//!
//! It shares no code with the responder, so that one mistake cannot hide in both. It blocks; give the stream a timeout.
#![allow(dead_code)]

use std::io::{self, Read, Write};

pub const BEGIN_REQUEST: u8 = 1;
pub const ABORT_REQUEST: u8 = 2;
pub const END_REQUEST: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
pub const STDOUT: u8 = 6;
pub const GET_VALUES: u8 = 9;
pub const GET_VALUES_RESULT: u8 = 10;
pub const UNKNOWN_TYPE: u8 = 11;

/// One record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub record_type: u8,
    pub id: u16,
    pub content: Vec<u8>,
}

/// The answer to one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// All of the stream, head and body.
    pub stdout: Vec<u8>,
    /// From the record that ended the request: 0 complete, 1 cannot multiplex, 2 overloaded, 3 unknown role.
    pub protocol_status: u8,
}

impl Reply {
    /// The lines before the empty one.
    pub fn head(&self) -> &str {
        std::str::from_utf8(&self.stdout[..self.head_length()]).expect("a head in ASCII")
    }

    /// What follows the empty line.
    pub fn body(&self) -> &[u8] {
        &self.stdout[self.head_length() + 4..]
    }

    /// The number in the `Status` line.
    pub fn status(&self) -> u16 {
        let status = self.header("Status").expect("a Status line");
        status.split(' ').next().unwrap().parse().expect("a status number")
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head().split("\r\n").filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn head_length(&self) -> usize {
        self.stdout.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line after the head")
    }
}

/// One record, with `padding` bytes of padding.
pub fn record(record_type: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a record's content is below 64 KiB").to_be_bytes();
    let id = id.to_be_bytes();
    let mut bytes = vec![1, record_type, id[0], id[1], length[0], length[1], padding, 0];
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len() + usize::from(padding), 0);
    bytes
}

/// A record that begins a request as a responder.
pub fn begin(id: u16, keep_conn: bool) -> Vec<u8> {
    record(BEGIN_REQUEST, id, &[0, 1, u8::from(keep_conn), 0, 0, 0, 0, 0], 0)
}

/// A stream of parameters with its end.
pub fn params(id: u16, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, value) in pairs {
        for length in [name.len(), value.len()] {
            if length < 128 {
                content.push(length as u8);
            } else {
                content.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes());
            }
        }
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(value.as_bytes());
    }
    let mut bytes = stream(PARAMS, id, &content);
    bytes.extend(record(PARAMS, id, b"", 0));
    bytes
}

/// A piece of a stream, in as many records as it takes, without its end.
pub fn stream(record_type: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let padded = |piece: &[u8]| record(record_type, id, piece, (piece.len().wrapping_neg() % 8) as u8);
    content.chunks(0x8000).flat_map(padded).collect()
}

/// A whole request as nginx sends one without a body: all records at once.
pub fn get(id: u16, keep_conn: bool, pairs: &[(&str, &str)]) -> Vec<u8> {
    [begin(id, keep_conn), params(id, pairs), record(STDIN, id, b"", 0)].concat()
}

/// A connection to a responder.
#[derive(Debug)]
pub struct Client<S> {
    pub stream: S,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Writes records, or anything else.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the responder reads");
    }

    /// A piece of a request's body.
    pub fn send_body(&mut self, id: u16, content: &[u8]) {
        self.send(&stream(STDIN, id, content));
    }

    /// The end of a request's body.
    pub fn end_body(&mut self, id: u16) {
        self.send(&record(STDIN, id, b"", 0));
    }

    /// One request without a body, and its answer; the connection is kept.
    pub fn get(&mut self, pairs: &[(&str, &str)]) -> Reply {
        self.send(&get(1, true, pairs));
        self.reply(1)
    }

    /// One request with a body, and its answer; the connection is kept.
    pub fn put(&mut self, pairs: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(&[begin(1, true), params(1, pairs)].concat());
        self.send_body(1, body);
        self.end_body(1);
        self.reply(1)
    }

    /// The next record; `None` if the responder has closed the connection between two.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        let mut header = [0; 8];
        if self.stream.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut header[1..])?;
        let [version, record_type, id_high, id_low, length_high, length_low, padding, _] = header;
        assert_eq!(version, 1, "the responder is in step");
        let mut content = vec![0; usize::from(u16::from_be_bytes([length_high, length_low]))];
        self.stream.read_exact(&mut content)?;
        self.stream.read_exact(&mut vec![0; usize::from(padding)])?;
        Ok(Some(Record { record_type, id: u16::from_be_bytes([id_high, id_low]), content }))
    }

    /// Reads records until the one that ends request `id`, which must be the only one that gets any.
    pub fn reply(&mut self, id: u16) -> Reply {
        let (ended, reply) = self.any_reply(&mut std::collections::HashMap::new());
        assert_eq!(ended, id, "the answer to another request");
        reply
    }

    /// Reads records until one ends a request: which, and its answer. `begun` holds the answers of others so far.
    pub fn any_reply(&mut self, begun: &mut std::collections::HashMap<u16, Reply>) -> (u16, Reply) {
        loop {
            let record =
                self.next_record().expect("a record").expect("a record, not the end of the connection");
            let reply = begun.entry(record.id).or_default();
            match record.record_type {
                STDOUT => reply.stdout.extend_from_slice(&record.content),
                END_REQUEST => {
                    reply.protocol_status = record.content[4];
                    return (record.id, begun.remove(&record.id).unwrap());
                }
                other => panic!("a record of type {other} in an answer"),
            }
        }
    }

    /// Checks that the responder closes the connection, and returns what it sent before.
    pub fn read_to_close(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            match self.next_record() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => return records,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the connection stays open")
                }
                Err(_) => return records,
            }
        }
    }
}
