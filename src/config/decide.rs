//! node.toml to [`Settings`]: where every default stands and every contradiction is refused.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;

use super::access::{AccessSettings, decide_limits, decide_private, decide_tokens};
use super::error::{ConfigError, Reason};
use super::file::{DeliverFile, ListenFile, NodeFile, WriteFile};
use super::source::Source;
use super::{
    Agent, Deliver, Durability, FcgiListen, Layout, Listen, Naming, Read, Remote, Reserve, SOCKET_MODE,
    Secrets, Settings, Signing, Site, TokensPlace, Write, mode, size,
};
use crate::access::rule::{AllowList, AllowRule};
use crate::cluster::NodeName;
use crate::name::{DEFAULT_EXCLUDES, Exclude, ObjectName, Prefix};
use crate::php::PhpVersion;
use crate::semantics::FrontKind;

/// The words for the web servers in front.
pub(super) const FRONTS: [(&str, FrontKind); 7] = [
    ("nginx", FrontKind::Nginx),
    ("apache", FrontKind::Apache),
    ("lighttpd", FrontKind::Lighttpd),
    ("caddy", FrontKind::Caddy),
    ("caddy-2.6", FrontKind::Caddy26),
    ("caddy-dash", FrontKind::CaddyDash),
    ("plain", FrontKind::Plain),
];

/// The words for how durable client writes are.
pub(super) const DURABILITIES: [(&str, Durability); 2] =
    [("sync", Durability::Sync), ("none", Durability::None)];

/// The words for which copy a client gets.
pub(super) const READS: [(&str, Read); 2] = [("any", Read::Any), ("quorum", Read::Quorum)];

/// The words for how names become paths, the second with the PHP that is named beside it.
pub(super) const LAYOUT_WORDS: [&str; 2] = ["path", "webdfs_hashed"];

/// The words for how a client gets another node's file.
pub(super) const REMOTES: [(&str, Remote); 3] =
    [("internal", Remote::Internal), ("proxy", Remote::Proxy), ("redirect", Remote::Redirect)];

/// The index unless the file says otherwise.
pub(super) const INDEX: &str = "index.html";
/// `[deliver] map_max`, in bytes, unless the file says otherwise.
const MAP_MAX: u64 = 256 << 10;
/// The largest `[deliver] map_max`, in bytes. Above it the web server is the better sender in every case.
const MAP_MAX_BOUND: u64 = 1 << 30;
/// `[write] object_max`, in bytes, unless the file says otherwise.
const OBJECT_MAX: u64 = 1 << 30;
/// The largest `[write] object_max`, in bytes: the largest file of ext4 (4 KiB blocks).
const OBJECT_MAX_BOUND: u64 = 16 << 40;

/// Decides every setting of `file`, which is the node.toml at the absolute path `path`.
pub(super) fn decide(source: &Source<'_>, file: NodeFile, path: PathBuf) -> Result<Settings, ConfigError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    let name = decide_name(source, &file)?;
    let root = decide_root(source, file.root.as_ref(), base)?;
    let front = decide_front(source, &file)?;
    let which = decide_read(source, &file)?;
    let Naming { map, prefix, index, root: _, layout } = decide_naming(source, &file, &path)?;
    let (exclude, exclude_patterns) = decide_exclude(source, file.exclude.as_ref())?;
    check_index_is_served(source, &file, index.as_deref(), &exclude)?;
    let secret_file = decide_secret_file(source, file.secret_file.as_ref(), base, &root)?;
    let access = AccessSettings::decide(source, &file.access, (base, &root), (&prefix, layout))?;
    let mode_of = |setting, value: Option<&Spanned<String>>, default, parse: fn(&str) -> Result<u32, _>| {
        read(source, setting, value, parse).map(|mode| mode.unwrap_or(default))
    };
    let settings = Settings {
        map,
        root_is_mount: file.root_is_mount.unwrap_or(false),
        layout,
        prefix,
        index,
        exclude,
        follow_symlinks: file.follow_symlinks.unwrap_or(false),
        file_mode: mode_of("file_mode", file.file_mode.as_ref(), 0o644, mode::parse_file)?,
        folder_mode: mode_of("folder_mode", file.folder_mode.as_ref(), 0o755, mode::parse_folder)?,
        durability: choose(source, "durability", file.durability.as_ref(), Durability::Sync, &DURABILITIES)?,
        read: which,
        listen: decide_listen(source, &file.listen, base)?,
        deliver: decide_deliver(source, &file.deliver, front, which)?,
        write: decide_write(source, &file.write)?,
        limits: decide_limits(source, &file.limits)?,
        agent: Agent::decide(source, &file.agent)?,
        access,
        // Last, so that the mistakes of this file come before those of another.
        secrets: Secrets::read(&secret_file)?,
        secret_file,
        exclude_patterns,
        name,
        root,
        front,
        path,
    };
    Ok(settings)
}

