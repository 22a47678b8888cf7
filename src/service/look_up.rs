//! Asking the other owners for what this node's own disk lacks, one after the other. Requests for one name share what
//! is found.

use http::{HeaderMap, header::HeaderValue};

use super::Service;
use super::lookups::{Turn, Verdict};
use crate::cluster::{ClusterMap, NodeIndex};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::{ObjectAnswer, ObjectReply, PeerError};
use crate::peer::envelope::{COMPLETE, version_in};
use crate::quorum::read_quorum;
use crate::resolve::Route;
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
    Copy { node: NodeIndex, answer: ObjectAnswer },
    Head { version: Version, size: u64 },
    Missing,
    Unknown,
}

/// What is known of owners that lack a name, this node's own disk among them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lacking {
    /// Complete owners that lack it.
    pub owners: usize,
    /// The highest tombstone seen: a copy at or below it is as good as none.
    pub tombstone: Option<Version>,
}

impl Lacking {
    fn count(&mut self, complete: bool, tombstone: Option<Version>) {
        self.owners += usize::from(complete);
        self.tombstone = self.tombstone.max(tombstone);
    }

    fn hides(&self, version: Option<Version>) -> bool {
        version.is_some_and(|version| self.tombstone >= Some(version))
    }
}

/// One owner's reply.
enum Reply {
    Found { version: Option<Version>, complete: bool, found: Found },
    Lacks { complete: bool, tombstone: Option<Version> },
}

/// Looks a name up at the other owners; `own` is what this node's own disk contributes.
pub(super) async fn look_up(
    service: &Service,
    map: &ClusterMap,
    name: &ObjectName,
    route: &Route,
    own: Lacking,
    wanted: Wanted<'_>,
) -> Found {
    let lead = match service.lookups.turn(name).await {
        Turn::Known(Verdict::Missing) => return Found::Missing,
        Turn::Known(Verdict::Unknown) => return Found::Unknown,
        Turn::Known(Verdict::At(node)) => {
            return match ask_one(service, map, node, name, wanted).await {
                Ok(Reply::Found { version, found, .. }) if !own.hides(version) => found,
                _ => ask_in_turn(service, map, name, route, own, wanted).await.1,
            };
        }
        Turn::Lead(lead) => lead,
    };
    let (verdict, found) = ask_in_turn(service, map, name, route, own, wanted).await;
    lead.settle(verdict);
    found
}

async fn ask_in_turn(
    service: &Service,
    map: &ClusterMap,
    name: &ObjectName,
    route: &Route,
    mut lacking: Lacking,
    wanted: Wanted<'_>,
) -> (Verdict, Found) {
    let enough = read_quorum(map.replicas(), map.write_quorum());
    for node in service.peers.in_order(&route.others) {
        // Decided: a node that is down need not be waited for. One that answers is asked all the same, since it may
        // have what the others lost.
        if lacking.owners >= enough && service.peers.has_failed(node) {
            break;
        }
        match ask_one(service, map, node, name, wanted).await {
            Ok(Reply::Found { version, found, .. }) if !lacking.hides(version) => {
                return (Verdict::At(node), found);
            }
            Ok(Reply::Found { complete, .. }) => lacking.count(complete, None),
            Ok(Reply::Lacks { complete, tombstone }) => lacking.count(complete, tombstone),
            Err(error) => log::debug!("{name}: {error}"),
        }
    }
    if lacking.owners >= enough {
        (Verdict::Missing, Found::Missing)
    } else {
        (Verdict::Unknown, Found::Unknown)
    }
}

async fn ask_one(
    service: &Service,
    map: &ClusterMap,
    node: NodeIndex,
    name: &ObjectName,
    wanted: Wanted<'_>,
) -> Result<Reply, PeerError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_hides_copies_at_or_below_it() {
        let version = |nanos| Some(Version::from_nanos(nanos));
        let mut lacking = Lacking::default();
        assert!(!lacking.hides(version(1)) && !lacking.hides(None));
        lacking.count(true, version(5));
        lacking.count(false, version(3));
        assert_eq!(lacking.owners, 1);
        assert!(lacking.hides(version(5)) && lacking.hides(version(4)));
        assert!(!lacking.hides(version(6)) && !lacking.hides(None));
    }
}
