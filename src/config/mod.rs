//! The settings of a node and the cluster map, read from their files: every value decided, typed and checked, so
//! that nothing behind this module meets a default or an impossible value.
//!
//! `file.rs` is what the files say; this file, `map_file.rs` and the small types beside it are what the program
//! does. What must never be here: opening the storage root, binding a socket, or asking whether a path exists; a
//! configuration is good or bad by itself. Only the configuration's own files are read. The settings are explained
//! for operators in `conf/node.toml`, `conf/cluster.toml` and `conf/cluster-crush.toml`.

mod access;
mod agent;
mod crush_file;
mod decide;
mod duration;
mod error;
mod file;
mod listen;
mod map_file;
mod map_text;
mod mode;
mod secret;
mod sign_key;
mod size;
mod source;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use crate::access::limits::LimitSettings;
use crate::access::rule::AllowList;
use crate::access::signed::SigningKey;
use crate::cluster::NodeName;
use crate::name::{Exclude, Prefix};
use crate::php::PhpVersion;
use crate::semantics::FrontKind;

pub use access::AccessSettings;
pub use agent::{Agent, Rate, RateError};
pub use duration::DurationError;
pub use error::{ConfigError, Reason, Refusal};
pub use listen::{FcgiListen, Listen, ListenError, OverrideError, Overrides, SOCKET_MODE};
pub use map_file::{MapText, load_map, parse_map, parse_map_with};
pub use map_text::{crush_file, map_text};
pub use mode::ModeError;
pub use secret::{SecretContentError, SecretError, Secrets};
pub use sign_key::{SignKeyError, read_sign_key};
pub use size::{SizeError, parse as parse_size};
pub use tokens::{
    BadEnd, BadTime, load_tokens, parse_end, parse_time, parse_tokens, show_time, with_token, without_token,
};

use decide::{DURABILITIES, FRONTS, READS, REMOTES, word};

/// What one node was told, decided. Every path is absolute.
#[derive(Debug)]
pub struct Settings {
    /// The node.toml all this comes from, to read it again.
    pub path: PathBuf,
    /// The node's name, under which the map lists it; it never changes.
    pub name: NodeName,
    /// The cluster.toml of the first map; see [`load_map`].
    pub map: PathBuf,
    /// The storage root. Never the root of the file system; whether it exists is the store's business.
    pub root: PathBuf,
    /// Whether `root` must be a mount point, so that an unmounted disk is not taken for an empty one.
    pub root_is_mount: bool,
    /// How names become paths below `root`.
    pub layout: Layout,
    /// The URL prefix in front of every key.
    pub prefix: Prefix,
    /// The file name that a path ending in a slash means; none: such a path names nothing.
    pub index: Option<String>,
    /// Names that are never accepted, spread, moved or served.
    pub exclude: Exclude,
    /// The patterns of `exclude` as they are written down.
    pub exclude_patterns: Vec<String>,
    /// Whether symbolic links below the root are followed.
    pub follow_symlinks: bool,
    /// Permission bits of replicas; webdfs may read and write them, nobody may execute them.
    pub file_mode: u32,
    /// Permission bits of folders; webdfs may list, enter and change them.
    pub folder_mode: u32,
    /// The file that `secrets` were read from.
    pub secret_file: PathBuf,
    /// What signs and verifies messages between nodes.
    pub secrets: Secrets,
    /// The web server in front, which decides how large files and other nodes' files are handed over.
    pub front: FrontKind,
    /// Whether client writes are synced.
    pub durability: Durability,
    /// Which copy of an object a client gets. With [`Read::Quorum`] `deliver.remote` is [`Remote::Proxy`].
    pub read: Read,
    /// Where requests come from.
    pub listen: Listen,
    /// How files are handed over.
    pub deliver: Deliver,
    /// Who may write, and how much.
    pub write: Write,
    /// Who else may read and write.
    pub access: AccessSettings,
    /// How much one client may write.
    pub limits: LimitSettings,
    /// How the background work goes.
    pub agent: Agent,
}

/// How names become paths below the storage root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Each file lies under its own name.
    Path,
    /// As the original webDFS files it with path hashing on: the last part of its name, in a folder in a folder that
    /// the random numbers of that PHP choose.
    WebdfsHashed(PhpVersion),
}

impl std::fmt::Display for Layout {
    /// As people and storage roots are told; what roots hold never changes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [path, hashed] = decide::LAYOUT_WORDS;
        match self {
            Layout::Path => f.write_str(path),
            Layout::WebdfsHashed(php) => write!(f, "{hashed} (PHP {php})"),
        }
    }
}

/// Whether client writes are synced to the disk before they are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// They are: an acknowledged write survives a loss of power.
    Sync,
    /// They are not. Deletes and what nodes move among themselves are synced all the same.
    None,
}

