//! What gossip is there for, in clusters of real processes: any node shows all, a new map is everywhere at once, and nobody
//! waits for a node that is known to be down. And all of it without gossip, too.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Cluster, Detour, End, Front, Harm, Options, Way, noise, signer, wait_until};
use serde_json::Value;
use webdfs::config::{MapText, Secrets};
use webdfs::maps::Maps;
use webdfs::peer::sign::{Signed, Signer};

/// `webdfs status --cluster` on a node.
fn shown(cluster: &Cluster, node: usize, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["status", "--cluster", "--config"]).arg(cluster.config(node)).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn cluster_status(cluster: &Cluster, node: usize) -> Value {
    serde_json::from_str(&shown(cluster, node, &["--json"])).unwrap()
}

/// What `at` says of `of`.
fn said_of(cluster: &Cluster, at: usize, of: usize) -> Value {
    let status = cluster_status(cluster, at);
    let nodes = status["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["node"] == cluster.name(of)).unwrap().clone()
}

/// Waits until `at` has heard of `of` by gossip, and takes it for up or down.
fn wait_until_heard(cluster: &Cluster, at: usize, of: usize, up: bool) {
    wait_until(&format!("{} hears that {} is up: {up}", cluster.name(at), cluster.name(of)), || {
        let said = said_of(cluster, at, of);
        said["gossip"] == true && said["up"] == up
    });
}

/// Waits until all processes of a root regard these nodes as down.
fn wait_until_down(cluster: &Cluster, at: usize, down: &[usize]) {
    let names: BTreeSet<_> = down.iter().map(|node| cluster.name(*node).parse().unwrap()).collect();
    let store = cluster.store(at);
    wait_until(&format!("{} tells that {names:?} are down", cluster.name(at)), || {
        store.nodes_down().unwrap() == names
    });
}

/// Starts a node again, with gossip or without.
fn restart(cluster: &Cluster, node: usize, gossips: bool) {
    if !gossips {
        let text = fs::read_to_string(cluster.config(node)).unwrap();
        let lines =
            text.lines().filter(|line| !line.starts_with("gossip = ")).map(|line| format!("{line}\n"));
        fs::write(cluster.config(node), lines.collect::<String>()).unwrap();
    }
    cluster.restart(node);
    cluster.wait_until_ready(node);
}

/// Gives one node a map, as if it had come from elsewhere.
fn give_map(cluster: &Cluster, node: usize, toml: &str) {
    let file = cluster.config(node).parent().unwrap().join("../cluster.toml");
    let name = cluster.name(node).parse().unwrap();
    let maps = Maps::open(&name, cluster.store(node), &file).unwrap();
    let mut texts = maps.texts().unwrap();
    texts.push(MapText { toml: toml.to_owned(), crush: None });
    assert!(maps.adopt(texts, "a test").unwrap());
}

/// Gives one node the map that it has as that of the next epoch.
fn give_next_map(cluster: &Cluster, node: usize) {
    let file = cluster.config(node).parent().unwrap().join("../cluster.toml");
    let toml = fs::read_to_string(&file).unwrap();
    give_map(cluster, node, &toml.replace("epoch = 1\n", "epoch = 2\n"));
}

fn has_next_map(cluster: &Cluster, node: usize) -> bool {
    cluster.root(node).join(".webdfs/maps/2.toml").exists()
}

#[test]
fn any_node_shows_all_whether_it_gossips_or_not_and_those_that_are_down() {
    let options = Options { gossip: |node| node < 2, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 1, 0, true);
    for at in 0..3 {
        wait_until("all are known to be complete", || {
            (0..3).all(|of| said_of(&cluster, at, of)["said"]["complete"] == true)
        });
        let status = cluster_status(&cluster, at);
        assert_eq!((&status["gossip"], &status["epoch"]), (&(at < 2).into(), &1.into()));
        for of in 0..3 {
            let said = said_of(&cluster, at, of);
            assert_eq!((&said["up"], &said["state"]), (&true.into(), &"in".into()), "{said}");
            assert_eq!(said["gossip"], at != of && at < 2 && of < 2, "{said}");
            assert_eq!(said["said"]["epoch"], 1, "{said}");
            assert!(said["said"]["space"]["capacity"].as_u64() > Some(0), "{said}");
        }
    }
    assert!(shown(&cluster, 2, &[]).contains("3 of 3 nodes are up, as img3 knows (each was asked)"));

    let before = webdfs::clock::seconds();
    cluster.kill(1);
    wait_until_down(&cluster, 0, &[1]);
    let said = said_of(&cluster, 0, 1);
    assert_eq!(
        (&said["up"], &said["gossip"], &said["said"]["epoch"]),
        (&false.into(), &true.into(), &1.into())
    );
    assert!(said["since"].as_u64() >= Some(before), "{said}");
    assert!(shown(&cluster, 0, &[]).contains("in, DOWN"));
    let said = said_of(&cluster, 2, 1);
    assert_eq!((&said["up"], &said["gossip"]), (&false.into(), &false.into()), "{said}");
    assert!(said["problem"].as_str().unwrap().contains("does not answer"), "{said}");

    restart(&cluster, 1, true);
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 1, 0, true);
    wait_until_down(&cluster, 0, &[]);
}

