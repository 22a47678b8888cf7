//! What the steps of a lookup are, with names in place of numbers: for programs that read them as JSON.
//!
//! What must never be here: words for people. They go beside the values, in [`Step`](super::Step).

use serde::Serialize;

#[cfg(doc)]
use crate::placement::Event;

/// What happened in a step: an [`Event`] with names in place of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Values {
    /// [`Event::Seed`].
    Seed {
        /// The number.
        seed: u32,
    },
    /// [`Event::Draw`].
    Draw {
        /// The name of the sub-cluster.
        subcluster: String,
        /// As in the event, from 0.
        replica: u32,
        /// What was drawn, from 0 to 1.
        draw: f64,
        /// A draw below this is a hit; from 0 to 1.
        chance: f64,
        /// Whether it was one.
        hit: bool,
    },
    /// [`Event::Take`].
    Take {
        /// The name of the sub-cluster.
        subcluster: String,
        /// How many replicas it receives.
        count: u32,
        /// How many of them because the older sub-clusters cannot hold them.
        forced: u32,
    },
    /// The [`Event::Wait`]s of one branching, from the oldest branch to the newest.
    Branching {
        /// As in the event, from 0.
        replica: u32,
        /// At least one.
        branches: Vec<Branch>,
    },
    /// [`Event::Pick`].
    Pick {
        /// The name of the sub-cluster.
        subcluster: String,
        /// As in the event, from 0.
        replica: u32,
        /// The name of the node.
        node: String,
    },
    /// [`Event::Substitute`].
    Substitute {
        /// The rank of the owner, from 1.
        owner: usize,
        /// The node that is out; none where too few were found.
        out: Option<String>,
        /// The node in its place.
        node: String,
        /// How many candidates were passed over.
        passed_over: u32,
    },
    /// [`Event::CrushTake`].
    CrushTake {
        /// What is taken.
        item: String,
    },
    /// [`Event::CrushChoose`], one below the other, and what ends them: [`Event::CrushEmpty`],
    /// [`Event::CrushCollision`] or [`Event::CrushOut`].
    CrushDescent {
        /// The bucket that chooses first.
        from: String,
        /// What is chosen, from the top down; at least one, except where `from` is empty.
        choices: Vec<Choice>,
        /// Why the last of them, or `from`, cannot be used; none if it can.
        failure: Option<&'static str>,
    },
    /// [`Event::CrushNoDevice`].
    CrushFailure {
        /// What was chosen.
        item: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// [`Event::CrushGaveUp`].
    CrushGaveUp {
        /// As in the event, from 0.
        rank: u32,
    },
    /// [`Event::CrushOwner`], for all of them.
    CrushOwners {
        /// By rank.
        owners: Vec<Found>,
    },
}

/// A branch of a tree, which waits to receive a replica.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Branch {
    /// The label of the subtree.
    pub label: u32,
    /// The name of its oldest sub-cluster of weight above 0.
    pub oldest: String,
    /// The name of its newest.
    pub newest: String,
    /// The weight of all its nodes.
    pub weight: f64,
    /// How long it waits.
    pub wait: f64,
    /// Whether that is the shortest, and so the replica goes there.
    pub shortest: bool,
}

/// What a bucket chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The number of the draw, from 1.
    pub draw: u64,
    /// What it leads to.
    pub item: String,
}

/// What CRUSH found for an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The rank of the owner, from 1.
    pub owner: usize,
    /// The device; none where there is a hole.
    pub device: Option<String>,
    /// The node; none where the device is no owner.
    pub node: Option<String>,
}
