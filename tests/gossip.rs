//! Nodes that gossip, over real sockets on loopback: what each hears of the others, who is seen as down, and what is
//! never heard. Figures are printed, not asserted: `cargo test --test gossip -- --nocapture`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;
use webdfs::cluster::{Epoch, NodeName};
use webdfs::config::Secrets;
use webdfs::gossip::{
    DATAGRAM_BYTES_MAX, Dropped, Facts, Fill, Gossip, GossipError, MapFacts, Member, Members, Moving,
    Settings, Traffic,
};
use webdfs::peer::sign::{LIFETIME, Signed, Signer};

const SECRET: &str = "the secret of this cluster";

/// Nothing here takes so long; whoever waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn signer(secrets: &str) -> Signer {
    Signer::new(&Secrets::parse(secrets.as_bytes()).unwrap())
}

fn name(number: usize) -> NodeName {
    format!("img{number}").parse().unwrap()
}

/// Facts that no other number has.
fn facts(number: u64) -> Facts {
    let map = MapFacts {
        epoch: Epoch::FIRST,
        fingerprint: format!("{number:032x}").parse().unwrap(),
        passed: number.is_multiple_of(2).then_some(Epoch::FIRST),
        complete: number.is_multiple_of(3),
    };
    Facts {
        map: Some(map),
        fill: Fill {
            objects: Some(number),
            bytes: Some(number << 20),
            free_bytes: number << 30,
            capacity_bytes: number << 31,
        },
        moving: number
            .is_multiple_of(5)
            .then_some(Moving { keys_left: Some(number), bytes_per_second: number }),
        paused: number.is_multiple_of(7),
        release: format!("0.1.{number}"),
    }
}

fn at_epoch(number: u64, epoch: u64) -> Facts {
    let mut facts = facts(number);
    facts.map.as_mut().unwrap().epoch = Epoch::new(epoch).unwrap();
    facts
}

/// A node at any free port, with these seeds.
async fn node(number: usize, secrets: &str, seeds: &[SocketAddr]) -> Gossip {
    life(number, 1, "127.0.0.1:0", secrets, seeds).await
}

async fn life(number: usize, generation: u64, listen: &str, secrets: &str, seeds: &[SocketAddr]) -> Gossip {
    let settings = Settings {
        listen: listen.to_owned(),
        advertise: None,
        name: name(number),
        generation,
        // The sender is gone: a list that never changes.
        seeds: watch::channel(seeds.iter().copied().collect()).1,
    };
    Gossip::start(settings, signer(secrets), facts(number as u64)).await.unwrap()
}

/// So many nodes, of which all but the first know the first alone.
async fn cluster(count: usize) -> Vec<Gossip> {
    let mut nodes = vec![node(0, SECRET, &[]).await];
    for number in 1..count {
        nodes.push(node(number, SECRET, &[nodes[0].address()]).await);
    }
    nodes
}

/// Waits until what a node sees of the cluster is so, and returns that.
async fn sees(node: &Gossip, so: impl Fn(&Members) -> bool) -> Members {
    let mut cluster = node.cluster();
    let seen = timeout(PATIENCE, cluster.wait_for(|members| so(members))).await;
    match seen {
        Ok(members) => members.expect("it still runs").clone(),
        Err(_) => panic!("not so: {:#?}", node.cluster().borrow()),
    }
}

fn is_up(members: &Members, number: usize, so: impl Fn(&Member) -> bool) -> bool {
    members.get(&name(number)).is_some_and(|member| member.alive && so(member))
}

fn is_complete(members: &Members, count: usize) -> bool {
    let told = |number: usize| move |member: &Member| member.facts == Some(facts(number as u64));
    members.len() == count && (0..count).all(|number| is_up(members, number, told(number)))
}

