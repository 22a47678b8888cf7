//! The socket between a process and the one that takes its place: short messages of words, each with the descriptors
//! that it speaks of (unix(7), `SCM_RIGHTS`). The two may be of different versions.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Bytes of a message at most.
const WORDS_MAX: usize = 256;
/// Descriptors of a message at most.
const DESCRIPTORS_MAX: usize = 4;
/// How long the other end may leave no room for a message: a process that is stopped, or hangs, must not hold up the
/// one that ends.
const UNTIL_SENT: Duration = Duration::from_secs(10);

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// What came from the other end.
#[derive(Debug)]
pub(super) struct Message {
    words: String,
    pub descriptors: Vec<OwnedFd>,
}

impl Message {
    /// What it is about.
    pub fn subject(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    /// Whether its subject is followed by a word.
    pub fn says(&self, word: &str) -> bool {
        self.words().skip(1).any(|said| said == word)
    }

    /// All words, the subject first.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.split(' ')
    }
}

impl Channel {
    /// Both ends; the second is for another process.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        // Packets: a message is read as it was written, with its descriptors, and an end of one process is an end here.
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(near), far))
    }

    /// An end that another process has made.
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Sends a message; waits until the other end has room for it, at most for [`UNTIL_SENT`].
    pub fn send(&self, words: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_within(UNTIL_SENT, words, descriptors)
    }

    fn send_within(&self, patience: Duration, words: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Send, Some(patience))?;
        assert!(words.len() <= WORDS_MAX && descriptors.len() <= DESCRIPTORS_MAX, "messages are short");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)), "there is room");
        }
        let words = [IoSlice::new(words.as_bytes())];
        match retry_on_intr(|| sendmsg(&self.0, &words, &mut control, SendFlags::NOSIGNAL)) {
            Err(Errno::AGAIN) => Err(io::ErrorKind::TimedOut.into()),
            sent => Ok(sent.map(drop)?),
        }
    }

    /// Waits for a message, at most for as long as `patience` says; `None` when the other process has ended.
    pub fn receive(&self, patience: Option<Duration>) -> io::Result<Option<Message>> {
        set_socket_timeout(&self.0, Timeout::Recv, patience)?;
        let mut words = [0; WORDS_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut words)];
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                // It ended with something of ours unread.
                Err(Errno::CONNRESET) => return Ok(None),
                received => break received?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        let words = String::from_utf8_lossy(&words[..received.bytes]).into_owned();
        Ok(Some(Message { words, descriptors }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors_and_the_end_of_the_other_side_is_seen() {
        let (near, far) = Channel::pair().unwrap();
        let far = Channel::from_descriptor(far);
        let (mut one, other) = UnixStream::pair().unwrap();
        near.send("sockets fcgi", &[other.as_fd()]).unwrap();
        near.send("nothing", &[]).unwrap();
        drop((near, other));

        let mut message = far.receive(None).unwrap().unwrap();
        assert_eq!(message.subject(), "sockets");
        assert!(message.says("fcgi") && !message.says("sockets"));
        let mut passed = UnixStream::from(message.descriptors.remove(0));
        one.write_all(b"x").unwrap();
        let mut got = [0];
        passed.read_exact(&mut got).unwrap();
        assert!(message.descriptors.is_empty());
        assert!(far.receive(None).unwrap().unwrap().descriptors.is_empty());
        assert!(far.receive(None).unwrap().is_none());
    }

    #[test]
    fn patience_has_an_end() {
        let (near, _far) = Channel::pair().unwrap();
        let moment = Duration::from_millis(1);
        let error = near.receive(Some(moment)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let sent = (0..1_000_000).try_for_each(|_| near.send_within(moment, "connection", &[]));
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
