//! Whether the promises were kept (design, section 12). Nothing here knows how webdfs works: only what was asked and
//! answered, and what lies on the disks once everything has healed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::history::{Action, Content, Key, Op, OpId, Outcome};

/// A file of a node that a web server could serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Where it lies, for a person.
    pub place: String,
    /// Whose it is; `None` for a name that no client has used.
    pub key: Option<Key>,
    /// Nanoseconds.
    pub mtime: i128,
    pub content: Content,
    /// Whether its bytes match the checksum beside them.
    pub sound: bool,
}

/// What lies on the disks.
#[derive(Debug, Clone, Default)]
pub struct Disks {
    /// By node.
    pub replicas: Vec<Vec<Replica>>,
    /// Uploads that are left over, by node.
    pub left_over: Vec<usize>,
    /// Whether bits have flipped since the last healing. Until that is found, which takes a scrub, whoever asks for such
    /// a replica gets it as it is: no promise says otherwise.
    pub have_rotted: bool,
    /// The node whose root was an older copy of itself for a while. Until it is in touch with the others, its web server
    /// serves what lies there.
    pub returned: Option<usize>,
    /// The keys that it has owned since the last healing, or does: other nodes hand requests for them on to its web server.
    pub handed_on: BTreeSet<Key>,
}

