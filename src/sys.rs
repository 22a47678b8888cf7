//! The only unsafe code: to borrow an inherited file descriptor by its number, to receive into memory that was never
//! written, to map a slice of a file, and to tell the C library how to manage memory.
//!
//! Nothing here decides anything; what is done with a descriptor or a mapping is its user's business.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use memmap2::{Mmap, MmapOptions};
use rustix::net::{RecvFlags, recv};
use tokio::io::ReadBuf;

/// A new descriptor, closed on exec, for the open file or socket that was inherited under the number `fd`. The
/// inherited one stays open, so that its number can never come to mean something else.
///
/// # Errors
/// Nothing is open under that number (`EBADF`), or no descriptor is left.
///
/// # Panics
/// `fd` is negative.
pub fn duplicate_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    assert!(fd >= 0, "a file descriptor is not negative");
    // SAFETY: The number is only passed to fcntl(2), which answers EBADF if nothing is open under it. The borrow ends
    // before this function does, nothing is closed through it, and what is duplicated is owned by the new descriptor
    // alone.
    let inherited = unsafe { BorrowedFd::borrow_raw(fd) };
    // Not below three: nothing may be taken for a standard stream.
    Ok(rustix::io::fcntl_dupfd_cloexec(inherited, 3)?)
}

/// Receives what is there, as much as there is room for. Nothing is written to the rest of the buffer: clearing a large
/// one for each short request would cost more than the call.
///
/// # Errors
/// As recv(2).
pub fn receive(socket: impl AsFd, buffer: &mut ReadBuf<'_>) -> rustix::io::Result<()> {
    // SAFETY: Nothing is taken out of the buffer, and nothing is put into it but what `recv` has received.
    let ((received, _), _) = recv(socket, unsafe { buffer.unfilled_mut() }, RecvFlags::empty())?;
    let length = received.len();
    // SAFETY: These are the bytes that `recv` gives back as written, at the front of what was not filled.
    unsafe { buffer.assume_init(length) };
    buffer.advance(length);
    Ok(())
}

/// A slice of a file in memory, read-only.
///
/// Its bytes are for system calls alone, as [`Mapping::io_slice`]: should someone shorten the file after all, a system
/// call answers `EFAULT`, while a look at the bytes from here would end the process with SIGBUS. Hence no way to read
/// them.
#[derive(Debug)]
pub struct Mapping(Mmap);

impl Mapping {
    /// Maps `length` bytes of `file` from `offset` on. Neither needs to be aligned. A slice beyond the end of the file
    /// can be mapped, but not be sent.
    ///
    /// # Errors
    /// The system refuses: the file is of a kind that cannot be mapped, or no address space is left. Read it instead.
    pub fn new(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: A mapping is sound as long as nobody changes the bytes. The storage root is ours alone, and a replica
        // is written under a temporary name, synced and renamed, and later only unlinked or renamed over, never edited
        // or truncated in place. Against a person who does it by hand, this type never touches the bytes itself: only
        // the kernel reads them, while it copies them to a socket.
        let mapping = unsafe { MmapOptions::new().offset(offset).len(length).map(file) }?;
        Ok(Self(mapping))
    }

    /// The bytes in `range`, to be handed to a system call such as writev(2), and to nothing else.
    ///
    /// # Panics
    /// `range` lies outside the mapping.
    pub fn io_slice(&self, range: Range<usize>) -> IoSlice<'_> {
        IoSlice::new(&self.0[range])
    }

    /// Number of bytes.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

/// Has the C library keep at most so many heaps, each for some threads, rather than eight for each processor: what a heap
/// has held at some time it keeps, and with heaps of their own a hundred threads that each did a piece of the same work
/// together keep many times what that needs. Nothing where it is another C library.
pub fn limit_heaps(count: u8) {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: It only sets a number, under a lock of the library's own. What it refuses (0) stays as it was.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, count.into()) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = count;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_slice_at_any_offset_is_what_the_file_holds_there() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&content).unwrap();
        for (offset, length) in [(0, 1), (0, 20_000), (4096, 4096), (4095, 2), (19_999, 1)] {
            let mapping = Mapping::new(&file, offset as u64, length).unwrap();
            assert_eq!(mapping.length(), length);
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let written = near.write_vectored(&[mapping.io_slice(0..length)]).unwrap();
            assert_eq!(written, length);
            drop(near);
            let mut got = Vec::new();
            far.read_to_end(&mut got).unwrap();
            assert!(got == content[offset..offset + length], "{length} bytes from {offset}");
        }
    }

    #[test]
    fn sending_a_slice_of_a_file_that_shrank_is_an_error_and_not_a_crash() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let mapping = Mapping::new(&file, 0, 8192).unwrap();
        file.set_len(0).unwrap();
        let (mut near, _far) = UnixStream::pair().unwrap();
        let error = near.write_vectored(&[mapping.io_slice(0..8192)]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::FAULT.raw_os_error()));
    }

    #[test]
    fn an_inherited_descriptor_is_duplicated_and_stays_open() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let copy = duplicate_inherited(near.as_raw_fd()).unwrap();
        assert!(copy.as_raw_fd() >= 3 && copy.as_raw_fd() != near.as_raw_fd());
        drop(copy);
        (&near).write_all(b"still open").unwrap();
        let mut got = [0; 10];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"still open");
    }

    #[test]
    fn a_number_without_a_file_is_refused() {
        let error = duplicate_inherited(1_000_000).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
    }
}
