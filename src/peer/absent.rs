//! Which nodes are known to be down without having been asked. Gossip knows it in one process of the root, and tells the
//! others by a file there (`store/down.rs`).
//!
//! It is a belief, and saves time only: such a node is asked after all others, and is not waited for where those suffice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cluster::NodeName;
use crate::store::Store;

/// How long what was read is believed. A look costs less than a message to another node, and is taken only where one is
/// about to be sent.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a root says of nodes that are down. Without a root nobody is.
#[derive(Clone, Default)]
pub(super) struct Absent(Option<Arc<Look>>);

struct Look {
    store: Arc<Store>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    names: BTreeSet<NodeName>,
}

impl Absent {
    pub(super) fn of(store: Arc<Store>) -> Self {
        Self(Some(Arc::new(Look { store, seen: Mutex::default() })))
    }

    /// Whether a node is known to be down.
    pub(super) fn contains(&self, name: &NodeName) -> bool {
        let Some(look) = &self.0 else { return false };
        let mut seen = look.seen.lock().expect("no holder panics");
        if seen.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            let names = look.store.nodes_down().unwrap_or_else(|error| {
                log::debug!("which nodes are down is not known: {error}");
                BTreeSet::new()
            });
            *seen = Seen { at: Some(Instant::now()), names };
        }
        seen.names.contains(name)
    }
}
