//! `webdfs token`: makes, lists and revokes tokens, in the file that a node reads them from.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::fs::{FlockOperation, Gid, Uid, fchown, flock};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::CliError;
use super::table::table;
use crate::access::right::{Operation, Right, UnknownOperation};
use crate::access::token::{BadName, TOKEN_BYTES, Token, TokenHash, Tokens, check_name, token_text};
use crate::clock;
use crate::config::{
    TokensPlace, load_tokens, load_tokens_place, parse_end, parse_tokens, show_time, with_token,
    without_token,
};
use crate::name::Prefix;

/// The permissions of a file that is made: what it gives away is who may do what, and nothing to do it with.
const NEW_FILE_MODE: u32 = 0o600;

/// Make, list and revoke tokens, with which programs upload, delete and read what is private
///
/// They are kept in the file that [access] tokens of node.toml names, as hashes. A node that runs notices a change within a
/// second. Copy the file to every node: any of them may be asked.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, and print it: it is shown this once
    New(NewArgs),
    /// List the tokens
    List(ListArgs),
    /// Take a token out, so that it lets nobody in any more
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The settings of a node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Its name, which stands in the log
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,
    /// The URL path below which it holds
    #[arg(long, value_name = "PATH", default_value = "/")]
    prefix: Prefix,
    /// What it is for, with commas between: GET (of private files), PUT, DELETE, LIST, UI, METRICS
    #[arg(long, value_name = "METHODS", value_delimiter = ',', default_value = "PUT", value_parser = operation)]
    methods: Vec<Operation>,
    /// When it ends: a span from now (30d, 12h) or a time (2030-12-31T23:59:59Z); never, if this is left out
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The settings of a node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The token's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The settings of a node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Why tokens are as they were.
#[derive(Debug, thiserror::Error)]
pub enum TokenCommandError {
    /// node.toml has no file for them.
    #[error("[access] tokens in node.toml is \"\", so that there are no tokens: name a file there")]
    NoFile,
    /// There is one already.
    #[error("{}: there is a token {name} already; revoke it first, or give this one another name", .file.display())]
    Taken {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("{}: there is no token {name}", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// The file is not laid out as `token new` does it.
    #[error("{}: {name} cannot be taken out of this file without changing more: do it by hand", .file.display())]
    ByHand {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// No end.
    #[error("--expires {text}: {source}")]
    Expires {
        /// What was given.
        text: String,
        /// Why it is none.
        source: crate::config::BadEnd,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] io::Error),
}

/// A token as programs are told of it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    prefix: String,
    methods: Vec<&'static str>,
    expires: Option<String>,
    expired: bool,
}

impl<'a> Shown<'a> {
    fn of(token: &'a Token, text: Option<&'a str>) -> Self {
        Self {
            name: &token.name,
            token: text,
            prefix: token.right.prefix.to_string(),
            methods: token.right.words().collect(),
            expires: token.expires.map(show_time),
            expired: token.expires.is_some_and(|expires| expires <= clock::seconds()),
        }
    }
}

fn name(text: &str) -> Result<String, BadName> {
    check_name(text).map(|()| text.to_owned())
}

fn operation(text: &str) -> Result<Operation, UnknownOperation> {
    text.parse()
}

/// Runs the command.
///
/// # Errors
/// When node.toml or the file with the tokens is refused, the token is there already or is not there, or the file cannot be
/// written.
pub(super) fn run(command: &TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::New(args) => new(args),
        TokenCommand::List(args) => list(args),
        TokenCommand::Revoke(args) => revoke(args),
    }
}