/// Decides what names a file, of the node.toml at the absolute path `path`.
pub(super) fn decide_naming(
    source: &Source<'_>,
    file: &NodeFile,
    path: &Path,
) -> Result<Naming, ConfigError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    Ok(Naming {
        map: decide_path(source, "map", file.map.as_ref(), "cluster.toml", base)?,
        prefix: decide_prefix(source, file.prefix.as_ref())?,
        index: decide_index(source, file.index.as_ref())?,
        root: file.root.as_ref().map(|root| decide_root(source, Some(root), base)).transpose()?,
        layout: decide_layout(source, file)?,
    })
}

/// Decides what the web server in front has to know, of the node.toml at the absolute path `path`.
pub(super) fn decide_site(source: &Source<'_>, file: &NodeFile, path: PathBuf) -> Result<Site, ConfigError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    let Naming { prefix, index, layout, .. } = decide_naming(source, file, &path)?;
    let (exclude, exclude_patterns) = decide_exclude(source, file.exclude.as_ref())?;
    check_index_is_served(source, file, index.as_deref(), &exclude)?;
    let front = decide_front(source, file)?;
    let read = decide_read(source, file)?;
    let private = decide_private(source, &file.access, &prefix, layout)?;
    Ok(Site {
        private,
        name: decide_name(source, file)?,
        root: decide_root(source, file.root.as_ref(), base)?,
        layout,
        prefix,
        index,
        exclude_patterns,
        front,
        read,
        fcgi: decide_listen(source, &file.listen, base)?.fcgi,
        object_max: decide_write(source, &file.write)?.object_max,
        map_max: decide_deliver(source, &file.deliver, front, read)?.map_max,
        path,
    })
}

/// Decides where the tokens are, of the node.toml at the absolute path `path`.
pub(super) fn decide_tokens_place(
    source: &Source<'_>,
    file: &NodeFile,
    path: &Path,
) -> Result<TokensPlace, ConfigError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    let root = decide_root(source, file.root.as_ref(), base)?;
    Ok(TokensPlace {
        file: decide_tokens(source, &file.access, base, &root)?,
        secret: decide_secret_file(source, file.secret_file.as_ref(), base, &root)?,
    })
}

/// Decides what signs URLs, of the node.toml at the absolute path `path`.
pub(super) fn decide_signing(
    source: &Source<'_>,
    file: &NodeFile,
    path: &Path,
) -> Result<Signing, ConfigError> {
    let base = path.parent().unwrap_or(Path::new("/"));
    let root = decide_root(source, file.root.as_ref(), base)?;
    let Naming { prefix, layout, .. } = decide_naming(source, file, path)?;
    let access = AccessSettings::decide(source, &file.access, (base, &root), (&prefix, layout))?;
    Ok(Signing { prefix, keys: access.sign_keys })
}

fn decide_name(source: &Source<'_>, file: &NodeFile) -> Result<NodeName, ConfigError> {
    let name = source.required("name", file.name.as_ref(), None, "name = \"img1\"")?;
    NodeName::from_str(name.get_ref()).map_err(|error| source.refuse("name", name, Reason::Name(error)))
}

fn decide_front(source: &Source<'_>, file: &NodeFile) -> Result<FrontKind, ConfigError> {
    choose(source, "front", file.front.as_ref(), FrontKind::Nginx, &FRONTS)
}

fn decide_read(source: &Source<'_>, file: &NodeFile) -> Result<Read, ConfigError> {
    choose(source, "read", file.read.as_ref(), Read::Any, &READS)
}

/// The value that `words` has for a text, or the default.
pub(super) fn choose<T: Copy>(
    source: &Source<'_>,
    setting: &str,
    value: Option<&Spanned<String>>,
    default: T,
    words: &[(&'static str, T)],
) -> Result<T, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    match words.iter().find(|(word, _)| word == value.get_ref()) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let known = words.iter().map(|(word, _)| *word).collect();
            Err(source.refuse(setting, value, Reason::Choice(known)))
        }
    }
}

/// The word that `words` has for a value.
pub(super) fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, meaning)| *meaning == value).map_or("", |(word, _)| *word)
}

