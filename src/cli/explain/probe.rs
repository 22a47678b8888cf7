//! Asking every node what it really holds of a file, as nodes ask each other.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::verdict::{Answer, Role, Verdict, judge};
use crate::cli::maps::FromFile;
use crate::cluster::{ClusterMap, Fingerprint, NodeIndex, NodeName, NodeState, View};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::{PeerClient, PeerError};
use crate::peer::message::HeldAnswer;
use crate::placement::{self, ObjectKey, Replicas};

/// Nodes that are asked at the same time. Each has a deadline; a large cluster of which many nodes are down is still
/// asked within minutes.
const AT_ONCE: usize = 64;

/// What all nodes said, and what follows from it.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    /// The owners in rank order, then the others.
    pub(super) nodes: Vec<Told>,
}

/// What one node said, as it is shown.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) node: String,
    /// What the node has to do with the file, in words.
    pub(super) role: String,
    /// Its rank, from 1, if it is an owner.
    pub(super) owner: Option<usize>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(flatten)]
    pub(super) holds: Option<Holds>,
    /// Whether it has nothing to do with the file, and holds nothing of it.
    #[serde(skip)]
    pub(super) is_idle: bool,
}

/// What a node holds.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Holds {
    #[serde(flatten)]
    pub(super) held: Shown,
    /// Whether its root is complete: only then does "nothing" count.
    pub(super) complete: bool,
}

/// A copy, a tombstone or nothing, with its version as a number and as a time.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "holds", rename_all = "snake_case")]
pub(super) enum Shown {
    Nothing,
    File { version: u64, time: String, size: u64, crc32: Option<String> },
    Tombstone { version: u64, time: String },
}

/// Asks all nodes of all maps: under the current one, of which `views` has the first, or an older one if they work by that.
pub(super) async fn probe(peers: &PeerClient, views: &[View], maps: &[FromFile], name: &ObjectName) -> Probe {
    let view = &views[0];
    let mut nodes = nodes(view, maps, ObjectKey::of(name.as_bytes()));
    nodes.sort_by_key(|(_, role)| match role {
        Role::Owner(rank) => (0, *rank),
        Role::Former(_) => (1, 0),
        Role::Out => (2, 0),
        Role::Lost => (3, 0),
        Role::Stranger => (4, 0),
    });
    let asked = nodes.into_iter().map(|(node, role)| async move {
        let name_of_node = view.node(node).name().clone();
        let mut said = peers.ask(view, node, name).await;
        if let Err(PeerError::OtherMap { map, .. }) = &said
            && let Some((view, node)) = under(views, *map, &name_of_node)
        {
            said = peers.ask(view, node, name).await;
        }
        Answer { node: name_of_node, role, said: said.map_err(|error| reason(&error)) }
    });
    let answers: Vec<Answer> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    Probe { verdict: judge(&answers), nodes: answers.iter().map(Told::of).collect() }
}

/// A node in the view of which that map is the current one.
fn under<'a>(views: &'a [View], map: Fingerprint, node: &NodeName) -> Option<(&'a View, NodeIndex)> {
    let view = views.iter().find(|view| view.fingerprint() == map)?;
    Some((view, view.index_of(node)?))
}

/// Each node of the maps once.
fn nodes(view: &View, maps: &[FromFile], key: ObjectKey) -> Vec<(NodeIndex, Role)> {
    let owners: Vec<Replicas> = maps.iter().map(|from| placement::locate(&from.map, key)).collect();
    view.indexed().map(|(index, node)| (index, role(maps, &owners, node.name()))).collect()
}

/// What a node has to do with a file that has these owners under each of `maps`, of which the current one comes first.
fn role(maps: &[FromFile], owners: &[Replicas], node: &NodeName) -> Role {
    let rank = |(from, owners): (&FromFile, &Replicas)| owners.rank_of(from.map.index_of(node)?);
    let mut under_maps = maps.iter().zip(owners);
    if let Some(rank) = under_maps.next().and_then(rank) {
        return Role::Owner(rank + 1);
    }
    if let Some((former, _)) = under_maps.find(|older| rank(*older).is_some()) {
        return Role::Former(former.map.epoch());
    }
    let state = |map: &Arc<ClusterMap>| Some(map.node(map.index_of(node)?).state());
    match maps.first().and_then(|current| state(&current.map)) {
        Some(NodeState::Out) => Role::Out,
        Some(NodeState::Lost) => Role::Lost,
        Some(NodeState::In) | None => Role::Stranger,
    }
}

/// What happened, to go behind the node's name.
fn reason(error: &PeerError) -> String {
    match error {
        PeerError::Unreachable { problem, .. } => format!("does not answer: {problem}"),
        PeerError::Stranger { url, status, .. } => {
            format!("is not what answers at {url}, or has another secret (status {})", status.as_u16())
        }
        PeerError::OtherMap { epoch, map, .. } => format!("works by map {map} of epoch {epoch}"),
        PeerError::Refused { status, reason, .. } => format!("refuses ({}): {reason}", status.as_u16()),
    }
}