#[test]
fn nobody_waits_for_a_node_that_hangs_once_gossip_knows_it() {
    // As many as would take longer than any test may, if each waited for it.
    const WRITES: usize = 80;
    let cluster = Cluster::start(Front::Nginx, Options { nodes: 4, gossip: |_| true, ..Options::default() });
    let path = |number: usize| format!("/hangs/{number}.jpg");
    let paths: Vec<_> = (0..WRITES).map(path).collect();
    let owners = cluster.owners_of(&paths);
    let to_read =
        (0..WRITES).find(|number| owners[*number][0] == 3 && !owners[*number].contains(&0)).unwrap();
    cluster.put(0, &paths[to_read], noise(7, 1000)).expect(201);
    for node in 1..4 {
        wait_until_heard(&cluster, 0, node, true);
    }
    cluster.pause(3);
    wait_until_down(&cluster, 0, &[3]);
    let deadline = Instant::now() + common::PATIENCE;
    for (number, path) in paths.iter().enumerate() {
        let replaces = number == to_read;
        assert!(
            cluster.get(0, path).expect(if replaces { 200 } else { 404 }).body.len() <= 1000 || !replaces
        );
        let answer =
            cluster.put(0, path, noise(number as u64, 3000)).expect(if replaces { 204 } else { 201 });
        if owners[number].contains(&3) {
            assert_eq!(answer.header("webdfs-replicas"), Some("2/3"), "{answer}");
        }
        if number % 2 == 0 {
            cluster.delete(0, path).expect(204);
        }
        assert!(Instant::now() < deadline, "the node that hangs was waited for: {number} files");
    }
    let waited_for = |line: &&str| line.contains("does not answer") && line.contains("/hangs/");
    assert_eq!(cluster.log(0).lines().find(waited_for), None);

    // It gets what it has missed.
    cluster.resume(3);
    wait_until_down(&cluster, 0, &[]);
    wait_until("the node has what it should have", || {
        (0..WRITES).all(|number| {
            let owns = owners[number].contains(&3) && number % 2 == 1;
            cluster.has_file(3, &paths[number]) == owns
        })
    });
}

