//! Comparing the keys of some ranges with one other node.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{TryStreamExt, stream};

use http::StatusCode;

use super::{Pass, add};
use crate::agent::transfer::TransferError;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint;
use crate::peer::client::PeerError;
use crate::peer::reconcile::{
    DIGESTS_MAX, DigestsOrder, HAVE_KEYS_MAX, HAVE_NAME_BYTES_MAX, HaveOrder, Item,
};
use crate::reconcile::Digest;
use crate::resolve::Route;
use crate::store::{NameHash, StoreError};

/// Orders whose keys are compared at the same time, of one node.
const ORDERS_AT_ONCE: usize = 2;
/// A node that cannot answer so many orders in a pass has more wrong with it than single files.
const REFUSALS_MAX: u64 = 16;

impl Pass<'_> {
    /// Finds the keys in which `node` differs, and settles them.
    ///
    /// # Errors
    /// When the node does not answer, or this node's disk fails. A single key that cannot be settled is counted.
    pub(super) async fn compare(
        &self,
        node: NodeIndex,
        ranges: Range<usize>,
        digests: &[Digest],
    ) -> Result<(), TransferError> {
        let (map, peers) = (&self.agent.map, &self.agent.peers);
        let mut unequal = Vec::new();
        for (first, digests) in ranges.step_by(DIGESTS_MAX).zip(digests.chunks(DIGESTS_MAX)) {
            let order = DigestsOrder { first, digests: digests.to_vec() };
            unequal.extend(peers.digests(map, node, &order).await?);
        }
        for ranges in neighbours(&unequal) {
            let orders = self.orders(node, ranges).await?.into_iter().map(Ok);
            let orders = stream::iter(orders);
            orders.try_for_each_concurrent(ORDERS_AT_ONCE, |order| self.exchange(node, order)).await?;
        }
        Ok(())
    }

    /// What to say of all keys in neighbouring ranges that `node` owns, too.
    async fn orders(&self, node: NodeIndex, ranges: Range<usize>) -> Result<Vec<HaveOrder>, TransferError> {
        let (store, map) = (Arc::clone(&self.agent.store), Arc::clone(&self.agent.map));
        let (inventory, all) = (Arc::clone(&self.inventory), self.ranges);
        let orders = on_thread(move || {
            let mut orders = Orders::default();
            for range in ranges {
                for bucket in all.buckets(range) {
                    orders.from.get_or_insert_with(|| NameHash::first_of(bucket).unwrap_or_default());
                    let entries = store.bucket(&inventory, bucket)?.into_iter();
                    for entry in entries.filter(|entry| !entry.held.is_by_hand()) {
                        let route = Route::of(&map, &entry.name);
                        if route.own && route.others.contains(&node) {
                            orders.add(entry.hash, Item { name: entry.name, held: entry.held });
                        }
                    }
                    orders.to = NameHash::first_of(bucket + 1);
                }
            }
            Ok::<_, StoreError>(orders.finish())
        });
        Ok(orders.await?)
    }

    /// Says what this node holds, and settles what the other one holds otherwise.
    async fn exchange(&self, node: NodeIndex, mut order: HaveOrder) -> Result<(), TransferError> {
        loop {
            let answer = match self.agent.peers.have(&self.agent.map, node, &order).await {
                // One of these files cannot be read there, which keeps no others from being compared.
                Err(error) if error.refusal() == Some(StatusCode::SERVICE_UNAVAILABLE) => {
                    return self.leave_all(&order, error);
                }
                answer => answer?,
            };
            let different = answer.different.into_iter().filter_map(|(place, theirs)| {
                order.items.get(place).map(|item| Item { name: item.name.clone(), held: theirs })
            });
            failpoint::step(failpoint::Step::KeysCompared);
            self.settle(node, different.chain(answer.more).collect()).await?;
            match answer.until {
                Some(until) if until > order.from => {
                    order.items.retain(|item| NameHash::of(&item.name) >= until);
                    order.from = until;
                }
                _ => return Ok(()),
            }
        }
    }
}

impl Pass<'_> {
    /// Leaves the keys of an order to the next pass.
    ///
    /// # Errors
    /// When that has happened too often.
    fn leave_all(&self, order: &HaveOrder, error: PeerError) -> Result<(), TransferError> {
        if self.counts.refused.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
            return Err(error.into());
        }
        log::warn!("{} keys, and others of their range, are not compared: {error}", order.items.len());
        add(&self.counts.unsettled, order.items.len().max(1));
        Ok(())
    }
}

/// Orders that are being filled.
#[derive(Default)]
struct Orders {
    done: Vec<HaveOrder>,
    from: Option<NameHash>,
    to: Option<NameHash>,
    items: Vec<Item>,
    name_bytes: usize,
}

impl Orders {
    fn add(&mut self, hash: NameHash, item: Item) {
        let bytes = item.name.url_path().len();
        if self.items.len() == HAVE_KEYS_MAX || self.name_bytes + bytes > HAVE_NAME_BYTES_MAX {
            self.close(Some(hash));
            self.from = Some(hash);
        }
        self.name_bytes += bytes;
        self.items.push(item);
    }

    fn close(&mut self, to: Option<NameHash>) {
        if let Some(from) = self.from.take() {
            let items = std::mem::take(&mut self.items);
            self.done.push(HaveOrder { from, to, items, durable: false });
        }
        self.name_bytes = 0;
    }

    fn finish(mut self) -> Vec<HaveOrder> {
        self.close(self.to);
        self.done
    }
}

/// Numbers in rising order as ranges of neighbours.
fn neighbours(numbers: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::Held;
    use crate::name::ObjectName;
    use crate::version::Version;

    #[test]
    fn neighbouring_numbers_become_ranges() {
        assert_eq!(neighbours(&[]), []);
        assert_eq!(neighbours(&[1, 2, 3, 7, 9, 10]), [1..4, 7..8, 9..11]);
    }

    #[test]
    fn many_keys_become_orders_that_cover_their_range_without_a_gap() {
        let mut keys: Vec<_> = (0..2000)
            .map(|number| {
                let name = format!("{}{number}", "x".repeat(if number < 100 { 900 } else { 3 }));
                ObjectName::from_bytes(name.as_bytes()).unwrap()
            })
            .map(|name| (NameHash::of(&name), name))
            .collect();
        keys.sort();
        let mut orders = Orders { from: NameHash::first_of(0), ..Orders::default() };
        for (hash, name) in &keys {
            let held = Held::Tombstone { version: Version::from_nanos(1) };
            orders.add(*hash, Item { name: name.clone(), held });
        }
        let orders = orders.finish();
        assert_eq!((orders[0].from, orders.last().unwrap().to), (NameHash::first_of(0).unwrap(), None));
        assert!(orders.windows(2).all(|pair| pair[0].to == Some(pair[1].from)));
        let named: Vec<_> = orders.iter().flat_map(|order| &order.items).map(|item| &item.name).collect();
        assert_eq!(named, keys.iter().map(|(_, name)| name).collect::<Vec<_>>());
        for order in &orders {
            let size = serde_json::to_vec(order).unwrap().len();
            assert!(size <= crate::peer::message::CONTROL_BYTES_MAX, "{} keys: {size}", order.items.len());
            assert!(order.items.iter().all(|item| NameHash::of(&item.name) >= order.from));
        }
    }
}
