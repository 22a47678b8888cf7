//! Who brings what when the map changes. Each file that moves to a node is brought there by one of those that owned it
//! ([`mover`]), and the others leave that to it: what several send at the same time travels in vain.
//!
//! That is a matter of economy alone. Once a node has tried to bring all that it gives up, answers no more, or lacks
//! something itself, the others leave nothing to it any longer, and compare what they hold as ever: so nothing stays where
//! it is because one node fails, and nothing counts as passed before all of it is where it belongs.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::Agent;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::name::ObjectName;
use crate::peer::message::HelloAnswer;
use crate::resolve::mover;

/// What is known of the nodes that give files up under the map in force. Nothing, at first: they are taken to be at it.
#[derive(Debug, Default)]
pub struct Movers {
    known: Mutex<HashMap<NodeIndex, Mover>>,
    /// Those that did not answer when they were last asked.
    silent: Mutex<HashSet<NodeIndex>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mover {
    /// It is at it, or about to be.
    Moves,
    /// It has tried to bring all that it gives up.
    HasMoved,
    /// It does not answer, or lacks something itself.
    Cannot,
}

impl Movers {
    /// A node has answered, under this epoch.
    pub(super) fn hear(&self, node: NodeIndex, answer: &HelloAnswer, epoch: u64) {
        self.silent.lock().expect("no holder panics").remove(&node);
        self.set(
            node,
            match answer {
                _ if answer.moved == epoch || answer.passed == epoch => Mover::HasMoved,
                _ if answer.complete => Mover::Moves,
                _ => Mover::Cannot,
            },
        );
    }

    /// A node has not answered.
    pub(super) fn miss(&self, node: NodeIndex) {
        self.silent.lock().expect("no holder panics").insert(node);
        let mut movers = self.known.lock().expect("no holder panics");
        let known = movers.entry(node).or_insert(Mover::Cannot);
        if *known == Mover::Moves {
            *known = Mover::Cannot;
        }
    }

    fn set(&self, node: NodeIndex, mover: Mover) {
        self.known.lock().expect("no holder panics").insert(node, mover);
    }

    fn of(&self, node: NodeIndex) -> Mover {
        let movers = self.known.lock().expect("no holder panics");
        movers.get(&node).copied().unwrap_or(Mover::Moves)
    }

    /// Whether a node did not answer when it was last asked.
    pub(super) fn is_silent(&self, node: NodeIndex) -> bool {
        self.silent.lock().expect("no holder panics").contains(&node)
    }

    /// Whether what a node is to bring is left to it.
    pub(super) fn is_at_it(&self, node: NodeIndex) -> bool {
        self.of(node) == Mover::Moves
    }
}

impl Agent {
    /// The node to which it is left to bring an object to `to`: another one, or this node's full pass. None: whoever
    /// compares may.
    pub(super) fn left_to(&self, name: &ObjectName, to: NodeIndex) -> Option<NodeIndex> {
        if self.map.older().is_empty() {
            return None;
        }
        let can_move = |node| self.movers.of(node) != Mover::Cannot;
        mover(&self.map, name, to, can_move).filter(|mover| self.movers.is_at_it(*mover))
    }

    /// Whether a node that gives files up under the map in force is at it still.
    pub(super) fn are_movers_at_it(&self) -> bool {
        let Some(oldest) = self.map.older().first() else { return false };
        self.map.settlers().any(|node| oldest.can_own(node) && self.movers.is_at_it(node))
    }

    /// What this node knows of itself from before it was started.
    pub(super) async fn recall_moved(&self) {
        let (store, epoch) = (self.store.clone(), self.map.epoch_in_force());
        if on_thread(move || store.agent_record().moved).await == epoch {
            self.movers.set(self.map.own(), Mover::HasMoved);
        }
    }

    /// This node has tried to bring all that it gives up.
    pub(super) async fn has_moved(&self) {
        let own = self.map.own();
        if self.map.older().is_empty() || !self.movers.is_at_it(own) {
            return;
        }
        let (store, epoch) = (self.store.clone(), self.map.epoch_in_force());
        let remembered = on_thread(move || store.remember(|record| record.moved = epoch)).await;
        match remembered {
            Ok(()) => {
                log::info!("this node has brought the others what they get from it");
                self.movers.set(own, Mover::HasMoved);
            }
            Err(error) => log::warn!("others wait for what this node has brought already: {error}"),
        }
    }
}
