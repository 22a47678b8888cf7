//! `webdfs serve`: answers requests until it is told to stop.

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use super::runtime::{run_node, run_node_on_this_thread};
use super::{CliError, ServeArgs};
use crate::failpoint::{Pause, pause};
use crate::node::{self, Source};

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
    let serving = |background| node::serve(source, args.die_with_parent, background);
    if args.die_with_parent {
        // One of several processes, and perhaps with one request at a time: threads would only wake each other up.
        return Ok(run_node_on_this_thread(serving)??);
    }
    Ok(run_node(serving)??)
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
