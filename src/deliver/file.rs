//! The bytes of a file as a stream, for senders that copy anyway.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::response::{BodyError, ByteStream, FileSlice};

/// Bytes read at once.
const READ_BYTES: u64 = 128 * 1024;

/// Reads a slice of a file piece by piece, each on a thread that may wait for the disk.
pub fn stream(slice: FileSlice) -> ByteStream {
    stream_all([slice])
}

/// The same with slices of several files, one after the other: those of small files are read together.
pub fn stream_all(slices: impl IntoIterator<Item = FileSlice>) -> ByteStream {
    let slices: VecDeque<_> = slices.into_iter().filter(|slice| slice.length > 0).collect();
    Box::pin(futures_util::stream::unfold(slices, |mut left| async move {
        if left.is_empty() {
            return None;
        }
        let read = tokio::task::spawn_blocking(move || (read_piece(&mut left), left));
        match read.await {
            Ok((Ok(bytes), left)) => Some((Ok(bytes), left)),
            Ok((Err(error), _)) => Some((Err(error.into()), VecDeque::new())),
            Err(_) => Some((Err(BodyError::Cut), VecDeque::new())),
        }
    }))
}

/// Takes the next bytes off some slices.
fn read_piece(left: &mut VecDeque<FileSlice>) -> io::Result<Bytes> {
    let all = left.iter().map(|slice| slice.length).sum::<u64>();
    let mut bytes = Vec::with_capacity(length(all.min(READ_BYTES)));
    while let Some(slice) = left.front_mut()
        && bytes.len() < length(READ_BYTES)
    {
        let first = bytes.len();
        let count = slice.length.min(READ_BYTES - first as u64);
        bytes.resize(first + length(count), 0);
        slice.file.read_exact_at(&mut bytes[first..], slice.offset)?;
        slice.offset += count;
        slice.length -= count;
        if slice.length == 0 {
            left.pop_front();
        }
    }
    Ok(bytes.into())
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a piece fits in memory")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn slices_of_many_files_come_one_after_the_other_in_pieces_that_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slices, mut expected) = (Vec::new(), Vec::<u8>::new());
        for (number, length) in [3_u64, 0, 100_000, 300_000, 7].into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            let bytes = vec![number as u8; length as usize + 5];
            fs::write(&path, &bytes).unwrap();
            slices.push(FileSlice { file: Arc::new(fs::File::open(&path).unwrap()), offset: 5, length });
            expected.extend(&bytes[5..]);
        }
        let pieces: Vec<_> = stream_all(slices).map(Result::unwrap).collect().await;
        assert!(pieces.iter().all(|piece| piece.len() as u64 <= READ_BYTES));
        assert_eq!(pieces.len(), expected.len().div_ceil(READ_BYTES as usize));
        assert_eq!(pieces.concat(), expected);
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_by_now_ends_the_stream_with_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        fs::write(&path, b"abc").unwrap();
        let slice = || FileSlice { file: Arc::new(fs::File::open(&path).unwrap()), offset: 0, length: 4 };
        let pieces: Vec<_> = stream_all([slice(), slice()]).collect().await;
        assert!(matches!(pieces[..], [Err(_)]));
    }
}
