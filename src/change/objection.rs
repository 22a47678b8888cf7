//! What must not happen to a cluster unless someone says that it shall: each objection has a word to say so with.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::difference::Names;
use super::pairing::Pairing;
use super::{Moves, SAMPLE};
use crate::cluster::{Algorithm, ClusterMap, Epoch, NodeIndex, NodeName, NodeState, NodeUrl, SubClusterName};
use crate::sim::held_only_by;

/// A change may move so many times what it has to.
pub const MOVES_MAX: f64 = 3.0;

/// How many standard deviations of what chance does to the sample are not held against a change.
const MOVES_DEVIATIONS: f64 = 4.0;

/// Something that speaks against a change of the map.
#[derive(Clone, Debug, PartialEq)]
pub enum Objection {
    /// The new map is not newer.
    Epoch {
        /// The epoch of the old map.
        old: Epoch,
        /// The epoch of the new one.
        new: Epoch,
        /// Whether they are one and the same map.
        same: bool,
    },
    /// Epochs are left out.
    Jump {
        /// The epoch of the old map.
        old: Epoch,
        /// The epoch of the new one.
        new: Epoch,
    },
    /// Sub-clusters that both maps have are in another position.
    SubClusters(Vec<SubClusterName>),
    /// Nodes that both maps have are in another slot.
    Slots(Names),
    /// Nodes that hold files under the old map are not in the new one, and no other node takes over their slots.
    Dropped(Names),
    /// A node that holds files shall go on under another name, by its url: the old name, and the new one. A root belongs to
    /// one name.
    Renamed(NodeName, NodeName),
    /// A name that is out of use, and whose node holds files still under the map of that epoch, comes back for another
    /// machine.
    Reused(NodeName, Epoch),
    /// Each file shall have fewer copies.
    Replicas(usize, usize),
    /// As many nodes are lost at once as hold all copies of a file.
    Copies {
        /// The nodes.
        lost: Names,
        /// The copies of a file under the old map.
        replicas: usize,
        /// The part of made-up files whose copies are all on these nodes.
        share: f64,
    },
    /// More than [`MOVES_MAX`] times what has to move.
    Moves(Moves),
    /// A node has less room than what would come to it: its name, the bytes that come, and those that are free.
    Space(NodeName, u64, u64),
    /// Nodes that hold files of an original webDFS whose names are not known, and how many these are.
    Nameless(Names, u64),
}

/// What an objection is called, to say that it does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectionWord {
    /// [`Objection::Epoch`], which always counts.
    Epoch,
    /// [`Objection::Jump`].
    Jump,
    /// [`Objection::SubClusters`].
    SubClusters,
    /// [`Objection::Slots`] and [`Objection::Reused`].
    Slots,
    /// [`Objection::Dropped`] and [`Objection::Renamed`].
    Dropped,
    /// [`Objection::Replicas`].
    Replicas,
    /// [`Objection::Copies`].
    Copies,
    /// [`Objection::Moves`].
    Moves,
    /// [`Objection::Space`].
    Space,
    /// [`Objection::Nameless`].
    Nameless,
}

/// A word that no objection has, or one that always counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is nothing that can be forced; it can be one of {}", forcible_words())]
pub struct UnknownWord {
    /// The word.
    pub given: String,
}

/// What speaks against a change.
pub(super) fn objections(pairing: &Pairing<'_>, moves: &Moves) -> Vec<Objection> {
    let (old, new) = (pairing.old, pairing.new);
    let mut found = Vec::new();
    if new.epoch() <= old.epoch() {
        let same = new.fingerprint() == old.fingerprint();
        found.push(Objection::Epoch { old: old.epoch(), new: new.epoch(), same });
    } else if new.epoch().get() - old.epoch().get() > 1 {
        found.push(Objection::Jump { old: old.epoch(), new: new.epoch() });
    }
    found.extend(subclusters(pairing));
    found.extend(slots(pairing, !found.iter().any(|one| one.word() == ObjectionWord::SubClusters)));
    found.extend(dropped(pairing));
    found.extend(renamed(pairing));
    if new.replicas() < old.replicas() {
        found.push(Objection::Replicas(old.replicas(), new.replicas()));
    }
    found.extend(copies(pairing));
    let by_chance = MOVES_DEVIATIONS * (moves.moved as f64).sqrt();
    if moves.moved as f64 - by_chance > MOVES_MAX * moves.optimum {
        found.push(Objection::Moves(*moves));
    }
    found
}