#[test]
fn nobody_waits_for_a_former_owner_that_hangs_while_files_move() {
    const WRITES: usize = 40;
    let options =
        Options { nodes: 6, members: Some(3), absent: &[3, 4, 5], gossip: |_| true, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let path = |number: usize| format!("/moves/{number}.jpg");
    for number in 0..WRITES {
        cluster.put(0, &path(number), noise(number as u64, 1000)).expect(201);
    }
    wait_until_heard(&cluster, 0, 2, true);
    cluster.pause(2);
    wait_until_down(&cluster, 0, &[2]);
    let file = cluster.config(0).parent().unwrap().join("../cluster.toml");
    let mut toml = fs::read_to_string(&file).unwrap().replace("epoch = 1\n", "epoch = 2\n");
    // All that the first three hold moves away.
    toml = toml.replace("weight = 1.0", "weight = 0.0") + "[[subcluster]]\nname = \"next\"\nweight = 1.0\n";
    for node in 3..6 {
        let (name, address) = (cluster.name(node), cluster.address(node));
        toml += &format!("[[subcluster.node]]\nname = \"{name}\"\nurl = \"http://{address}/_webdfs\"\n");
    }
    fs::write(&file, &toml).unwrap();
    (3..6).for_each(|node| cluster.add(node));
    give_map(&cluster, 0, &toml);
    (3..6).for_each(|node| cluster.wait_until_ready(node));
    wait_until_down(&cluster, 3, &[2]);
    let deadline = Instant::now() + common::PATIENCE;
    for number in 0..WRITES {
        cluster.get(3, &format!("/missing/{number}.jpg")).expect(404);
        assert_eq!(cluster.get(3, &path(number)).expect(200).body, noise(number as u64, 1000));
        cluster.put(3, &path(number), noise(7, 2000)).expect(204);
        cluster.delete(3, &path(number)).expect(204);
        assert!(Instant::now() < deadline, "the former owner was waited for: {number} files");
    }
    cluster.resume(2);
    wait_until("the map is settled, and nothing is left or has come back", || {
        (0..6).all(|node| {
            let is_settled = !cluster.root(node).join(".webdfs/maps/1.toml").exists();
            is_settled && (0..WRITES).all(|number| !cluster.has_file(node, &path(number)))
        })
    });
}

#[test]
fn a_node_that_is_down_is_asked_all_the_same_where_the_others_do_not_suffice() {
    let options = Options { replicas: 2, write_quorum: 2, gossip: |_| true, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    for node in 1..3 {
        wait_until_heard(&cluster, 0, node, true);
    }
    let path = cluster.path_owned("/both", |owners| owners.contains(&0) && owners.contains(&1));
    // The root says so, and it is not so.
    let store = cluster.store(0);
    let told = BTreeSet::from([cluster.name(1).parse().unwrap()]);
    store.tell_nodes_down(&told).unwrap();
    let answer = cluster.put(0, &path, "here").expect(201);
    assert_eq!(answer.header("webdfs-replicas"), Some("2/2"));
    assert!(cluster.has_file(1, &path));
    cluster.delete(0, &path).expect(204);
    assert!(!cluster.has_file(1, &path));
    assert_eq!(store.nodes_down().unwrap(), told, "it still says so");
}

#[test]
fn a_node_whose_datagrams_alone_are_missing_is_not_down() {
    let cluster = Cluster::start(Front::Embedded, Options { gossip: |_| true, ..Options::default() });
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 0, 2, true);
    cluster.kill(1);
    wait_until_down(&cluster, 0, &[1]);
    restart(&cluster, 1, false);
    wait_until_down(&cluster, 0, &[]);
    let said = said_of(&cluster, 0, 1);
    assert_eq!((&said["up"], &said["gossip"]), (&true.into(), &false.into()), "{said}");
    wait_until("the log tells of it", || {
        cluster.log(0).contains("img2 answers, yet its gossip is not heard")
    });
    // Those that are left gossip on.
    wait_until_heard(&cluster, 0, 2, true);
}

#[test]
fn gossip_goes_on_when_a_process_leaves_its_place_to_another_and_when_the_map_changes() {
    let cluster = Cluster::start(Front::Embedded, Options { gossip: |_| true, ..Options::default() });
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 1, 0, true);
    cluster.upgrade(0);
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 1, 0, true);
    give_next_map(&cluster, 0);
    for at in 0..3 {
        wait_until("all hear of the next map", || {
            (0..3).all(|of| said_of(&cluster, at, of)["said"]["epoch"] == 2)
        });
        for of in (0..3).filter(|of| *of != at) {
            wait_until_heard(&cluster, at, of, true);
        }
    }
    for node in 0..3 {
        let log = cluster.log(node);
        assert!(!log.contains("could not listen"), "{log}");
        assert!(!log.contains("is down, at"), "nobody was missed:\n{log}");
    }
}

