//! The processes a benchmark starts and the folder it works in, and that both are gone afterwards: at the end, after a
//! panic, and when the benchmark is interrupted. Only what was started here is ended, by its process id.

use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::Result;

/// How long a process has to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(10);

/// What has to be cleaned up if the benchmark is interrupted.
static LEFT: Mutex<Left> = Mutex::new(Left { running: Vec::new(), folder: None });

/// Held while that is done, so that nobody ends the program in the middle of it.
static CLEANING: Mutex<()> = Mutex::new(());

struct Left {
    running: Vec<u32>,
    folder: Option<PathBuf>,
}

/// The folder that everything lies in; removed when dropped, with every process that still runs.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it, and sees to it that it goes when the benchmark is interrupted.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new().prefix("webdfs-bench-").tempdir()?.keep();
        LEFT.lock().expect("no holder panics").folder = Some(path.clone());
        let scratch = Self { path };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            use tokio::signal::unix::{SignalKind, signal};
            let _context = runtime.enter();
            [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ]
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                let [interrupt, terminate, hangup] = &mut signals;
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
            });
            clean_up();
            std::process::exit(130);
        });
        Ok(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        clean_up();
    }
}

fn clean_up() {
    let _cleaning = CLEANING.lock().expect("no holder panics");
    let (running, folder) = {
        let mut left = LEFT.lock().expect("no holder panics");
        (std::mem::take(&mut left.running), left.folder.take())
    };
    for process in running.into_iter().rev() {
        end(process);
    }
    if let Some(folder) = folder
        && let Err(error) = std::fs::remove_dir_all(&folder)
    {
        eprintln!("{} is left behind: {error}", folder.display());
    }
}

/// Ends a process of ours and waits until it has gone.
fn end(process: u32) {
    let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process(process, Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    // Anything but "it still runs" means that it has ended, here or in the thread that started it.
    while matches!(waitpid(Some(process), WaitOptions::NOHANG), Ok(None)) {
        if Instant::now() > deadline {
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
}

/// A process that runs until this is dropped.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a program; what it says goes to a file `NAME.log` in the folder.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        LEFT.lock().expect("no holder panics").running.push(child.id());
        Ok(Self { child, name: name.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says so.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + 3 * PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} has ended: {status}", self.name).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{}: still not {what}", self.name).into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Process {
    /// Ends it; nothing if that has been done.
    pub fn end(&mut self) {
        let mut left = LEFT.lock().expect("no holder panics");
        let before = left.running.len();
        left.running.retain(|process| *process != self.child.id());
        let ours = left.running.len() < before;
        drop(left);
        if ours {
            end(self.child.id());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a program to its end; what it wrote, if it ended well.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
    let process = child.id();
    LEFT.lock().expect("no holder panics").running.push(process);
    let output = child.wait_with_output();
    LEFT.lock().expect("no holder panics").running.retain(|other| *other != process);
    let Output { status, stdout, stderr } = output?;
    if !status.success() {
        return Err(format!("{program}: {status}: {}", String::from_utf8_lossy(&stderr).trim()).into());
    }
    Ok(String::from_utf8(stdout)?)
}

/// How many bytes a process has written so far, to whatever.
pub fn written(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/io"))?;
    let written = text.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
    written.ok_or_else(|| "/proc does not say how much was written".into())
}

/// Another user, as whom root starts something.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub id: u32,
    pub group: u32,
}

impl User {
    /// Gives him a folder with all that is in it, and lets him pass through what is above it within our own folder.
    pub fn own(self, folder: &Path) -> Result<()> {
        let scratch = LEFT.lock().expect("no holder panics").folder.clone();
        let scratch =
            scratch.filter(|scratch| folder.starts_with(scratch)).ok_or("this folder is not ours")?;
        std::fs::set_permissions(scratch, std::fs::Permissions::from_mode(0o711))?;
        self.take(folder)
    }

    fn take(self, path: &Path) -> Result<()> {
        lchown(path, Some(self.id), Some(self.group))?;
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.take(&entry?.path())?;
            }
        }
        Ok(())
    }
}
