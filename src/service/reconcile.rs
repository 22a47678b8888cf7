//! Another node compares what it holds with what this one holds (design section 8). Answered by any process of the
//! root: from the last inventory, and where it matters from what is held now.

use std::collections::HashSet;
use std::sync::Arc;

use super::Service;
use crate::clock;
use crate::cluster::{NodeIndex, View};
use crate::control::{AgentClient, Answer, CallError, Request};
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::reconcile::{
    AgreedAnswer, DigestsAnswer, DigestsOrder, ForgetAnswer, HAVE_KEYS_MAX, HAVE_NAME_BYTES_MAX, HaveAnswer,
    HaveOrder, Item, Tombstone, TombstonesOrder,
};
use crate::placement::{ObjectKey, locate};
use crate::reconcile::{Digest, Ranges};
use crate::store::inventory::{BUCKETS, Entry, Inventory};
use crate::store::{NameHash, Store, StoreError};

/// Why keys are not compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Agent(#[from] CallError),
    #[error("this node has no inventory: it has not walked over its root yet")]
    NoInventory,
    #[error("ranges {first} to {end} are not among the {count} that this map has")]
    Range { first: usize, end: usize, count: usize },
}

/// The keys that two nodes own, of one root.
struct Shared<'a> {
    store: &'a Store,
    map: &'a View,
    nodes: [NodeIndex; 2],
}

impl Shared<'_> {
    fn inventory(&self) -> Result<Inventory, CompareError> {
        self.store.inventory()?.ok_or(CompareError::NoInventory)
    }

    fn bucket(&self, inventory: &Inventory, number: usize) -> Result<Vec<Entry>, CompareError> {
        let mut entries = self.store.bucket(inventory, number)?;
        entries.retain(|entry| !entry.held.is_by_hand() && self.are_owners(&entry.name));
        Ok(entries)
    }

    fn are_owners(&self, name: &ObjectName) -> bool {
        let owners = locate(self.map.current(), ObjectKey::of(name.as_bytes()));
        self.nodes.iter().all(|node| owners.contains(node))
    }

    fn unequal(&self, order: &DigestsOrder) -> Result<Vec<usize>, CompareError> {
        let ranges = Ranges::among(self.map.current().nodes().len());
        let (first, count) = (order.first, ranges.count());
        let end = first.saturating_add(order.digests.len());
        if end > count {
            return Err(CompareError::Range { first, end, count });
        }
        let inventory = self.inventory()?;
        let mut unequal = Vec::new();
        for (range, theirs) in (first..end).zip(&order.digests) {
            let mut ours = Digest::default();
            for bucket in ranges.buckets(range) {
                self.bucket(&inventory, bucket)?.iter().for_each(|entry| ours.add(entry.hash, &entry.held));
            }
            if ours != *theirs {
                unequal.push(range);
            }
        }
        Ok(unequal)
    }

    fn different(&self, order: &HaveOrder) -> Result<HaveAnswer, CompareError> {
        let mut different = Vec::new();
        for (place, item) in order.items.iter().enumerate() {
            let held = if order.durable {
                self.store.held_durably(&item.name)?
            } else {
                self.store.held(&item.name)?
            };
            // What this root has returned with is confirmed by an owner that holds the same: it need not be sent. A node that
            // owns it no more may hold what was deleted long ago.
            if let Some(copy) = item.held.copy()
                && held.supersedes(&item.held).is_lt()
                && self.are_owners(&item.name)
                && self.store.take_back(&item.name, copy)?
            {
                continue;
            }
            if held != item.held {
                different.push((place, held));
            }
        }
        let (more, until) = if order.to == Some(order.from) { (Vec::new(), None) } else { self.more(order)? };
        Ok(HaveAnswer { different, more, until })
    }

    fn agreed(&self, order: &TombstonesOrder) -> AgreedAnswer {
        let now = clock::now();
        let agreed_for = |Tombstone { name, version }: &Tombstone| {
            if !self.are_owners(name) {
                return None;
            }
            let time = self.store.tombstone_agreed_for(name, *version, now);
            time.inspect_err(|error| stays(name, error)).ok().flatten().map(|time| time.as_secs())
        };
        AgreedAnswer { seconds: order.tombstones.iter().map(agreed_for).collect() }
    }

    fn forget(&self, order: &TombstonesOrder) -> ForgetAnswer {
        step(Step::ForgetOrdered);
        let forget = |Tombstone { name, version }: &Tombstone| {
            let forget = || self.store.forget_tombstone(name, *version);
            self.are_owners(name) && forget().inspect_err(|error| stays(name, error)).is_ok()
        };
        ForgetAnswer { forgotten: order.tombstones.iter().map(forget).collect() }
    }

    /// The keys of the order's range that it does not name, as many as one answer can hold.
    fn more(&self, order: &HaveOrder) -> Result<(Vec<Item>, Option<NameHash>), CompareError> {
        let named: HashSet<&ObjectName> = order.items.iter().map(|item| &item.name).collect();
        let inventory = self.inventory()?;
        let last = order.to.map_or(BUCKETS - 1, NameHash::bucket);
        let (mut more, mut name_bytes) = (Vec::new(), 0);
        for bucket in order.from.bucket()..=last {
            for Entry { name, hash, held } in self.bucket(&inventory, bucket)? {
                if hash < order.from || order.to.is_some_and(|to| hash >= to) || named.contains(&name) {
                    continue;
                }
                // It may be forgotten since, and is not to come back through those who have forgotten it, too.
                if held.copy().is_none() && self.store.held(&name)? == Held::Nothing {
                    continue;
                }
                name_bytes += name.url_path().len();
                if more.len() == HAVE_KEYS_MAX || name_bytes > HAVE_NAME_BYTES_MAX {
                    return Ok((more, Some(hash)));
                }
                more.push(Item { name, held });
            }
        }
        Ok((more, None))
    }
}