/// Which copy of an object a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The first one found, this node's own before all. It may be an older one, until the node has heard of the newer.
    Any,
    /// The newest of those on so many owners that every acknowledged write is on one of them.
    Quorum,
}

/// How files are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    /// Up to this many bytes a file is sent from the memory map, above it by the web server; 0: always the latter.
    /// Without meaning where the front cannot send files itself ([`FrontKind::Plain`]).
    pub map_max: u64,
    /// How a client gets a file that lies on another node.
    pub remote: Remote,
}

/// How a client gets a file that lies on another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// By an internal redirect to a location of the web server that proxies to the owner. nginx only.
    Internal,
    /// Through webdfs, which fetches and passes it on.
    Proxy,
    /// By a 307 to the owner's public URL.
    Redirect,
}

/// Who may write, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Who may.
    pub allow: AllowList,
    /// The largest object, in bytes; at least 1.
    pub object_max: u64,
    /// Below this much free space uploads are refused.
    pub reserve: Reserve,
}

/// The free space that uploads leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// The larger of 1 % of the file system and 1 GiB.
    Default,
    /// That many bytes; 0: none.
    Bytes(u64),
}

impl Reserve {
    /// The bytes to leave alone on a file system of `total` bytes.
    pub fn bytes(self, total: u64) -> u64 {
        /// The least that the default leaves alone.
        const LEAST: u64 = 1 << 30;
        match self {
            Reserve::Default => LEAST.max(total / 100),
            Reserve::Bytes(bytes) => bytes,
        }
    }
}

/// The settings that decide which file a URL path names and where it belongs.
#[derive(Debug)]
pub struct Naming {
    /// As [`Settings::map`].
    pub map: PathBuf,
    /// As [`Settings::prefix`].
    pub prefix: Prefix,
    /// As [`Settings::index`].
    pub index: Option<String>,
    /// As [`Settings::root`]; none where no node.toml says it. It names nothing: what is remembered there may
    /// tell more about where a file belonged.
    pub root: Option<PathBuf>,
    /// As [`Settings::layout`].
    pub layout: Layout,
}

impl Naming {
    /// That of a node.toml which says nothing about it, with the map at `map`.
    pub fn with_defaults(map: PathBuf) -> Self {
        Self {
            map,
            prefix: Prefix::default(),
            index: Some(decide::INDEX.to_owned()),
            root: None,
            layout: Layout::Path,
        }
    }
}

/// What a web server in front of the node has to know of it.
#[derive(Debug)]
pub struct Site {
    /// As [`Settings::path`].
    pub path: PathBuf,
    /// As [`Settings::name`].
    pub name: NodeName,
    /// As [`Settings::root`].
    pub root: PathBuf,
    /// As [`Settings::layout`].
    pub layout: Layout,
    /// As [`Settings::prefix`].
    pub prefix: Prefix,
    /// As [`Settings::index`].
    pub index: Option<String>,
    /// As [`Settings::exclude_patterns`].
    pub exclude_patterns: Vec<String>,
    /// As [`AccessSettings::private`].
    pub private: Vec<Prefix>,
    /// As [`Settings::front`].
    pub front: FrontKind,
    /// As [`Settings::read`].
    pub read: Read,
    /// As [`Listen::fcgi`].
    pub fcgi: FcgiListen,
    /// As [`Write::object_max`].
    pub object_max: u64,
    /// As [`Deliver::map_max`].
    pub map_max: u64,
}

/// Reads node.toml and its secret file. The map is not read, see [`load_map`].
///
/// # Errors
/// When a file cannot be read, a key is unknown, missing or has an impossible value, two settings contradict each
/// other, or others than its owner may read the secret file. The error names the file and the line.
pub fn load(node_toml: &Path) -> Result<Settings, ConfigError> {
    let (bytes, path) = read(node_toml)?;
    let source = source::Source::new(node_toml, &bytes)?;
    decide::decide(&source, source.parse()?, path)
}

/// Reads from node.toml what it takes to compute where a file belongs, and leaves the secret alone, so that someone
/// may ask who may not read it.
///
/// # Errors
/// When the file cannot be read, a key is unknown, or one of these settings has an impossible value.
pub fn load_naming(node_toml: &Path) -> Result<Naming, ConfigError> {
    let (bytes, path) = read(node_toml)?;
    let source = source::Source::new(node_toml, &bytes)?;
    decide::decide_naming(&source, &source.parse()?, &path)
}

/// Reads from node.toml what the web server in front has to know, and leaves the secret alone: who configures the web
/// server need not be one who may read it.
///
/// # Errors
/// When the file cannot be read, a key is unknown, or one of these settings has an impossible value.
pub fn load_site(node_toml: &Path) -> Result<Site, ConfigError> {
    let (bytes, path) = read(node_toml)?;
    let source = source::Source::new(node_toml, &bytes)?;
    decide::decide_site(&source, &source.parse()?, path)
}

