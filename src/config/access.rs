//! `[access]` and `[limits]`: who may read and write, beside `[write] allow`, and how much.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::decide::{decide_outside_root, read};
use super::error::{ConfigError, Reason};
use super::file::{AccessFile, LimitsFile, UserFile};
use super::sign_key::read_sign_key;
use super::source::Source;
use super::{Layout, size};
use crate::access::User;
use crate::access::limits::LimitSettings;
use crate::access::right::{Operation, Right};
use crate::access::signed::SigningKey;
use crate::name::Prefix;

/// The file with the tokens unless node.toml says otherwise.
const TOKENS: &str = "tokens.toml";
/// The word for no limit.
const UNLIMITED: &str = "unlimited";
/// The highest `requests_per_second` and `uploads`.
const COUNT_MAX: u64 = 1_000_000;

/// Who may read and write, as node.toml says.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// The file with the tokens, see [`load_tokens`](super::load_tokens); none: no token lets anybody in.
    pub tokens: Option<PathBuf>,
    /// URL paths, decoded, below which reading needs a right. Each lies below the node's prefix, or holds all of it.
    pub private: Vec<Prefix>,
    /// Whom the web server lets in.
    pub users: Vec<User>,
    /// The files that `sign_keys` were read from.
    pub sign_key_files: Vec<PathBuf>,
    /// What signs URLs; the first is the one for new ones.
    pub sign_keys: Vec<SigningKey>,
}

impl AccessSettings {
    /// What the file says, with the defaults for the rest.
    pub(super) fn decide(
        source: &Source<'_>,
        file: &AccessFile,
        (base, root): (&Path, &Path),
        (prefix, layout): (&Prefix, Layout),
    ) -> Result<Self, ConfigError> {
        let tokens = decide_tokens(source, file, base, root)?;
        let private = decide_private(source, file, prefix, layout)?;
        let users = file.users.iter().flatten().map(|user| decide_user(source, user));
        let users = users.collect::<Result<Vec<_>, _>>()?;
        let key_file = |value| decide_outside_root(source, SIGN_KEYS, (Some(value), ""), base, root);
        let files = file.sign_keys.iter().flatten().map(key_file).collect::<Result<Vec<_>, _>>()?;
        let mut keys: Vec<SigningKey> = Vec::new();
        for (file, value) in files.iter().zip(file.sign_keys.iter().flatten()) {
            let key = read_sign_key(file)?;
            if keys.iter().any(|other| other.id() == key.id()) {
                return Err(source.refuse(SIGN_KEYS, value, Reason::Twice(key.id().to_owned())));
            }
            keys.push(key);
        }
        Ok(Self { tokens, private, users, sign_key_files: files, sign_keys: keys })
    }

    /// The decided settings, each as a line of text. No secret is among them.
    pub(super) fn decided(&self) -> impl Iterator<Item = (&'static str, String)> {
        let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        let user = |user: &User| {
            let methods = user.right.words().collect::<Vec<_>>().join(" ");
            format!("{} ({methods} below {})", user.name, user.right.prefix)
        };
        let key = |(key, file): (&SigningKey, &PathBuf)| format!("{} ({})", key.id(), file.display());
        [
            (
                "access.tokens",
                self.tokens.as_ref().map_or_else(|| list(Vec::new()), |path| path.display().to_string()),
            ),
            ("access.private", list(self.private.iter().map(Prefix::to_string).collect())),
            ("access.users", list(self.users.iter().map(user).collect())),
            ("access.sign_keys", list(self.sign_keys.iter().zip(&self.sign_key_files).map(key).collect())),
        ]
        .into_iter()
    }
}

const SIGN_KEYS: &str = "[access] sign_keys";

/// The file with the tokens; none for "".
pub(super) fn decide_tokens(
    source: &Source<'_>,
    file: &AccessFile,
    base: &Path,
    root: &Path,
) -> Result<Option<PathBuf>, ConfigError> {
    match &file.tokens {
        Some(value) if value.get_ref().is_empty() => Ok(None),
        value => {
            decide_outside_root(source, "[access] tokens", (value.as_ref(), TOKENS), base, root).map(Some)
        }
    }
}

