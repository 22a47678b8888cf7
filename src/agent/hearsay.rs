//! What this process hears of the other nodes by gossip, shared by all who want to know it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::lookup_host;
use tokio::sync::watch;

use crate::cluster::{NodeName, View};
use crate::gossip::Members;

/// What is heard, and where it may be heard. Clones share it. It outlives the agent, so that nothing is forgotten when the map
/// changes or the configuration is read again.
#[derive(Debug, Clone)]
pub struct Hearsay(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the gossip of other nodes listens, by what they answered.
    places: Mutex<BTreeMap<NodeName, SocketAddr>>,
    seeds: watch::Sender<BTreeSet<SocketAddr>>,
    members: watch::Sender<Option<Members>>,
}

impl Default for Hearsay {
    fn default() -> Self {
        let (places, seeds, members) = Default::default();
        Self(Arc::new(Inner {
            places,
            seeds: watch::Sender::new(seeds),
            members: watch::Sender::new(members),
        }))
    }
}

impl Hearsay {
    /// What is known of the cluster; none: gossip is off here.
    pub fn members(&self) -> Option<Members> {
        self.0.members.borrow().clone()
    }

    /// Replaces that.
    pub(super) fn hear(&self, members: Option<Members>) {
        self.0.members.send_replace(members);
    }

    /// Where the gossip of other nodes may be found.
    pub(super) fn seeds(&self) -> watch::Receiver<BTreeSet<SocketAddr>> {
        self.0.seeds.subscribe()
    }

    /// Remembers where a node says that its gossip listens (`HOST:PORT`). A host that is a name is looked up, which nobody
    /// waits for.
    pub(super) fn learn(&self, node: &NodeName, place: String) {
        if let Ok(address) = place.parse() {
            return self.remember(node, address);
        }
        let (hearsay, node) = (self.clone(), node.clone());
        tokio::spawn(async move {
            match lookup_host(&place).await.map(|mut found| found.next()) {
                Ok(Some(address)) => hearsay.remember(&node, address),
                Ok(None) => log::warn!("the gossip of node {node} listens at {place}: there is no such host"),
                Err(error) => log::warn!("the gossip of node {node} listens at {place}: {error}"),
            }
        });
    }

    /// Forgets nodes that are in none of the maps.
    pub(super) fn keep_to(&self, view: &View) {
        self.change(|places| places.retain(|node, _| view.index_of(node).is_some()));
    }

    fn remember(&self, node: &NodeName, address: SocketAddr) {
        self.change(|places| {
            places.insert(node.clone(), address);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<NodeName, SocketAddr>)) {
        let mut places = self.0.places.lock().expect("no holder panics");
        change(&mut places);
        let seeds: BTreeSet<_> = places.values().copied().collect();
        self.0.seeds.send_if_modified(|before| {
            let is_new = *before != seeds;
            *before = seeds;
            is_new
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_moves_is_looked_for_where_it_is_now_and_a_name_is_looked_up() {
        let (hearsay, node) = (Hearsay::default(), "img2".parse().unwrap());
        let mut seeds = hearsay.seeds();
        hearsay.learn(&node, "127.0.0.1:7071".to_owned());
        hearsay.learn(&node, "127.0.0.2:7071".to_owned());
        assert_eq!(*seeds.borrow_and_update(), BTreeSet::from([([127, 0, 0, 2], 7071).into()]));
        hearsay.learn(&node, "localhost:7072".to_owned());
        seeds.wait_for(|seeds| seeds.first().is_some_and(|seed| seed.port() == 7072)).await.unwrap();
        assert_eq!(seeds.borrow().len(), 1);
    }
}
