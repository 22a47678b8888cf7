//! Real processes. Each ends when its guard is dropped; and if the test program dies first, however it dies, a small
//! watchdog (a shell at the other end of a pipe) ends them and removes their folders.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running process.
#[derive(Debug)]
pub struct Process {
    handle: Handle,
    /// Whether it is stopped (SIGSTOP).
    paused: bool,
}

/// How a process is waited for.
#[derive(Debug)]
enum Handle {
    /// This program has started it.
    Own(Child),
    /// A process that this program has started has started it, and has ended or is about to.
    Adopted { pid: Pid, ended: Option<ExitStatus> },
}

impl Handle {
    fn pid(&self) -> Pid {
        match self {
            Handle::Own(child) => Pid::from_raw(child.id() as i32).expect("a process id"),
            Handle::Adopted { pid, .. } => *pid,
        }
    }

    fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        match self {
            Handle::Own(child) => child.try_wait(),
            Handle::Adopted { ended: Some(ended), .. } => Ok(Some(*ended)),
            Handle::Adopted { pid, ended } => {
                let status = match waitpid(Some(*pid), WaitOptions::NOHANG) {
                    // The process that has started it runs still, and it has not come to us.
                    Err(Errno::CHILD) => return Ok(None),
                    status => status?,
                };
                *ended = status.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
                Ok(*ended)
            }
        }
    }

    fn kill(&mut self) {
        if self.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(self.pid(), Signal::KILL);
            while self.try_wait().is_ok_and(|ended| ended.is_none()) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl Process {
    /// From now on processes whose parents have ended are this program's children, and can be adopted.
    pub fn prepare_to_adopt() {
        set_child_subreaper(Some(rustix::process::getpid())).expect("a subreaper");
    }

    /// Cares for a process that one of ours has started, and that will outlive it.
    pub fn adopt(id: u32) -> Self {
        tell_watchdog(&format!("+ {id}"));
        let pid = Pid::from_raw(id as i32).expect("a process id");
        Self { handle: Handle::Adopted { pid, ended: None }, paused: false }
    }

    /// Starts a command; what it prints is added to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        Self::start_with_input(command, Stdio::null(), log)
    }

    /// The same for a command that expects something on descriptor 0.
    pub fn start_with_input(command: &mut Command, input: Stdio, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be opened");
        let child = command
            .stdin(input)
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        tell_watchdog(&format!("+ {}", child.id()));
        Self { handle: Handle::Own(child), paused: false }
    }

    pub fn id(&self) -> u32 {
        self.handle.pid().as_raw_nonzero().get() as u32
    }

    pub fn signal(&self, signal: Signal) {
        // One that has ended and was not waited for still takes signals.
        kill_process(self.handle.pid(), signal).expect("the process is ours");
    }

    /// SIGSTOP: it takes connections (the system does) and never answers.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.paused = true;
    }

    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.paused = false;
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.handle.try_wait().expect("the process is ours")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        super::wait_until("a process ends", || {
            ended = self.ended();
            ended.is_some()
        });
        ended.expect("just seen")
    }

    /// SIGKILL: nothing is finished.
    pub fn kill(mut self) {
        self.handle.kill();
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs").count()
    }

    /// Its private memory that no file is behind (RssAnon), in bytes; `None` once it has ended.
    pub fn private_memory(&self) -> Option<u64> {
        self.memory("RssAnon:")
    }

    /// The most that was ever resident of it (VmHWM), in bytes; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.handle.try_wait().is_ok_and(|ended| ended.is_none()) {
            if self.paused {
                self.signal(Signal::CONT);
            }
            self.signal(Signal::TERM);
            let deadline = Instant::now() + GRACE;
            while self.handle.try_wait().is_ok_and(|ended| ended.is_none()) {
                if Instant::now() > deadline {
                    self.handle.kill();
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        tell_watchdog(&format!("- {}", self.id()));
    }
}

/// The processes that a process has started, the oldest first.
pub fn children(of: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Whether a process runs. One that has ended and that nobody has waited for does not.
pub fn runs(id: u32) -> bool {
    state(id).is_some_and(|state| state != 'Z')
}

/// Whether a process has been stopped, as by SIGSTOP.
pub fn is_paused(id: u32) -> bool {
    state(id) == Some('T')
}

/// The letter that the system gives a process's state (proc(5)).
fn state(id: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// A temporary folder that goes away with the test program at the latest.
#[derive(Debug)]
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("webdfs-test-").tempdir().expect("a temporary folder");
        tell_watchdog(&format!("d {}", dir.path().display()));
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path)
    }
}

/// Reads lines: `+ PID` started, `- PID` ended, `d FOLDER` made. At the end of its input it ends what is left.
const WATCHDOG: &str = r#"
pids=' ' dirs=''
while read -r what value; do
    case $what in
    +) pids="$pids$value " ;;
    -) pids="${pids%% $value *} ${pids#* $value }" ;;
    d) dirs="$dirs $value" ;;
    esac
done
for pid in $pids; do kill -CONT $pid; kill -TERM $pid; done
for pid in $pids; do
    tries=0
    while kill -0 $pid && [ $tries -lt 30 ]; do tries=$((tries + 1)); sleep 0.1; done
    kill -KILL $pid
done
[ -z "$dirs" ] || rm -rf $dirs
"#;

#[expect(clippy::zombie_processes, reason = "the watchdog outlives this program")]
fn tell_watchdog(line: &str) {
    static INPUT: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let input = INPUT.get_or_init(|| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WATCHDOG]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that Ctrl-C does not end it.
        let mut child = shell.process_group(0).spawn().expect("a shell");
        Mutex::new(child.stdin.take().expect("a pipe"))
    });
    let mut input = input.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    writeln!(input, "{line}").expect("the watchdog reads");
}