/// The private prefixes: the web server in front has to be told them as parts of what it serves.
pub(super) fn decide_private(
    source: &Source<'_>,
    file: &AccessFile,
    prefix: &Prefix,
    layout: Layout,
) -> Result<Vec<Prefix>, ConfigError> {
    const PRIVATE: &str = "[access] private";
    let one = |value: &Spanned<String>| {
        let private: Prefix =
            value.get_ref().parse().map_err(|error| source.refuse(PRIVATE, value, Reason::Prefix(error)))?;
        if !private.covers(prefix.as_bytes()) && !prefix.covers(private.as_bytes()) {
            return Err(source.refuse(PRIVATE, value, Reason::PrivateElsewhere(prefix.clone())));
        }
        if layout != Layout::Path {
            return Err(source.refuse(PRIVATE, value, Reason::PrivateHashed));
        }
        Ok(private)
    };
    file.private.iter().flatten().map(one).collect()
}

fn decide_user(source: &Source<'_>, value: &Spanned<UserFile>) -> Result<User, ConfigError> {
    const USERS: &str = "[access] users";
    let (file, at) = (value.get_ref(), Some(value.span().start));
    let name = source.required(&format!("{USERS} name"), file.name.as_ref(), at, "name = \"ann\"")?;
    if name.get_ref().is_empty() {
        return Err(source.refuse(USERS, name, Reason::Empty("use the name as the web server passes it on")));
    }
    let right = decide_right(source, USERS, (file.prefix.as_ref(), file.methods.as_deref()), at)?;
    Ok(User { name: name.get_ref().clone(), right })
}

/// A right of an entry that begins at `at`: everywhere unless a prefix is said, and for the operations that are said.
pub(super) fn decide_right(
    source: &Source<'_>,
    entry: &str,
    (prefix, methods): (Option<&Spanned<String>>, Option<&[Spanned<String>]>),
    at: Option<usize>,
) -> Result<Right, ConfigError> {
    let setting = format!("{entry} methods");
    let prefix =
        read(source, &format!("{entry} prefix"), prefix, |text| text.parse().map_err(Reason::Prefix))?;
    let methods = source.required(&setting, methods, at, "methods = [\"PUT\", \"DELETE\"]")?;
    let operation = |value: &Spanned<String>| {
        value.get_ref().parse::<Operation>().map_err(|error| source.refuse(&setting, value, error))
    };
    let operations = methods.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
    if operations.is_empty() {
        return Err(source.refuse_at(&setting, at, Reason::Empty("name what is allowed, such as \"PUT\"")));
    }
    Ok(Right { prefix: prefix.unwrap_or_default(), operations })
}

/// `[limits]`: what the file says, and no limit for the rest.
pub(super) fn decide_limits(source: &Source<'_>, file: &LimitsFile) -> Result<LimitSettings, ConfigError> {
    let count = |setting: &str, value: &Option<Spanned<i64>>| {
        let Some(value) = value else { return Ok(None) };
        let number = u64::try_from(*value.get_ref()).ok().filter(|number| *number <= COUNT_MAX);
        let number = number.and_then(|number| u32::try_from(number).ok());
        let reason = Reason::OutOfBounds { least: 0, most: COUNT_MAX };
        number.map(NonZeroU32::new).ok_or_else(|| source.refuse(setting, value, reason))
    };
    let bytes =
        read(source, "[limits] bytes_per_second", file.bytes_per_second.as_ref(), |text| match text {
            UNLIMITED => Ok(None),
            _ => size::parse_within(text, 1, size::SIZE_MAX).map(NonZeroU64::new),
        })?;
    Ok(LimitSettings {
        requests_per_second: count("[limits] requests_per_second", &file.requests_per_second)?,
        bytes_per_second: bytes.flatten(),
        uploads: count("[limits] uploads", &file.uploads)?,
    })
}

/// The decided limits, each as a line of text.
pub(super) fn decided_limits(limits: &LimitSettings) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let count = |number: Option<NonZeroU32>| number.map_or(UNLIMITED.to_owned(), |number| number.to_string());
    let bytes = limits.bytes_per_second.map_or(UNLIMITED.to_owned(), |bytes| size::show(bytes.get()));
    [
        ("limits.requests_per_second", count(limits.requests_per_second)),
        ("limits.bytes_per_second", bytes),
        ("limits.uploads", count(limits.uploads)),
    ]
    .into_iter()
}
