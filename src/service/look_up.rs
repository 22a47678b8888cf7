//! Asking the owners for what this node's own disk lacks, one after the other: those of the current map, then those of
//! older maps that are not settled (design section 6). Requests for one name share what is found.

use std::sync::Arc;

use http::{HeaderMap, header::HeaderValue};

use super::Service;
use super::get::own_replica;
use super::lookups::{Turn, Verdict};
use crate::cluster::{NodeIndex, View};
use crate::failpoint::{Wrong, does_wrong};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::{ObjectAnswer, ObjectReply, PeerError};
use crate::peer::envelope::{COMPLETE, version_in};
use crate::quorum::read_quorum;
use crate::resolve::Route;
use crate::store::Replica;
use crate::version::Version;

/// What is wanted of an owner.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Its copy, or what these range and conditional headers make of it.
    Copy(&'a HeaderMap),
    /// What a head is made from.
    Head,
}

/// What the owners said.
pub(super) enum Found {
    Copy {
        node: NodeIndex,
        answer: ObjectAnswer,
    },
    Head {
        version: Version,
        size: u64,
    },
    /// It has come to this node meanwhile.
    Here(Replica),
    Missing,
    Unknown,
}

/// Who is known to lack a name, this node among them if its own disk says something.
#[derive(Debug, Clone, Default)]
pub(super) struct Lacking {
    /// Complete nodes that lack it.
    pub nodes: Vec<NodeIndex>,
    /// The highest tombstone seen: a copy at or below it is as good as none.
    pub tombstone: Option<Version>,
}

impl Lacking {
    fn count(&mut self, node: NodeIndex, complete: bool, tombstone: Option<Version>) {
        if complete && !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
        self.tombstone = self.tombstone.max(tombstone);
    }

    fn hides(&self, version: Option<Version>) -> bool {
        version.is_some_and(|version| self.tombstone >= Some(version))
    }

    /// Whether no acknowledged write of the name can exist: under each map so many of its owners lack it that none can have
    /// been stored on the others alone.
    fn is_enough(&self, map: &View, route: &Route) -> bool {
        let all_miss = |owners: &[NodeIndex], read_quorum| {
            owners.iter().filter(|owner| self.nodes.contains(owner)).count() >= read_quorum
        };
        all_miss(&route.owners(map.own()), read_quorum(map.replicas(), map.write_quorum()))
            && route.former.iter().all(|former| all_miss(&former.owners, former.read_quorum))
    }
}

/// One owner's reply.
enum Reply {
    Found { version: Option<Version>, complete: bool, found: Found },
    Lacks { complete: bool, tombstone: Option<Version> },
}

/// A name that is looked up, and for whom.
#[derive(Clone, Copy)]
struct Question<'a> {
    service: &'a Arc<Service>,
    map: &'a View,
    name: &'a ObjectName,
    route: &'a Route,
    wanted: Wanted<'a>,
}

/// Looks a name up at the other owners; `own` is what this node's own disk contributes.
pub(super) async fn look_up(
    service: &Arc<Service>,
    map: &View,
    name: &ObjectName,
    route: &Route,
    own: Lacking,
    wanted: Wanted<'_>,
) -> Found {
    let newest_only = does_wrong(Wrong::NewestMapOnly).then(|| Route { former: Vec::new(), ..route.clone() });
    let route = newest_only.as_ref().unwrap_or(route);
    let question = Question { service, map, name, route, wanted };
    let lead = match service.lookups.turn(map.epoch_in_force(), name).await {
        Turn::Known(Verdict::Missing) => return Found::Missing,
        Turn::Known(Verdict::Unknown) => return Found::Unknown,
        // Settling leaves out the nodes of older maps alone.
        Turn::Known(Verdict::At(node)) if node.get() >= map.nodes().len() => {
            return question.ask_all(own).await.1;
        }
        Turn::Known(Verdict::At(node)) => {
            return match question.ask(node).await {
                Ok(Reply::Found { version, found, .. }) if !own.hides(version) => found,
                _ => question.ask_all(own).await.1,
            };
        }
        Turn::Lead(lead) => lead,
    };
    let (verdict, found) = question.ask_all(own).await;
    lead.settle(verdict);
    found
}

