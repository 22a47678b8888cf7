//! Why a configuration is refused: the file, the line, the setting, what is wrong and what would be right, in one
//! line that an editor can jump to.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use super::duration::DurationError;
use super::listen::ListenError;
use super::mode::ModeError;
use super::secret::SecretError;
use super::sign_key::SignKeyError;
use super::size::SizeError;
use super::tokens::BadTime;
use crate::access::right::UnknownOperation;
use crate::access::rule::RuleError;
use crate::access::token::{BadHash, BadName};
use crate::cluster::crush::TextFault;
use crate::cluster::{MapError, NodeName, PlacementKind, UnknownDomain};
use crate::name::{ExcludeError, Prefix};
use crate::php::UnknownPhp;

/// Why a configuration is refused. Nothing was changed: whoever holds an older configuration may go on with it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A configuration file is absent or cannot be read.
    #[error("{}: cannot be read", .file.display())]
    Read {
        /// The file, as it was named.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of a configuration file is wrong, or one is missing.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The secret file is refused.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file with a signing key is refused.
    #[error(transparent)]
    SignKey(#[from] SignKeyError),
    /// A file that gives rights may be changed by others.
    #[error("{0} has mode {mode:04o}, so that others than its owner may change it: chmod 640 {0}", .file.display())]
    Writable {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// One setting that is refused, and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {}{}{reason}", .file.display(), AtLine(*.line), .setting, if .setting.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; none for something that the file lacks.
    pub line: Option<usize>,
    /// The setting as it stands there, with its table: `[deliver] remote = "intrenal"`.
    pub setting: String,
    /// What is wrong with it, and what would be right.
    pub reason: Reason,
}

/// What is wrong with a setting; each text says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The file is not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// The file is no TOML; the text is the parser's.
    #[error("{0}")]
    Toml(String),
    /// A text without quotes around it; the line as it would be right.
    #[error("a text stands in quotes; use {0}")]
    Unquoted(String),
    /// The value is of another type, or so large that no type holds it.
    #[error("this is {found}; use {wanted}")]
    Type {
        /// What stands there.
        found: String,
        /// What is to be written.
        wanted: String,
    },
    /// A table where several may stand, written as if there were one.
    #[error("there may be several of these, so each starts with two brackets: [[NAME]]")]
    TableNotInList,
    /// No setting has this name.
    #[error("{}", unknown_key(.nearest, .known))]
    UnknownKey {
        /// The known key that is most like it, if one is like it.
        nearest: Option<String>,
        /// The keys known in that table.
        known: Vec<String>,
    },
    /// A setting without a default is absent.
    #[error("is missing; add a line such as {0}")]
    Missing(&'static str),
    /// The value is none of the words known for it.
    #[error("use {}", Choice(.0))]
    Choice(Vec<&'static str>),
    /// The number is negative, or larger than anything it could count.
    #[error("use a whole number of {0} or more")]
    Number(u64),
    /// The text is empty where it must not be.
    #[error("is empty; {0}")]
    Empty(&'static str),
    /// Not a size, or out of bounds.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Not a span of time, or out of bounds.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// The number is out of bounds.
    #[error("use a whole number from {least} to {most}")]
    OutOfBounds {
        /// The smallest allowed.
        least: u64,
        /// The largest allowed.
        most: u64,
    },
    /// Not a usable mode.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// Not something that a right is needed for.
    #[error(transparent)]
    Operation(#[from] UnknownOperation),
    /// Not a point in time.
    #[error(transparent)]
    Time(#[from] BadTime),
    /// Not the name of a token.
    #[error(transparent)]
    TokenName(#[from] BadName),
    /// Not the hash of a token. It is not shown, for it may be the token itself.
    #[error(transparent)]
    TokenHash(BadHash),
    /// A token stands in a file.
    #[error(
        "a token itself stands there, which is a secret: revoke it, and make a new one with webdfs token new"
    )]
    TokenInFile,
    /// Two of one name.
    #[error("{0} stands there twice; every name and id is given once")]
    Twice(String),
    /// A path that is not this node's.
    #[error("lies outside of the prefix {0}, below which this node serves")]
    PrivateElsewhere(Prefix),
    /// Files that other URLs lead to as well.
    #[error(
        "with layout = \"webdfs_hashed\" other names lead to the same file, so that nothing can be private"
    )]
    PrivateHashed,
    /// Not a rule for who may write.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Not a place to listen at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Not a node name.
    #[error(transparent)]
    Name(<NodeName as FromStr>::Err),
    /// Not a URL prefix.
    #[error(transparent)]
    Prefix(<Prefix as FromStr>::Err),
    /// Not patterns of file names.
    #[error(transparent)]
    Exclude(ExcludeError),
    /// Not an algorithm of placement.
    #[error(transparent)]
    Placement(<PlacementKind as FromStr>::Err),
    /// Not a PHP whose random numbers are known.
    #[error(transparent)]
    Php(#[from] UnknownPhp),
    /// A PHP where none is needed.
    #[error("there is a use for it with {0} only; take it out")]
    PhpWithoutUse(&'static str),
    /// A setting of CRUSH beside another placement.
    #[error("only placement = \"crush\" has this, and placement is \"{0}\"; leave it out")]
    CrushOnly(PlacementKind),
    /// Not a failure domain.
    #[error(transparent)]
    FailureDomain(UnknownDomain),
    /// A failure domain beside a map whose rule has one.
    #[error("with crush_map, the rule of that map says what the failure domain is; leave one of the two out")]
    TwoCrushSources,
    /// A rule of no map.
    #[error("a rule of a crush_map, and there is none; set crush_map as well, or leave this out")]
    CrushRuleAlone,
    /// A file that is named here cannot be read.
    #[error("{} cannot be read: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not the text of a CRUSH map.
    #[error(transparent)]
    CrushText(TextFault),
    /// The parts of the map do not fit together.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The storage root is the root of the file system.
    #[error(
        "the storage root cannot be the whole file system; use a folder of its own, such as \"/srv/webdfs\""
    )]
    RootIsEverything,
    /// A file that is nobody's to read would be served.
    #[error("lies inside the storage root {}, from where the web server would serve it; move it out", .0.display())]
    SecretInRoot(PathBuf),
    /// Not one file name.
    #[error("use one file name, such as \"index.html\", or \"\" for none")]
    Index,
    /// The index is never served.
    #[error(
        "exclude keeps {0}, the index, from being served; set index to another file, use index = \"\", or take the pattern out of exclude"
    )]
    IndexExcluded(String),
    /// Only nginx can redirect to a location inside itself.
    #[error("only front = \"nginx\" can do that, and front is \"{0}\"; use proxy or redirect")]
    InternalNeedsNginx(&'static str),
    /// Whoever it is handed to would answer without having compared.
    #[error(
        "with read = \"quorum\" webdfs compares what the owners hold and passes the newest on itself; use proxy, or leave this out"
    )]
    QuorumNeedsProxy,
    /// A mode without a socket to have it.
    #[error(
        "only a socket that webdfs makes has a mode; set fcgi = \"unix:PATH\" as well, or leave this out"
    )]
    ModeWithoutSocket,
}

