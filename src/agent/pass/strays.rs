//! Copies and tombstones of which this node is no owner (design section 8): removed once every owner has confirmed that it
//! holds them, or something newer, durably. Digests are no such confirmation.
//!
//! What this node owned under an older map that is not settled moves: the owners are sent it first, and it stays until all
//! of them have it. Any other copy that some owner lacks may be one that was deleted long ago: it is never offered, and goes to quarantine. What a
//! person has put here is offered to its owners first, and nothing marks it until they have it: whenever this process
//! dies, the file is still there, and is offered again.
//!
//! A file may go as soon as its owners have it: a web server is never told to send one that this node does not own
//! (`service/get.rs`), since it would open it only later.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::leftovers::Questions;
use super::settle::{batches, is_small};
use super::{Pass, add};
use crate::agent::transfer::TransferError;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{Step, Wrong, does_wrong, step};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::reconcile::{HAVE_KEYS_MAX, HAVE_NAME_BYTES_MAX, HaveOrder, Item};
use crate::service::REMOVED_AFTER;
use crate::store::{BatchCopy, ByHand, NameHash, Outcome, Store, StoreError};

/// A file without an owner here, and who owns it.
pub(super) struct Stray {
    item: Item,
    owners: Vec<NodeIndex>,
    /// Whether this node owned it under an older map that is not settled.
    moves: bool,
    /// What a person has put here; none: a copy that was made by webdfs.
    by_hand: Option<ByHand>,
    /// What its owners hold, against this: those that have answered and whose answer counts.
    answers: Vec<Ordering>,
}

/// What becomes of a stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not every owner has answered.
    Stays,
    /// Every owner has it.
    Goes,
    /// It goes to quarantine.
    Quarantine,
}

impl Stray {
    /// A copy or a tombstone.
    pub(super) fn new(item: Item, owners: Vec<NodeIndex>, moves: bool) -> Self {
        Self { item, owners, moves, by_hand: None, answers: Vec::new() }
    }

    /// A file by hand.
    pub(super) fn by_hand(item: Item, owners: Vec<NodeIndex>, found: ByHand) -> Self {
        Self { by_hand: Some(found), ..Self::new(item, owners, false) }
    }

    /// What a node is to be sent of it, if it is one that owns it now.
    fn for_owner(&self, node: NodeIndex) -> Option<&Item> {
        (self.moves && self.owners.contains(&node)).then_some(&self.item)
    }

    fn fate(&self) -> Fate {
        if self.answers.len() < self.owners.len() {
            return if does_wrong(Wrong::EarlyUnlink) { Fate::Goes } else { Fate::Stays };
        }
        if self.item.held.copy().is_none() {
            // A tombstone that an owner has forgotten has done its part.
            return if self.moves && self.answers.contains(&Ordering::Less) {
                Fate::Stays
            } else {
                Fate::Goes
            };
        }
        // What a person puts somewhere is never lost to something newer; of any other copy it was the order of things.
        let has_lost = self.by_hand.is_some() && self.answers.contains(&Ordering::Greater);
        if has_lost || self.answers.contains(&Ordering::Less) { Fate::Quarantine } else { Fate::Goes }
    }

    /// Lets it meet its fate, if it still is what it was.
    fn end(&self, store: &Store) -> Result<bool, StoreError> {
        let Item { name, held } = &self.item;
        match (self.fate(), &self.by_hand) {
            (Fate::Stays, _) => Ok(false),
            (fate, Some(found)) => store.part_with_by_hand(name, found, fate == Fate::Quarantine),
            (Fate::Goes, None) => match held {
                Held::Tombstone { version } => store.forget_tombstone(name, *version),
                held => store.unlink_stray(name, held),
            },
            (Fate::Quarantine, None) => store.quarantine_stray(name, held),
        }
    }
}

