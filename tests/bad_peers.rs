//! Other nodes that are none, are others than they seem, hang or break off: they count for nothing and hold nobody up.

mod common;

use std::time::{Duration, Instant};

use common::{
    Call, Cluster, Detour, Front, Kept, Options, Seal, Way, assert_nothing, noise, shared, signed, wait_until,
};
use webdfs::peer::message::Operation;

on_both_fronts!(
    strangers_learn_nothing_from_peer_paths,
    a_peer_request_for_another_node_is_refused_as_misdirected,
    two_names_that_reach_one_machine_do_not_count_as_two,
    a_node_with_another_secret_counts_for_nothing,
    a_peer_that_hangs_is_left_behind,
    a_machine_that_stands_still_is_left_behind,
    a_peer_that_closes_in_the_middle_of_an_upload_is_left_behind,
    a_peer_that_closes_in_the_middle_of_an_answer_leaves_no_half_object,
);

/// Long enough for a peer's deadlines (5 s without a byte, 1 s after the others), short of a second round of them.
const PEER_PATIENCE: Duration = Duration::from_secs(15);

fn strangers_learn_nothing_from_peer_paths(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/strangers");
    let id = "0".repeat(32);
    let calls = [
        ("POST", "hello".to_owned()),
        ("GET", "object/strangers/kept.jpg".to_owned()),
        ("GET", "object/strangers/missing.jpg".to_owned()),
        ("POST", "ask/strangers/kept.jpg".to_owned()),
        ("POST", "delete/strangers/kept.jpg".to_owned()),
        ("PUT", format!("prepare/{id}/strangers/new.jpg")),
        ("POST", format!("commit/{id}/strangers/new.jpg")),
        ("POST", format!("drop/{id}")),
        ("POST", "missed/strangers/kept.jpg".to_owned()),
        ("PUT", format!("batch/{id}{id}")),
        ("POST", "agreed".to_owned()),
        ("POST", "forget".to_owned()),
        ("POST", "no-such-operation".to_owned()),
        ("DELETE", "object/strangers/kept.jpg".to_owned()),
        ("GET", "object/../../secret".to_owned()),
        ("GET", "object/%2e%2e/secret".to_owned()),
    ];
    for (method, path) in calls {
        let call = Call::new(method, &format!("/_webdfs/v1/{path}")).body("{}");
        for call in [
            call.clone(),
            call.clone().header("Webdfs-Signature", &"0".repeat(64)).header("Webdfs-From", "img2"),
        ] {
            let answer = cluster.send(0, &call);
            let refused = answer.status == 403 || (path.contains("..") && matches!(answer.status, 400 | 404));
            assert!(refused || path.contains("%2e") && answer.status == 404, "{method} {path}: {answer}");
            assert!(!answer.text().contains("img"), "{answer}");
        }
    }
    kept.check();
}

fn a_peer_request_for_another_node_is_refused_as_misdirected(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/signed");
    let name = webdfs::name::ObjectName::from_bytes(b"signed/kept.jpg").unwrap();
    let ask = Operation::Ask(name);
    let request = |to, seal| signed(&cluster, to, &ask, b"null", seal);
    cluster.send(0, &request(0, Seal::default())).expect(200);
    let answer = cluster.send(0, &request(2, Seal::default())).expect(421);
    assert!(answer.text().contains("img1") && answer.text().contains("img3"), "{answer}");
    // Too old, and under another map.
    cluster.send(0, &request(0, Seal { age: 13 * 3600, ..Seal::default() })).expect(403);
    let other = "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"x\"\n\
                 [[subcluster.node]]\nname = \"img1\"\nurl = \"http://10.0.0.1/_webdfs\"\n";
    cluster.send(0, &request(0, Seal { other_map: Some(other), ..Seal::default() })).expect(409);
    // Signed for another path.
    let delete = Operation::Delete(webdfs::name::ObjectName::from_bytes(b"signed/kept.jpg").unwrap());
    let mut call = Call::new("POST", &format!("/_webdfs/v1/{}", delete.path())).body("null");
    for (name, value) in request(0, Seal::default()).headers() {
        call = call.header(name, value);
    }
    cluster.send(0, &call).expect(403);
    kept.check();
}

fn two_names_that_reach_one_machine_do_not_count_as_two(front: Front) {
    let cluster = Cluster::launch(front, Options { detour: &[2], ..Options::default() });
    let detour = Detour::open(cluster.detour_address(2), Way::to(cluster.address(2)));
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    let kept = Kept::store(&cluster, "/misdirected");
    // Now img3's url reaches img2.
    detour.turn(Way::to(cluster.address(1)));
    cluster.kill(2);
    for at in 0..5 {
        let stored = cluster.put(at % 2, &format!("/misdirected/{at}.jpg"), "x").expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    }
    let log = cluster.log(0);
    assert!(log.contains("this is node \"img2\", not \"img3\""), "the log names the mistake:\n{log}");
    // With one real node less, W is not met.
    cluster.kill(1);
    cluster.put(0, "/misdirected/more.jpg", "x").expect(503);
    detour.turn(Way::to(cluster.address(2)));
    (1..3).for_each(|node| cluster.restart(node));
    (1..3).for_each(|node| cluster.wait_until_ready(node));
    kept.check();
}