/// What `parse` makes of a text, if it is there.
pub(super) fn read<T, E: Into<Reason>>(
    source: &Source<'_>,
    setting: &str,
    value: Option<&Spanned<String>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, ConfigError> {
    let parsed = |value: &Spanned<String>| {
        parse(value.get_ref()).map_err(|error| source.refuse(setting, value, error))
    };
    value.map(parsed).transpose()
}

/// A path, relative to the folder of its file.
fn decide_path(
    source: &Source<'_>,
    setting: &str,
    value: Option<&Spanned<String>>,
    default: &str,
    base: &Path,
) -> Result<PathBuf, ConfigError> {
    let parse = |text: &str| match text {
        "" => Err(Reason::Empty("use a path; a relative one starts at the folder of this file")),
        _ => Ok(base.join(text)),
    };
    Ok(read(source, setting, value, parse)?.unwrap_or_else(|| base.join(default)))
}

fn decide_root(
    source: &Source<'_>,
    value: Option<&Spanned<String>>,
    base: &Path,
) -> Result<PathBuf, ConfigError> {
    let value = source.required("root", value, None, "root = \"/srv/webdfs\"")?;
    let root = decide_path(source, "root", Some(value), "", base)?;
    if without_dots(&root).parent().is_none() {
        return Err(source.refuse("root", value, Reason::RootIsEverything));
    }
    Ok(root)
}

/// An absolute path without `.` and `..`, taken by its letters alone. For comparing only: where a symbolic link
/// stands before a `..`, the system goes elsewhere.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}

fn decide_layout(source: &Source<'_>, file: &NodeFile) -> Result<Layout, ConfigError> {
    let [path, hashed] = LAYOUT_WORDS;
    let words = [(path, false), (hashed, true)];
    let is_hashed = choose(source, "layout", file.layout.as_ref(), false, &words)?;
    let at = file.layout.as_ref();
    let php = decide_php(source, file.php.as_ref(), is_hashed.then_some(at), "layout = \"webdfs_hashed\"")?;
    Ok(php.map_or(Layout::Path, Layout::WebdfsHashed))
}

/// The PHP whose random numbers a setting needs, or none: `needed` is that setting, if it stands there, and `user` what
/// would need one.
pub(super) fn decide_php(
    source: &Source<'_>,
    value: Option<&Spanned<String>>,
    needed: Option<Option<&Spanned<String>>>,
    user: &'static str,
) -> Result<Option<PhpVersion>, ConfigError> {
    let named = value.filter(|value| !value.get_ref().is_empty());
    match (needed, named) {
        (None, None) => Ok(None),
        (None, Some(value)) => Err(source.refuse("php", value, Reason::PhpWithoutUse(user))),
        (Some(at), None) => {
            let at = value.or(at).map(|value| value.span().start);
            Err(source.refuse_at("php", at, Reason::Missing("php = \"5.2\"")))
        }
        (Some(_), Some(_)) => read(source, "php", named, str::parse),
    }
}

fn decide_prefix(source: &Source<'_>, value: Option<&Spanned<String>>) -> Result<Prefix, ConfigError> {
    let prefix = read(source, "prefix", value, |text| text.parse().map_err(Reason::Prefix))?;
    Ok(prefix.unwrap_or_default())
}

fn decide_exclude(
    source: &Source<'_>,
    value: Option<&Spanned<Vec<String>>>,
) -> Result<(Exclude, Vec<String>), ConfigError> {
    let Some(value) = value else {
        return Ok((Exclude::default(), DEFAULT_EXCLUDES.map(str::to_owned).to_vec()));
    };
    let exclude = Exclude::new(value.get_ref())
        .map_err(|error| source.refuse("exclude", value, Reason::Exclude(error)))?;
    Ok((exclude, value.get_ref().clone()))
}

fn decide_index(source: &Source<'_>, value: Option<&Spanned<String>>) -> Result<Option<String>, ConfigError> {
    let parse = |text: &str| match text {
        "" => Ok(None),
        _ if text.contains('/') || ObjectName::from_bytes(text.as_bytes()).is_err() => Err(Reason::Index),
        _ => Ok(Some(text.to_owned())),
    };
    Ok(read(source, "index", value, parse)?.unwrap_or_else(|| Some(INDEX.to_owned())))
}

/// Checks that the index is not among the names that are never served.
fn check_index_is_served(
    source: &Source<'_>,
    file: &NodeFile,
    index: Option<&str>,
    exclude: &Exclude,
) -> Result<(), ConfigError> {
    let Some(index) = index else { return Ok(()) };
    let is_excluded = ObjectName::from_bytes(index.as_bytes()).is_ok_and(|name| exclude.matches(&name));
    let reason = || Reason::IndexExcluded(index.to_owned());
    match (&file.index, &file.exclude) {
        _ if !is_excluded => Ok(()),
        (Some(value), _) => Err(source.refuse("index", value, reason())),
        (None, Some(value)) => Err(source.refuse("exclude", value, reason())),
        (None, None) => unreachable!("the default index is not among the names excluded by default"),
    }
}

fn decide_secret_file(
    source: &Source<'_>,
    value: Option<&Spanned<String>>,
    base: &Path,
    root: &Path,
) -> Result<PathBuf, ConfigError> {
    decide_outside_root(source, "secret_file", (value, "secret"), base, root)
}

/// The path of a file that must not be served, or that by default.
pub(super) fn decide_outside_root(
    source: &Source<'_>,
    setting: &str,
    (value, default): (Option<&Spanned<String>>, &str),
    base: &Path,
    root: &Path,
) -> Result<PathBuf, ConfigError> {
    let path = decide_path(source, setting, value, default, base)?;
    if without_dots(&path).starts_with(without_dots(root)) {
        let reason = Reason::SecretInRoot(root.to_owned());
        return Err(match value {
            Some(value) => source.refuse(setting, value, reason),
            None => source.refuse_at(&format!("{setting} = \"{default}\""), None, reason),
        });
    }
    Ok(path)
}

fn decide_listen(source: &Source<'_>, file: &ListenFile, base: &Path) -> Result<Listen, ConfigError> {
    const MODE: &str = "[listen] fcgi_mode";
    let mode = read(source, MODE, file.fcgi_mode.as_ref(), mode::parse)?;
    let parse = |text: &str| FcgiListen::parse(text, base, mode.unwrap_or(SOCKET_MODE));
    let fcgi = read(source, "[listen] fcgi", file.fcgi.as_ref(), parse)?.unwrap_or(FcgiListen::Inherited);
    if let (Some(value), false) = (&file.fcgi_mode, matches!(fcgi, FcgiListen::Unix { .. })) {
        return Err(source.refuse(MODE, value, Reason::ModeWithoutSocket));
    }
    let http = read(source, "[listen] http", file.http.as_ref(), Listen::parse_http)?;
    let gossip = read(source, "[listen] gossip", file.gossip.as_ref(), Listen::parse_gossip)?.flatten();
    let listen = Listen { fcgi, http, gossip };
    match (listen.check(), &file.http) {
        (Err(error), Some(value)) => Err(source.refuse("[listen] http", value, error)),
        _ => Ok(listen),
    }
}

fn decide_deliver(
    source: &Source<'_>,
    file: &DeliverFile,
    front: FrontKind,
    which: Read,
) -> Result<Deliver, ConfigError> {
    const REMOTE: &str = "[deliver] remote";
    let map_max = read(source, "[deliver] map_max", file.map_max.as_ref(), |text| {
        size::parse_within(text, 0, MAP_MAX_BOUND)
    })?;
    let default = match (front, which) {
        (FrontKind::Nginx, Read::Any) => Remote::Internal,
        _ => Remote::Proxy,
    };
    let remote = choose(source, REMOTE, file.remote.as_ref(), default, &REMOTES)?;
    match &file.remote {
        Some(value) if remote == Remote::Internal && front != FrontKind::Nginx => {
            Err(source.refuse(REMOTE, value, Reason::InternalNeedsNginx(word(&FRONTS, front))))
        }
        Some(value) if remote != Remote::Proxy && which == Read::Quorum => {
            Err(source.refuse(REMOTE, value, Reason::QuorumNeedsProxy))
        }
        _ => Ok(Deliver { map_max: map_max.unwrap_or(MAP_MAX), remote }),
    }
}

fn decide_write(source: &Source<'_>, file: &WriteFile) -> Result<Write, ConfigError> {
    /// The word for the default reserve, so that it can be written down.
    const AUTO: &str = "auto";
    let rule = |value: &Spanned<String>| {
        AllowRule::from_str(value.get_ref()).map_err(|error| source.refuse("[write] allow", value, error))
    };
    let rules = file.allow.iter().flatten().map(rule).collect::<Result<_, _>>()?;
    let object_max = read(source, "[write] object_max", file.object_max.as_ref(), |text| {
        size::parse_within(text, 1, OBJECT_MAX_BOUND)
    })?;
    let reserve = read(source, "[write] reserve", file.reserve.as_ref(), |text| match text {
        AUTO => Ok(Reserve::Default),
        _ => size::parse(text).map(Reserve::Bytes),
    })?;
    Ok(Write {
        allow: AllowList::new(rules),
        object_max: object_max.unwrap_or(OBJECT_MAX),
        reserve: reserve.unwrap_or(Reserve::Default),
    })
}