impl Pass<'_> {
    /// What of these strays a node is to be sent from here.
    pub(super) fn moving_to(&self, strays: &[Stray], node: NodeIndex) -> Vec<Item> {
        let items = strays.iter().filter_map(|stray| stray.for_owner(node));
        items.filter(|item| !self.is_left(&item.name, node)).cloned().collect()
    }

    /// Whether it is left to another node to bring a key to `to`.
    pub(super) fn is_left(&self, name: &ObjectName, to: NodeIndex) -> bool {
        let mover = self.agent.left_to(name, to);
        mover.is_some_and(|mover| !(self.moves && mover == self.agent.map.own()))
    }

    /// Whether some owner of a stray is brought it by another node: then it stays, and nobody need be asked.
    pub(super) fn is_left_to_others(&self, stray: &Stray) -> bool {
        let is_left = stray.owners.iter().any(|owner| stray.moves && self.is_left(&stray.item.name, *owner));
        add(&self.counts.left, usize::from(is_left));
        is_left
    }

    /// Removes strays, as far as `peers` are their owners and have them.
    pub(super) async fn remove_strays(&self, mut strays: Vec<Stray>, peers: &[NodeIndex]) {
        if strays.is_empty() {
            return;
        }
        // Not in between: what owners have confirmed is to be acted upon while it is so.
        self.agent.throttle.unpaused().await;
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
        if strays.iter().any(|stray| stray.fate() != Fate::Stays) {
            step(Step::StraysConfirmed);
        }
        // A web server may have been told to send one before this node ceased to own it.
        let rest = REMOVED_AFTER.saturating_sub(self.agent.maps.since().elapsed());
        tokio::time::sleep(rest).await;
        let (store, maps) = (Arc::clone(&self.agent.store), Arc::clone(&self.agent.maps));
        let epoch = self.agent.map.epoch_in_force();
        let ended = on_thread(move || {
            let end = |stray: &Stray| {
                // What was confirmed under one map says nothing about the next, under which this node may be an owner.
                let ended = store
                    .hold_maps()
                    .and_then(|_these| if maps.is_in_force(epoch) { stray.end(&store) } else { Ok(false) });
                // Who has replaced it meanwhile has taken it away from here.
                let is_gone = || Ok(store.held(&stray.item.name)? == Held::Nothing);
                ended.and_then(|ended| if ended { Ok(true) } else { is_gone() })
            };
            let ended = store.remove_together(|| strays.iter().map(end).collect::<Vec<_>>());
            (strays, ended)
        });
        let (strays, ended) = ended.await;
        let ended = match ended {
            Ok(ended) => ended,
            // They may be there again after a loss of power: the next pass knows.
            Err(error) => return strays.iter().for_each(|stray| self.leave(&stray.item.name, &error)),
        };
        for (result, stray) in ended.into_iter().zip(&strays) {
            match (result, stray.fate()) {
                (Err(error), _) => self.leave(&stray.item.name, &error),
                (Ok(false), _) => {
                    log::debug!("{} belongs elsewhere and stays until its owners answer", stray.item.name);
                    add(&self.counts.strays, 1);
                }
                (Ok(true), Fate::Stays | Fate::Goes) => add(&self.counts.removed, 1),
                (Ok(true), Fate::Quarantine) => add(&self.counts.quarantined, 1),
            }
        }
    }

    /// Sends a node what it owns now of what moves, as far as it has nothing as new.
    ///
    /// # Errors
    /// When the node does not answer, or this node's disk fails.
    pub(super) async fn move_to(&self, node: NodeIndex, moving: &[Item]) -> Result<(), TransferError> {
        let mut left = moving;
        while !left.is_empty() {
            let mut bytes = 0;
            let fitting = left.iter().take(HAVE_KEYS_MAX).take_while(|item| {
                bytes += item.name.url_path().len();
                bytes <= HAVE_NAME_BYTES_MAX
            });
            let (these, rest) = left.split_at(fitting.count().max(1));
            left = rest;
            let nowhere = NameHash::default();
            let order = HaveOrder { from: nowhere, to: Some(nowhere), items: these.to_vec(), durable: false };
            let answer = self.agent.peers.have(&self.agent.map, node, &order).await?;
            let lacking = answer.different.into_iter().filter_map(|(place, theirs)| {
                let Item { name, held } = these.get(place)?;
                theirs.supersedes(held).is_lt().then(|| Item { name: name.clone(), held: theirs })
            });
            self.settle(node, lacking.collect()).await?;
        }
        Ok(())
    }

    /// Asks one owner for some of the strays, and offers it what it lacks of those that a person has put here.
    async fn confirm(
        &self,
        owner: NodeIndex,
        places: &[usize],
        strays: &mut [Stray],
    ) -> Result<(), TransferError> {
        let nowhere = NameHash::default();
        let items = places.iter().map(|place| strays[*place].item.clone()).collect();
        let order = HaveOrder { from: nowhere, to: Some(nowhere), items, durable: true };
        let answer = self.agent.peers.have(&self.agent.map, owner, &order).await?;
        let different: BTreeMap<_, _> = answer.different.into_iter().collect();
        let mut offered = Vec::new();
        for (place, number) in places.iter().enumerate() {
            let stray = &mut strays[*number];
            let theirs =
                different.get(&place).map_or(Ordering::Equal, |theirs| theirs.supersedes(&stray.item.held));
            match (theirs, &stray.by_hand) {
                (Ordering::Less, Some(found)) => offered.push((*number, found.copy)),
                (Ordering::Less, None) => stray.answers.extend(self.lacked(owner, stray).await),
                _ => stray.answers.push(theirs),
            }
        }
        let (small, large): (Vec<_>, Vec<_>) = offered.into_iter().partition(|(_, copy)| is_small(copy));
        for places in batches(small) {
            self.offer_together(owner, &places, strays).await?;
        }
        for (place, _) in large {
            let stray = &mut strays[place];
            stray.answers.extend(self.offer(owner, stray).await);
        }
        Ok(())
    }

    /// What an owner holds that lacks a stray. Nothing if that cannot be said.
    async fn lacked(&self, owner: NodeIndex, stray: &Stray) -> Option<Ordering> {
        let Item { name, held } = &stray.item;
        // It is sent it, now or in the next pass.
        if stray.moves {
            return None;
        }
        // One that is incomplete is being offered what it lacks by the others.
        let answer = self.agent.peers.ask(&self.agent.map, owner, name).await.ok()?;
        answer.counts().then(|| answer.held.supersedes(held)).filter(|order| order.is_lt())
    }

    /// Sends an owner a file that a person has put here. What it holds then; nothing if that cannot be said.
    async fn offer(&self, owner: NodeIndex, stray: &Stray) -> Option<Ordering> {
        let (name, found) = (&stray.item.name, stray.by_hand.clone()?);
        let (store, copy) = (Arc::clone(&self.agent.store), found.copy);
        let sent = match on_thread(move || store.open_by_hand(&found)).await {
            Ok(file) => self.agent.send_file(owner, name, &Arc::new(file?), copy).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(outcome) => {
                if outcome != Outcome::HoldsNewer {
                    self.note_sent(copy.size);
                }
                Some(theirs(outcome))
            }
            Err(error) => {
                self.leave(name, &error);
                None
            }
        }
    }

    /// The same with small files, and what the owner holds then is noted.
    async fn offer_together(
        &self,
        owner: NodeIndex,
        places: &[usize],
        strays: &mut [Stray],
    ) -> Result<(), TransferError> {
        let store = Arc::clone(&self.agent.store);
        let asked: Vec<_> = places.iter().map(|place| (*place, strays[*place].by_hand.clone())).collect();
        let opened = on_thread(move || {
            let open = |found: Option<ByHand>| found.map_or(Ok(None), |found| store.open_by_hand(&found));
            asked.into_iter().map(|(place, found)| (place, open(found))).collect::<Vec<_>>()
        });
        let (mut files, mut sent) = (Vec::new(), Vec::new());
        for (place, file) in opened.await {
            let Item { name, held } = &strays[place].item;
            let Held::Copy(CopyInfo { version, size, crc32: Some(crc32) }) = *held else { continue };
            match file {
                Ok(Some(file)) => {
                    let copy = BatchCopy { name: name.clone(), version, crc32, size };
                    files.push((copy, Arc::new(file)));
                    sent.push(place);
                }
                Ok(None) => {}
                Err(error) => self.leave(name, &error),
            }
        }
        let outcomes = self.send_together(owner, files).await?;
        for (place, outcome) in sent.into_iter().zip(outcomes) {
            strays[place].answers.extend(outcome.map(theirs));
        }
        Ok(())
    }
}