/// Waits until a node's traffic is so.
async fn counts(node: &Gossip, so: impl Fn(&Traffic) -> bool) -> Traffic {
    let until = async {
        loop {
            let traffic = node.traffic();
            if so(&traffic) {
                return traffic;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, until).await.unwrap_or_else(|_| panic!("not so: {:?}", node.traffic()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_sees_itself() {
    let nodes = cluster(1).await;
    sees(&nodes[0], |members| is_complete(members, 1)).await;
    assert_eq!(nodes[0].traffic(), Traffic::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_hear_all_from_one_seed() {
    let nodes = cluster(3).await;
    for node in &nodes {
        let members = sees(node, |members| is_complete(members, 3)).await;
        for (number, node) in nodes.iter().enumerate() {
            assert_eq!(members.get(&name(number)).unwrap().address, node.address());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_nodes_hear_all_from_one_seed_and_then_of_a_new_epoch() {
    const COUNT: usize = 20;
    let start = Instant::now();
    let nodes = cluster(COUNT).await;
    for node in &nodes {
        sees(node, |members| is_complete(members, COUNT)).await;
    }
    println!("all facts of {COUNT} nodes are everywhere after {:?}", start.elapsed());

    let start = Instant::now();
    nodes[7].publish(at_epoch(7, 2));
    for node in &nodes {
        sees(node, |members| is_up(members, 7, |member| member.facts == Some(at_epoch(7, 2)))).await;
    }
    println!("a new epoch has reached all {COUNT} nodes after {:?}", start.elapsed());

    let changed = Fill { objects: Some(1), bytes: Some(2), free_bytes: 3, capacity_bytes: 4 };
    nodes[9].publish(Facts { fill: changed, moving: None, ..facts(9) });
    let has_changed = |member: &Member| member.facts.as_ref().is_some_and(|facts| facts.fill == changed);
    for node in &nodes {
        sees(node, |members| is_up(members, 9, has_changed)).await;
    }
    assert!(nodes.iter().all(|node| node.traffic().dropped == Dropped::default()));
}

/// `cargo test --test gossip -- --ignored --nocapture`: the figures in the documentation of `src/gossip/mod.rs`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement that takes a minute"]
async fn what_a_node_sends_is_printed_and_no_node_is_seen_as_down_meanwhile() {
    for count in [20, 40] {
        let nodes = cluster(count).await;
        let mut seen = Vec::new();
        for node in &nodes {
            seen.push(sees(node, |members| is_complete(members, count)).await);
        }
        for is_changing in [false, true] {
            let total = || nodes.iter().map(|node| node.traffic().sent_bytes).sum::<u64>();
            let (start, before) = (Instant::now(), total());
            let first = nodes[0].traffic().sent;
            // A node sends about 9 datagrams a second.
            counts(&nodes[0], |traffic| {
                let bytes = if is_changing { start.elapsed().as_millis() as u64 } else { 0 };
                let fill = Fill {
                    objects: Some(1_000_000),
                    bytes: Some(bytes),
                    free_bytes: bytes << 20,
                    capacity_bytes: 4 << 40,
                };
                for (node, number) in nodes.iter().zip(0..) {
                    node.publish(Facts { fill, ..facts(number) });
                }
                traffic.sent - first >= 150
            })
            .await;
            let rate = (total() - before) as f64 / start.elapsed().as_secs_f64() / count as f64;
            let how = if is_changing { "while all fills change" } else { "at rest" };
            println!("{count} nodes {how}: each sends {rate:.0} bytes/s");
        }
        for (node, before) in nodes.iter().zip(&seen) {
            let now = node.cluster().borrow().clone();
            for (name, member) in now.iter() {
                assert_eq!(
                    (member.alive, Some(member.since)),
                    (true, before.get(name).map(|was| was.since)),
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_is_seen_as_down_and_one_that_returns_as_up_with_one_entry() {
    let mut nodes = cluster(5).await;
    for node in &nodes {
        sees(node, |members| is_complete(members, 5)).await;
    }
    let killed = nodes.remove(2);
    let address = killed.address();
    let start = Instant::now();
    killed.stop().await;
    for node in &nodes {
        let members = sees(node, |members| members.is_down(&name(2))).await;
        assert_eq!(members.iter().filter(|(_, member)| member.alive).count(), 4, "{members:?}");
        let gone = members.get(&name(2)).unwrap();
        assert_eq!(gone.facts, Some(facts(2)), "what it told last is still known");
        assert!(gone.since >= start);
    }
    println!("a node that stopped is down everywhere after {:?}", start.elapsed());

    let seed = nodes[0].address();
    let start = Instant::now();
    let returned = life(2, 2, &address.to_string(), SECRET, &[seed]).await;
    for node in nodes.iter().chain([&returned]) {
        let members = sees(node, |members| {
            is_complete(members, 5) && is_up(members, 2, |member| member.generation == 2)
        })
        .await;
        assert_eq!(members.len(), 5);
    }
    println!("a node that returned is up everywhere after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_become_known_later_are_spoken_to() {
    let first = node(1, SECRET, &[]).await;
    let (sender, seeds) = watch::channel(BTreeSet::new());
    let listen = "127.0.0.1:0".to_owned();
    let settings = Settings { listen, advertise: None, name: name(0), generation: 1, seeds };
    let second = Gossip::start(settings, signer(SECRET), facts(0)).await.unwrap();
    sees(&second, |members| members.len() == 1).await;
    sender.send(BTreeSet::from([second.address(), first.address()])).unwrap();
    sees(&second, |members| is_complete(members, 2)).await;
    sees(&first, |members| is_complete(members, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_secret_hears_nothing_and_is_not_heard() {
    let ours = cluster(2).await;
    let stranger = node(7, "the secret of another cluster", &[ours[0].address(), ours[1].address()]).await;
    for node in &ours {
        sees(node, |members| is_complete(members, 2)).await;
        counts(node, |traffic| traffic.dropped.forged >= 3).await;
        assert_eq!(node.cluster().borrow().len(), 2);
    }
    assert_eq!(stranger.cluster().borrow().len(), 1);
    assert_eq!(stranger.traffic().heard, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_rotated_while_nodes_gossip() {
    let (old, new) = ("the secret of yesterday", "the secret of tomorrow");
    let first = node(0, old, &[]).await;
    let second = node(1, old, &[first.address()]).await;
    let nodes = [&first, &second];
    for node in nodes {
        sees(node, |members| is_complete(members, 2)).await;
    }
    // As conf/node.toml tells it: the new one second on every node, then the lines swapped, then the old one gone.
    let steps = [format!("{old}\n{new}"), format!("{new}\n{old}"), new.to_owned()];
    for (step, secrets) in (2..).zip(&steps) {
        for node in nodes {
            let before = node.traffic().heard;
            node.sign_with(signer(secrets));
            first.publish(at_epoch(0, step));
            counts(node, |traffic| traffic.heard >= before + 3).await;
        }
        sees(&second, |members| is_up(members, 0, |member| member.facts == Some(at_epoch(0, step)))).await;
    }
    for node in nodes {
        assert_eq!(node.traffic().dropped, Dropped::default());
        assert!((0..2).all(|number| is_up(&node.cluster().borrow(), number, |_| true)));
    }
}

/// A datagram as a node of `secret` would send it at `time`.
fn sealed(secret: &str, time: u64, payload: &[u8]) -> Vec<u8> {
    let mut datagram = [&[1], &time.to_be_bytes()[..], payload].concat();
    let signature = signer(secret).sign(Signed { kind: "gossip", parts: &[&datagram] });
    datagram.extend(hex::decode(signature).unwrap());
    datagram
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_gossip_of_this_cluster_is_dropped_and_counted() {
    // Over IPv6, which carries datagrams longer than any node sends.
    let node = life(0, 1, "[::1]:0", SECRET, &[]).await;
    let sender = UdpSocket::bind("[::1]:0").await.unwrap();
    let now = webdfs::clock::seconds();
    let good = sealed(SECRET, now, b"no message");
    let sent = |dropped: Dropped| Traffic { dropped, ..Traffic::default() };
    let mut dropped = Dropped::default();
    for garbage in [&b""[..], b"\x01", b"GET / HTTP/1.1\r\n\r\n", &good[..20], &[0xb5; 1400], &good] {
        sender.send_to(garbage, node.address()).await.unwrap();
        dropped.malformed += 1;
        counts(&node, |traffic| *traffic == sent(dropped)).await;
    }
    for forged in [&good[..good.len() - 1], &sealed("the secret of another cluster", now, b""), &[1; 1400]] {
        sender.send_to(forged, node.address()).await.unwrap();
        dropped.forged += 1;
        counts(&node, |traffic| *traffic == sent(dropped)).await;
    }
    for time in [0, now - LIFETIME.as_secs() - 60, now + LIFETIME.as_secs() + 60, u64::MAX] {
        sender.send_to(&sealed(SECRET, time, b""), node.address()).await.unwrap();
        dropped.late += 1;
        counts(&node, |traffic| *traffic == sent(dropped)).await;
    }
    sender.send_to(&[1; DATAGRAM_BYTES_MAX + 1], node.address()).await.unwrap();
    dropped.oversized += 1;
    counts(&node, |traffic| *traffic == sent(dropped)).await;

    // It goes on as before.
    let other = life(1, 1, "[::1]:0", SECRET, &[node.address()]).await;
    for node in [&node, &other] {
        sees(node, |members| is_complete(members, 2)).await;
    }
    assert_eq!(node.traffic().dropped, dropped);
}

/// The beginning of an exchange from a node that knows so many others, as chitchat writes it.
fn digest_of(count: u16) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    let mut message = [&45_139_u16.to_le_bytes()[..], &[0, 0], &count.to_le_bytes()].concat();
    for number in 0..count {
        message.extend(text(&format!("node-{number:04}")));
        message.extend(1_u64.to_le_bytes());
        message.extend([4, 127, 0, 0, 1]);
        message.extend(1_u16.to_le_bytes());
        message.extend([1, 0, 0].map(u64::to_le_bytes).concat());
    }
    [message, text("webdfs")].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_more_nodes_than_fit_into_a_datagram_nobody_is_taken_for_dead_and_it_starts_anew() {
    // 50 bytes each: the second digest is so long that chitchat has no room to answer.
    tokio::join!(starts_anew_after(digest_of(1300)), starts_anew_after(digest_of(1308)));
}

async fn starts_anew_after(digest: Vec<u8>) {
    let first = node(0, SECRET, &[]).await;
    sees(&first, |members| is_complete(members, 1)).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let message = sealed(SECRET, webdfs::clock::seconds(), &digest);
    sender.send_to(&message, first.address()).await.unwrap();
    sees(&first, Members::is_empty).await;
    let has_started_anew = |member: &Member| member.generation == 2;
    sees(&first, |members| members.len() == 1 && is_up(members, 0, has_started_anew)).await;
    // Not before: it would have heard of some of them, and brought them back.
    let _second = node(1, SECRET, &[first.address()]).await;
    sees(&first, |members| is_up(members, 0, has_started_anew) && is_up(members, 1, |_| true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_where_it_cannot_listen_is_named() {
    let first = node(0, SECRET, &[]).await;
    let taken = first.address().to_string();
    for (listen, says) in [
        (taken.as_str(), "could not listen there"),
        ("192.0.2.1:7071", "could not listen there"),
        ("no-such-host.invalid:7071", "no address of this host was found"),
        ("0.0.0.0:0", "name that one"),
    ] {
        let settings = Settings {
            listen: listen.to_owned(),
            advertise: None,
            name: name(1),
            generation: 1,
            seeds: watch::channel(BTreeSet::new()).1,
        };
        let error: GossipError = Gossip::start(settings, signer(SECRET), facts(1)).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("[listen] gossip = \"{listen}\"")), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let settings = Settings {
        listen: "0.0.0.0:0".to_owned(),
        advertise: Some([127, 0, 0, 1].into()),
        name: name(1),
        generation: 1,
        seeds: watch::channel(BTreeSet::from([first.address()])).1,
    };
    let everywhere = Gossip::start(settings, signer(SECRET), facts(1)).await.unwrap();
    sees(&everywhere, |members| is_complete(members, 2)).await;
    sees(&first, |members| is_complete(members, 2)).await;
}