impl Told {
    fn of(answer: &Answer) -> Self {
        let owner = match answer.role {
            Role::Owner(rank) => Some(rank),
            Role::Former(_) | Role::Out | Role::Lost | Role::Stranger => None,
        };
        let (holds, error) = match &answer.said {
            Ok(HeldAnswer { held, complete }) => {
                (Some(Holds { held: Shown::of(held), complete: *complete }), None)
            }
            Err(reason) => (None, Some(reason.clone())),
        };
        let is_nothing = |said: &HeldAnswer| said.held == Held::Nothing && said.complete;
        let is_idle = matches!(answer.role, Role::Out | Role::Lost | Role::Stranger)
            && answer.said.as_ref().is_ok_and(is_nothing);
        let (node, role) = (answer.node.to_string(), answer.role.to_string());
        Self { node, role, owner, error, holds, is_idle }
    }
}

impl Shown {
    fn of(held: &Held) -> Self {
        let time = |version: crate::version::Version| httpdate::fmt_http_date(version.time());
        match held {
            Held::Nothing => Shown::Nothing,
            Held::Copy(copy) => Shown::File {
                version: copy.version.nanos(),
                time: time(copy.version),
                size: copy.size,
                crc32: copy.crc32.map(|crc32| format!("{crc32:08x}")),
            },
            Held::Tombstone { version } => {
                Shown::Tombstone { version: version.nanos(), time: time(*version) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse_map;
    use crate::held::CopyInfo;
    use crate::version::Version;

    /// A map of these nodes; an exclamation mark says that one is out, a question mark that it is lost.
    fn map(epoch: u64, replicas: usize, nodes: &str) -> FromFile {
        let node = |name: &str| {
            let out = name.strip_suffix('!').map(|name| (name, "out"));
            let lost = name.strip_suffix('?').map(|name| (name, "lost"));
            let (name, state) = out.or(lost).unwrap_or((name, "in"));
            format!("{{ name = \"{name}\", url = \"http://{name}/_webdfs\", state = \"{state}\" }},")
        };
        let nodes: String = nodes.split(' ').map(node).collect();
        let text = format!(
            "epoch = {epoch}\nreplicas = {replicas}\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\nnode = [{nodes}]"
        );
        FromFile { file: "a.toml".into(), map: Arc::new(parse_map(&text, Path::new("a.toml")).unwrap()) }
    }

    #[test]
    fn every_node_of_every_map_is_asked_once() {
        let maps = [map(3, 2, "a b! c f?"), map(2, 2, "a b c d"), map(1, 1, "e a")];
        let key = ObjectKey::of(b"cat.jpg");
        let older = maps[1..].iter().map(|from| Arc::clone(&from.map)).collect();
        let view = View::new(&"a".parse().unwrap(), Arc::clone(&maps[0].map), older).unwrap();
        let found = nodes(&view, &maps, key);
        let listed: Vec<_> = found.iter().map(|(node, _)| view.node(*node).name().as_str()).collect();
        assert_eq!(listed, ["a", "b", "c", "f", "d", "e"]);
        for (index, role) in found {
            let node = view.node(index).name();
            let rank = |at: usize| {
                let map: &FromFile = &maps[at];
                placement::locate(&map.map, key).rank_of(map.map.index_of(node)?)
            };
            let expected = match (rank(0), rank(1), rank(2)) {
                (Some(rank), ..) => Role::Owner(rank + 1),
                (_, Some(_), _) => Role::Former(maps[1].map.epoch()),
                (_, _, Some(_)) => Role::Former(maps[2].map.epoch()),
                _ if node.as_str() == "b" => Role::Out,
                _ if node.as_str() == "f" => Role::Lost,
                _ => Role::Stranger,
            };
            assert_eq!(role, expected, "{node}");
        }
    }

    #[test]
    fn what_a_node_holds_is_json_in_one_level() {
        let copy =
            CopyInfo { version: Version::from_nanos(784_111_777_000_000_001), size: 5, crc32: Some(10) };
        let answer = |said| Answer { node: "a".parse().unwrap(), role: Role::Owner(2), said };
        let json = |said| serde_json::to_string(&Told::of(&answer(said))).unwrap();
        let start = r#"{"node":"a","role":"owner 2","owner":2,"#;
        assert_eq!(
            json(Ok(HeldAnswer { held: Held::Copy(copy), complete: true })),
            format!(
                r#"{start}"holds":"file","version":784111777000000001,"time":"Sun, 06 Nov 1994 08:49:37 GMT","size":5,"crc32":"0000000a","complete":true}}"#
            )
        );
        assert_eq!(
            json(Ok(HeldAnswer { held: Held::Nothing, complete: false })),
            format!(r#"{start}"holds":"nothing","complete":false}}"#)
        );
        assert_eq!(json(Err("is ill".to_owned())), format!(r#"{start}"error":"is ill"}}"#));
    }
}
