//! How all nodes are, as `webdfs status --cluster` shows it: by gossip where that has heard of them, and else by asking.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use super::Agent;
use crate::clock;
use crate::cluster::{Fingerprint, NodeIndex, NodeState};
use crate::control::{ClusterStatus, MovingStatus, NodeStatus, Said, State, Status};
use crate::disk::on_thread;
use crate::gossip::{Facts, Member};
use crate::peer::client::PeerError;
use crate::store::{Space, StoreError};

/// Nodes that are asked at the same time. Each has a deadline.
const AT_ONCE: usize = 256;

impl Agent {
    /// How all nodes are now.
    pub(super) async fn cluster_status(&self) -> Result<ClusterStatus, StoreError> {
        let members = self.hearsay.members();
        let own = self.status(false).await?;
        let store = self.store.clone();
        let down = on_thread(move || store.nodes_down()).await?;
        let nodes: Vec<_> = self.map.indexed().map(|(node, _)| node).collect();
        let (members, own, down) = (&members, &own, &down);
        let nodes = stream::iter(nodes).map(|node| async move {
            let name = self.map.node(node).name();
            let member = members.as_ref().and_then(|members| members.get(name));
            let tells =
                |member: &&Member| if member.alive { member.facts.is_some() } else { down.contains(name) };
            match member.filter(tells) {
                _ if node == self.map.own() => self.answered(node, Ok(own.clone())),
                Some(member) => self.heard(node, member),
                None => self.answered(node, self.peers.status(&self.map, node).await),
            }
        });
        Ok(ClusterStatus {
            node: self.name().to_string(),
            epoch: self.map.epoch_in_force(),
            map: self.map.fingerprint(),
            gossip: members.is_some(),
            nodes: nodes.buffered(AT_ONCE).collect().await,
        })
    }

    fn heard(&self, node: NodeIndex, member: &Member) -> NodeStatus {
        let said = member.facts.as_ref().map(|facts| self.said_by_gossip(node, facts));
        let since = Some(seconds_at(member.since));
        let problem = (!member.alive).then(|| "its gossip is not heard any more".to_owned());
        NodeStatus { up: member.alive, since, gossip: true, problem, said, ..self.unknown(node) }
    }

    fn answered(&self, node: NodeIndex, answer: Result<Status, PeerError>) -> NodeStatus {
        let unknown = self.unknown(node);
        match answer {
            Ok(status) => NodeStatus { up: true, said: Some(self.said_when_asked(node, &status)), ..unknown },
            // It answers, if only to say that none of its processes does the background work.
            Err(error) => NodeStatus { up: !error.is_silence(), problem: Some(error.to_string()), ..unknown },
        }
    }

    fn unknown(&self, node: NodeIndex) -> NodeStatus {
        let entry = self.map.node(node);
        let state = match entry.state() {
            NodeState::Lost => "lost",
            _ if !self.map.is_current(node) => "left",
            NodeState::Out => "out",
            NodeState::In => "in",
        };
        NodeStatus {
            node: entry.name().to_string(),
            state: state.to_owned(),
            up: false,
            since: None,
            gossip: false,
            problem: None,
            said: None,
        }
    }

    fn said_by_gossip(&self, node: NodeIndex, facts: &Facts) -> Said {
        let Facts { map, fill, moving, .. } = facts;
        let (epoch, passed) =
            map.map_or((0, 0), |map| (map.epoch.get(), map.passed.map_or(0, |passed| passed.get())));
        Said {
            epoch,
            map: map.map_or(Fingerprint::default(), |map| map.fingerprint),
            passed,
            complete: map.is_some_and(|map| map.complete),
            objects: fill.objects,
            bytes: fill.bytes,
            space: Some(Space { free: fill.free_bytes, capacity: fill.capacity_bytes }),
            moving: moving.map(|moving| MovingStatus {
                keys_left: moving.keys_left,
                bytes_per_second: Some(moving.bytes_per_second),
            }),
            paused: facts.paused,
            drained: self.is_drained(node, passed, fill.objects),
        }
    }

    fn said_when_asked(&self, node: NodeIndex, status: &Status) -> Said {
        let now = &status.reconcile.now;
        let moving = (now.state == State::Running).then(|| MovingStatus {
            keys_left: now.of.map(|of| of.saturating_sub(now.done)),
            bytes_per_second: None,
        });
        let objects = status.counted.map(|counted| counted.objects);
        Said {
            epoch: status.epoch,
            map: status.map,
            passed: status.passed,
            complete: status.complete,
            objects,
            bytes: status.counted.map(|counted| counted.bytes),
            space: status.space,
            moving,
            paused: status.background.paused,
            drained: self.is_drained(node, status.passed, objects),
        }
    }

    /// Whether a node owns nothing under the map in force, has finished its pass under it, and holds nothing.
    fn is_drained(&self, node: NodeIndex, passed: u64, objects: Option<u64>) -> bool {
        !self.map.can_own(node) && passed == self.map.epoch_in_force() && objects == Some(0)
    }
}

/// A moment of the past, in seconds since 1970.
fn seconds_at(moment: Instant) -> u64 {
    let passed: Duration = moment.elapsed();
    clock::seconds().saturating_sub(passed.as_secs())
}
