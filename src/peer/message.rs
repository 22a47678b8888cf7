//! The messages between nodes: operations, and the bodies they carry.  Pure.
//!
//! A request is `METHOD /_webdfs/v1/OPERATION/...` in an envelope (`envelope.rs`). Control bodies are JSON, small and
//! whole; file bodies are streamed and always have a Content-Length.

use std::net::IpAddr;

use http::Method;
use serde::{Deserialize, Serialize};

use super::batch::ListDigest;
use crate::cluster::{Fingerprint, NodeName};
use crate::config::MapText;
use crate::held::Held;
use crate::name::ObjectName;
use crate::store::{Outcome, SpoolId, Stamp};
use crate::version::Version;

/// Where peers' requests begin, on every node.
pub const BASE: &str = "/_webdfs/v1/";
/// What brings maps: an operation whose control body may be large.
pub const ADOPT: &str = "adopt";
/// What brings a map that is only planned: so may this.
pub const PLAN: &str = "plan";
/// No control body is larger, in bytes, but for those that carry maps.
pub const CONTROL_BYTES_MAX: usize = 64 * 1024;
/// No body that carries maps is larger, in bytes: 65,536 nodes, whose names and addresses are as long as they usually are,
/// take half of it.
pub const MAPS_BYTES_MAX: usize = 16 << 20;
/// No answer is larger.
pub const ANSWER_BYTES_MAX: usize = MAPS_BYTES_MAX;

/// What one node asks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Are you there? Body: [`Hello`]; answer: [`HelloAnswer`].
    Hello,
    /// What do you hold of this? Answer: [`HeldAnswer`].
    Ask(ObjectName),
    /// Your copy of this, from your own disk. The answer's body is the file.
    Object(ObjectName),
    /// Take in this upload. The body is the file; answer: [`PrepareAnswer`].
    Prepare(SpoolId, ObjectName),
    /// Make this upload the replica of its name. Body: [`CommitOrder`]; answer: [`DoneAnswer`].
    Commit(SpoolId, ObjectName),
    /// Drop this upload.
    Drop(SpoolId),
    /// Write a tombstone. Body: [`DeleteOrder`]; answer: [`DoneAnswer`].
    Delete(ObjectName),
    /// These nodes missed a write of this. Body: [`Missed`].
    Missed(ObjectName),
    /// What you hold of this below a version is superseded: its owners have something newer, and you are none any more. Body:
    /// [`DeleteOrder`], without anybody who missed it.
    Superseded(ObjectName),
    /// Take in these copies. The body is their list and then their bytes; the answer a [`BatchAnswer`].
    ///
    /// [`BatchAnswer`]: super::batch::BatchAnswer
    Batch(ListDigest),
    /// Walk over your root. Body: [`InventoryOrder`]; answer: [`InventoryAnswer`].
    ///
    /// [`InventoryOrder`]: super::reconcile::InventoryOrder
    /// [`InventoryAnswer`]: super::reconcile::InventoryAnswer
    Inventory,
    /// Digests of what both own. Body: [`DigestsOrder`]; answer: [`DigestsAnswer`].
    ///
    /// [`DigestsOrder`]: super::reconcile::DigestsOrder
    /// [`DigestsAnswer`]: super::reconcile::DigestsAnswer
    Digests,
    /// Keys that the sender holds. Body: [`HaveOrder`]; answer: [`HaveAnswer`].
    ///
    /// [`HaveOrder`]: super::reconcile::HaveOrder
    /// [`HaveAnswer`]: super::reconcile::HaveAnswer
    Have,
    /// For how long have you known that every owner has these tombstones? Body: [`TombstonesOrder`]; answer:
    /// [`AgreedAnswer`].
    ///
    /// [`TombstonesOrder`]: super::reconcile::TombstonesOrder
    /// [`AgreedAnswer`]: super::reconcile::AgreedAnswer
    Agreed,
    /// Forget these tombstones: every owner has known that for long. Body: [`TombstonesOrder`]; answer: [`ForgetAnswer`].
    ///
    /// [`TombstonesOrder`]: super::reconcile::TombstonesOrder
    /// [`ForgetAnswer`]: super::reconcile::ForgetAnswer
    Forget,
    /// Offer the sender all that you have for it. Body: [`OfferOrder`]; answer: [`OfferAnswer`].
    ///
    /// [`OfferOrder`]: super::reconcile::OfferOrder
    /// [`OfferAnswer`]: super::reconcile::OfferAnswer
    Offer,
    /// Your maps. Answer: [`MapsBody`].
    Maps,
    /// How are you? Answer: [`Status`](crate::control::Status), without the other nodes.
    Status,
    /// What would this map move from you? Body: [`PlanOrder`](crate::control::PlanOrder); answer:
    /// [`Planned`](crate::control::Planned).
    Plan,
    /// Here are maps. Body: [`MapsBody`]; answer: [`AdoptAnswer`].
    Adopt,
}

