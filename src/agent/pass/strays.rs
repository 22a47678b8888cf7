//! Copies of which this node is no owner: removed once every owner has confirmed that it holds them, or something newer,
//! durably. Digests are no such confirmation.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::leftovers::Questions;
use super::{Pass, add};
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{Step, Wrong, does_wrong, step};
use crate::peer::client::PeerError;
use crate::peer::reconcile::{HaveOrder, Item};
use crate::store::{NameHash, StoreError};

/// A copy without an owner here, and who owns it.
pub(super) struct Stray {
    item: Item,
    owners: Vec<NodeIndex>,
    /// Owners that hold it, or something newer.
    confirmed: usize,
}

impl Stray {
    pub(super) fn new(item: Item, owners: Vec<NodeIndex>) -> Self {
        Self { item, owners, confirmed: 0 }
    }
}

impl Pass<'_> {
    /// Removes strays, as far as `peers` are their owners and have them.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn remove_strays(
        &self,
        mut strays: Vec<Stray>,
        peers: &[NodeIndex],
    ) -> Result<(), StoreError> {
        let asked: Vec<Vec<_>> = strays
            .iter()
            .map(|stray| stray.owners.iter().copied().filter(|owner| peers.contains(owner)).collect())
            .collect();
        let keys = strays.iter().zip(&asked).map(|(stray, owners)| (&stray.item.name, &owners[..]));
        let mut questions = Questions::about(keys);
        while let Some((owner, places)) = self.next_question(&mut questions).await {
            if let Err(error) = self.confirm(owner, &places, &mut strays).await {
                questions.give_up(owner, &error);
            }
        }
        for stray in strays {
            self.remove(stray).await?;
        }
        Ok(())
    }

    /// Asks one owner for some of the strays.
    async fn confirm(
        &self,
        owner: NodeIndex,
        places: &[usize],
        strays: &mut [Stray],
    ) -> Result<(), PeerError> {
        let nowhere = NameHash::default();
        let items = places.iter().map(|place| strays[*place].item.clone()).collect();
        let order = HaveOrder { from: nowhere, to: Some(nowhere), items, durable: true };
        let answer = self.agent.peers.have(&self.agent.map, owner, &order).await?;
        let different: BTreeMap<_, _> = answer.different.into_iter().collect();
        for (place, stray) in places.iter().enumerate() {
            let stray = &mut strays[*stray];
            let older = different
                .get(&place)
                .is_some_and(|theirs| theirs.supersedes(&stray.item.held) == Ordering::Less);
            stray.confirmed += usize::from(!older);
        }
        Ok(())
    }

    async fn remove(&self, Stray { item, owners, confirmed }: Stray) -> Result<(), StoreError> {
        if confirmed < owners.len() && !does_wrong(Wrong::EarlyUnlink) {
            log::debug!("{} belongs elsewhere, and not every owner has it: it stays here", item.name);
            add(&self.counts.strays, 1);
            return Ok(());
        }
        step(Step::StrayConfirmed);
        let store = Arc::clone(&self.agent.store);
        let removed = on_thread(move || store.unlink_confirmed(&item.name, &item.held)).await?;
        add(&self.counts.removed, usize::from(removed));
        Ok(())
    }
}
