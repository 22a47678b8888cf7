//! Nodes that die, come back, and lack something.

mod common;

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use common::{Call, Cluster, Connection, Detour, Front, Options, Way, noise, wait_until};
use webdfs::cluster::View;
use webdfs::config::Secrets;
use webdfs::name::ObjectName;
use webdfs::peer::client::{PeerClient, PeerError};
use webdfs::peer::sign::Signer;
use webdfs::store::SpoolId;

on_both_fronts!(
    nothing_acknowledged_is_missing_after_a_node_was_killed_during_uploads,
    an_upload_that_too_few_nodes_take_leaves_nothing_visible,
    what_was_deleted_while_a_node_was_down_disappears_there,
    what_was_replaced_while_a_node_was_down_is_replaced_there,
    uploads_of_a_coordinator_that_dies_are_visible_nowhere,
    an_owner_that_lacks_an_object_fetches_it_and_keeps_it,
    an_owner_that_was_asked_for_the_head_or_a_part_fetches_the_whole,
    a_cluster_that_was_killed_as_a_whole_has_everything_again,
    a_node_that_hangs_holds_up_no_other_background_work,
    a_root_that_cannot_be_recovered_everywhere_has_its_background_work_all_the_same,
);

/// Waits until a node has this file, with the bytes and the time that another node has.
fn wait_for_same(cluster: &Cluster, node: usize, other: usize, path: &str) {
    let about = |node: usize| {
        let file = cluster.file(node, path);
        let about = file.metadata().ok()?;
        Some((about.mtime(), about.mtime_nsec(), std::fs::read(file).ok()?))
    };
    wait_until(&format!("{path} is the same on nodes {node} and {other}"), || {
        about(node).is_some() && about(node) == about(other)
    });
}

fn nothing_acknowledged_is_missing_after_a_node_was_killed_during_uploads(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let stored = Mutex::new(Vec::new());
    let upload = |node: usize| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let path = format!("/during/{number}.jpg");
        let body = noise(number as u64, 1000 + number * 977 % 300_000);
        let answer = Call::new("PUT", &path).body(body.clone()).try_send(cluster.address(node));
        if node != 2 {
            let answer = answer.as_ref().expect("an answer");
            assert_eq!(answer.status, 201, "{path} through node {node}: {answer}");
        }
        if let Ok(answer) = answer
            && answer.status == 201
        {
            stored.lock().unwrap().push((path, body, answer.header("Webdfs-Replicas").unwrap().to_owned()));
        }
    };
    let replicas = |what: &str| stored.lock().unwrap().iter().filter(|(_, _, said)| said == what).count();
    thread::scope(|scope| {
        for node in [0, 1, 2] {
            let (stop, upload) = (&stop, &upload);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    upload(node);
                }
            });
        }
        // Should something below fail, the uploads end all the same.
        let guard = Finally(|| stop.store(true, Ordering::SeqCst));
        wait_until("uploads reach three nodes", || replicas("3/3") >= 30);
        cluster.kill(2);
        wait_until("uploads reach two nodes", || replicas("2/3") >= 30);
        let before = count.load(Ordering::SeqCst);
        cluster.restart(2);
        wait_until("uploads go on while the node comes back", || count.load(Ordering::SeqCst) > before + 60);
        drop(guard);
    });
    cluster.wait_until_ready(2);
    for (path, body, _) in stored.into_inner().unwrap() {
        wait_for_same(&cluster, 2, 0, &path);
        wait_for_same(&cluster, 1, 0, &path);
        for node in 0..3 {
            assert!(std::fs::read(cluster.file(node, &path)).unwrap() == body, "{path} on node {node}");
        }
        assert!(cluster.get(2, &path).expect(200).body == body);
    }
}

struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn an_upload_that_too_few_nodes_take_leaves_nothing_visible(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let old = cluster.put(0, "/few/old.jpg", "old").expect(201);
    cluster.kill(1);
    cluster.kill(2);
    for length in [0, 10, 200_000, 3 << 20] {
        let body = noise(1, length);
        let answer = cluster.put(0, &format!("/few/{length}.jpg"), body.clone()).expect(503);
        assert!(answer.header("Retry-After").is_some(), "{answer}");
        cluster.put(0, "/few/old.jpg", body).expect(503);
        assert!(!cluster.has_file(0, &format!("/few/{length}.jpg")));
    }
    cluster.delete(0, "/few/old.jpg").expect(503);
    // What is here is served; of what is not, nobody can say that it does not exist.
    assert_eq!(cluster.get(0, "/few/old.jpg").expect(200).etag(), old.etag());
    let unknown = cluster.get(0, "/few/10.jpg").expect(503);
    assert!(unknown.header("Retry-After").is_some(), "{unknown}");
    cluster.head(0, "/few/10.jpg").expect(503);
    wait_until("the uploads are dropped", || cluster.spools(0).is_empty());
    cluster.restart(1);
    cluster.restart(2);
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    // That nobody could say was true a moment ago, and is believed so long.
    wait_until("it is known not to exist", || cluster.get(0, "/few/10.jpg").status == 404);
    for node in 0..3 {
        for length in [0, 10, 200_000, 3 << 20] {
            cluster.get(node, &format!("/few/{length}.jpg")).expect(404);
        }
        assert_eq!(cluster.get(node, "/few/old.jpg").expect(200).etag(), old.etag());
    }
    cluster.put(0, "/few/10.jpg", "now").expect(201);
}

fn what_was_deleted_while_a_node_was_down_disappears_there(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    cluster.put(0, "/down/deleted.jpg", "there").expect(201);
    cluster.put(0, "/down/put-again.jpg", "first").expect(201);
    cluster.kill(2);
    cluster.delete(0, "/down/deleted.jpg").expect(204);
    cluster.delete(0, "/down/put-again.jpg").expect(204);
    cluster.put(1, "/down/put-again.jpg", "second").expect(201);
    cluster.put(1, "/down/never-seen.jpg", "there and gone").expect(201);
    cluster.delete(0, "/down/never-seen.jpg").expect(204);
    assert!(cluster.has_file(2, "/down/deleted.jpg"));
    cluster.restart(2);
    cluster.wait_until_ready(2);
    wait_until("the file disappears", || !cluster.has_file(2, "/down/deleted.jpg"));
    wait_for_same(&cluster, 2, 0, "/down/put-again.jpg");
    for node in 0..3 {
        cluster.get(node, "/down/deleted.jpg").expect(404);
        cluster.get(node, "/down/never-seen.jpg").expect(404);
        assert_eq!(cluster.get(node, "/down/put-again.jpg").expect(200).text(), "second");
    }
}

fn what_was_replaced_while_a_node_was_down_is_replaced_there(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let long = format!("/replaced/{}.jpg", "x".repeat(300));
    let paths = ["/replaced/a.jpg", "/replaced/a.jpg/below.jpg", &long];
    for path in paths {
        cluster.put(0, path, "old").expect(201);
    }
    cluster.kill(2);
    let body = noise(2, 700_000);
    for path in paths {
        let stored = cluster.put(1, path, body.clone()).expect(204);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"));
    }
    cluster.restart(2);
    cluster.wait_until_ready(2);
    for path in paths {
        // Through the embedded front: the node's own copy, or an owner's.
        wait_until(&format!("{path} is replaced"), || {
            Call::new("GET", path).send(cluster.address(2)).expect(200).body == body
        });
    }
    wait_for_same(&cluster, 2, 0, "/replaced/a.jpg");
    // Alone, it knows them all: every node's own copy is the new one.
    cluster.kill(0);
    cluster.kill(1);
    for path in paths {
        assert!(cluster.get(2, path).expect(200).body == body, "{path}");
    }
}

fn uploads_of_a_coordinator_that_dies_are_visible_nowhere(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    cluster.put(0, "/dies/old.jpg", "old").expect(201);
    let mut connections = Vec::new();
    for target in ["/dies/new.jpg", "/dies/old.jpg"] {
        let mut connection = Connection::open(cluster.address(2)).unwrap();
        connection.begin(&Call::new("PUT", target).header("Content-Length", "2000000")).unwrap();
        connection.write(&noise(1, 1_000_000)).unwrap();
        connections.push(connection);
    }
    wait_until("the uploads are on their way", || (0..2).all(|node| cluster.spools(node).len() >= 2));
    cluster.kill(2);
    drop(connections);
    wait_until("the uploads are dropped", || (0..2).all(|node| cluster.spools(node).is_empty()));
    cluster.restart(2);
    cluster.wait_until_ready(2);
    wait_until("the uploads are dropped there too", || cluster.spools(2).is_empty());
    for node in 0..3 {
        cluster.get(node, "/dies/new.jpg").expect(404);
        assert_eq!(cluster.get(node, "/dies/old.jpg").expect(200).text(), "old");
    }
}

