//! `webdfs check`: shows the decided settings and tests all that can be tested, running or not. One line each.

mod clients;
mod static_first;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use clients::check_allow;
use http::{StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use static_first::Probe;
use tokio::time::timeout;

use super::runtime::block_on;
use super::{CheckArgs, CliError, chain};
use crate::cluster::{Algorithm, ClusterMap, NodeIndex, NodeState, View};
use crate::config::{self, FcgiListen, Layout, MapText, Read, Remote, Settings};
use crate::maps;
use crate::name::Prefix;
use crate::node::store_settings;
use crate::peer::client::{PeerClient, PeerError};
use crate::peer::message::Hello;
use crate::peer::sign::Signer;
use crate::store::{ForeignFile, Identity, Store, layout};

/// How long a web server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(args: &CheckArgs) -> Result<(), CliError> {
    let settings = config::load(&args.config)?;
    let mut report = Report::new(io::stdout().lock());
    for (setting, value) in settings.decided() {
        report.line("set", setting, &value)?;
    }
    check_tokens(&settings, &mut report)?;
    check_root(&settings, &mut report)?;
    check_sockets(&settings, &mut report)?;
    match maps::view_at_rest(&settings.name, &settings.root, &settings.map) {
        Ok(view) => check_cluster(&settings, &view, &mut report)?,
        Err(error) => report.wrong("map", &chain(&error))?,
    }
    report.end()
}

/// Lines of a word, what it is about, and what was found.
struct Report<W> {
    out: W,
    tested: usize,
    wrong: usize,
}

impl<W: Write> Report<W> {
    fn new(out: W) -> Self {
        Self { out, tested: 0, wrong: 0 }
    }

    fn line(&mut self, word: &str, about: &str, found: &str) -> io::Result<()> {
        writeln!(self.out, "{word:<5} {about}: {found}")
    }

    fn ok(&mut self, about: &str, found: &str) -> io::Result<()> {
        self.tested += 1;
        self.line("ok", about, found)
    }

    fn wrong(&mut self, about: &str, found: &str) -> io::Result<()> {
        self.tested += 1;
        self.wrong += 1;
        self.line("WRONG", about, found)
    }

    /// Something an operator should know that is not wrong in itself.
    fn warn(&mut self, about: &str, found: &str) -> io::Result<()> {
        self.tested += 1;
        self.line("warn", about, found)
    }

    /// Something that could not be tested, and why.
    fn untested(&mut self, about: &str, reason: &str) -> io::Result<()> {
        self.line("-", about, reason)
    }

    fn end(self) -> Result<(), CliError> {
        match self.wrong {
            0 => Ok(()),
            wrong => Err(CliError::CheckFailed { wrong, tested: self.tested }),
        }
    }
}

fn check_root<W: Write>(settings: &Settings, report: &mut Report<W>) -> io::Result<()> {
    if settings.layout != Layout::Path {
        report.warn(
            "layout",
            "the web server does not find files by their URLs: static-first cannot work, webdfs is asked for each",
        )?;
    }
    match Store::examine(store_settings(settings)) {
        Ok(()) => report.ok("root", "keeps nanosecond mtimes and user attributes")?,
        Err(error) => return report.wrong("root", &error.to_string()),
    }
    if !settings.root.join(layout::IDENTITY).exists() {
        return report.untested("node.toml of the root", "the root is new: serve will make it this node's");
    }
    // Only a root that is a node's already is opened: opening a new one makes its folders, as whoever runs this.
    match Store::open(store_settings(settings)) {
        Ok(store) => {
            match store.identity(&settings.name) {
                Ok(Some(identity)) if identity.complete => report.ok("node.toml of the root", "this node's, complete")?,
                Ok(Some(Identity { returned: Some(_), .. })) => report.warn(
                    "node.toml of the root",
                    "this node's, not complete: others know another or a newer root of it, and what this one held lies \
                     in .webdfs/quarantine/returned until they confirm it",
                )?,
                Ok(_) => report.warn(
                    "node.toml of the root",
                    "this node's, not complete yet: its \"I lack it\" does not count until enough nodes have answered",
                )?,
                Err(error) => report.wrong("node.toml of the root", &error.to_string())?,
            }
            match store.check_space(0) {
                Ok(()) => report.ok("space", "above the reserve")?,
                Err(error) => report.wrong("space", &error.to_string())?,
            }
            check_foreign(settings, &store, report)
        }
        Err(error) => report.wrong("root", &error.to_string()),
    }
}

