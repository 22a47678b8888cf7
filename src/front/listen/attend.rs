//! A thread that waits for connections itself, and does nothing else meanwhile.
//!
//! Where a web server opens a connection for each request, and has several processes of which each answers now and then,
//! most of what a request costs is memory that is no longer in the processor's caches: waking up through a runtime, with
//! its queues and timers, touches more of it than the answer does. So this thread waits in one system call, and polls its
//! future by itself; the runtime has what cannot be finished at once.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::retry_on_intr;

/// Wakes up a thread that waits for connections.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC)?))
    }

    /// Waits until it has rung, and silences it.
    fn wait(&self) {
        let mut count = [0; 8];
        // It can fail only for a descriptor or a buffer that is none.
        let _ = retry_on_intr(|| rustix::io::read(&self.0, &mut count));
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // As above; it would wait only after as many rings as nobody lives to hear.
        let _ = retry_on_intr(|| rustix::io::write(&self.0, &1_u64.to_ne_bytes()));
    }
}

/// Runs on this thread the future that `make` gives, which may wait in [`Listener::accept`](super::Listener::accept)
/// with the bell that it is given.
///
/// # Errors
/// No descriptor is left.
pub fn attend<F: Future>(make: impl FnOnce(Arc<Bell>) -> F) -> io::Result<F::Output> {
    let bell = Arc::new(Bell::new()?);
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(make(Arc::clone(&bell)));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        bell.wait();
    }
}