fn subclusters(pairing: &Pairing<'_>) -> Option<Objection> {
    if !pairing.order_counts() {
        return None;
    }
    let names: Vec<_> = pairing.moved_subclusters().map(|one| one.name().clone()).collect();
    (!names.is_empty()).then_some(Objection::SubClusters(names))
}

/// `by_number`: whether to look at the numbers, too, which change with the order of the sub-clusters anyhow.
fn slots(pairing: &Pairing<'_>, by_number: bool) -> Option<Objection> {
    let moved = pairing
        .nodes()
        .filter(|(old, new)| pairing.has_moved(*old, *new) || by_number && pairing.is_renumbered(*old, *new));
    let names: Vec<_> = moved.map(|(_, new)| pairing.new.node(new).name().clone()).collect();
    (!names.is_empty()).then_some(Objection::Slots(Names(names)))
}

fn dropped(pairing: &Pairing<'_>) -> Option<Objection> {
    let replacements = pairing.replacements();
    let dropped = pairing
        .gone()
        .filter(|(index, node)| holds(pairing.old, *index) && !replacements.contains_key(node.name()));
    let names: Vec<_> = dropped.map(|(_, node)| node.name().clone()).collect();
    (!names.is_empty()).then_some(Objection::Dropped(Names(names)))
}

fn renamed(pairing: &Pairing<'_>) -> Vec<Objection> {
    let by_url: HashMap<&NodeUrl, &NodeName> =
        pairing.new.nodes().iter().map(|node| (node.url(), node.name())).collect();
    let gone = pairing.gone().filter(|(index, _)| holds(pairing.old, *index));
    let renamed = gone.filter_map(|(_, node)| {
        let other = *by_url.get(node.url())?;
        Some(Objection::Renamed(node.name().clone(), other.clone()))
    });
    renamed.collect()
}

fn copies(pairing: &Pairing<'_>) -> Option<Objection> {
    let (lost, replicas) = (lost(pairing), pairing.old.replicas());
    if apart(pairing.old, &lost) < replicas {
        return None;
    }
    let share = share_held_by(pairing.old, &lost);
    let names = lost.iter().map(|node| pairing.old.node(*node).name().clone()).collect();
    Some(Objection::Copies { lost: Names(names), replicas, share })
}

/// The part of made-up files whose copies are all on these nodes.
pub(super) fn share_held_by(map: &ClusterMap, nodes: &[NodeIndex]) -> f64 {
    held_only_by(map, nodes, SAMPLE) as f64 / SAMPLE.count as f64
}

/// Whether replicas fall on a node.
pub(super) fn holds(map: &ClusterMap, node: NodeIndex) -> bool {
    map.node(node).state().is_in_service() && map.weight_of(node) > 0.0
}

/// The nodes that hold files under the old map and are lost under the new one.
pub(super) fn lost(pairing: &Pairing<'_>) -> Vec<NodeIndex> {
    let lost = pairing
        .nodes()
        .filter(|(old, new)| holds(pairing.old, *old) && pairing.new.node(*new).state() == NodeState::Lost);
    lost.map(|(old, _)| old).collect()
}

/// The most copies of one file that these nodes can hold: one each, or one in each failure domain. A rule of a user's own
/// may put two into one.
pub(super) fn apart(map: &ClusterMap, nodes: &[NodeIndex]) -> usize {
    match map.algorithm() {
        Algorithm::Crush(table) if table.made_from().is_some() => {
            nodes.iter().filter_map(|node| table.domain_of(*node)).collect::<BTreeSet<_>>().len()
        }
        _ => nodes.len(),
    }
}

