//! What is to be cleared up among keys that are compared: copies that belong elsewhere, and tombstones that have done their
//! part. For both every owner is asked for what it holds durably; equal digests are no such answer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use super::Pass;
use super::tombstones::{Ending, is_due};
use crate::clock;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::name::ObjectName;
use crate::peer::reconcile::{DURABLE_KEYS_MAX, HAVE_NAME_BYTES_MAX, Tombstone};
use crate::store::StoreError;

/// Tombstones of which others are asked together: enough to fill the questions to several owners.
const KEYS_AT_ONCE: usize = 1024;
/// What a key that is to be made durable takes of the throttle, since a disk has to write for it.
pub const DURABLE_KEY_BYTES: u64 = 4096;

impl Pass<'_> {
    /// Ends the tombstones that have done their part, as far as all their owners are among `peers`.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn end_due(
        &self,
        mut tombstones: Vec<(Tombstone, Vec<NodeIndex>)>,
        peers: &[NodeIndex],
    ) -> Result<(), StoreError> {
        tombstones.retain(|(_, owners)| owners.iter().all(|owner| peers.contains(owner)));
        let store = Arc::clone(&self.agent.store);
        let due = on_thread(move || {
            let (mut due, now) = (Vec::new(), clock::now());
            for (tombstone, owners) in tombstones {
                let agreed = store.tombstone_agreed(&tombstone.name, tombstone.version)?;
                if is_due(agreed, tombstone.version, now) {
                    due.push(Ending::new(tombstone, owners));
                }
            }
            Ok::<_, StoreError>(due)
        });
        let mut due = due.await?.into_iter();
        loop {
            let together: Vec<_> = due.by_ref().take(KEYS_AT_ONCE).collect();
            if together.is_empty() {
                return Ok(());
            }
            self.agent.throttle.unpaused().await;
            self.end_tombstones(together).await?;
        }
    }

    /// The next question, once it is its turn.
    pub(super) async fn next_question(&self, questions: &mut Questions) -> Option<(NodeIndex, Vec<usize>)> {
        let next = questions.0.pop_front()?;
        self.agent.throttle.take(DURABLE_KEY_BYTES * next.1.len() as u64).await;
        Some(next)
    }
}

/// What is to be asked of owners: of each about no more keys at once than it can make durable in time. The keys are named by
/// their places in a list.
pub(super) struct Questions(VecDeque<(NodeIndex, Vec<usize>)>);

impl Questions {
    /// Each of these owners about each of its keys.
    pub(super) fn about<'a>(keys: impl Iterator<Item = (&'a ObjectName, &'a [NodeIndex])>) -> Self {
        let mut of_owner = BTreeMap::<NodeIndex, Vec<(Vec<usize>, usize)>>::new();
        for (place, (name, owners)) in keys.enumerate() {
            let bytes = name.url_path().len();
            for owner in owners {
                let questions = of_owner.entry(*owner).or_default();
                match questions.last_mut() {
                    Some((places, name_bytes))
                        if places.len() < DURABLE_KEYS_MAX && *name_bytes + bytes <= HAVE_NAME_BYTES_MAX =>
                    {
                        places.push(place);
                        *name_bytes += bytes;
                    }
                    _ => questions.push((vec![place], bytes)),
                }
            }
        }
        let of_owner = of_owner.into_iter();
        let questions = of_owner
            .flat_map(|(owner, questions)| questions.into_iter().map(move |(places, _)| (owner, places)));
        Self(questions.collect())
    }

    /// An owner does not do as asked: it is asked no more.
    pub(super) fn give_up(&mut self, owner: NodeIndex, error: &dyn Display) {
        log::debug!("some keys are not cleared up: {error}");
        self.0.retain(|(node, _)| *node != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_is_asked_about_all_of_its_keys_in_questions_that_are_bounded() {
        let name = |number: usize| {
            let name = format!("{}{number}", "%".repeat(if number < 50 { 900 } else { 3 }));
            ObjectName::from_bytes(name.as_bytes()).unwrap()
        };
        let node = NodeIndex::new;
        let keys: Vec<_> = (0..500)
            .map(|number| {
                (name(number), if number % 2 == 0 { vec![node(1), node(2)] } else { vec![node(2)] })
            })
            .collect();
        let questions = Questions::about(keys.iter().map(|(name, owners)| (name, &owners[..]))).0;
        for owner in [node(1), node(2)] {
            let asked: Vec<_> = questions
                .iter()
                .filter(|(of, _)| *of == owner)
                .flat_map(|(_, places)| places.clone())
                .collect();
            let owned: Vec<_> = (0..500).filter(|place| keys[*place].1.contains(&owner)).collect();
            assert_eq!(asked, owned);
        }
        for (_, places) in &questions {
            let bytes: usize = places.iter().map(|place| keys[*place].0.url_path().len()).sum();
            assert!(
                places.len() <= DURABLE_KEYS_MAX && bytes <= HAVE_NAME_BYTES_MAX,
                "{} {bytes}",
                places.len()
            );
        }
    }
}
