//! Where an object is: [`locate`] computes from a map and a key the nodes that hold the replicas, in rank order
//! (design, section 10).
//!
//! Here are the one entry point and what all algorithms share; each algorithm has a file of its own. Pure
//! arithmetic on an accepted map: it cannot fail, wait or allocate, and it gives the same answer in every process
//! and every release, because files lie on disk by it. `tests/golden/placement` pins the answers.
//!
//! `key.rs` and `mixer.rs` give the numbers everything starts from; `rush_r.rs`, `rush_p.rs` and `rush_t.rs` are
//! the algorithms, and `server.rs` is what two of them share; `crush_owners.rs` makes nodes of what `crush/` finds;
//! `webdfs_php.rs` gives the placements of the original webDFS; `substitute.rs` replaces owners that are marked out;
//! `batch.rs` looks up many keys on all cores, `paired.rs` tells what moves when owners change; `narrate` tells in words what `trace.rs` noted. Further algorithms go
//! beside them, each with a [`PlacementKind`](crate::cluster::PlacementKind) and a line in [`locate_traced`].

mod batch;
pub mod crush;
mod crush_owners;
mod key;
mod mixer;
pub mod narrate;
mod paired;
mod rush_p;
pub mod rush_r;
mod rush_t;
mod server;
mod substitute;
mod trace;
mod webdfs_php;

// Weights and draws are doubles. With SSE2, and on all other processors, each result is rounded to one; without, it
// is kept longer for as long as the compiler likes, and files would be looked for where they are not.
#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!("placement needs a processor that rounds each result to a double: build for one with SSE2");

use std::fmt;
use std::ops::Deref;

use crate::cluster::{Algorithm, ClusterMap, NodeIndex, REPLICAS_MAX};

pub use batch::{fold_batch, locate_batch};
pub use key::ObjectKey;
pub use mixer::{Mixer, Purpose};
pub use paired::Paired;
pub use trace::{Event, Trace};

/// The owners of the object of that key: [`ClusterMap::replicas`] distinct nodes, all in service and of weight above
/// 0; under CRUSH all in different failure domains, unless a rule of the user's own finds two in one.
#[inline(always)]
pub fn locate(map: &ClusterMap, key: ObjectKey) -> Replicas {
    locate_traced(map, key, &mut ())
}

/// As [`locate`], telling `trace` each step.
// Inlined, so that the owners are written where the caller wants them: returned from a call of its own they would be
// copied, and reading back what was written just now, in larger pieces, takes the processor longer than a small
// lookup. The algorithms are not, so that none of them takes registers from another.
#[inline(always)]
pub fn locate_traced(map: &ClusterMap, key: ObjectKey, trace: &mut impl Trace) -> Replicas {
    let mixer = Mixer::new(key);
    let mut owners = Replicas::new();
    match map.algorithm() {
        Algorithm::RushR => rush_r::locate_into(map.slots(), &mixer, &mut owners, trace),
        Algorithm::RushP(shares) => rush_p::locate_into(map.slots(), shares, mixer, &mut owners, trace),
        Algorithm::RushT(tree) => rush_t::locate_into(map.slots(), tree, mixer, &mut owners, trace),
        Algorithm::Webdfs(table) => webdfs_php::locate_into(table, key, &mut owners, trace),
        Algorithm::Crush(table) => {
            crush_owners::locate_into(map, table, key, &mut owners, trace);
            return owners; // with its own substitutes
        }
    }
    if map.any_out() {
        substitute::replace_out(map, mixer, &mut owners, trace);
    }
    owners
}

/// The nodes that hold an object's replicas, in rank order, without a repeat. A slice of [`NodeIndex`] that needs
/// no allocation.
#[derive(Clone, Copy)]
pub struct Replicas {
    /// Those from `count` on mean nothing.
    nodes: [NodeIndex; REPLICAS_MAX],
    /// At most [`REPLICAS_MAX`].
    count: usize,
}

impl Replicas {
    #[inline]
    fn new() -> Self {
        Self { nodes: [NodeIndex::new(0); REPLICAS_MAX], count: 0 }
    }

    #[inline]
    fn extend(&mut self, nodes: &[NodeIndex]) {
        self.nodes[self.count..][..nodes.len()].copy_from_slice(nodes);
        self.count += nodes.len();
    }

    /// The rank of `node`, from 0, if it is an owner.
    pub fn rank_of(&self, node: NodeIndex) -> Option<usize> {
        self.iter().position(|owner| *owner == node)
    }
}

impl Deref for Replicas {
    type Target = [NodeIndex];

    fn deref(&self) -> &[NodeIndex] {
        &self.nodes[..self.count]
    }
}

impl<'a> IntoIterator for &'a Replicas {
    type Item = &'a NodeIndex;
    type IntoIter = std::slice::Iter<'a, NodeIndex>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Replicas {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Replicas {}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|node| node.get())).finish()
    }
}