/// What a node holds that was sent a copy, against that.
fn theirs(outcome: Outcome) -> Ordering {
    match outcome {
        Outcome::HoldsNewer => Ordering::Greater,
        Outcome::Done | Outcome::AlreadyHeld => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use Ordering::{Equal, Greater, Less};

    use super::*;
    use crate::version::Version;

    const COPY: Held = Held::Copy(CopyInfo { version: Version::from_nanos(5), size: 1, crc32: Some(1) });
    const TOMBSTONE: Held = Held::Tombstone { version: Version::from_nanos(5) };

    fn stray(held: Held, moves: bool, answers: &[Ordering]) -> Stray {
        let name = ObjectName::from_bytes(b"x").unwrap();
        let owners = [1, 2].map(NodeIndex::new).to_vec();
        Stray { answers: answers.to_vec(), ..Stray::new(Item { name, held }, owners, moves) }
    }

    #[test]
    fn a_copy_goes_only_when_every_owner_has_it_and_nothing_that_somebody_may_miss_goes() {
        for (answers, fate) in [
            (&[][..], Fate::Stays),
            (&[Equal], Fate::Stays),
            (&[Less], Fate::Stays),
            (&[Equal, Equal], Fate::Goes),
            (&[Greater, Equal], Fate::Goes),
            (&[Equal, Less], Fate::Quarantine),
            (&[Less, Greater], Fate::Quarantine),
        ] {
            assert_eq!(stray(COPY, false, answers).fate(), fate, "{answers:?}");
        }
    }

    #[test]
    fn a_tombstone_goes_when_every_owner_has_answered_and_those_to_which_it_moves_have_it() {
        for (moves, answers, fate) in [
            (false, &[Equal][..], Fate::Stays),
            (false, &[Equal, Less], Fate::Goes),
            (true, &[Equal, Less], Fate::Stays),
            (true, &[Equal, Greater], Fate::Goes),
        ] {
            assert_eq!(stray(TOMBSTONE, moves, answers).fate(), fate, "{moves} {answers:?}");
        }
    }

    #[test]
    fn what_moves_is_for_those_that_own_it_now() {
        let node = NodeIndex::new;
        for (moves, to, is_for) in [(true, 1, true), (false, 1, false), (true, 3, false)] {
            assert_eq!(stray(COPY, moves, &[]).for_owner(node(to)).is_some(), is_for, "{moves} {to}");
        }
    }
}