fn new(args: &NewArgs) -> Result<(), CliError> {
    let expires = args.expires.as_ref().map(|text| {
        let expires = parse_end(text, clock::seconds());
        expires.map_err(|source| TokenCommandError::Expires { text: text.clone(), source })
    });
    let random = random().map_err(TokenCommandError::Random)?;
    let text = token_text(&random);
    let token = Token {
        name: args.name.clone(),
        hash: TokenHash::of(text.as_bytes()),
        right: Right { prefix: args.prefix.clone(), operations: args.methods.clone() },
        expires: expires.transpose()?,
    };
    let place = change(&args.config, |file, old, tokens| {
        if tokens.0.iter().any(|other| other.name == token.name) {
            return Err(TokenCommandError::Taken { file: file.to_owned(), name: token.name.clone() });
        }
        Ok(with_token(old, &token))
    })?;
    if args.json {
        return print_json(&Shown::of(&token, Some(&text)));
    }
    eprintln!("token {} is in {}; it is shown this once:", token.name, place.display());
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let file = load_tokens_place(&args.config)?.file.ok_or(TokenCommandError::NoFile)?;
    let tokens = load_tokens(&file)?.unwrap_or_default();
    let shown: Vec<Shown<'_>> = tokens.0.iter().map(|token| Shown::of(token, None)).collect();
    if args.json {
        return print_json(&shown);
    }
    if shown.is_empty() {
        eprintln!("no tokens in {}", file.display());
        return Ok(());
    }
    let rows = shown.into_iter().map(|token| {
        let expires = token.expires.unwrap_or_else(|| "never".to_owned());
        let expires = if token.expired { format!("{expires} (over)") } else { expires };
        [token.name.to_owned(), token.prefix, token.methods.join(" "), expires]
    });
    let table = table(["token", "prefix", "methods", "expires"], rows, &[0, 1, 2, 3]);
    Ok(writeln!(io::stdout().lock(), "{table}")?)
}

fn revoke(args: &RevokeArgs) -> Result<(), CliError> {
    let name = &args.name;
    let file = change(&args.config, |file, old, tokens| {
        let error = |by_hand: bool| match (file.to_owned(), name.clone()) {
            (file, name) if by_hand => TokenCommandError::ByHand { file, name },
            (file, name) => TokenCommandError::Missing { file, name },
        };
        let index = tokens.0.iter().position(|token| token.name == *name).ok_or_else(|| error(false))?;
        let text = without_token(old, index).ok_or_else(|| error(true))?;
        let mut left = tokens.clone();
        left.0.remove(index);
        // As a text it was changed by its lines: that has to come to the same as the meaning of it.
        match parse_tokens(file, text.as_bytes()) {
            Ok(found) if found == left => Ok(text),
            _ => Err(error(true)),
        }
    })?;
    if args.json {
        return print_json(&serde_json::json!({ "revoked": name }));
    }
    eprintln!("token {name} is no longer in {}", file.display());
    Ok(())
}

fn random() -> io::Result<[u8; TOKEN_BYTES]> {
    let mut bytes = [0; TOKEN_BYTES];
    let got = getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    // So few are always given whole.
    if got == bytes.len() { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).expect("strings are always JSON");
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Puts another text in the place of the file, at once and whole. Two commands at the same time follow one another.
fn change(
    node_toml: &Path,
    edit: impl FnOnce(&Path, &str, &Tokens) -> Result<String, TokenCommandError>,
) -> Result<PathBuf, CliError> {
    let TokensPlace { file, secret } = load_tokens_place(node_toml)?;
    let file = file.ok_or(TokenCommandError::NoFile)?;
    // What stands behind a link is what is to be changed.
    let file = fs::canonicalize(&file).unwrap_or(file);
    let write_error = |source| CliError::Write { file: file.clone(), source };
    let folder = File::open(file.parent().unwrap_or(Path::new("/"))).map_err(write_error)?;
    flock(&folder, FlockOperation::LockExclusive).map_err(|error| write_error(error.into()))?;
    let tokens = load_tokens(&file)?.unwrap_or_default();
    let old = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(write_error(error)),
    };
    let text = edit(&file, &old, &tokens)?;
    // A new file is webdfs's to read, as the secret is, whoever gives the command.
    let (like, mode) = match file.metadata() {
        Ok(found) => (Some(found.clone()), found.permissions().mode() & 0o7777),
        Err(_) => (secret.metadata().ok(), NEW_FILE_MODE),
    };
    replace(&file, &text, like.as_ref(), mode).and_then(|()| folder.sync_all()).map_err(write_error)?;
    Ok(file)
}

/// Replaces a file by one of that text and mode, and of the same owner as another, if this user may give it away.
fn replace(file: &Path, text: &str, like: Option<&Metadata>, mode: u32) -> io::Result<()> {
    let mut new = NamedTempFile::new_in(file.parent().unwrap_or(Path::new("/")))?;
    new.write_all(text.as_bytes())?;
    if let Some(like) = like {
        let own = new.as_file().metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            let (user, group) = (Uid::from_raw(like.uid()), Gid::from_raw(like.gid()));
            fchown(new.as_file(), Some(user), Some(group))?;
        }
    }
    new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}