impl From<Refusal> for ConfigError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// `:12`, or nothing.
struct AtLine(Option<usize>);

impl fmt::Display for AtLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// `a, b or c`.
struct Choice<'a>(&'a [&'static str]);

impl fmt::Display for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [only] => f.write_str(only),
            [most @ .., last] => write!(f, "{} or {last}", most.join(", ")),
        }
    }
}

/// The text for a key that is not known.
fn unknown_key(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("there is no such setting; did you mean {nearest}?"),
        None => format!("there is no such setting here; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_the_file_the_line_the_setting_and_what_is_right() {
        let error = ConfigError::from(Refusal {
            file: "node.toml".into(),
            line: Some(12),
            setting: "[deliver] remote = \"intrenal\"".to_owned(),
            reason: Reason::Choice(vec!["internal", "proxy", "redirect"]),
        });
        assert_eq!(
            error.to_string(),
            "node.toml:12: [deliver] remote = \"intrenal\": use internal, proxy or redirect"
        );
    }

    #[test]
    fn what_the_file_lacks_has_no_line() {
        let (setting, reason) = ("name".to_owned(), Reason::Missing("name = \"img1\""));
        let error = Refusal { file: "node.toml".into(), line: None, setting, reason };
        assert_eq!(error.to_string(), "node.toml: name: is missing; add a line such as name = \"img1\"");
    }
}