impl Disks {
    /// Whether an answer is no fault of the promises, given the operations on its key since the last healing.
    fn excuse(&self, read: &Op, ops: &[&Op]) -> bool {
        match read.outcome {
            Outcome::Found(Content::Foreign(_)) => self.have_rotted,
            Outcome::Found(Content::Of(id)) => {
                let by_it = self.returned == Some(read.node) || self.handed_on.contains(&read.key);
                by_it && ops.iter().all(|op| op.id != id)
            }
            _ => false,
        }
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// An acknowledged write is gone, and nothing came after it.
    LostWrite { key: Key, write: OpId, found: Option<OpId> },
    /// A key deleted for good has something older.
    UndoneDelete { key: Key, delete: OpId, found: OpId },
    /// What healing had settled changed without a cause.
    Unsettled { key: Key, settled: Option<OpId>, found: Option<OpId> },
    /// The owners do not hold the same.
    Divergent { key: Key, holdings: Vec<(usize, String)> },
    /// A write that was refused can be seen.
    VisibleRefusal { key: Key, write: OpId, place: String },
    /// Bytes and checksum differ.
    WrongChecksum { place: String },
    /// Bytes that nobody wrote under this name.
    Foreign { place: String, why: String },
    /// A replica on a node that does not own it.
    Stray { place: String },
    /// A replica on a node that does not own it went while an owner lacked it and held nothing newer.
    EarlyRemoval { key: Key, node: usize, lacking: usize },
    /// A node that owns nothing under the map does not say that it is empty, once that is settled.
    NotEmpty { node: usize },
    /// Uploads are left over.
    LeftOver { node: usize, count: usize },
    /// An answer that nothing explains.
    WrongAnswer { read: OpId, key: Key, why: String },
}

impl Violation {
    /// The key whose promise it is, if it is about one.
    pub fn key(&self) -> Option<Key> {
        match self {
            Violation::LostWrite { key, .. }
            | Violation::UndoneDelete { key, .. }
            | Violation::Unsettled { key, .. }
            | Violation::Divergent { key, .. }
            | Violation::VisibleRefusal { key, .. }
            | Violation::EarlyRemoval { key, .. }
            | Violation::WrongAnswer { key, .. } => Some(*key),
            _ => None,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What was right at the last healing.
#[derive(Debug, Clone, Default)]
pub struct Settled(HashMap<Key, OpId>);

impl Settled {
    fn of(&self, key: Key) -> Option<OpId> {
        self.0.get(&key).copied()
    }
}

/// Judges a round: its operations and the disks after healing, given what was settled before. `owners` are those of
/// every key. What is there now is what is settled next.
pub fn check(settled: &mut Settled, ops: &[Op], disks: &Disks, owners: &[Vec<usize>]) -> Vec<Violation> {
    let mut by_key: BTreeMap<Key, Vec<&Op>> = BTreeMap::new();
    ops.iter().for_each(|op| by_key.entry(op.key).or_default().push(op));
    let mut violations = check_files(&by_key, disks, owners);
    for (node, count) in disks.left_over.iter().enumerate().filter(|(_, count)| **count > 0) {
        violations.push(Violation::LeftOver { node, count: *count });
    }
    let mut held: HashMap<(usize, Key), &Replica> = HashMap::new();
    for (node, replicas) in disks.replicas.iter().enumerate() {
        held.extend(replicas.iter().filter_map(|replica| Some(((node, replica.key?), replica))));
    }
    let none = Vec::new();
    for (key, owners) in owners.iter().enumerate() {
        let key_ops = by_key.get(&key).unwrap_or(&none);
        let case = Case { key, ops: key_ops, settled: settled.of(key) };
        let held: Vec<_> = owners.iter().map(|node| (*node, held.get(&(*node, key)).copied())).collect();
        violations.extend(divergence(key, &held));
        let found: BTreeSet<Option<OpId>> = held.iter().filter_map(|(_, replica)| value(*replica)).collect();
        violations.extend(found.iter().filter_map(|found| case.judge(*found)));
        let judged = key_ops.iter().copied().filter(|op| !disks.excuse(op, key_ops));
        violations.extend(judged.filter_map(|op| case.judge_answer(op)));
        match found.last().copied().flatten() {
            Some(found) => _ = settled.0.insert(key, found),
            None => _ = settled.0.remove(&key),
        }
    }
    violations
}

/// What a holding means; `None` for bytes of which nothing is known, that are complained about elsewhere.
fn value(replica: Option<&Replica>) -> Option<Option<OpId>> {
    match replica.map(|replica| &replica.content) {
        None => Some(None),
        Some(Content::Of(id)) => Some(Some(*id)),
        Some(Content::Foreign(_)) => None,
    }
}

/// What is wrong with single files.
fn check_files(by_key: &BTreeMap<Key, Vec<&Op>>, disks: &Disks, owners: &[Vec<usize>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (node, replicas) in disks.replicas.iter().enumerate() {
        for replica in replicas {
            let place = replica.place.clone();
            let Some(key) = replica.key else {
                violations.push(Violation::Foreign { place, why: "a name that nobody used".into() });
                continue;
            };
            if !replica.sound {
                violations.push(Violation::WrongChecksum { place: place.clone() });
            }
            if !owners[key].contains(&node) {
                violations.push(Violation::Stray { place: place.clone() });
            }
            match &replica.content {
                Content::Foreign(why) => violations.push(Violation::Foreign { place, why: why.clone() }),
                Content::Of(id) => {
                    let refused =
                        by_key.get(&key).into_iter().flatten().find(|op| op.id == *id && op.is_refused());
                    violations.extend(refused.map(|op| Violation::VisibleRefusal {
                        key,
                        write: op.id,
                        place,
                    }));
                }
            }
        }
    }
    violations
}

fn divergence(key: Key, held: &[(usize, Option<&Replica>)]) -> Option<Violation> {
    let shape = |replica: Option<&Replica>| replica.map(|replica| (replica.content.clone(), replica.mtime));
    if held.windows(2).all(|pair| shape(pair[0].1) == shape(pair[1].1)) {
        return None;
    }
    let described = |replica: Option<&Replica>| match replica {
        None => "nothing".to_owned(),
        Some(replica) => format!("{:?} of {}", replica.content, replica.mtime),
    };
    let holdings = held.iter().map(|(node, replica)| (*node, described(*replica))).collect();
    Some(Violation::Divergent { key, holdings })
}

/// For how long a GET may go on saying that there is nothing after something was stored, in nanoseconds: webdfs remembers
/// that for 100 ms, and looking takes its time where connections are delayed.
pub const REMEMBERED: u64 = 300_000_000;

/// What happened to one key since it was settled.
struct Case<'a> {
    key: Key,
    ops: &'a [&'a Op],
    settled: Option<OpId>,
}

impl<'a> Case<'a> {
    fn acknowledged(&self) -> impl Iterator<Item = &'a Op> {
        self.ops.iter().copied().filter(|op| op.is_acknowledged())
    }

    /// Whether the owners may hold this, or nothing.
    fn judge(&self, found: Option<OpId>) -> Option<Violation> {
        let key = self.key;
        let Some(id) = found else { return self.judge_absence() };
        let put = self.ops.iter().find(|op| op.id == id && op.action == Action::Put);
        if put.is_none() && self.settled != found {
            return Some(Violation::Unsettled { key, settled: self.settled, found });
        }
        // What was settled was there before all else.
        let later = self.acknowledged().find(|op| op.id != id && put.is_none_or(|put| put.precedes(op)))?;
        Some(match later.action {
            Action::Delete => Violation::UndoneDelete { key, delete: later.id, found: id },
            _ => Violation::LostWrite { key, write: later.id, found },
        })
    }

    /// Whether the owners may hold nothing.
    fn judge_absence(&self) -> Option<Violation> {
        let key = self.key;
        let puts = || self.acknowledged().filter(|op| op.action == Action::Put);
        let deletes = || self.ops.iter().filter(|op| op.action == Action::Delete && !op.is_refused());
        if let Some(settled) = self.settled
            && deletes().next().is_none()
        {
            let lost = puts().last().map_or(settled, |op| op.id);
            return Some(Violation::LostWrite { key, write: lost, found: None });
        }
        let explained = |put: &Op| deletes().any(|delete| !delete.precedes(put));
        let lost = puts().find(|put| !explained(put))?;
        Some(Violation::LostWrite { key, write: lost.id, found: None })
    }

    /// Whether an answer can be explained. A read may be older than what is acknowledged, but not older than what
    /// was settled; that there is nothing takes a quorum to say.
    fn judge_answer(&self, read: &Op) -> Option<Violation> {
        let wrong = |why: String| Some(Violation::WrongAnswer { read: read.id, key: self.key, why });
        match (&read.outcome, read.action) {
            (Outcome::Found(Content::Foreign(why)), _) => wrong(why.clone()),
            (Outcome::Found(Content::Of(id)), _) if Some(*id) == self.settled => None,
            (Outcome::Found(Content::Of(id)), _) => {
                match self.ops.iter().find(|op| op.id == *id && op.action == Action::Put) {
                    None => wrong(format!("write {id} is no write of this key since it was settled")),
                    Some(put) if put.is_refused() => {
                        let place = format!("the answer to {}", read.id);
                        Some(Violation::VisibleRefusal { key: self.key, write: *id, place })
                    }
                    Some(put) if read.precedes(put) => wrong(format!("write {id} came later")),
                    Some(_) => None,
                }
            }
            (Outcome::Status(404), Action::Get | Action::Delete) => {
                let was_there = self.settled.is_some();
                // A node believes for a moment what it found when it last looked a name up.
                let since = if read.action == Action::Get { REMEMBERED } else { 0 };
                let known = |put: &Op| put.precedes(read) && put.answered + since < read.invoked;
                let puts = || self.acknowledged().filter(|op| op.action == Action::Put && known(op));
                let deleted_after = |put: Option<&Op>| {
                    self.ops.iter().any(|op| {
                        let may_have = op.action == Action::Delete && !op.is_refused() && op.id != read.id;
                        may_have && !read.precedes(op) && put.is_none_or(|put| !op.precedes(put))
                    })
                };
                if let Some(put) = puts().find(|put| !deleted_after(Some(put))) {
                    return wrong(format!(
                        "404 through node {} at {} ns, but write {} was acknowledged before and nothing deleted it",
                        read.node, read.invoked, put.id
                    ));
                }
                if was_there && !deleted_after(None) {
                    return wrong("404, but it was there and nothing deleted it".into());
                }
                None
            }
            _ => None,
        }
    }
}
