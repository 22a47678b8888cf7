//! A child process that ends with its owner, and its log.
//!
//! Each runs in a process group of its own, so that Ctrl-C reaches it through the demo alone, in good order, and so
//! that what it has started itself (nginx: its workers) can be ended with it. Nothing here knows what it runs.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// How often a process that was asked to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a log is read at most to show its end.
const TAIL_BYTES: u64 = 32 * 1024;

/// A running child process. Dropping it ends it: SIGTERM, and SIGKILL if that does not help in time.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    grace: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Its log cannot be opened.
    #[error("the log {} cannot be written", log.display())]
    Log {
        /// The log.
        log: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Process {
    /// Starts `command` with nothing on its standard input and with its output added to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be run.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, ProcessError> {
        let log_error = |source| ProcessError::Log { log: log.to_owned(), source };
        let output = OpenOptions::new().create(true).append(true).open(log).map_err(log_error)?;
        let errors = output.try_clone().map_err(log_error)?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let started = command.spawn();
        let start_error = |source| ProcessError::Start { program: command.get_program().into(), source };
        let child = started.map_err(start_error)?;
        let pid = Pid::from_child(&child);
        Ok(Self { child, pid, grace: GRACE })
    }

    /// Process id. It is not given to another process while this value lives, even when the process has ended.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. What it started itself may still run.
    pub fn ended(&self) -> Option<Ended> {
        // Left as a zombie (NOWAIT), so that its id, which is the id of its group too, stays ours.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = loop {
            match waitid(WaitId::Pid(self.pid), options) {
                Err(Errno::INTR) => {}
                other => break other.ok().flatten()?,
            }
        };
        status.terminating_signal().map(Ended::Signal).or(status.exit_status().map(Ended::Code))
    }

    /// Sends SIGTERM and does not wait. To end several at a time, ask them all before dropping them.
    pub fn ask_to_end(&self) {
        // The one error there can be is that it has ended already.
        let _ = kill_process(self.pid, Signal::TERM);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        let deadline = Instant::now() + self.grace;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // What is left of the group, first of all the process itself if it has not ended; then its id is given back.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The last `lines` lines of a log, each with `indent` in front; nothing if there is no log. Bytes that are no text are
/// replaced.
pub fn tail(log: &Path, lines: usize, indent: &str) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| format!("{indent}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start(Command::new("sh").args(["-c", script]), log).expect("a shell starts")
    }

    /// Looks until it is so; a test that waits in vain fails.
    fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline, "not so in time: {what}");
            thread::sleep(LOOK_EVERY);
        }
    }

    fn wait_until_said(log: &Path, text: &str) {
        wait_until(&format!("the shell said {text}"), || tail(log, 10, "").contains(text));
    }

    fn wait_until_gone(pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
        // A grandchild is reaped by init, after its end; until then it is a zombie that still has its id.
        let zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
            stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        wait_until("the process has gone", || rustix::process::test_kill_process(pid).is_err() || zombie());
    }

    #[test]
    fn dropping_a_process_ends_it_and_what_it_has_started() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let process = shell("sleep 1000 & echo child $! ready; wait", &log);
        wait_until_said(&log, "ready");
        let text = tail(&log, 1, "");
        let grandchild: u32 = text.split(' ').nth(1).and_then(|id| id.parse().ok()).expect("an id");
        assert_eq!(process.ended(), None);
        let id = process.id();
        drop(process);
        wait_until_gone(id);
        wait_until_gone(grandchild);
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 1; done", &log);
        wait_until_said(&log, "ready");
        process.grace = Duration::from_millis(50);
        let id = process.id();
        drop(process);
        wait_until_gone(id);
    }

    #[test]
    fn a_process_may_use_sigterm_to_end_in_good_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let process = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done", &log);
        wait_until_said(&log, "ready");
        process.ask_to_end();
        wait_until("it has ended", || process.ended().is_some());
        assert_eq!(process.ended(), Some(Ended::Code(7)));
        drop(process);
        assert_eq!(tail(&log, 2, "  "), "  ready\n  bye\n");
    }

    #[test]
    fn the_end_of_a_process_is_noticed_as_often_as_one_asks() {
        let dir = tempfile::tempdir().expect("a folder");
        let process = shell("kill -9 $$", &dir.path().join("log"));
        wait_until("it has ended", || process.ended().is_some());
        assert_eq!(process.ended(), Some(Ended::Signal(9)));
        assert_eq!(process.ended().map(|ended| ended.to_string()).as_deref(), Some("signal 9"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let error =
            Process::start(&mut Command::new("/no/such/program"), &dir.path().join("log")).map(|_| ());
        assert_eq!(error.unwrap_err().to_string(), "/no/such/program cannot be started");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        assert_eq!(tail(&log, 3, ""), "");
        let text: String = (0..9000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&log, [text.as_bytes(), b"\xff\n"].concat()).expect("a log");
        assert_eq!(tail(&log, 2, "| "), "| line 8999\n| \u{fffd}\n");
    }
}