/// What people put into the root must be webdfs's to mark as a replica.
fn check_foreign<W: Write>(settings: &Settings, store: &Store, report: &mut Report<W>) -> io::Result<()> {
    const ABOUT: &str = "files by hand";
    match store.foreign_file(&settings.exclude) {
        Ok(None) => report.ok(ABOUT, "webdfs may make replicas of them"),
        Ok(Some(ForeignFile { path, uid, own_uid })) => report.warn(
            ABOUT,
            &format!(
                "{} belongs to user {uid}, and webdfs, as user {own_uid}, may not write to it: such files are served, but \
                 not copied to other nodes; chown them to user {own_uid}",
                path.display()
            ),
        ),
        Err(error) => report.untested(ABOUT, &error.to_string()),
    }
}

/// The tokens are no part of the settings, since they change while a node runs.
fn check_tokens<W: Write>(settings: &Settings, report: &mut Report<W>) -> io::Result<()> {
    const ABOUT: &str = "access.tokens";
    let Some(file) = &settings.access.tokens else { return Ok(()) };
    match config::load_tokens(file) {
        Ok(Some(tokens)) => report.ok(ABOUT, &format!("{} in {}", tokens.0.len(), file.display())),
        Ok(None) => report.untested(ABOUT, "none yet: webdfs token new makes them"),
        Err(error) => report.wrong(ABOUT, &chain(&error)),
    }
}

fn check_sockets<W: Write>(settings: &Settings, report: &mut Report<W>) -> io::Result<()> {
    match &settings.listen.fcgi {
        FcgiListen::Unix { path, .. } => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            if folder.is_dir() {
                report.ok("listen.fcgi", &format!("the folder {} exists", folder.display()))
            } else {
                report
                    .wrong("listen.fcgi", &format!("the folder {} does not exist: make it", folder.display()))
            }
        }
        FcgiListen::Inherited if settings.listen.http.is_some() => {
            report.untested("listen.fcgi", "the socket webdfs is started with, if any; else only listen.http")
        }
        FcgiListen::Inherited => report.untested("listen.fcgi", "the socket webdfs is started with"),
        FcgiListen::Tcp(_) => Ok(()),
    }
}

fn check_cluster<W: Write>(settings: &Settings, view: &View, report: &mut Report<W>) -> io::Result<()> {
    let map = view.current();
    let found = format!(
        "epoch {}, {} nodes, {} replicas, {} of them for a write, fingerprint {}",
        map.epoch(),
        map.nodes().len(),
        map.replicas(),
        map.write_quorum(),
        map.fingerprint()
    );
    report.ok("map", &found)?;
    match MapText::load(&settings.map) {
        Ok(_) => {
            if let Some(difference) = maps::difference(view, &settings.map) {
                report.warn("map", &difference)?;
            }
        }
        Err(error) => report.wrong("map", &chain(&error))?,
    }
    if 2 * map.write_quorum() <= map.replicas() {
        report.warn(
            "map",
            "with 2 * write_quorum <= replicas a deleted object can come back after a failure",
        )?;
    }
    if let (Layout::WebdfsHashed(folders), Algorithm::Webdfs(table)) = (settings.layout, map.algorithm())
        && folders != table.php()
    {
        let found = format!(
            "node.toml says {folders} and the map {}: one of them will not find what the original stored",
            table.php()
        );
        report.warn("php", &found)?;
    }
    report.ok("name", "is in the map")?;
    if settings.deliver.remote == Remote::Redirect {
        for node in map.nodes().iter().filter(|node| node.public_url().is_none()) {
            let problem = format!("is \"redirect\", and node {} has no public_url in the map", node.name());
            report.wrong("deliver.remote", &problem)?;
        }
    }
    if settings.deliver.remote == Remote::Internal {
        for node in map.nodes().iter().filter(|node| node.url().host().parse::<IpAddr>().is_err()) {
            let found = format!(
                "nginx needs a `resolver` to reach node {} by the name {}",
                node.name(),
                node.url().host()
            );
            report.warn("deliver.remote", &found)?;
        }
    }
    block_on(check_network(settings, view, report))?
}

async fn check_network<W: Write>(settings: &Settings, view: &View, report: &mut Report<W>) -> io::Result<()> {
    let (own, map) = (view.own(), view.current());
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    for (node, other) in view.indexed() {
        let about = format!("node {}", other.name());
        let is_lost = other.state() == NodeState::Lost;
        match peers.hello(view, node, Hello { stamp: None }).await {
            Ok(_) if is_lost => report.warn(
                &about,
                "is lost, says the map, and answers: what it holds counts nowhere; once it is well, `webdfs node in`",
            )?,
            Err(error) if is_lost => report.untested(&about, &format!("is lost, says the map ({error})"))?,
            Ok(answer) => {
                let complete = if answer.complete { "" } else { ", not complete yet" };
                report.ok(&about, &format!("answers at {}{complete}", other.url()))?;
                if node == own {
                    check_allow(settings, map, own, answer.seen, report)?;
                }
            }
            Err(error @ PeerError::Unreachable { .. }) if node == own => {
                report.untested(
                    &about,
                    &format!("this node does not run, or its web server does not ({error})"),
                )?;
            }
            Err(error) => report.wrong(&about, &error.to_string())?,
        }
    }
    check_private(settings, map, own, report).await?;
    for private in &settings.access.private {
        check_left_to_us(settings, private, map.node(own).url().authority(), report).await?;
    }
    match settings.read {
        Read::Any => Ok(()),
        Read::Quorum => check_asked_first(settings, map, own, report).await,
    }
}

