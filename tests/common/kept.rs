//! What must be as it was after something went wrong.

use std::collections::BTreeSet;

use super::{Call, Cluster, noise, wait_until};

/// Something stored, that must stay as it is.
pub struct Kept<'a> {
    cluster: &'a Cluster,
    pub target: String,
    pub body: Vec<u8>,
    etag: String,
    /// What lies beside the roots.
    beside: Vec<BTreeSet<String>>,
}

impl<'a> Kept<'a> {
    pub fn store(cluster: &'a Cluster, folder: &str) -> Self {
        let (target, body) = (format!("{folder}/kept.jpg"), noise(77, 10_000));
        let etag = cluster.put(0, &target, body.clone()).expect(201).etag().to_owned();
        let beside = cluster.present().map(|node| beside(cluster, node)).collect();
        Self { cluster, target, body, etag, beside }
    }

    /// Checks that nothing has changed but by the rules.
    #[track_caller]
    pub fn check(self) {
        for node in self.cluster.present() {
            assert!(self.cluster.is_alive(node), "node {node} lives");
            let answer = self.cluster.get(node, &self.target).expect(200);
            assert!(answer.body == self.body && answer.etag() == self.etag, "{answer}");
        }
        let now: Vec<_> = self.cluster.present().map(|node| beside(self.cluster, node)).collect();
        assert_eq!(now, self.beside, "what lies beside the roots");
    }
}

fn beside(cluster: &Cluster, node: usize) -> BTreeSet<String> {
    let dir = cluster.root(node).parent().unwrap().read_dir().unwrap();
    dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Checks that a name is nowhere, and that no upload is left behind.
#[track_caller]
pub fn assert_nothing(cluster: &Cluster, target: &str) {
    for node in cluster.present() {
        cluster.get(node, target).expect(404);
        assert!(!cluster.has_file(node, target), "{target} on node {node}");
    }
    wait_until("no upload is left behind", || cluster.present().all(|node| cluster.spools(node).is_empty()));
}

/// Checks that a name is nowhere.
#[track_caller]
pub fn assert_missing(cluster: &Cluster, target: &str) {
    for node in cluster.present() {
        cluster.get(node, target).expect(404);
        assert!(!cluster.has_file(node, target), "{target} on node {node}");
    }
}

/// Checks that an object is there through every node.
#[track_caller]
pub fn assert_stored(cluster: &Cluster, target: &str, body: &[u8]) {
    for node in cluster.present() {
        let answer = cluster.get(node, target).expect(200);
        assert!(answer.body == body, "the bytes of {target} through node {node}: {answer}");
    }
}

/// ann:wrong, as a client says it.
pub const WRONG_PASSWORD: &str = "Basic YW5uOndyb25n";

/// Checks that a web server which asks for a password for uploads lets in ann, whose password is secret, and nobody else.
#[track_caller]
pub fn assert_only_ann_may_upload(cluster: &Cluster) {
    let put = |authorization: Option<&str>| {
        let call = Call::new("PUT", "/password/a.jpg").body("x");
        let call = authorization.into_iter().fold(call, |call, value| call.header("Authorization", value));
        cluster.send(0, &call)
    };
    put(None).expect(401);
    put(Some(WRONG_PASSWORD)).expect(401);
    put(Some("Bearer ann")).expect(401);
    assert_missing(cluster, "/password/a.jpg");
    put(Some("Basic YW5uOnNlY3JldA==")).expect(201);
    cluster.get(0, "/password/a.jpg").expect(200);
}
