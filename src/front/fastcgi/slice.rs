//! Pieces of a file on their way into an answer: read where they are small, mapped where they are large.
//!
//! Nothing here knows about records. Short slices are read because that is cheaper: behind nginx, with files in the page
//! cache, reading instead of mapping took 12.5 to 6.5 microseconds of processor time off a request for 4 KiB, 17 to
//! 11.5 at 32 KiB, and 39 to 34 at 128 KiB. To map, fault in and unmap a few pages costs more than to copy them, the
//! more so as unmapping interrupts every other processor that runs a thread of this process. A mapping takes no memory
//! of ours, though, however many clients wait; so long pieces are mapped.

use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

use crate::response::FileSlice;
use crate::sys::Mapping;

/// A long slice is sent in windows: so much of it is mapped at a time. A file is cut at multiples of this.
pub(super) const WINDOW: usize = 1 << 20;
/// Pieces up to this are read.
pub(super) const READ_MAX: usize = 64 << 10;

/// A piece of a file.
#[derive(Debug)]
pub(super) enum Piece {
    /// In our memory.
    Read(Bytes),
    /// In the page cache, for system calls only.
    Mapped(Mapping),
}

/// Takes the next piece, of at most a window, off the front of `slice`.
///
/// A piece that is read and not in the page cache is waited for elsewhere, so that one cold disk does not hold up the
/// requests whose files are warm; except on file systems that cannot tell. Of a mapped piece only the kernel knows,
/// while it sends it.
///
/// # Errors
/// The file is shorter than the slice, or cannot be read.
pub(super) async fn take_piece(slice: &mut FileSlice) -> io::Result<Piece> {
    let to_boundary = WINDOW as u64 - slice.offset % WINDOW as u64;
    let taken = to_boundary.min(slice.length);
    let offset = slice.offset;
    slice.offset += taken;
    slice.length -= taken;
    let length = usize::try_from(taken).expect("a window fits into memory");
    if length > READ_MAX
        && let Ok(mapping) = Mapping::new(&slice.file, offset, length)
    {
        return Ok(Piece::Mapped(mapping));
    }
    let mut bytes = vec![0; length];
    let at_once = ReadWriteFlags::NOWAIT;
    match rustix::io::preadv2(&slice.file, &mut [IoSliceMut::new(&mut bytes)], offset, at_once) {
        Ok(read) if read == length => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            slice.file.read_exact_at(&mut bytes, offset)?
        }
        _ => {
            let file = slice.file.clone();
            let read = move || file.read_exact_at(&mut bytes, offset).map(|()| bytes);
            bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        }
    }
    Ok(Piece::Read(bytes.into()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    fn file_of(length: usize) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_long_slice_is_mapped_in_windows_and_its_short_ends_are_read() {
        let file = file_of(3 * WINDOW);
        let offset = (WINDOW - 10) as u64;
        let mut slice = FileSlice { file, offset, length: (WINDOW + 20) as u64 };
        let mut pieces = Vec::new();
        while slice.length > 0 {
            pieces.push(match take_piece(&mut slice).await.unwrap() {
                Piece::Read(bytes) => ("read", bytes.len()),
                Piece::Mapped(mapping) => ("mapped", mapping.length()),
            });
        }
        assert_eq!(pieces, [("read", 10), ("mapped", WINDOW), ("read", 10)]);
    }

    #[tokio::test]
    async fn a_short_slice_beyond_the_end_of_its_file_is_an_error() {
        let mut slice = FileSlice { file: file_of(5), offset: 0, length: 6 };
        assert_eq!(take_piece(&mut slice).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_cannot_be_mapped_or_read_without_waiting_is_read_all_the_same() {
        let file = Arc::new(File::open("/proc/self/stat").unwrap());
        assert!(Mapping::new(&file, 0, 10).is_err());
        let mut slice = FileSlice { file, offset: 0, length: 10 };
        let Piece::Read(bytes) = take_piece(&mut slice).await.unwrap() else { panic!("mapped") };
        assert_eq!(bytes.len(), 10);
    }
}
