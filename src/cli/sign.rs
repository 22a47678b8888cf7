//! `webdfs sign`: signed URLs, and keys for them.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;

use super::CliError;
use crate::access::rule::{RuleError, address_range};
use crate::access::signed::{Grant, KeyError, SignedMethod, SigningKey, sign};
use crate::clock;
use crate::config::{BadEnd, SizeError, load_signing, parse_end, parse_size, show_time};
use crate::name::{NameError, Target};

/// Random bytes in a key: as many as its HMAC has.
const KEY_BYTES: usize = 32;
/// Random bytes in a key's id, if none is given: enough that two keys of a site differ.
const ID_BYTES: usize = 4;

/// Print a signed URL: whoever has it may GET one file, or PUT one, until it ends
///
/// It is printed without scheme and host: put it behind those of any node. Who has a key may sign, without webdfs, too:
/// the library has the function.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["path", "new_key"]))]
pub struct SignArgs {
    /// The URL path of the file, percent-encoded
    #[arg(value_name = "PATH", requires = "config")]
    path: Option<String>,
    /// The settings of a node, for its first signing key
    #[arg(long, value_name = "node.toml")]
    config: Option<PathBuf>,
    /// What it is for; GET covers HEAD
    #[arg(long, value_enum, ignore_case = true, default_value = "GET")]
    method: Method,
    /// When it ends: a span from now (15min, 12h, 30d) or a time (2030-12-31T23:59:59Z)
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = end)]
    expires: u64,
    /// The largest upload, such as 5MiB; for PUT
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// From where it may be used: an address, or a range such as 10.0.0.0/8
    #[arg(long, value_name = "ADDRESS", value_parser = range)]
    from: Option<IpNet>,
    /// Print a new key instead, for a file that [access] sign_keys names
    #[arg(long)]
    new_key: bool,
    /// The id of the new key, which stands in each URL that it signs
    #[arg(long, value_name = "ID", requires = "new_key")]
    id: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    #[value(name = "GET")]
    Get,
    #[value(name = "PUT")]
    Put,
}

/// Why there is no signed URL.
#[derive(Debug, thiserror::Error)]
pub enum SignCommandError {
    /// No key.
    #[error(
        "node.toml names no key: (umask 077; webdfs sign --new-key > sign.key), and sign_keys = [\"sign.key\"] below [access]"
    )]
    NoKey,
    /// The path is none.
    #[error("{path}: {source}")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A limit for what is not uploaded.
    #[error("--max-size is for uploads: add --method PUT, or leave it out")]
    SizeOfGet,
    /// The id is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] io::Error),
}

/// A signed URL as programs are told of it.
#[derive(Debug, Serialize)]
struct Signed {
    url: String,
    key: String,
    expires: String,
}

fn end(text: &str) -> Result<u64, BadEnd> {
    parse_end(text, clock::seconds())
}

fn size(text: &str) -> Result<u64, SizeError> {
    parse_size(text)
}

fn range(text: &str) -> Result<IpNet, RuleError> {
    address_range(text)
}

/// Runs the command.
///
/// # Errors
/// When node.toml or its keys are refused, there is no key, or the path cannot be that of a file here.
pub(super) fn run(args: &SignArgs) -> Result<(), CliError> {
    match (&args.path, &args.config) {
        (Some(path), Some(config)) => sign_path(args, path, config),
        _ => new_key(args.id.as_deref()),
    }
}

fn sign_path(args: &SignArgs, path: &str, config: &std::path::Path) -> Result<(), CliError> {
    let signing = load_signing(config)?;
    let key = signing.keys.first().ok_or(SignCommandError::NoKey)?;
    if args.method == Method::Get && args.max_size.is_some() {
        return Err(SignCommandError::SizeOfGet.into());
    }
    let refused = |source| SignCommandError::Path { path: path.to_owned(), source };
    let target = Target::parse(path.as_bytes(), &signing.prefix).map_err(refused)?;
    let decoded = target.url_path(&signing.prefix);
    let method = match args.method {
        Method::Get => SignedMethod::Get,
        Method::Put => SignedMethod::Put,
    };
    let grant =
        Grant { method, path: &decoded, expires: args.expires, max_size: args.max_size, from: args.from };
    let url = sign(key, &grant).map_err(refused)?;
    let mut out = io::stdout().lock();
    if args.json {
        let signed = Signed { url, key: key.id().to_owned(), expires: show_time(args.expires) };
        let text = serde_json::to_string_pretty(&signed).expect("strings are always JSON");
        return Ok(writeln!(out, "{text}")?);
    }
    Ok(writeln!(out, "{url}")?)
}

fn new_key(id: Option<&str>) -> Result<(), CliError> {
    let mut bytes = [0; KEY_BYTES + ID_BYTES];
    // So few are always given whole.
    getrandom(&mut bytes[..], GetRandomFlags::empty())
        .map_err(|error| SignCommandError::Random(error.into()))?;
    let (secret, random_id) = bytes.split_at(KEY_BYTES);
    let random_id = hex::encode(random_id);
    let key = SigningKey::new(id.unwrap_or(&random_id), secret).map_err(SignCommandError::Key)?;
    Ok(writeln!(io::stdout().lock(), "{}", key.to_text())?)
}
