use std::fs::File;
use std::io::Write;

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::*;

/// All bytes of a batch, taken out in pieces of at most `step`, as a socket with little room would.
fn drain(batch: &mut Batch, step: usize) -> Vec<u8> {
    batch.close_record();
    let mut all = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = batch.io_slices(&mut slices);
        let piece: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).take(step).collect();
        let written = piece.len();
        all.extend(piece);
        if batch.advance(written) {
            assert!(batch.is_empty() && batch.bytes() == 0);
            return all;
        }
    }
}

/// Checks that `bytes` are records of request 9, each padded to eight bytes; the content of the stream, and what
/// follows its end.
fn stream(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut content = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let header = RecordHeader::decode(*header).unwrap();
        assert_eq!((header.record_type, header.request_id), (RecordType::Stdout, 9));
        let (record, rest) = rest.split_at(usize::from(header.content_length));
        let (padding, rest) = rest.split_at(usize::from(header.padding_length));
        assert!((record.len() + padding.len()).is_multiple_of(8) && padding.iter().all(|byte| *byte == 0));
        if record.is_empty() {
            return (content, rest.to_vec());
        }
        assert!(record.len() <= CONTENT_MAX);
        content.extend_from_slice(record);
        bytes = rest;
    }
    (content, Vec::new())
}

fn patterned(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

fn file_of(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

const ENDED: [u8; 16] = [1, 3, 0, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn an_answer_begins_with_status_reason_and_headers_and_ends_with_the_request() {
    let mut batch = Batch::new(9);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
    batch.push_head(StatusCode::PARTIAL_CONTENT, &headers);
    batch.push_bytes(&mut Bytes::from_static(b"hello"));
    batch.push_end();
    let (content, end) = stream(&drain(&mut batch, usize::MAX));
    let expected =
        b"Status: 206 Partial Content\r\ncontent-type: image/png\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(content, expected);
    assert_eq!(end, ENDED);
}

#[test]
fn a_status_without_a_name_still_has_a_reason() {
    let mut batch = Batch::new(9);
    batch.push_head(StatusCode::from_u16(599).unwrap(), &HeaderMap::new());
    assert_eq!(stream(&drain(&mut batch, usize::MAX)).0, b"Status: 599 Unknown\r\n\r\n");
}

#[test]
fn a_small_answer_is_one_write_of_few_slices() {
    let mut batch = Batch::new(9);
    batch.push_head(StatusCode::OK, &HeaderMap::new());
    batch.push_mapping(Mapping::new(&file_of(&patterned(4096)), 0, 4096).unwrap());
    batch.push_end();
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(batch.io_slices(&mut slices), 3, "what goes before, the file, what goes after");
}

#[test]
fn bytes_of_every_awkward_length_arrive_whole() {
    for length in [0, 1, SMALL - 1, SMALL, SMALL + 1, 65_527, 65_528, 65_529, 65_536, 131_056, 200_000] {
        let content = patterned(length);
        let mut batch = Batch::new(9);
        let mut bytes = Bytes::from(content.clone());
        batch.push_bytes(&mut bytes);
        assert!(bytes.is_empty());
        batch.push_end();
        let (got, end) = stream(&drain(&mut batch, 1000));
        assert!(got == content, "{length} bytes");
        assert_eq!(end, ENDED);
    }
}

#[test]
fn mapped_pieces_of_every_awkward_length_arrive_whole() {
    let content = patterned(1 << 20);
    let file = file_of(&content);
    let table = [(0, 1), (5, 65_527), (0, 65_528), (4096, 65_529), (3, 200_000), (0, 1 << 20)];
    for (offset, length) in table {
        let mut batch = Batch::new(9);
        batch.push_mapping(Mapping::new(&file, offset as u64, length).unwrap());
        batch.push_bytes(&mut Bytes::from_static(b"and more"));
        batch.push_end();
        let (got, end) = stream(&drain(&mut batch, 77_777));
        assert!(
            got == [&content[offset..offset + length], b"and more"].concat(),
            "{length} bytes from {offset}"
        );
        assert_eq!(end, ENDED);
    }
}

#[test]
fn bytes_beyond_a_full_batch_stay_for_the_next() {
    let content = patterned(3 * BYTES_MAX);
    let mut bytes = Bytes::from(content.clone());
    let mut batch = Batch::new(9);
    let mut got = Vec::new();
    while !bytes.is_empty() {
        let before = bytes.len();
        batch.push_bytes(&mut bytes);
        assert!(before - bytes.len() <= BYTES_MAX + CONTENT_MAX);
        got.extend(drain(&mut batch, usize::MAX));
    }
    assert!(stream(&got).0 == content);
}

#[test]
fn a_batch_is_full_before_its_list_of_segments_gets_long() {
    let file = file_of(&patterned(100_000));
    let mut batch = Batch::new(9);
    let mut pushed = 0;
    while !batch.is_full() {
        batch.push_bytes(&mut Bytes::from_static(b"--boundary"));
        batch.push_mapping(Mapping::new(&file, 0, SMALL + 1).unwrap());
        pushed += 1;
    }
    assert!(pushed <= SEGMENTS_MAX);
}