/// A tombstone's file cannot be read or removed: that keeps no other from its end.
fn stays(name: &ObjectName, error: &StoreError) {
    log::warn!("it stays remembered that {name} was deleted: {error}");
}

impl Service {
    /// Has the process that does the background work do something for another node, which asks again until it is done.
    pub(super) async fn ask_agent(&self, request: Request) -> Result<bool, CompareError> {
        let agent = AgentClient { root: self.store.root().to_owned() };
        match agent.call(request, |_| {}).await? {
            Answer::Ready(ready) => Ok(ready),
            _ => Err(CompareError::Agent(CallError::Strange(None))),
        }
    }

    /// Where the digests of another node differ from this one's.
    pub(super) async fn compare_digests(
        &self,
        map: &Arc<View>,
        from: NodeIndex,
        order: DigestsOrder,
    ) -> Result<DigestsAnswer, CompareError> {
        let unequal = self.compare(map, from, move |shared| shared.unequal(&order)).await?;
        Ok(DigestsAnswer { unequal })
    }

    /// What this node holds otherwise than another one.
    pub(super) async fn compare_keys(
        &self,
        map: &Arc<View>,
        from: NodeIndex,
        order: HaveOrder,
    ) -> Result<HaveAnswer, CompareError> {
        self.compare(map, from, move |shared| shared.different(&order)).await
    }

    /// For how long this node has known that every owner has some tombstones.
    pub(super) async fn agreed_tombstones(
        &self,
        map: &Arc<View>,
        from: NodeIndex,
        order: TombstonesOrder,
    ) -> Result<AgreedAnswer, CompareError> {
        // One that lacks something may still have to find out that it holds older copies.
        if !self.is_complete().await {
            return Ok(AgreedAnswer { seconds: vec![None; order.tombstones.len()] });
        }
        self.compare(map, from, move |shared| Ok(shared.agreed(&order))).await
    }

    /// Forgets tombstones, since another owner has found that all have known of them for long.
    pub(super) async fn forget_tombstones(
        &self,
        map: &Arc<View>,
        from: NodeIndex,
        order: TombstonesOrder,
    ) -> Result<ForgetAnswer, CompareError> {
        self.compare(map, from, move |shared| Ok(shared.forget(&order))).await
    }

    async fn compare<T: Send + 'static>(
        &self,
        map: &Arc<View>,
        from: NodeIndex,
        work: impl FnOnce(Shared<'_>) -> Result<T, CompareError> + Send + 'static,
    ) -> Result<T, CompareError> {
        let (store, map, own) = (Arc::clone(&self.store), Arc::clone(map), map.own());
        on_thread(move || work(Shared { store: &store, map: &map, nodes: [own, from] })).await
    }
}