impl Objection {
    /// What it is called.
    pub fn word(&self) -> ObjectionWord {
        match self {
            Self::Epoch { .. } => ObjectionWord::Epoch,
            Self::Jump { .. } => ObjectionWord::Jump,
            Self::SubClusters(_) => ObjectionWord::SubClusters,
            Self::Slots(_) | Self::Reused(..) => ObjectionWord::Slots,
            Self::Dropped(_) | Self::Renamed(..) => ObjectionWord::Dropped,
            Self::Replicas(..) => ObjectionWord::Replicas,
            Self::Copies { .. } => ObjectionWord::Copies,
            Self::Moves(_) => ObjectionWord::Moves,
            Self::Space(..) => ObjectionWord::Space,
            Self::Nameless(..) => ObjectionWord::Nameless,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch { old, same: true, .. } => {
                write!(f, "the epoch must rise: this is the map of epoch {old}")
            }
            Self::Epoch { old, new, .. } => write!(f, "the epoch must rise, and goes from {old} to {new}"),
            Self::Jump { old, new } => write!(
                f,
                "the epoch goes from {old} to {new}: if a map in between is missing here, something may have been written under \
                 it; give this one the epoch {}",
                old.get() + 1
            ),
            Self::SubClusters(names) => {
                let names: Vec<_> = names.iter().map(SubClusterName::as_str).collect();
                let (verb, its) = if names.len() == 1 { ("is", "its") } else { ("are", "their") };
                write!(
                    f,
                    "{} {verb} not in {its} position of before, which moves nearly all files: keep the order, add new \
                     sub-clusters at the end, and leave drained ones in the list with weight 0",
                    names.join(", ")
                )
            }
            Self::Slots(names) => write!(
                f,
                "{names} {} not in the slot of before, which moves files without need: never reorder the nodes of a \
                 sub-cluster or put one between them, and mark a node out, or let another take over its slot, rather than \
                 remove it",
                names.verb("is", "are")
            ),
            Self::Dropped(names) => write!(
                f,
                "{names} {} files and {} in the new map no more: should {} end before all is copied, copies are lost; drain \
                 the sub-cluster, or mark nodes out (or lost, if they are dead), and remove them later, if at all",
                names.verb("holds", "hold"),
                names.verb("is", "are"),
                names.verb("it", "they")
            ),
            Self::Renamed(old, new) => write!(
                f,
                "{new} has the url of {old}, which holds files: a root belongs to one name for ever, so nobody reaches what \
                 {old} holds; keep its name, or give {new} a url of its own while {old} runs"
            ),
            Self::Reused(name, epoch) => write!(
                f,
                "{name} comes back with another url, and the machine of that name holds files of epoch {epoch} still: give \
                 the new one another name, or wait until the map is settled"
            ),
            Self::Replicas(old, new) => write!(
                f,
                "replicas goes from {old} to {new}: copies of every file are given up, and fewer nodes may fail at once"
            ),
            Self::Copies { lost, replicas, share } => write!(
                f,
                "{lost} are lost at once, as many as hold all {replicas} copies of a file: {} are gone for good, unless \
                 one of these nodes comes back",
                if *share > 0.0 {
                    format!("{:.3} % of the files", share * 100.0)
                } else {
                    "a few files".to_owned()
                }
            ),
            Self::Moves(moves) => match moves.against_optimum {
                Some(times) => write!(
                    f,
                    "{:.2} % of all copies move, {times:.1} times what has to",
                    moves.moved_share * 100.0
                ),
                None => write!(f, "{:.2} % of all copies move, and none has to", moves.moved_share * 100.0),
            },
            Self::Space(node, comes, free) => write!(
                f,
                "{node} has {free} bytes free, and {comes} bytes come to it: files that do not fit stay where they are, and \
                 the map is never settled; give it a larger disk or a lower weight"
            ),
            Self::Nameless(nodes, files) => write!(
                f,
                "{nodes} {} {files} files of the original webDFS whose names are not known: where they belong under another \
                 map is not known either, so that nobody finds them any more; name them first with webdfs import LIST --again",
                nodes.verb("holds", "hold")
            ),
        }
    }
}

impl Serialize for Objection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Objection", 3)?;
        fields.serialize_field("word", self.word().as_str())?;
        fields.serialize_field("text", &self.to_string())?;
        fields.serialize_field("can_be_forced", &self.word().can_be_forced())?;
        fields.end()
    }
}

impl ObjectionWord {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Epoch,
        Self::Jump,
        Self::SubClusters,
        Self::Slots,
        Self::Dropped,
        Self::Replicas,
        Self::Copies,
        Self::Moves,
        Self::Space,
        Self::Nameless,
    ];

    /// As people write it; it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Jump => "jump",
            Self::SubClusters => "subclusters",
            Self::Slots => "slots",
            Self::Dropped => "dropped",
            Self::Replicas => "replicas",
            Self::Copies => "copies",
            Self::Moves => "moves",
            Self::Space => "space",
            Self::Nameless => "nameless",
        }
    }

    /// Whether the change may be made nevertheless.
    pub const fn can_be_forced(self) -> bool {
        !matches!(self, Self::Epoch)
    }
}

impl fmt::Display for ObjectionWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ObjectionWord {
    type Err = UnknownWord;

    /// Only of those that can be forced.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|word| word.can_be_forced() && word.as_str() == text);
        known.ok_or_else(|| UnknownWord { given: text.to_owned() })
    }
}

fn forcible_words() -> String {
    let words = ObjectionWord::ALL.into_iter().filter(|word| word.can_be_forced());
    words.map(ObjectionWord::as_str).collect::<Vec<_>>().join(", ")
}
