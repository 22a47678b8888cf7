//! A connection over whichever family of sockets.
//!
//! Where a web server opens a connection for each request, most end before anything was waited for: the request is there
//! when the connection is accepted, and its answer fits into the socket. So a socket is used as it is at first, and the
//! runtime watches it only once a call would have waited: two system calls and a wake-up less for each such request.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, Shutdown, shutdown, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::sys::receive;

/// A connection of either family.
#[derive(Debug)]
pub struct Stream(State);

#[derive(Debug)]
enum State {
    /// Not waited for yet. `None` only while it is changed, and if it could not be watched.
    Bare(Option<OwnedFd>),
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// A connection that has been accepted. Its socket does not block.
    pub(super) fn accepted(socket: OwnedFd) -> Self {
        Self(State::Bare(Some(socket)))
    }

    /// A connection that another process has accepted.
    ///
    /// # Errors
    /// It is no socket.
    pub fn adopted(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        sockopt::socket_domain(&socket)?;
        Ok(Self::accepted(socket))
    }

    /// The bare socket, to be handed to another process.
    ///
    /// # Errors
    /// It can no longer be used.
    pub fn into_socket(self) -> io::Result<OwnedFd> {
        Ok(match self.0 {
            State::Bare(socket) => socket.ok_or(Errno::BADF)?,
            State::Unix(stream) => stream.into_std()?.into(),
            State::Tcp(stream) => stream.into_std()?.into(),
        })
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        !matches!(self.0, State::Bare(_))
    }

    /// Makes the call on a socket that is not watched. `None` if the call would have waited: the socket is watched now.
    fn try_bare<T>(
        &mut self,
        mut call: impl FnMut(&OwnedFd) -> rustix::io::Result<T>,
    ) -> Option<io::Result<T>> {
        let State::Bare(socket) = &mut self.0 else { return None };
        let called = match socket {
            Some(socket) => retry_on_intr(|| call(socket)),
            None => Err(Errno::BADF),
        };
        match called {
            Err(Errno::WOULDBLOCK) => match watched(socket.take()?) {
                Ok(state) => {
                    self.0 = state;
                    None
                }
                Err(error) => Some(Err(error)),
            },
            called => Some(called.map_err(io::Error::from)),
        }
    }
}

/// Has the runtime watch a socket. What is there already by then is seen.
fn watched(socket: OwnedFd) -> io::Result<State> {
    Ok(match sockopt::socket_domain(&socket)? {
        AddressFamily::UNIX => State::Unix(UnixStream::from_std(socket.into())?),
        _ => State::Tcp(TcpStream::from_std(socket.into())?),
    })
}

/// Calls a method on the stream of the runtime, whichever it is.
macro_rules! either {
    ($stream:expr, $method:ident, $($argument:expr),*) => {
        match &mut $stream.get_mut().0 {
            State::Unix(stream) => Pin::new(stream).$method($($argument),*),
            State::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            State::Bare(_) => unreachable!("a call that would have waited has had the socket watched"),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.try_bare(|socket| receive(socket, buffer)) {
            Some(received) => Poll::Ready(received),
            None => either!(self, poll_read, cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.try_bare(|socket| rustix::io::write(socket, bytes)) {
            Some(written) => Poll::Ready(written),
            None => either!(self, poll_write, cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.try_bare(|socket| rustix::io::writev(socket, slices)) {
            Some(written) => Poll::Ready(written),
            None => either!(self, poll_write_vectored, cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is with the system.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Bare(socket) = &self.0 {
            let closed = socket.as_ref().map_or(Err(Errno::BADF), |socket| shutdown(socket, Shutdown::Write));
            return Poll::Ready(closed.map_err(io::Error::from));
        }
        either!(self, poll_shutdown, cx)
    }
}