#[test]
fn a_datagram_of_another_cluster_changes_nothing() {
    let cluster = Cluster::start(
        Front::Embedded,
        Options { nodes: 2, replicas: 2, gossip: |_| true, ..Options::default() },
    );
    wait_until_heard(&cluster, 0, 1, true);
    let other = Signer::new(&Secrets::parse(b"the secret of another cluster").unwrap());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |signer: &Signer| {
        let head = [&[1][..], &webdfs::clock::seconds().to_be_bytes(), b"no gossip at all"].concat();
        let signature = hex::decode(signer.sign(Signed { kind: "gossip", parts: &[&head] })).unwrap();
        sender.send_to(&[head, signature].concat(), cluster.address(0)).unwrap();
    };
    send(&other);
    wait_until("it is told of", || cluster.log(0).contains("it is not signed with the cluster's secret"));
    // What is signed well and means nothing, and what is no datagram of ours.
    send(&signer());
    sender.send_to(b"", cluster.address(0)).unwrap();
    sender.send_to(&[0xff; 9000], cluster.address(0)).unwrap();
    cluster.put(0, "/a.jpg", "abc").expect(201);
    wait_until_heard(&cluster, 0, 1, true);
    wait_until_heard(&cluster, 1, 0, true);
}

#[test]
fn a_new_map_is_fetched_from_whoever_is_heard_to_have_it() {
    // What the one that gets it says to the others is not answered from then on.
    let detour: &[usize] = &[0, 1, 3, 4];
    let options = Options { nodes: 5, gossip: |_| true, detour, ..Options::default() };
    let cluster = Cluster::launch(Front::Embedded, options);
    let through = |node| Way::Through { to: cluster.address(node), answer_bytes_max: usize::MAX };
    let detours: Vec<_> =
        detour.iter().map(|node| Detour::open(cluster.detour_address(*node), through(*node))).collect();
    for at in 0..5 {
        cluster.wait_until_ready(at);
        for of in (0..5).filter(|of| *of != at) {
            wait_until_heard(&cluster, at, of, true);
        }
    }
    for detour in &detours {
        detour.harm(Some(Harm { after: 0, end: End::Close }));
    }
    give_next_map(&cluster, 2);
    wait_until("all have it", || (0..5).all(|node| has_next_map(&cluster, node)));
}

/// How long until a map that one of twenty nodes gets is on all of them.
fn spread(gossip: fn(usize) -> bool) -> Duration {
    const NODES: usize = 20;
    let cluster = Cluster::start(Front::Embedded, Options { nodes: NODES, gossip, ..Options::default() });
    if gossip(0) {
        for node in 1..NODES {
            wait_until_heard(&cluster, 0, node, true);
        }
    }
    give_next_map(&cluster, 0);
    let begun = Instant::now();
    wait_until("all have it", || (0..NODES).all(|node| has_next_map(&cluster, node)));
    begun.elapsed()
}

/// `make spread`.
#[test]
#[ignore = "a figure, not a test"]
fn twenty_nodes_get_a_map_within_so_many_seconds() {
    for (how, gossip) in [("with gossip", (|_| true) as fn(usize) -> bool), ("without", |_| false)] {
        let mut times: Vec<_> = (0..3).map(|_| spread(gossip).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        println!("a map of the next epoch is on 20 nodes {how} after {times:.2?} s");
    }
}