/// With `read = "quorum"` the web server must serve no file itself: nobody would compare it with what others hold.
async fn check_asked_first<W: Write>(
    settings: &Settings,
    map: &ClusterMap,
    own: NodeIndex,
    report: &mut Report<W>,
) -> io::Result<()> {
    const ABOUT: &str = "read";
    let authority = map.node(own).url().authority();
    let probe = match Probe::lay(settings, b"") {
        Ok(probe) => probe,
        Err(error) => {
            return report
                .untested(ABOUT, &format!("no file can be laid into the root to ask for ({error})"));
        }
    };
    let url = format!("http://{authority}{}", probe.url_path(&settings.prefix));
    match status_of(&url).await {
        Some(StatusCode::OK) => report.wrong(
            ABOUT,
            &format!(
                "is \"quorum\", but the web server at {authority} serves files itself and so older ones too (static-first): \
                 configure it as `webdfs config` says, which has it ask webdfs for each"
            ),
        ),
        Some(StatusCode::BAD_REQUEST) => {
            report.ok(ABOUT, &format!("{authority} asks webdfs for every file, as \"quorum\" needs it"))
        }
        Some(status) => report.untested(
            ABOUT,
            &format!(
                "{authority} answers {} to a file that only a web server would find; whether it serves files itself \
                 (static-first), which \"quorum\" excludes, is not known",
                status.as_u16()
            ),
        ),
        None => report.untested(ABOUT, &format!("nothing answers at {authority}")),
    }
}

/// The web server must serve no file below a private prefix itself: it asks nobody for a right.
async fn check_left_to_us<W: Write>(
    settings: &Settings,
    private: &Prefix,
    authority: &str,
    report: &mut Report<W>,
) -> io::Result<()> {
    const ABOUT: &str = "access.private";
    // All of what is served here may be private.
    let folder = private.as_bytes().strip_prefix(settings.prefix.as_bytes()).unwrap_or_default();
    let probe = match Probe::lay(settings, folder) {
        Ok(probe) => probe,
        Err(error) => {
            let found = format!("no file can be laid below {private} to ask for ({error})");
            return report.untested(ABOUT, &found);
        }
    };
    let url = format!("http://{authority}{}", probe.url_path(&settings.prefix));
    match status_of(&url).await {
        Some(StatusCode::OK) => report.wrong(
            ABOUT,
            &format!(
                "the web server at {authority} serves what lies below {private} itself, to everybody (static-first): \
                 configure it as `webdfs config` says, which has it ask webdfs"
            ),
        ),
        Some(StatusCode::BAD_REQUEST) => {
            report.ok(ABOUT, &format!("{authority} asks webdfs for what lies below {private}"))
        }
        Some(status) => report.untested(
            ABOUT,
            &format!(
                "{authority} answers {} to a file below {private} that only a web server would find; whether it serves such \
                 files itself is not known",
                status.as_u16()
            ),
        ),
        None => report.untested(ABOUT, &format!("nothing answers at {authority}")),
    }
}

/// The status with which a URL is answered, if it is.
async fn status_of(url: &str) -> Option<StatusCode> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = timeout(ANSWER_TIMEOUT, client.get(url.parse::<Uri>().ok()?)).await;
    Some(answer.ok()?.ok()?.status())
}

/// The web server must not serve `.webdfs`.
async fn check_private<W: Write>(
    settings: &Settings,
    map: &ClusterMap,
    own: NodeIndex,
    report: &mut Report<W>,
) -> io::Result<()> {
    if !settings.root.join(layout::IDENTITY).exists() {
        return report.untested(layout::PRIVATE, "nothing to serve yet: check again once the node has run");
    }
    let authority = map.node(own).url().authority();
    let prefix = settings.prefix.to_string();
    for path in [format!("{prefix}{}", layout::IDENTITY), format!("{prefix}%2ewebdfs/node.toml")] {
        let url = format!("http://{authority}{path}");
        match status_of(&url).await {
            Some(status @ (StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)) => {
                report.ok(layout::PRIVATE, &format!("{url} is not served ({})", status.as_u16()))?
            }
            Some(status) => {
                let problem = format!("{url} answers {}: include the shipped configuration", status.as_u16());
                report.wrong(layout::PRIVATE, &problem)?;
            }
            None => report.untested(layout::PRIVATE, &format!("nothing answers at {authority}"))?,
        }
    }
    Ok(())
}
