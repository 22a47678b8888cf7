//! The threads of a node: those that clients wait for, and those that do the background work and make room for them.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::sys::limit_heaps;

/// Threads for requests at most: they only wait for sockets, so more than a few gain nothing.
const WORKERS_MAX: usize = 8;
/// Threads of each kind that may wait for the disk at the same time.
const DISK_THREADS_MAX: usize = 128;
/// Heaps that the threads share, at least and at most: as many as there are processors, between these bounds.
const HEAPS: RangeInclusive<u8> = 2..=8;
/// What a background thread is nicer by: where others want the processor it gets a tenth of what each of them does, which
/// is enough to end whatever it holds others up with. The kernel derives the priority at the disk from it (ioprio_set(2)).
const NICE: i32 = 10;
/// As nice as can be.
const NICEST: i32 = 19;

/// Runs a node's future, which is given the way to the background threads, on threads of its own.
pub(super) fn run_node<F: Future>(node: impl FnOnce(Handle) -> F) -> io::Result<F::Output> {
    let background = background()?;
    let running = node(background.handle().clone());
    block_on(running)
}

/// The same on this thread and those that wait for the disk alone.
pub(super) fn run_node_on_this_thread<F: Future>(node: impl FnOnce(Handle) -> F) -> io::Result<F::Output> {
    let background = background()?;
    let running = node(background.handle().clone());
    let runtime =
        Builder::new_current_thread().max_blocking_threads(DISK_THREADS_MAX).enable_all().build()?;
    Ok(runtime.block_on(running))
}

/// Runs a future on threads of its own.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores().clamp(2, WORKERS_MAX))
        .max_blocking_threads(DISK_THREADS_MAX)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn background() -> io::Result<Runtime> {
    let heaps = u8::try_from(cores()).unwrap_or(u8::MAX);
    limit_heaps(heaps.clamp(*HEAPS.start(), *HEAPS.end()));
    // Each thread begins as nice as the one that starts it, which may be one of these.
    let nice = (getpriority_process(None)? + NICE).min(NICEST);
    Builder::new_multi_thread()
        .thread_name("background")
        .worker_threads(1)
        .max_blocking_threads(DISK_THREADS_MAX)
        .on_thread_start(move || {
            // On Linux this is for the calling thread alone.
            if let Err(error) = setpriority_process(None, nice) {
                log::warn!("the background work does not give way to requests: {error}");
            }
        })
        .enable_all()
        .build()
}