/// Where a node's tokens are.
#[derive(Debug)]
pub struct TokensPlace {
    /// As [`AccessSettings::tokens`].
    pub file: Option<PathBuf>,
    /// As [`Settings::secret_file`]: who may read that is who webdfs runs as.
    pub secret: PathBuf,
}

/// Reads from node.toml where the tokens are. Nothing else is read.
///
/// # Errors
/// When the file cannot be read, a key is unknown, or one of these settings has an impossible value.
pub fn load_tokens_place(node_toml: &Path) -> Result<TokensPlace, ConfigError> {
    let (bytes, path) = read(node_toml)?;
    let source = source::Source::new(node_toml, &bytes)?;
    decide::decide_tokens_place(&source, &source.parse()?, &path)
}

/// What signs a node's URLs.
#[derive(Debug)]
pub struct Signing {
    /// As [`Settings::prefix`].
    pub prefix: Prefix,
    /// As [`AccessSettings::sign_keys`].
    pub keys: Vec<SigningKey>,
}

/// Reads from node.toml what signs URLs, and the files with the keys. The cluster's secret is left alone.
///
/// # Errors
/// When a file cannot be read or is refused, a key is unknown, or one of these settings has an impossible value.
pub fn load_signing(node_toml: &Path) -> Result<Signing, ConfigError> {
    let (bytes, path) = read(node_toml)?;
    let source = source::Source::new(node_toml, &bytes)?;
    decide::decide_signing(&source, &source.parse()?, &path)
}

/// The word for a web server, as `front` in node.toml has it.
pub fn front_word(front: FrontKind) -> &'static str {
    word(&FRONTS, front)
}

/// The content of a file and its absolute path.
fn read(file: &Path) -> Result<(Vec<u8>, PathBuf), ConfigError> {
    let read_error = |source| ConfigError::Read { file: file.to_owned(), source };
    Ok((fs::read(file).map_err(read_error)?, std::path::absolute(file).map_err(read_error)?))
}

impl Settings {
    /// Puts what the command line says in the place of what the file says.
    ///
    /// # Errors
    /// When the command line names no place to listen at; nothing is changed then.
    pub fn apply(&mut self, overrides: &Overrides, working_directory: &Path) -> Result<(), OverrideError> {
        self.listen = self.listen.overridden(overrides, working_directory)?;
        Ok(())
    }

    /// Every setting with its decided value, in the order of conf/node.toml, for people to read. Of the secrets only
    /// their number.
    pub fn decided(&self) -> impl Iterator<Item = (&'static str, String)> {
        let yes_or_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        let none = || "none".to_owned();
        let reserve = match self.write.reserve {
            Reserve::Default => "the larger of 1 % of the disk and 1GiB".to_owned(),
            Reserve::Bytes(bytes) => size::show(bytes),
        };
        let exclude = match self.exclude_patterns.as_slice() {
            [] => none(),
            patterns => patterns.join(" "),
        };
        [
            ("name", self.name.to_string()),
            ("map", self.map.display().to_string()),
            ("root", self.root.display().to_string()),
            ("root_is_mount", yes_or_no(self.root_is_mount)),
            ("layout", self.layout.to_string()),
            ("prefix", self.prefix.to_string()),
            ("index", self.index.clone().unwrap_or_else(none)),
            ("exclude", exclude),
            ("follow_symlinks", yes_or_no(self.follow_symlinks)),
            ("file_mode", format!("{:04o}", self.file_mode)),
            ("folder_mode", format!("{:04o}", self.folder_mode)),
            ("secret_file", format!("{} (secrets: {})", self.secret_file.display(), self.secrets.count())),
            ("front", word(&FRONTS, self.front).to_owned()),
            ("durability", word(&DURABILITIES, self.durability).to_owned()),
            ("read", word(&READS, self.read).to_owned()),
            ("listen.fcgi", self.listen.fcgi.to_string()),
            ("listen.http", self.listen.http.clone().unwrap_or_else(none)),
            ("listen.gossip", self.listen.gossip.clone().unwrap_or_else(none)),
            ("deliver.map_max", size::show(self.deliver.map_max)),
            ("deliver.remote", word(&REMOTES, self.deliver.remote).to_owned()),
            ("write.allow", self.write.allow.to_string()),
            ("write.object_max", size::show(self.write.object_max)),
            ("write.reserve", reserve),
        ]
        .into_iter()
        .chain(self.access.decided())
        .chain(access::decided_limits(&self.limits))
        .chain(self.agent.decided())
    }
}