impl Operation {
    /// The HTTP method it travels as.
    pub fn method(&self) -> Method {
        match self {
            Operation::Object(_) => Method::GET,
            Operation::Prepare(..) | Operation::Batch(_) => Method::PUT,
            _ => Method::POST,
        }
    }

    /// Its path below [`BASE`].
    pub fn path(&self) -> String {
        match self {
            Operation::Hello => "hello".into(),
            Operation::Ask(name) => format!("ask/{}", name.url_path()),
            Operation::Object(name) => format!("object/{}", name.url_path()),
            Operation::Prepare(id, name) => format!("prepare/{id}/{}", name.url_path()),
            Operation::Commit(id, name) => format!("commit/{id}/{}", name.url_path()),
            Operation::Drop(id) => format!("drop/{id}"),
            Operation::Delete(name) => format!("delete/{}", name.url_path()),
            Operation::Missed(name) => format!("missed/{}", name.url_path()),
            Operation::Superseded(name) => format!("superseded/{}", name.url_path()),
            Operation::Batch(digest) => format!("batch/{digest}"),
            Operation::Inventory => "inventory".into(),
            Operation::Digests => "digests".into(),
            Operation::Have => "have".into(),
            Operation::Agreed => "agreed".into(),
            Operation::Forget => "forget".into(),
            Operation::Offer => "offer".into(),
            Operation::Maps => "maps".into(),
            Operation::Status => "status".into(),
            Operation::Plan => PLAN.into(),
            Operation::Adopt => ADOPT.into(),
        }
    }

    /// The operation of a method and a path below [`BASE`]; `None` if there is no such operation.
    pub fn parse(method: &Method, path: &str) -> Option<Self> {
        let (word, rest) = path.split_once('/').unwrap_or((path, ""));
        let name = |text: &str| ObjectName::from_url_path(text).ok();
        let with_id = || {
            let (id, rest) = rest.split_once('/')?;
            Some((id.parse().ok()?, name(rest)?))
        };
        let operation = match word {
            "hello" if rest.is_empty() => Operation::Hello,
            "ask" => Operation::Ask(name(rest)?),
            "object" => Operation::Object(name(rest)?),
            "prepare" => with_id().map(|(id, name)| Operation::Prepare(id, name))?,
            "commit" => with_id().map(|(id, name)| Operation::Commit(id, name))?,
            "drop" => Operation::Drop(rest.parse().ok()?),
            "delete" => Operation::Delete(name(rest)?),
            "missed" => Operation::Missed(name(rest)?),
            "superseded" => Operation::Superseded(name(rest)?),
            "batch" => Operation::Batch(rest.parse().ok()?),
            "inventory" if rest.is_empty() => Operation::Inventory,
            "digests" if rest.is_empty() => Operation::Digests,
            "have" if rest.is_empty() => Operation::Have,
            "agreed" if rest.is_empty() => Operation::Agreed,
            "forget" if rest.is_empty() => Operation::Forget,
            "offer" if rest.is_empty() => Operation::Offer,
            "maps" if rest.is_empty() => Operation::Maps,
            "status" if rest.is_empty() => Operation::Status,
            PLAN if rest.is_empty() => Operation::Plan,
            ADOPT if rest.is_empty() => Operation::Adopt,
            _ => return None,
        };
        (operation.method() == *method).then_some(operation)
    }

    /// Whether it is the background work of a node that asks, and nobody waits for its client.
    pub fn is_background_work(&self) -> bool {
        matches!(
            self,
            Operation::Digests
                | Operation::Have
                | Operation::Agreed
                | Operation::Forget
                | Operation::Batch(_)
                | Operation::Inventory
                | Operation::Offer
        )
    }

    /// Whether it is answered whatever map the asker works by: it reads or writes no object, or only gives up or remembers
    /// something.
    pub fn is_for_any_map(&self) -> bool {
        matches!(
            self,
            Operation::Hello
                | Operation::Maps
                | Operation::Status
                | Operation::Plan
                | Operation::Adopt
                | Operation::Drop(_)
                | Operation::Missed(_)
        )
    }

    /// Whether its body is a file rather than a control body.
    pub fn carries_file(&self) -> bool {
        matches!(self, Operation::Prepare(..) | Operation::Batch(_))
    }
}

/// Body of a hello.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Hello {
    /// The stamp of the sender's root, for the receiver to remember; none if it only asks whether somebody is there.
    pub stamp: Option<Stamp>,
}

