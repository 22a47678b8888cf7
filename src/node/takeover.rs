//! A process starts its own program anew and leaves its place to it (SIGUSR2), without a moment in which nobody
//! answers.
//!
//! The successor is a child with one end of a [`Channel`] as its standard input:
//!
//! | from | message | with |
//! |---|---|---|
//! | the old | `sockets fcgi http` | those that listen, in that order |
//! | the new | `ready fcgi http connections` | which of them it has taken; that it takes connections, too |
//! | the old | `agent recovered` | the agent's lock, which is thus never free; without it: nothing to pass |
//! | the old | `connection` | one that the web server keeps, between two requests |
//!
//! Until `ready` nothing has changed for the old process: whatever becomes of the new one, it goes on.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::channel::{Channel, Message};
use super::fronts::Kind;
use crate::agent::Mandate;
use crate::front::listen::{Handed, Listener, Spare, Stream};

/// With it a new process says that it takes connections, too.
pub(super) const CONNECTIONS: &str = "connections";
/// Holds the process id of the process whose place is to be taken.
const VARIABLE: &str = "WEBDFS_TAKES_OVER_FROM";
/// How long a new process may take until it serves.
const UNTIL_READY: Duration = Duration::from_secs(60);
/// How long a new process that has closed its end of the channel may take to end.
const UNTIL_ENDED: Duration = Duration::from_secs(1);
/// How long a new process waits for what the old one has to pass on at once.
const UNTIL_PASSED: Duration = Duration::from_secs(10);

/// Why no other process takes this one's place.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// It could not be started.
    #[error("{}: cannot be started", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended; it has logged why.
    #[error("the new process ended before it served ({0}); what it logged says why")]
    Ended(ExitStatus),
    /// It lives, and can no longer say anything.
    #[error(
        "the new process closed its standard input without serving, and was killed; is it another program?"
    )]
    Mute,
    /// It takes too long.
    #[error("the new process did not serve within {} seconds and was killed", UNTIL_READY.as_secs())]
    Late,
    /// The other process cannot be talked to.
    #[error("the other process cannot be talked to")]
    Channel(#[source] io::Error),
    /// The other process is something else.
    #[error("the other process says \"{0}\"; is it another program?")]
    Strange(String),
}

/// How this process was started, as it has to be started again.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Looks while the program is in its place: of one that has been replaced the system only says that it is gone.
    pub fn of_this_process() -> io::Result<Self> {
        let running = std::env::current_exe()?;
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let called = arguments.first().map(PathBuf::from).unwrap_or_default();
        // A symbolic link stays one: the next version may be what it will point to.
        let is_it = |path: &Path| path.canonicalize().is_ok_and(|found| found == running);
        let mut places = Vec::new();
        if called.components().count() > 1 {
            places.push(std::env::current_dir()?.join(&called));
        } else if let Some(folders) = std::env::var_os("PATH") {
            places.extend(std::env::split_paths(&folders).map(|folder| folder.join(&called)));
        }
        let path = places.into_iter().find(|place| is_it(place)).unwrap_or(running);
        Ok(Self { path, arguments })
    }
}

/// A process that is to take this one's place.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    channel: Arc<Channel>,
    answer: JoinHandle<io::Result<Option<Message>>>,
}

