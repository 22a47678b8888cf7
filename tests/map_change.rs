//! The map changes while the site is up: nodes are added, drained, taken out, replaced and lost (design section 9).

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::signed::signer;
use common::{Call, Cluster, Front, Options, noise, wait_until};
use webdfs::cluster::View;
use webdfs::config::{MapText, parse_map};
use webdfs::peer::client::{PeerClient, PeerError};
use webdfs::peer::message::{AdoptAnswer, MapsBody};

/// A sub-cluster: its name, its weight, and the nodes in it, each with more of its line.
type Group<'a> = (&'a str, f64, &'a [(usize, &'a str)]);

/// A map of a cluster's nodes.
fn map(cluster: &Cluster, epoch: u64, (replicas, quorum): (usize, usize), groups: &[Group<'_>]) -> String {
    let mut text = format!("epoch = {epoch}\nreplicas = {replicas}\nwrite_quorum = {quorum}\n");
    for (name, weight, nodes) in groups {
        text += &format!("[[subcluster]]\nname = \"{name}\"\nweight = {weight:?}\n");
        for (node, more) in *nodes {
            let (name, address) = (cluster.name(*node), cluster.address(*node));
            text += &format!(
                "[[subcluster.node]]\nname = \"{name}\"\nurl = \"http://{address}/_webdfs\"\n{more}\n"
            );
        }
    }
    text
}

/// Gives a node a map as `webdfs map apply` does.
fn apply(cluster: &Cluster, node: usize, toml: &str) -> Result<AdoptAnswer, PeerError> {
    let text = MapText { toml: toml.to_owned(), crush: None };
    let own = cluster.name(node).parse().unwrap();
    let map = Arc::new(parse_map(toml, "new.toml".as_ref()).unwrap());
    let view = View::new(&own, map, Vec::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let peers = PeerClient::new(own, signer(), None);
        peers.adopt(&view, view.own(), &MapsBody { maps: vec![text] }).await
    })
}

/// Starts a node that was not there before, with this map.
fn add(cluster: &Cluster, node: usize, toml: &str) {
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), toml).unwrap();
    cluster.add(node);
}

/// The epochs of the maps that a node remembers.
fn epochs(cluster: &Cluster, node: usize) -> Vec<u64> {
    let maps = webdfs::store::remembered_maps(&cluster.root(node)).unwrap();
    let mut epochs: Vec<_> =
        maps.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().parse().unwrap()).collect();
    epochs.sort_unstable();
    epochs
}

fn wait_until_settled(cluster: &Cluster, nodes: &[usize], epoch: u64) {
    wait_until(&format!("epoch {epoch} is settled"), || {
        nodes.iter().all(|node| epochs(cluster, *node) == [epoch])
    });
}

/// Who has a file of this path.
fn holders(cluster: &Cluster, nodes: usize, path: &str) -> Vec<usize> {
    (0..nodes).filter(|node| cluster.has_file(*node, path)).collect()
}

const FIRST: Group<'_> = ("first", 1.0, &[(0, ""), (1, ""), (2, "")]);
const SECOND: Group<'_> = ("second", 1.0, &[(3, ""), (4, ""), (5, "")]);

fn three_of_six() -> Options {
    Options { nodes: 6, members: Some(3), absent: &[3, 4, 5], ..Options::default() }
}

#[test]
fn files_move_to_new_nodes_while_they_are_read_and_written_and_no_request_fails() {
    let cluster = Cluster::start(Front::Nginx, three_of_six());
    let path = |number: usize| format!("/grow/{number}.jpg");
    let body = |number: usize| noise(number as u64, 2000);
    const FILES: usize = 200;
    for number in 0..FILES {
        cluster.put(number % 3, &path(number), body(number)).expect(201);
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    for node in 3..6 {
        add(&cluster, node, &next);
    }
    wait_until("the new nodes wait for their map", || {
        (3..6).all(|node| cluster.log(node).contains("is not in force yet"))
    });
    assert_eq!(Call::new("GET", &path(0)).send(cluster.side_address(3)).status, 503);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (cluster, done, served) = (&cluster, &done, &served);
            scope.spawn(move || {
                let mut number = reader;
                while !done.load(Ordering::Relaxed) {
                    number = (number + 7) % FILES;
                    let answer = cluster.get(reader, &path(number));
                    assert_eq!(answer.status, 200, "{answer}");
                    assert_eq!(answer.body, body(number), "{}", path(number));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        apply(&cluster, 0, &next).expect("the map is adopted");
        wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
        done.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 0);
    for number in 0..FILES {
        let path = path(number);
        let mut owners = cluster.owners(&path);
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, &path), owners, "{path}");
        assert_eq!(cluster.get(5, &path).expect(200).body, body(number));
    }
    assert!((0..FILES).any(|number| cluster.owners(&path(number)).iter().any(|owner| *owner > 2)));
}
