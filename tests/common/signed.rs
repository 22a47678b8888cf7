//! What a node says to another, signed with the cluster's secret, as a test says it.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use webdfs::cluster::{ClusterMap, NodeName};
use webdfs::config::{Secrets, load_map, parse_map};
use webdfs::peer::envelope::Envelope;
use webdfs::peer::message::Operation;
use webdfs::peer::sign::Signer;

use super::setup::SECRET;
use super::{Call, Cluster};

/// What may be wrong with an envelope.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seal<'a> {
    /// Its age in seconds.
    pub age: u64,
    /// The text of another map that it names.
    pub other_map: Option<&'a str>,
}

/// The map of a cluster.
pub fn map_of(cluster: &Cluster) -> ClusterMap {
    load_map(&cluster.config(0).parent().unwrap().join("../cluster.toml")).unwrap()
}

/// What the cluster's nodes sign with.
pub fn signer() -> Signer {
    Signer::new(&Secrets::parse(SECRET.as_bytes()).unwrap())
}

/// The request of the second node to another.
pub fn signed(cluster: &Cluster, to: usize, operation: &Operation, body: &[u8], seal: Seal<'_>) -> Call {
    signed_by(&signer(), cluster, to, operation, body, seal)
}

/// The same, signed by somebody.
pub fn signed_by(
    signer: &Signer,
    cluster: &Cluster,
    to: usize,
    operation: &Operation,
    body: &[u8],
    seal: Seal<'_>,
) -> Call {
    let map = map_of(cluster);
    let name = |node: usize| cluster.name(node).parse::<NodeName>().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let other = seal.other_map.map(|other| parse_map(other, "other.toml".as_ref()).unwrap().fingerprint());
    let envelope = Envelope {
        from: name(1),
        to: name(to),
        epoch: map.epoch().get(),
        map: other.unwrap_or(map.fingerprint()),
        time: now - seal.age,
    };
    let method = operation.method();
    // A body that follows a PUT is authentic by its checksums, not by the envelope.
    let control = (method != Method::PUT).then_some(body);
    let headers = envelope.seal(signer, &method, &operation.path(), control);
    let call = Call::new(method.as_str(), &format!("/_webdfs/v1/{}", operation.path())).body(body);
    headers.iter().fold(call, |call, (name, value)| call.header(name.as_str(), value.to_str().unwrap()))
}