impl Question<'_> {
    async fn ask_all(self, mut own: Lacking) -> (Verdict, Found) {
        let Self { service, map, route, .. } = self;
        let mut nodes = service.peers.in_order(map, &route.others);
        nodes.extend(route.former_only(map.own()).into_iter().filter(|node| *node != map.own()));
        let is_down = |node: &NodeIndex| service.peers.is_down(map, *node);
        let (down, up): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(is_down);
        if let Some(found) = self.ask_in_turn(&[up, down].concat(), &mut own).await {
            return found;
        }
        if route.former.is_empty() {
            return self.verdict(&own);
        }
        // It may have moved from one that was asked late to one that was asked early. Against the way that it takes it is
        // met for sure: older maps first, the current one last.
        nodes.reverse();
        nodes.sort_by_key(|node| route.others.contains(node));
        own.nodes.retain(|node| *node == map.own());
        let up: Vec<_> = nodes.iter().copied().filter(|node| !is_down(node)).collect();
        let mut lacking = own.clone();
        if let Some(found) = self.ask_in_turn(&up, &mut lacking).await {
            return found;
        }
        if up.len() < nodes.len() && !lacking.is_enough(map, route) {
            // Those that are down, too: each in its place, or it would be no such order.
            lacking = own;
            if let Some(found) = self.ask_in_turn(&nodes, &mut lacking).await {
                return found;
            }
        }
        if let Some(replica) = own_replica(service, self.name).await {
            return (Verdict::At(map.own()), Found::Here(replica));
        }
        self.verdict(&lacking)
    }

    fn verdict(self, lacking: &Lacking) -> (Verdict, Found) {
        if lacking.is_enough(self.map, self.route) {
            (Verdict::Missing, Found::Missing)
        } else {
            (Verdict::Unknown, Found::Unknown)
        }
    }

    /// Asks one after the other until one has it, and notes who has not.
    async fn ask_in_turn(self, nodes: &[NodeIndex], lacking: &mut Lacking) -> Option<(Verdict, Found)> {
        for node in nodes.iter().copied() {
            // Decided: a node that is down need not be waited for. One that answers is asked all the same, since it may
            // have what the others lost.
            if lacking.is_enough(self.map, self.route) && self.service.peers.has_failed(self.map, node) {
                continue;
            }
            match self.ask(node).await {
                Ok(Reply::Found { version, found, .. }) if !lacking.hides(version) => {
                    return Some((Verdict::At(node), found));
                }
                Ok(Reply::Found { complete, .. }) => lacking.count(node, complete, None),
                Ok(Reply::Lacks { complete, tombstone }) => lacking.count(node, complete, tombstone),
                Err(error) => log::debug!("{}: {error}", self.name),
            }
        }
        None
    }

    async fn ask(self, node: NodeIndex) -> Result<Reply, PeerError> {
        let Self { service, map, name, wanted, .. } = self;
        if node == map.own() {
            return Ok(match own_replica(service, name).await {
                Some(replica) => {
                    let version = Some(replica.version);
                    Reply::Found { version, complete: false, found: Found::Here(replica) }
                }
                None => Reply::Lacks { complete: false, tombstone: None },
            });
        }
        match wanted {
            Wanted::Copy(headers) => Ok(match service.peers.object(map, node, name, headers).await? {
                ObjectReply::Found(answer) => {
                    let complete = answer.headers.get(COMPLETE) == Some(&HeaderValue::from_static("yes"));
                    let version = version_in(&answer.headers);
                    Reply::Found { version, complete, found: Found::Copy { node, answer } }
                }
                ObjectReply::Lacks { complete, tombstone } => Reply::Lacks { complete, tombstone },
            }),
            Wanted::Head => {
                let answer = service.peers.ask(map, node, name).await?;
                let complete = answer.complete;
                Ok(match answer.held {
                    Held::Copy(copy) => {
                        let found = Found::Head { version: copy.version, size: copy.size };
                        Reply::Found { version: Some(copy.version), complete, found }
                    }
                    Held::Nothing => Reply::Lacks { complete, tombstone: None },
                    Held::Tombstone { version } => Reply::Lacks { complete, tombstone: Some(version) },
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_hides_copies_at_or_below_it() {
        let version = |nanos| Some(Version::from_nanos(nanos));
        let node = NodeIndex::new;
        let mut lacking = Lacking::default();
        assert!(!lacking.hides(version(1)) && !lacking.hides(None));
        lacking.count(node(1), true, version(5));
        lacking.count(node(2), false, version(3));
        lacking.count(node(1), true, None);
        assert_eq!(lacking.nodes, [node(1)]);
        assert!(lacking.hides(version(5)) && lacking.hides(version(4)));
        assert!(!lacking.hides(version(6)) && !lacking.hides(None));
    }
}
