//! What a lookup did, step by step, for those who ask why an object is where it is. Lookups are generic over
//! [`Trace`]; the silent one, `()`, costs nothing, so that what is explained is the very code that places.

use crate::cluster::NodeIndex;

/// Who listens to a lookup.
pub trait Trace {
    /// Whether anyone does; steps that only a listener needs are left out otherwise.
    const LISTENS: bool;

    /// Takes note of a step. `event` is only called where someone listens.
    fn note(&mut self, event: impl FnOnce() -> Event);
}

/// Nobody listens.
impl Trace for () {
    const LISTENS: bool = false;

    #[inline(always)]
    fn note(&mut self, _event: impl FnOnce() -> Event) {}
}

/// Everything is kept, in order.
impl Trace for Vec<Event> {
    const LISTENS: bool = true;

    fn note(&mut self, event: impl FnOnce() -> Event) {
        self.push(event());
    }
}

/// One step of a lookup. Draws and chances are shares of 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The key is reduced to a number that everything else is drawn from: the original webDFS does so.
    Seed {
        /// The number.
        seed: u32,
    },
    /// A draw decides whether a replica falls on a sub-cluster.
    Draw {
        /// The position of the sub-cluster in the map.
        subcluster: u32,
        /// Which replica, where the algorithm looks for each on its own; else which draw.
        replica: u32,
        /// What was drawn.
        draw: f64,
        /// A draw below this is a hit. With `webdfs_rush_r` one equal to it is, too; with `webdfs_rush_p` one below it is
        /// none if the turn falls past the end of a sub-cluster of fewer nodes than replicas.
        chance: f64,
        /// Whether it was one.
        hit: bool,
    },
    /// So many replicas fall on a sub-cluster.
    Take {
        /// The position of the sub-cluster in the map.
        subcluster: u32,
        /// How many.
        count: u32,
        /// How many of them because the older sub-clusters cannot hold them.
        forced: u32,
    },
    /// A subtree of sub-clusters waits, against the others of its node, to receive a replica.
    Wait {
        /// Which replica.
        replica: u32,
        /// The label of the subtree.
        label: u32,
        /// The position of its oldest sub-cluster of weight above 0 in the map.
        oldest: u32,
        /// That of its newest.
        newest: u32,
        /// The weight of all its nodes.
        weight: f64,
        /// How long it waits, in no unit: half-lives divided by the weight.
        wait: f64,
        /// Whether that is the shortest, and so the replica goes there.
        shortest: bool,
    },
    /// A server of a sub-cluster is chosen.
    Pick {
        /// The position of the sub-cluster in the map.
        subcluster: u32,
        /// Which replica it holds; that is the rank of the owner, from 0.
        replica: u32,
        /// The server.
        node: NodeIndex,
    },
    /// An owner that is out, or that the algorithm did not find, is replaced.
    Substitute {
        /// Its rank, from 0.
        rank: usize,
        /// The owner that is out; none where the algorithm found too few.
        out: Option<NodeIndex>,
        /// Who takes its place.
        node: NodeIndex,
        /// How many candidates did not fit: out themselves, or in a failure domain that holds an owner.
        passed_over: u32,
    },
    /// A CRUSH rule goes on from a device or bucket.
    CrushTake {
        /// Its id.
        item: i32,
    },
    /// A CRUSH bucket chooses one of its items.
    CrushChoose {
        /// The bucket's id.
        bucket: i32,
        /// The number that it chose by: another one may give another item.
        attempt: u32,
        /// The id of the item.
        item: i32,
    },
    /// A CRUSH bucket has nothing to choose from.
    CrushEmpty {
        /// The bucket's id.
        bucket: i32,
    },
    /// The item chosen last was found before.
    CrushCollision {
        /// Its id.
        item: i32,
    },
    /// The device chosen last is out.
    CrushOut {
        /// Its id.
        device: i32,
    },
    /// No device could be found below a CRUSH bucket that was chosen.
    CrushNoDevice {
        /// The bucket's id.
        bucket: i32,
    },
    /// What a CRUSH rule found for an owner.
    CrushOwner {
        /// Its rank, from 0.
        rank: usize,
        /// The id of the device, or [`HOLE`](super::crush::HOLE).
        device: i32,
        /// The node that the device is; none for a hole, for one in the failure domain of an owner found before, and for
        /// one that must not hold a replica.
        node: Option<NodeIndex>,
    },
    /// All attempts for an item failed.
    CrushGaveUp {
        /// Which of the items that the step looks for under one bucket, from 0.
        rank: u32,
    },
}