fn an_owner_that_lacks_an_object_fetches_it_and_keeps_it(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    for (at, length) in [0, 1, 60_000, 5 << 20].into_iter().enumerate() {
        let (path, body) = (format!("/heals/folder/{length}.jpg"), noise(1, length));
        let stored = cluster.put(at % 3, &path, body.clone()).expect(201);
        for node in 0..3 {
            std::fs::remove_dir_all(cluster.file(node, "/heals")).unwrap();
            let answer = cluster.get(node, &path).expect(200);
            assert!(answer.body == body, "{path}");
            assert_eq!(answer.etag(), stored.etag());
            assert_eq!(answer.header("Last-Modified"), stored.header("Last-Modified"));
            wait_for_same(&cluster, node, (node + 1) % 3, &path);
        }
    }
    // Asked by many at once, it fetches it for all of them.
    let body = noise(3, 300_000);
    cluster.put(0, "/heals/many.jpg", body.clone()).expect(201);
    std::fs::remove_file(cluster.file(1, "/heals/many.jpg")).unwrap();
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| assert!(cluster.get(1, "/heals/many.jpg").expect(200).body == body));
        }
    });
    wait_for_same(&cluster, 1, 0, "/heals/many.jpg");
    // A client that does not wait for the end.
    let body = noise(4, 20 << 20);
    cluster.put(0, "/heals/left.jpg", body.clone()).expect(201);
    std::fs::remove_file(cluster.file(1, "/heals/left.jpg")).unwrap();
    let mut connection = Connection::open(cluster.address(1)).unwrap();
    connection.begin(&Call::new("GET", "/heals/left.jpg")).unwrap();
    connection.answer_head().unwrap().expect(200);
    connection.read_exactly(1000).unwrap();
    drop(connection);
    wait_for_same(&cluster, 1, 0, "/heals/left.jpg");
}

fn an_owner_that_was_asked_for_the_head_or_a_part_fetches_the_whole(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let body = noise(1, 100_000);
    let stored = cluster.put(0, "/part/a.jpg", body.clone()).expect(201);
    let calls = [
        (Call::new("HEAD", "/part/a.jpg"), 200),
        (Call::new("GET", "/part/a.jpg").header("Range", "bytes=10-19"), 206),
        (Call::new("GET", "/part/a.jpg").header("Range", "bytes=0-0,-1"), 206),
        (Call::new("GET", "/part/a.jpg").header("Range", "bytes=200000-"), 416),
        (Call::new("GET", "/part/a.jpg").header("If-None-Match", stored.etag()), 304),
        (Call::new("HEAD", "/part/a.jpg").header("If-None-Match", stored.etag()), 304),
        (Call::new("GET", "/part/a.jpg").header("If-Match", "\"x\""), 412),
    ];
    for (call, status) in calls {
        std::fs::remove_file(cluster.file(2, "/part/a.jpg")).unwrap();
        let answer = cluster.send(2, &call);
        assert_eq!(answer.status, status, "{call:?}: {answer}");
        match answer.header("Content-Range") {
            Some("bytes 10-19/100000") => assert_eq!(answer.body, body[10..20]),
            _ if status == 200 => assert_eq!(answer.header("Content-Length"), Some("100000")),
            _ => {}
        }
        if matches!(status, 200 | 206 | 304) {
            assert_eq!(answer.etag(), stored.etag(), "{call:?}: {answer}");
        }
        wait_for_same(&cluster, 2, 0, "/part/a.jpg");
    }
}

fn a_cluster_that_was_killed_as_a_whole_has_everything_again(front: Front) {
    let cluster = Cluster::start(front, Options { durability: "sync", ..Options::default() });
    let mut etags = Vec::new();
    for at in 0..20 {
        let path = format!("/all/{at}.jpg");
        etags.push((path.clone(), cluster.put(at % 3, &path, noise(at as u64, at * 5000)).expect(201)));
    }
    cluster.delete(0, "/all/0.jpg").expect(204);
    (0..3).for_each(|node| cluster.kill(node));
    (0..3).for_each(|node| cluster.restart(node));
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    for (path, stored) in &etags[1..] {
        for node in 0..3 {
            assert_eq!(cluster.get(node, path).expect(200).etag(), stored.etag());
        }
    }
    for node in 0..3 {
        cluster.get(node, "/all/0.jpg").expect(404);
    }
}