/// Answer to a hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HelloAnswer {
    /// Whether the root is complete.
    pub complete: bool,
    /// The address from which the hello seemed to come: what `[write] allow` would be compared with.
    pub seen: Option<IpAddr>,
    /// The newest stamp of the sender's root that was known before this one, if one was sent.
    pub remembered: Option<Stamp>,
    /// The epoch of the map in force; 0: none is.
    #[serde(default)]
    pub epoch: u64,
    /// The fingerprint of that map.
    #[serde(default)]
    pub map: Fingerprint,
    /// The fingerprint of all older maps that it knows and that are not settled; zeros: there are none.
    #[serde(default)]
    pub older: Fingerprint,
    /// The epoch under which the node has last finished a full pass; 0: under none that it knows of.
    #[serde(default)]
    pub passed: u64,
    /// Where the node's gossip listens, `HOST:PORT`; none: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gossip: Option<String>,
    /// The epoch under which it has last tried to bring the others all that it gives up; 0: under none that it knows of.
    #[serde(default)]
    pub moved: u64,
}

/// The maps of a node: the one in force and those that are not settled, in no order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MapsBody {
    /// Their texts.
    pub maps: Vec<MapText>,
}

/// What a node works by after it was sent maps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AdoptAnswer {
    /// The epoch of the map in force; 0: none is.
    pub epoch: u64,
    /// The fingerprint of that map.
    pub map: Fingerprint,
}

/// What a node holds of one object.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct HeldAnswer {
    /// The copy, the tombstone or nothing.
    pub held: Held,
    /// Whether its root is complete, and nothing newer of the object lies in its quarantine: only then does it count.
    pub complete: bool,
}

impl HeldAnswer {
    /// Whether the answer counts when a version is chosen or a name is said not to exist. What an incomplete node
    /// holds may be older than what it once acknowledged, so it does not, whatever it holds.
    pub fn counts(&self) -> bool {
        self.complete
    }
}

/// What became of an upload that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrepareAnswer {
    /// Checksum of the bytes received.
    pub crc32: u32,
    /// Their number.
    pub length: u64,
    /// What the node held at that time.
    #[serde(flatten)]
    pub before: HeldAnswer,
}

/// How to commit an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitOrder {
    /// The version it gets.
    pub version: Version,
    /// The checksum it must have.
    pub crc32: u32,
    /// The number of bytes it must have.
    pub length: u64,
    /// Owners that are not prepared: they miss this write.
    pub missed: Vec<NodeName>,
    /// Whether a client waits for it.
    pub for_client: bool,
}

/// The version of a deletion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteOrder {
    /// The tombstone's version.
    pub version: Version,
    /// Owners that do not answer: they miss this deletion.
    pub missed: Vec<NodeName>,
}

/// Nodes that missed a write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Missed {
    /// Their names.
    pub nodes: Vec<NodeName>,
}

/// A commit or deletion is done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DoneAnswer {
    /// How it ended; every way counts as done.
    pub outcome: Outcome,
}

/// Why a node refuses; the body of every answer of status 400 and above.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Refusal {
    /// In words.
    #[serde(default)]
    pub error: String,
    /// The epoch and the fingerprint of the map that it works by, if it refuses because the asker works by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_map: Option<(u64, Fingerprint)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_operation_reads_back_from_its_path() {
        let id = SpoolId::random();
        let name = name("a b/ü%?#.jpg");
        for operation in [
            Operation::Hello,
            Operation::Ask(name.clone()),
            Operation::Object(name.clone()),
            Operation::Prepare(id, name.clone()),
            Operation::Commit(id, name.clone()),
            Operation::Drop(id),
            Operation::Delete(name.clone()),
            Operation::Missed(name.clone()),
            Operation::Superseded(name),
            Operation::Batch(crate::peer::batch::head(&[]).1),
            Operation::Inventory,
            Operation::Digests,
            Operation::Have,
            Operation::Agreed,
            Operation::Forget,
            Operation::Offer,
            Operation::Maps,
            Operation::Status,
            Operation::Plan,
            Operation::Adopt,
        ] {
            assert_eq!(Operation::parse(&operation.method(), &operation.path()), Some(operation));
        }
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        for (method, path) in [
            (Method::GET, "hello"),
            (Method::POST, ""),
            (Method::POST, "hello/x"),
            (Method::POST, "ask/"),
            (Method::POST, "ask/a/../b"),
            (Method::POST, "ask/.webdfs/x"),
            (Method::PUT, "prepare/12/a"),
            (Method::POST, "drop/zz"),
            (Method::POST, "format/a"),
        ] {
            assert_eq!(Operation::parse(&method, path), None, "{method} {path}");
        }
    }
}
