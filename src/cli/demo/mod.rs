//! `webdfs demo`: a small cluster on this machine, with real images in it.
//!
//! The demo is a stranger to the rest of webdfs: it writes the files a site would write, runs this very program as
//! `webdfs serve` and `webdfs locate`, and speaks plain HTTP. The order of events is in `story`; here are the
//! arguments, the choice of the front, and the end: whatever happens, every process is stopped and a temporary folder is
//! removed.

pub mod checks;
pub mod client;
pub mod cluster;
pub mod folder;
pub mod images;
pub mod locate;
pub mod nginx;
pub mod paint;
pub mod process;
pub mod screen;
mod story;

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use cluster::{Cluster, Front, Plan};
use folder::Folder;
use nginx::Nginx;
use screen::Screen;

/// How many copies there are unless told otherwise, if there are as many nodes.
const REPLICAS: u16 = 3;
/// How many lines of each log are shown when something went wrong.
const LOG_LINES: usize = 12;

/// Start a small cluster on this machine, store images in it, and say how to try it
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What stands in front of each node; auto: nginx if it is installed, else http
    #[arg(long, value_enum, default_value_t = DemoFront::Auto)]
    pub front: DemoFront,
    /// End after the checks: exit code 0, or 1 if anything did not come back as it was stored
    #[arg(long)]
    pub check: bool,
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// How many of them hold each image; 3 (or the number of nodes, if that is less) unless given
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub replicas: Option<u16>,
    /// Keep all files in this folder, which must be empty or new, in place of a temporary one that is removed
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// What stands in front of each node of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoFront {
    /// nginx if it is installed, else the embedded front
    Auto,
    /// nginx
    Nginx,
    /// The embedded front
    Http,
}

/// Why the demo ended other than well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// More copies than nodes.
    #[error("--replicas {replicas} needs that many nodes, and there are {nodes}; add --nodes {replicas}")]
    Replicas {
        /// Copies asked for.
        replicas: u16,
        /// Nodes asked for.
        nodes: u16,
    },
    /// nginx was asked for.
    #[error("no nginx in {}; install it, or use --front http", Nginx::searched())]
    NoNginx,
    /// This program cannot find itself.
    #[error("the path of this program is not known")]
    Executable(#[source] io::Error),
    /// The runtime or its signals cannot be set up.
    #[error("the demo cannot be set up")]
    Runtime(#[source] io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] folder::FolderError),
    /// The nodes do not run.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The images cannot be drawn.
    #[error(transparent)]
    Images(#[from] images::ImageError),
    /// It is not known who holds what.
    #[error(transparent)]
    Locate(#[from] locate::LocateError),
    /// The story cannot be printed.
    #[error("the demo cannot print")]
    Output(#[from] io::Error),
    /// Something did not come back as it was stored; each was printed.
    #[error("{failed} of {made} checks failed")]
    ChecksFailed {
        /// How many failed.
        failed: usize,
        /// How many were made.
        made: usize,
    },
    /// A signal came before the checks were through.
    #[error("stopped by {0} before the end")]
    Interrupted(&'static str),
}

/// Runs the demo, on a runtime of its own, until it is stopped or, with `--check`, until it is through.
///
/// # Errors
/// When a step fails, with the ends of the logs on standard error, or when it is stopped before it is through.
pub fn run(args: &DemoArgs) -> Result<(), DemoError> {
    let replicas = args.replicas.unwrap_or(REPLICAS.min(args.nodes));
    if replicas > args.nodes {
        return Err(DemoError::Replicas { replicas, nodes: args.nodes });
    }
    let (front, front_reason) = choose_front(args.front, std::env::var_os("PATH").as_deref())?;
    let executable = std::env::current_exe().map_err(DemoError::Executable)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(DemoError::Runtime)?;
    // Before anything is made: from here on a signal is a reason to clean up.
    let mut stop = runtime.block_on(async { Stop::listen() }).map_err(DemoError::Runtime)?;

    let folder = match &args.keep {
        Some(path) => Folder::kept(path)?,
        None => Folder::temporary()?,
    };
    let plan = Plan {
        executable,
        folder: folder.path().to_owned(),
        node_count: usize::from(args.nodes),
        replica_count: usize::from(replicas),
        front,
    };
    let mut cluster = Cluster::prepare(plan)?;
    let mut screen = Screen::stdout();
    let outcome = runtime.block_on(async {
        tokio::select! {
            told = story::tell(&mut screen, &mut cluster, &front_reason) => told?,
            signal = stop.wait() => return Err(DemoError::Interrupted(signal)),
        }
        if args.check {
            return Ok(());
        }
        tokio::select! {
            stayed = story::stay(&mut screen, &cluster, folder.is_temporary()) => stayed,
            _ = stop.wait() => Ok(()),
        }
    });
    // Drawing may still be going on; nobody needs it any more.
    runtime.shutdown_background();
    if !matches!(outcome, Ok(()) | Err(DemoError::Interrupted(_) | DemoError::Output(_))) {
        eprint!("the ends of the logs:\n{}", cluster.log_tails(LOG_LINES));
    }
    drop(cluster);
    if !folder.is_temporary() && !matches!(outcome, Err(DemoError::Output(_))) {
        screen.line(format!("kept: {}", folder.path().display()))?;
    }
    outcome
}

/// The front, and why it is that one.
fn choose_front(wanted: DemoFront, path: Option<&OsStr>) -> Result<(Front, String), DemoError> {
    let found = if wanted == DemoFront::Http { None } else { Nginx::find(path) };
    match (wanted, found) {
        (DemoFront::Http, _) => Ok((Front::Http, "the embedded one, as asked".to_owned())),
        (DemoFront::Nginx, None) => Err(DemoError::NoNginx),
        (DemoFront::Auto, None) => {
            Ok((Front::Http, format!("the embedded one, since there is no nginx in {}", Nginx::searched())))
        }
        (_, Some(nginx)) => {
            let reason = format!("nginx {}, one for each node ({})", nginx.version, nginx.program.display());
            Ok((Front::Nginx(nginx), reason))
        }
    }
}

/// The signals that end the demo.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn parse(line: &str) -> Result<DemoArgs, clap::Error> {
        Line::try_parse_from(["demo"].into_iter().chain(line.split_whitespace())).map(|line| line.demo)
    }

    #[test]
    fn the_demo_runs_without_arguments_and_within_bounds() {
        let args = parse("").expect("no argument is needed");
        assert_eq!((args.front, args.nodes, args.replicas, args.check), (DemoFront::Auto, 3, None, false));
        for line in ["--nodes 0", "--replicas 0", "--front apache", "--replicas 17", "--nodes 65"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn more_copies_than_nodes_are_refused_with_what_would_be_right() {
        let args = parse("--nodes 2 --replicas 3").expect("well-formed");
        let error = run(&args).expect_err("impossible");
        assert_eq!(error.to_string(), "--replicas 3 needs that many nodes, and there are 2; add --nodes 3");
    }

    #[test]
    fn the_front_is_nginx_where_there_is_one_and_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/bin/true", dir.path().join("nginx")).expect("a link");
        let path = Some(dir.path().as_os_str());
        for wanted in [DemoFront::Auto, DemoFront::Nginx] {
            let (front, reason) = choose_front(wanted, path).expect("it is there");
            assert!(matches!(front, Front::Nginx(_)), "{front:?}");
            assert!(reason.contains(&format!("({})", dir.path().join("nginx").display())), "{reason}");
        }
        let (front, _) = choose_front(DemoFront::Http, path).expect("always there");
        assert_eq!(front, Front::Http);
    }
}