fn a_node_that_hangs_holds_up_no_other_background_work(front: Front) {
    /// So many that asking a node that hangs for each would take longer than a test waits.
    const MARKS: usize = 1000;
    let cluster = Cluster::start(front, Options::default());
    cluster.kill(2);
    let hanging = Detour::open(cluster.address(2), Way::Hang);
    let body = noise(1, 10_000);
    let stored = cluster.put(0, "/hanging/a.jpg", body.clone()).expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"));
    let (store, name) = (cluster.store(0), |text: &str| ObjectName::from_bytes(text.as_bytes()).unwrap());
    for number in 0..MARKS {
        store.mark_dirty(&cluster.name(0).parse().unwrap(), &name(&format!("hanging/{number}"))).unwrap();
    }
    let before = hanging.taken();
    wait_until("the node that hangs is asked", || hanging.taken() > before);

    let mut spool = store.spool(SpoolId::random(), Some(4)).unwrap();
    spool.write(b"half").unwrap();
    spool.finish(&name("hanging/upload.jpg"), 1).unwrap();
    drop(store);
    assert!(!cluster.spools(0).is_empty());
    std::fs::remove_file(cluster.file(1, "/hanging/a.jpg")).unwrap();
    cluster.store(0).mark_dirty(&cluster.name(1).parse().unwrap(), &name("hanging/a.jpg")).unwrap();
    wait_for_same(&cluster, 1, 0, "/hanging/a.jpg");
    wait_until("the upload is dropped", || cluster.spools(0).is_empty());

    drop(hanging);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    wait_for_same(&cluster, 2, 0, "/hanging/a.jpg");
}

fn a_root_that_cannot_be_recovered_everywhere_has_its_background_work_all_the_same(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    cluster.put(0, "/recovers/a.jpg", "a").expect(201);
    cluster.kill(0);
    // No folder that could be listed.
    let link = cluster.root(0).join(".webdfs/tombstones/loop");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    cluster.restart(0);
    cluster.wait_until_ready(0);
    std::fs::remove_file(cluster.file(1, "/recovers/a.jpg")).unwrap();
    let name = ObjectName::from_bytes(b"recovers/a.jpg").unwrap();
    cluster.store(0).mark_dirty(&cluster.name(1).parse().unwrap(), &name).unwrap();
    wait_for_same(&cluster, 1, 0, "/recovers/a.jpg");
    assert!(cluster.log(0).contains("stays in places"), "{}", cluster.log(0));
}

/// What a transfer of a long body to a listener ends with.
async fn transfer_to(listener: std::net::TcpListener) -> PeerError {
    let url = format!("http://{}/_webdfs", listener.local_addr().unwrap());
    let map = format!(
        "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"x\"\n\
         [[subcluster.node]]\nname = \"img1\"\nurl = \"{url}\"\n"
    );
    let map = Arc::new(webdfs::config::parse_map(&map, "map.toml".as_ref()).unwrap());
    let map = View::new(&"img1".parse().unwrap(), map, Vec::new()).unwrap();
    let signer = Signer::new(&Secrets::parse(common::setup::SECRET.as_bytes()).unwrap());
    let peers = PeerClient::new("img2".parse().unwrap(), signer, None);
    let node = map.index_of(&"img1".parse().unwrap()).unwrap();
    let name = ObjectName::from_bytes(b"a.jpg").unwrap();
    let body = noise(1, 32 << 20);
    let length = body.len() as u64;
    let pieces: Vec<_> = body.chunks(64 << 10).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let body = Box::pin(futures_util::stream::iter(pieces));
    let transfer = peers.prepare(&map, node, (SpoolId::random(), &name), length, body);
    let ended = tokio::time::timeout(common::PATIENCE, transfer).await.expect("the transfer ends");
    ended.expect_err("nobody has taken it")
}

#[tokio::test]
async fn a_transfer_ends_when_the_other_node_takes_nothing_or_never_answers() {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (idle, greedy) = (listener(), listener());
    let reading = greedy.try_clone().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = reading.accept().unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    // The system takes the connection of the one that is idle.
    let idle_too = idle.try_clone().unwrap();
    let (idle, greedy) = tokio::join!(transfer_to(idle), transfer_to(greedy));
    drop(idle_too);
    assert!(idle.to_string().contains("takes no more bytes"), "{idle}");
    assert!(greedy.to_string().contains("after the end of the body"), "{greedy}");
}