fn a_node_with_another_secret_counts_for_nothing(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/secret");
    cluster.kill(2);
    cluster.write_secret(2, "another secret of another cluster");
    cluster.restart(2);
    // What it has, it serves; nobody listens to it.
    wait_until("node 2 serves what it has", || {
        Call::new("GET", &kept.target).try_send(cluster.address(2)).is_ok_and(|answer| answer.status == 200)
    });
    let stored = cluster.put(0, "/secret/a.jpg", "a").expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"));
    assert_eq!(cluster.get(1, "/secret/a.jpg").expect(200).text(), "a");
    cluster.put(2, "/secret/b.jpg", "b").expect(503);
    cluster.get(2, "/secret/a.jpg").expect(503);
    cluster.delete(2, &kept.target).expect(503);
    let log = cluster.log(0);
    assert!(log.contains("another secret"), "the log says what is wrong:\n{log}");
    // Set right, it catches up.
    cluster.kill(2);
    cluster.write_secret(2, common::setup::SECRET);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    wait_until("node 2 has what it missed", || cluster.has_file(2, "/secret/a.jpg"));
    assert_nothing(&cluster, "/secret/b.jpg");
    kept.check();
}

/// An upload, a look-up and a deletion, each met by the two nodes that are well.
#[track_caller]
fn assert_two_are_enough(cluster: &Cluster, target: &str, length: usize) {
    let timed = |node: usize, call: &Call| {
        let begun = Instant::now();
        let answer = cluster.send(node, call);
        assert!(begun.elapsed() < PEER_PATIENCE, "it took {:?}: {answer}", begun.elapsed());
        answer
    };
    let body = noise(1, length);
    let stored = timed(0, &Call::new("PUT", target).body(body.clone())).expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    for node in 0..2 {
        assert!(cluster.get(node, target).expect(200).body == body);
    }
    timed(1, &Call::new("DELETE", target)).expect(204);
    timed(0, &Call::new("GET", target)).expect(404);
}

fn a_peer_that_hangs_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/hangs");
    cluster.kill(2);
    let detour = Detour::open(cluster.address(2), Way::Hang);
    assert_two_are_enough(&cluster, "/hangs/small.jpg", 100);
    assert_two_are_enough(&cluster, "/hangs/large.jpg", 12 << 20);
    assert!(detour.taken() > 0, "it was asked");
    drop(detour);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    kept.check();
}

fn a_machine_that_stands_still_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/still");
    cluster.pause(2);
    let (target, body) = ("/still/a.jpg", noise(1, 12 << 20));
    let begun = Instant::now();
    let stored = cluster.put(0, target, body.clone()).expect(201);
    assert!(begun.elapsed() < PEER_PATIENCE, "it took {:?}", begun.elapsed());
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    cluster.resume(2);
    wait_until("node 2 has what it missed", || {
        std::fs::read(cluster.file(2, target)).is_ok_and(|bytes| bytes == body)
    });
    assert_nothing(&cluster, "/still/missing.jpg");
    kept.check();
}

fn a_peer_that_closes_in_the_middle_of_an_upload_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/closes");
    cluster.kill(2);
    let detour = Detour::open(cluster.address(2), Way::CloseAfter(0));
    for bytes in [0, 10, 1000, 100_000, 5_000_000] {
        detour.turn(Way::CloseAfter(bytes));
        let (target, body) = (format!("/closes/{bytes}.jpg"), noise(1, 6 << 20));
        let stored = cluster.put(0, &target, body.clone()).expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
        assert!(cluster.get(1, &target).expect(200).body == body);
    }
    drop(detour);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    kept.check();
}

fn a_peer_that_closes_in_the_middle_of_an_answer_leaves_no_half_object(front: Front) {
    let cluster = Cluster::launch(front, Options { detour: &[1], ..Options::default() });
    let detour = Detour::open(cluster.detour_address(1), Way::to(cluster.address(1)));
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    let kept = Kept::store(&cluster, "/cut");
    // Node 1 is the first that node 0 asks.
    let target = cluster.path_owned("/cut", |owners| {
        let others: Vec<_> = owners.iter().filter(|node| **node != 0).collect();
        *others[0] == 1
    });
    let body = noise(1, 1 << 20);
    cluster.put(0, &target, body.clone()).expect(201);
    for most in [0, 100, 1000, 500_000] {
        std::fs::remove_file(cluster.file(0, &target)).unwrap();
        // Connections made before are of no use: a new process has none.
        cluster.kill_webdfs(0);
        detour.turn(Way::Through { to: cluster.address(1), answer_bytes_max: most });
        cluster.restart(0);
        wait_until("node 0 answers", || {
            Call::new("GET", &kept.target)
                .try_send(cluster.side_address(0))
                .is_ok_and(|answer| answer.status == 200)
        });
        // The whole object, or something that the client can tell from one.
        if let Ok(answer) = Call::new("GET", &target).try_send(cluster.address(0)) {
            assert!(answer.status != 200 || answer.body == body, "{answer}");
        }
        assert!(!cluster.has_file(0, &target) || std::fs::read(cluster.file(0, &target)).unwrap() == body);
        detour.turn(Way::to(cluster.address(1)));
        let mut got = Vec::new();
        wait_until("the object is read whole again", || {
            let answer = Call::new("GET", &target).try_send(cluster.address(0));
            got = answer.map(|answer| answer.body).unwrap_or_default();
            got == body
        });
        wait_until("node 0 keeps it", || {
            std::fs::read(cluster.file(0, &target)).is_ok_and(|bytes| bytes == body)
        });
    }
    kept.check();
}
