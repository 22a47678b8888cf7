//! An answer as records, ready for one vectored write.
//!
//! Here records are framed (FastCGI 1.0, sections 3.3, 5.3, 5.5 and 6.1). Nothing here waits; `answer` fills a batch,
//! writes it and fills it again. Bytes of the answer are not copied, except those that are fewer than the bookkeeping
//! for not copying them.
//!
//! ```text
//!   small       | header, "Status: 200 OK\r\n..."  |          | padding, header of the next record ... |
//!   elsewhere                                      | content  |                                        | content ...
//!   segments      Small                              Mapped     Small                                    Mapped
//! ```

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::record::{CONTENT_MAX, HEADER_LENGTH, ProtocolStatus, RecordHeader, RecordType, end_request};
use crate::sys::Mapping;

/// A batch of this many bytes is written before more is put in.
const BYTES_MAX: usize = 1 << 20;
/// Content up to this is copied next to its header, where it costs less than a segment of its own.
pub(super) const SMALL: usize = 512;
/// A batch of this many segments is written before more is put in, so that its list stays short.
const SEGMENTS_MAX: usize = 64;

/// Records of the answer to one request, some of them perhaps written already.
#[derive(Debug)]
pub(super) struct Batch {
    request_id: u16,
    /// Headers, padding and small content, in the order they are sent.
    small: Vec<u8>,
    segments: Vec<Segment>,
    /// Where in `small` the header of the record is that still takes content, and how much it holds.
    open: Option<(usize, usize)>,
    /// Bytes in `segments`, the written ones included.
    bytes: usize,
    /// The first segment that is not written, and how much of it is.
    next: usize,
    written: usize,
}

/// Bytes that lie together.
#[derive(Debug)]
enum Segment {
    /// In `Batch::small`.
    Small(Range<usize>),
    /// A piece of the answer in memory.
    Shared(Bytes),
    /// A piece of a mapped file.
    Mapped(Arc<Mapping>, Range<usize>),
}

impl Segment {
    fn length(&self) -> usize {
        match self {
            Self::Small(range) | Self::Mapped(_, range) => range.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

impl Batch {
    /// An empty batch for the answer to request `request_id`.
    pub(super) fn new(request_id: u16) -> Self {
        let (small, segments) = (Vec::with_capacity(1024), Vec::with_capacity(8));
        Self { request_id, small, segments, open: None, bytes: 0, next: 0, written: 0 }
    }

    /// The head of the answer, as CGI has it: the status, always with a reason, because nginx would otherwise send
    /// none; the headers; an empty line. Neither can contain a line break: their types forbid it.
    pub(super) fn push_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let reason = status.canonical_reason().unwrap_or("Unknown");
        for text in ["Status: ", status.as_str(), " ", reason, "\r\n"] {
            self.push_small(text.as_bytes());
        }
        for (name, value) in headers {
            for text in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.push_small(text);
            }
        }
        self.push_small(b"\r\n");
    }

    /// Takes as much of `bytes` as still fits into this batch off its front.
    pub(super) fn push_bytes(&mut self, bytes: &mut Bytes) {
        if bytes.len() <= SMALL {
            self.push_small(&std::mem::take(bytes));
            return;
        }
        while !bytes.is_empty() && !self.is_full() {
            let length = self.open_record().min(bytes.len());
            let piece = bytes.split_to(length);
            self.push_segment(Segment::Shared(piece));
        }
    }

    /// Takes all of a mapped piece of a file.
    pub(super) fn push_mapping(&mut self, mapping: Mapping) {
        let mapping = Arc::new(mapping);
        let mut start = 0;
        while start < mapping.length() {
            let end = mapping.length().min(start + self.open_record());
            self.push_segment(Segment::Mapped(mapping.clone(), start..end));
            start = end;
        }
    }

    /// The answer is complete: the stream's end, and the end of the request.
    pub(super) fn push_end(&mut self) {
        self.close_record();
        let end = RecordHeader::padded(RecordType::Stdout, self.request_id, 0);
        self.append(&end.encode());
        self.append(&end_request(self.request_id, ProtocolStatus::RequestComplete));
    }

    /// Whether it is time to write what is in.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX || self.segments.len() >= SEGMENTS_MAX
    }

    /// How much is in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Fills in the last header. What is put in afterwards begins a new record. To be called before writing.
    pub(super) fn close_record(&mut self) {
        let Some((at, content)) = self.open.take() else { return };
        let length = u16::try_from(content).expect("a record's content is at most CONTENT_MAX");
        let header = RecordHeader::padded(RecordType::Stdout, self.request_id, length);
        self.small[at..at + HEADER_LENGTH].copy_from_slice(&header.encode());
        self.append(&[0; 8][..usize::from(header.padding_length)]);
    }

    /// What is still to be written, as far as `slices` reaches; the number of slices filled in.
    pub(super) fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        debug_assert!(self.open.is_none(), "a record is closed before it is written");
        let mut skip = self.written;
        let mut count = 0;
        for (segment, slot) in self.segments[self.next..].iter().zip(slices) {
            *slot = match segment {
                Segment::Small(range) => IoSlice::new(&self.small[range.start + skip..range.end]),
                Segment::Shared(bytes) => IoSlice::new(&bytes[skip..]),
                Segment::Mapped(mapping, range) => mapping.io_slice(range.start + skip..range.end),
            };
            skip = 0;
            count += 1;
        }
        count
    }

    /// `length` bytes more have been written. Whether that was all, in which case the batch is empty again.
    pub(super) fn advance(&mut self, length: usize) -> bool {
        self.written += length;
        while let Some(segment) = self.segments.get(self.next)
            && self.written >= segment.length()
        {
            self.written -= segment.length();
            self.next += 1;
        }
        let done = self.next == self.segments.len();
        if done {
            self.small.clear();
            self.segments.clear();
            (self.bytes, self.next, self.written) = (0, 0, 0);
        }
        done
    }

    /// Puts content next to its header.
    fn push_small(&mut self, mut content: &[u8]) {
        while !content.is_empty() {
            let room = self.open_record();
            let (now, later) = content.split_at(room.min(content.len()));
            self.append(now);
            self.add_content(now.len());
            content = later;
        }
    }

    /// Puts content that lies elsewhere into the open record, which has room for it.
    fn push_segment(&mut self, segment: Segment) {
        let length = segment.length();
        self.segments.push(segment);
        self.bytes += length;
        self.add_content(length);
    }

    /// Makes sure that a record is open and has room; how much.
    fn open_record(&mut self) -> usize {
        if let Some((_, content)) = self.open {
            if content < CONTENT_MAX {
                return CONTENT_MAX - content;
            }
            self.close_record();
        }
        self.open = Some((self.small.len(), 0));
        self.append(&[0; HEADER_LENGTH]);
        CONTENT_MAX
    }

    fn add_content(&mut self, length: usize) {
        let (_, content) = self.open.as_mut().expect("a record is opened before content is put into it");
        *content += length;
    }

    /// Puts bytes into `small`, and into the last segment if that ends there.
    fn append(&mut self, bytes: &[u8]) {
        let start = self.small.len();
        self.small.extend_from_slice(bytes);
        self.bytes += bytes.len();
        match self.segments.last_mut() {
            Some(Segment::Small(range)) => range.end = self.small.len(),
            _ if bytes.is_empty() => {}
            _ => self.segments.push(Segment::Small(start..self.small.len())),
        }
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