impl Successor {
    /// Starts it, and hands it the sockets that listen.
    pub fn start(program: &Program, sockets: &[(Kind, Spare)]) -> Result<Self, TakeoverError> {
        let (channel, theirs) = Channel::pair().map_err(TakeoverError::Channel)?;
        let words: String = sockets.iter().map(|(kind, _)| format!(" {}", kind.word())).collect();
        let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        channel.send(&format!("sockets{words}"), &descriptors).map_err(TakeoverError::Channel)?;
        let mut command = Command::new(&program.path);
        if let Some((name, rest)) = program.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        command.stdin(Stdio::from(theirs)).env(VARIABLE, std::process::id().to_string());
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(variable);
        }
        let start = |source| TakeoverError::Start { program: program.path.clone(), source };
        let child = command.spawn().map_err(start)?;
        // The command holds the other end, too.
        drop(command);
        let channel = Arc::new(channel);
        let listening = Arc::clone(&channel);
        let answer = spawn_blocking(move || listening.receive(Some(UNTIL_READY)));
        Ok(Self { child, channel, answer })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it serves; what it says then. Dropping the future changes nothing. After an error nothing is left
    /// of it.
    pub async fn ready(&mut self) -> Result<Message, TakeoverError> {
        let answer = (&mut self.answer).await.map_err(io::Error::other).and_then(|answer| answer);
        let failure = match answer {
            Ok(Some(message)) if message.subject() == "ready" => return Ok(message),
            Ok(Some(message)) => TakeoverError::Strange(message.subject().to_owned()),
            Ok(None) => match self.ended_by_itself().map_err(TakeoverError::Channel)? {
                Some(status) => return Err(TakeoverError::Ended(status)),
                None => TakeoverError::Mute,
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => TakeoverError::Late,
            Err(error) => TakeoverError::Channel(error),
        };
        self.kill().map_err(TakeoverError::Channel)?;
        Err(failure)
    }

    /// Ends it before it has taken over.
    pub fn give_up(mut self) {
        if let Err(error) = self.kill() {
            log::warn!("process {} cannot be ended: {error}", self.id());
        }
    }

    /// How it ended after its end of the channel was closed: at once, usually, for the process does that by ending.
    /// Blocks until then, at most for [`UNTIL_ENDED`].
    fn ended_by_itself(&mut self) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + UNTIL_ENDED;
        loop {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Passes on the right to do the root's background work, if this process had it.
    pub fn pass_mandate(&self, mut mandate: Option<Mandate>) {
        // The other process opens its own, as soon as it has the lock.
        if let Some(mandate) = &mut mandate {
            mandate.socket = None;
        }
        let sent = match &mandate {
            Some(Mandate { lock, recovered: true, .. }) => {
                self.channel.send("agent recovered", &[lock.as_fd()])
            }
            Some(Mandate { lock, recovered: false, .. }) => self.channel.send("agent", &[lock.as_fd()]),
            None => self.channel.send("agent", &[]),
        };
        if let Err(error) = sent {
            log::warn!("the background work is not passed on, but begins anew: {error}");
        }
    }

    /// Passes on connections as they come, as long as the new process takes them; the task ends after the sender was
    /// dropped at the latest.
    pub fn pass_connections(&self, mut from: mpsc::UnboundedReceiver<Stream>) -> JoinHandle<()> {
        let channel = Arc::clone(&self.channel);
        spawn_blocking(move || {
            while let Some(stream) = from.blocking_recv() {
                let passed =
                    stream.into_socket().and_then(|socket| channel.send("connection", &[socket.as_fd()]));
                if let Err(error) = passed {
                    log::warn!("kept connections are closed rather than passed on: {error}");
                    return;
                }
            }
        })
    }
}

/// The process whose place this one takes.
#[derive(Debug)]
pub(super) struct Predecessor(Channel);

/// What comes of it while this process begins to serve.
pub(super) struct Inheritance {
    mandate: oneshot::Receiver<Option<Mandate>>,
}

impl Predecessor {
    /// It, if there is one: the process that has started this one, and said so.
    pub fn find() -> Result<Option<Self>, TakeoverError> {
        let said = std::env::var(VARIABLE).ok().and_then(|pid| pid.parse::<i32>().ok());
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        if said.is_none() || said != parent {
            return Ok(None);
        }
        let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(TakeoverError::Channel)?;
        Ok(Some(Self(Channel::from_descriptor(input))))
    }

    /// The sockets that it listens on.
    pub fn sockets(&self) -> Result<Handed, TakeoverError> {
        let message = self.0.receive(Some(UNTIL_PASSED)).map_err(TakeoverError::Channel)?;
        let message = message.ok_or_else(|| TakeoverError::Channel(io::ErrorKind::UnexpectedEof.into()))?;
        if message.subject() != "sockets" {
            return Err(TakeoverError::Strange(message.subject().to_owned()));
        }
        let mut handed = Handed::default();
        let kinds: Vec<Option<Kind>> = message.words().skip(1).map(Kind::of_word).collect();
        for (kind, socket) in kinds.into_iter().zip(message.descriptors) {
            let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
            let listener = Listener::adopted(socket, number).map_err(io::Error::other);
            let listener = listener.map_err(TakeoverError::Channel)?;
            match kind {
                Some(Kind::Fcgi) => handed.fcgi = Some(listener),
                Some(Kind::Http) => handed.http = Some(listener),
                // A newer one's; it keeps it.
                None => {}
            }
        }
        Ok(handed)
    }

    /// Tells it that this process serves, and on which of its sockets. Connections that it passes on go to
    /// `connections`.
    pub fn replace(
        self,
        taken: &[Kind],
        connections: mpsc::UnboundedSender<Stream>,
    ) -> Result<Inheritance, TakeoverError> {
        let words: String = taken.iter().map(|kind| format!(" {}", kind.word())).collect();
        self.0.send(&format!("ready{words} {CONNECTIONS}"), &[]).map_err(TakeoverError::Channel)?;
        let (pass, mandate) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        // A thread of its own: it waits for as long as the old process needs to end.
        std::thread::spawn(move || {
            let _runtime = runtime.enter();
            self.receive(pass, &connections);
        });
        Ok(Inheritance { mandate })
    }

    fn receive(self, pass: oneshot::Sender<Option<Mandate>>, connections: &mpsc::UnboundedSender<Stream>) {
        let mut pass = Some(pass);
        loop {
            let mut message = match self.0.receive(None) {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => return log::warn!("the old process cannot be heard: {error}"),
            };
            let descriptor = message.descriptors.pop();
            match (message.subject(), descriptor) {
                ("agent", lock) => {
                    let recovered = message.says("recovered");
                    let mandate =
                        lock.map(|lock| Mandate { socket: None, gossip: None, lock: lock.into(), recovered });
                    if let Some(pass) = pass.take() {
                        // Too late, and the lock is free again.
                        let _ = pass.send(mandate);
                    }
                }
                ("connection", Some(socket)) => match Stream::adopted(socket) {
                    // Should the front have ended meanwhile, so does the connection.
                    Ok(stream) => drop(connections.send(stream)),
                    Err(error) => log::warn!("a connection is not taken over: {error}"),
                },
                _ => {}
            }
        }
    }
}

impl Inheritance {
    /// The right to do the background work, if the old process had it.
    pub async fn mandate(self) -> Option<Mandate> {
        tokio::time::timeout(UNTIL_PASSED, self.mandate).await.ok()?.ok()?
    }
}
