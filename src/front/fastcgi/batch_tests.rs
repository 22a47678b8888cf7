use std::io::Write;
use std::sync::Arc;

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

fn file_of(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    Arc::new(file)
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
    let content = patterned(4096);
    let mut slice = FileSlice { file: file_of(&content), offset: 0, length: 4096 };
    batch.push_file(&mut slice).unwrap();
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
fn file_slices_of_every_awkward_place_and_length_arrive_whole() {
    let content = patterned(2 * WINDOW + 70_000);
    let file = file_of(&content);
    let window = WINDOW as u64;
    let all = content.len() as u64;
    let table = [
        (0, 1),
        (1, SMALL as u64),
        (3, SMALL as u64 + 1),
        (0, 65_528),
        (4096, 65_529),
        (5, 65_527),
        (window - 1, 1),
        (window - 1, 2),
        (window - 100, 100_000),
        (0, window),
        (1, window),
        (0, all),
        (window + 7, window + 50_000),
    ];
    for (offset, length) in table {
        let mut slice = FileSlice { file: file.clone(), offset, length };
        let mut batch = Batch::new(9);
        let mut got = Vec::new();
        while slice.length > 0 {
            batch.push_file(&mut slice).unwrap();
            if batch.is_full() {
                got.extend(drain(&mut batch, 100_000));
            }
        }
        batch.push_end();
        got.extend(drain(&mut batch, 77_777));
        let (got, end) = stream(&got);
        assert!(got == content[offset as usize..(offset + length) as usize], "{length} bytes from {offset}");
        assert_eq!(end, ENDED);
    }
}

#[test]
fn a_batch_is_full_before_its_list_of_segments_gets_long() {
    let file = file_of(&patterned(100_000));
    let mut batch = Batch::new(9);
    let mut pushed = 0;
    while !batch.is_full() {
        batch.push_bytes(&mut Bytes::from_static(b"--boundary"));
        let mut slice = FileSlice { file: file.clone(), offset: 0, length: SMALL as u64 + 1 };
        batch.push_file(&mut slice).unwrap();
        pushed += 1;
    }
    assert!(pushed <= SEGMENTS_MAX);
}

#[test]
fn a_small_slice_beyond_the_end_of_its_file_is_an_error() {
    let mut slice = FileSlice { file: file_of(b"short"), offset: 0, length: 6 };
    let error = Batch::new(9).push_file(&mut slice).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_cannot_be_mapped_is_read() {
    // A device has bytes at every offset, and this one no mapping that could be sent whole.
    let file = Arc::new(File::open("/proc/self/maps").unwrap());
    assert!(Mapping::new(&file, 0, SMALL + 1).is_err());
    let mut slice = FileSlice { file, offset: 0, length: SMALL as u64 + 1 };
    let mut batch = Batch::new(9);
    batch.push_file(&mut slice).unwrap();
    assert_eq!(stream(&drain(&mut batch, usize::MAX)).0.len(), SMALL + 1);
}
