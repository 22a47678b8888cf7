//! Files that were put into the root or edited there by hand: once they have come to rest they become copies like any
//! other, and the other owners are sent them. Those that belong to other nodes alone never become copies here: they stay
//! what they are until their owners have them, so that nothing takes them for strays in between.

use std::sync::Arc;

use super::strays::Stray;
use super::{Pass, add};
use crate::agent::Agent;
use crate::clock;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::reconcile::Item;
use crate::resolve::Route;
use crate::store::{ByHand, Settled, StoreError};

/// Files that become copies together at most: syncing a disk once costs hardly more than syncing one file.
const FILES_AT_ONCE: usize = 1024;

/// Files by hand that stay as they are, which is told once a pass: a docroot may be full of them.
#[derive(Debug, Default)]
pub(super) struct Unadopted {
    count: usize,
    /// One of them, and why.
    first: Option<String>,
}

impl Unadopted {
    fn add(&mut self, name: &ObjectName, error: &StoreError) {
        log::debug!("{name} was put here by hand and stays as it is: {error}");
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{name}: {error}"));
    }

    fn append(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    /// Tells of them, if there are any.
    pub(super) fn tell(&self) {
        if let Some(first) = &self.first {
            let count = self.count;
            log::warn!("{count} files that were put here by hand stay as they are, such as {first}");
        }
    }
}

/// A file by hand that has become a copy of a key that this node owns.
pub(super) struct Adopted {
    item: Item,
    others: Vec<NodeIndex>,
}

/// What has become of files by hand.
#[derive(Default)]
pub(super) struct Settling {
    /// Copies now, of which the other owners know nothing.
    pub adopted: Vec<Adopted>,
    /// They belong elsewhere, and are to be offered there.
    pub foreign: Vec<Stray>,
    failed: Unadopted,
}

impl Pass<'_> {
    /// Makes copies of files by hand, as far as this node owns them. Others are only looked at if some owner of theirs is
    /// among `peers`.
    pub(super) async fn adopt(&self, mut by_hand: Vec<(ObjectName, Route)>, peers: &[NodeIndex]) -> Settling {
        let count = by_hand.len();
        by_hand.retain(|(_, route)| route.own || route.others.iter().any(|owner| peers.contains(owner)));
        add(&self.counts.strays, count - by_hand.len());
        let (mut settled, mut by_hand) = (Settling::default(), by_hand.into_iter());
        loop {
            let together: Vec<_> = by_hand.by_ref().take(FILES_AT_ONCE).collect();
            if together.is_empty() {
                break;
            }
            self.agent.throttle.unpaused().await;
            let agent = self.agent.clone();
            settled = on_thread(move || settled.with(&agent, together)).await;
        }
        let failed = std::mem::take(&mut settled.failed);
        add(&self.counts.unsettled, failed.count);
        add(&self.counts.adopted, settled.adopted.len());
        self.unadopted.lock().expect("no holder panics").append(failed);
        settled
    }

    /// What of these copies a node is to be sent now.
    pub(super) fn adopted_for(&self, adopted: &[Adopted], node: NodeIndex) -> Vec<Item> {
        let owned = adopted.iter().filter(|adopted| adopted.others.contains(&node));
        owned.map(|adopted| &adopted.item).filter(|item| !self.is_left(&item.name, node)).cloned().collect()
    }

    /// Marks these copies for the owners that were not sent them: those that are not among `peers`, or get them from
    /// elsewhere. The inventory knows the files without a checksum, so that this pass compares them no more.
    pub(super) async fn mark_adopted(&self, adopted: Vec<Adopted>, peers: &[NodeIndex]) {
        let map = &self.agent.map;
        let mut marks = Vec::new();
        for Adopted { item: Item { name, .. }, others } in adopted {
            for node in others {
                if !peers.contains(&node) || self.is_left(&name, node) {
                    marks.push((map.node(node).name().clone(), name.clone()));
                }
            }
        }
        if marks.is_empty() {
            return;
        }
        let store = Arc::clone(&self.agent.store);
        let failed = on_thread(move || {
            let mark = |(node, name)| store.mark_dirty(&node, &name).err().map(|error| (name, error));
            marks.into_iter().filter_map(mark).collect::<Vec<_>>()
        });
        failed.await.iter().for_each(|(name, error)| self.leave(name, error));
    }
}

impl Settling {
    /// Settles some more files.
    fn with(mut self, agent: &Agent, by_hand: Vec<(ObjectName, Route)>) -> Self {
        let (mut owned, mut routes) = (Vec::new(), Vec::new());
        for (name, route) in by_hand {
            let pace = &mut agent.throttle.pace(|| agent.walks.has_stopped());
            match agent.store.read_by_hand(&name, clock::now(), pace) {
                Ok(None) => {}
                Err(error) => self.failed.add(&name, &error),
                // One that was only touched is a copy from elsewhere, as it was before.
                Ok(Some(found)) if !route.own && !found.is_unchanged() => {
                    let item = Item { name, held: Held::Copy(found.copy) };
                    self.foreign.push(Stray::by_hand(item, route.others, found));
                }
                Ok(Some(found)) => {
                    owned.push((name, found));
                    routes.push(route);
                }
            }
        }
        if !owned.is_empty() {
            self.become_copies(agent, owned, routes);
        }
        self
    }

    fn become_copies(&mut self, agent: &Agent, files: Vec<(ObjectName, ByHand)>, routes: Vec<Route>) {
        let settled = match agent.store.adopt_by_hand(&files) {
            Ok(settled) => settled,
            Err(error) => return files.iter().for_each(|(name, _)| self.failed.add(name, &error)),
        };
        step(Step::ByHandAdopted);
        for (((name, _), route), settled) in files.into_iter().zip(routes).zip(settled) {
            match settled {
                Ok(Settled::Adopted(copy) | Settled::Restored(copy)) => {
                    self.add_copy(name, copy, route, agent.map.own());
                }
                Ok(_) => {}
                Err(error) => self.failed.add(&name, &error),
            }
        }
    }

    fn add_copy(&mut self, name: ObjectName, copy: CopyInfo, route: Route, own: NodeIndex) {
        let item = Item { name, held: Held::Copy(copy) };
        if route.own {
            log::debug!("{} was put here by hand and is a copy now", item.name);
            self.adopted.push(Adopted { item, others: route.others });
        } else {
            let moves = route.was_owner(own);
            self.foreign.push(Stray::new(item, route.others, moves));
        }
    }
}
