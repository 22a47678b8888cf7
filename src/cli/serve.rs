//! `webdfs serve`: answers requests until it is told to stop.

use std::future::Future;
use std::num::NonZeroUsize;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use tokio::runtime::Builder;

use super::{CliError, ServeArgs};
use crate::failpoint::{Pause, pause};
use crate::node::{self, Source};

/// Threads for requests at most: they only wait for sockets, so more than a few gain nothing.
const WORKERS_MAX: usize = 8;
/// Threads that may wait for the disk at the same time.
const DISK_THREADS_MAX: usize = 128;

pub(super) fn run(args: &ServeArgs) -> Result<(), CliError> {
    lift_file_limit();
    if args.die_with_parent && !is_bound_to_parent()? {
        log::warn!("the process that started this one has ended, and this one ends with it");
        return Ok(());
    }
    let source = Source {
        config: args.config.clone(),
        overrides: args.overrides(),
        working_directory: std::env::current_dir()?,
    };
    let serving = node::serve(source, args.die_with_parent);
    if args.die_with_parent {
        // One of several processes, and perhaps with one request at a time: threads would only wake each other up.
        return Ok(block_on_this_thread(serving)??);
    }
    Ok(block_on(serving)??)
}

/// Has this process told to stop when the one that started it ends. `false` if that one has ended meanwhile, and no signal
/// will come.
///
/// A web server that is killed stops nothing that it has started, and nobody would ever connect again. The signal comes
/// when the thread ends that started this process: right for lighttpd and for mod_fcgid's process manager, which have
/// one; wrong for what starts a process and leaves, as spawn-fcgi does.
///
/// A parent that ended before this program ran cannot be told from one that lives: process 1 may be the web server of a
/// container.
fn is_bound_to_parent() -> std::io::Result<bool> {
    let parent = getppid();
    pause(Pause::BindToParent);
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(getppid() == parent)
}

/// Lets this process open as many files as it may. The usual 1,024 are kept that low for programs that call select(2),
/// and this one would reach them when a few nodes send it batches, each of which holds its files open.
pub(super) fn lift_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        log::warn!("no more than {current:?} files can be open at the same time: {error}");
    }
}

/// Runs a node's future on a runtime without threads but those that wait for the disk.
fn block_on_this_thread<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime =
        Builder::new_current_thread().max_blocking_threads(DISK_THREADS_MAX).enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Runs a node's future on a runtime of its own.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS_MAX))
        .max_blocking_threads(DISK_THREADS_MAX)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}
