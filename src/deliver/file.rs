//! The bytes of a file as a stream, for senders that copy anyway.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::response::{BodyError, ByteStream, FileSlice};

/// Bytes read at once.
const READ_BYTES: u64 = 128 * 1024;

/// Reads a slice of a file piece by piece, each on a thread that may wait for the disk.
pub fn stream(slice: FileSlice) -> ByteStream {
    Box::pin(futures_util::stream::unfold(slice, |slice| async move {
        if slice.length == 0 {
            return None;
        }
        let count = slice.length.min(READ_BYTES);
        let (file, offset) = (Arc::clone(&slice.file), slice.offset);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(count).expect("a piece fits in memory")];
            file.read_exact_at(&mut bytes, offset).map(|()| Bytes::from(bytes))
        });
        match read.await {
            Ok(Ok(bytes)) => {
                let rest = FileSlice { offset: slice.offset + count, length: slice.length - count, ..slice };
                Some((Ok(bytes), rest))
            }
            Ok(Err(error)) => Some((Err(error.into()), FileSlice { length: 0, ..slice })),
            Err(_) => Some((Err(BodyError::Cut), FileSlice { length: 0, ..slice })),
        }
    }))
}
