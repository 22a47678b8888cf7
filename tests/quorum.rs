//! `read = "quorum"`: what a client gets is never older than what was acknowledged, whatever the node that is asked holds
//! itself.

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{
    Call, Cluster, Detour, End, Front, Harm, Options, Seal, Way, noise, signed, signer, wait_until,
};
use webdfs::name::ObjectName;
use webdfs::peer::message::Operation;
use webdfs::peer::sign;

on_both_fronts!(
    what_an_owner_missed_is_what_its_clients_get,
    whoever_is_asked_the_newest_is_served_and_those_behind_catch_up,
    what_was_deleted_while_an_owner_was_away_is_missing_there_too,
    an_owner_that_comes_back_never_serves_what_it_had,
    too_few_owners_that_answer_are_no_answer,
    what_is_written_is_found_at_once_where_it_was_missing_before,
    ranges_and_conditions_are_those_of_the_newest,
    a_request_that_was_handed_on_is_compared_as_well,
    a_copy_is_one_of_the_newest,
);

const OLD: &[u8] = b"what was there first";
const NEW: &[u8] = b"what has replaced it";

fn options() -> Options {
    Options { top: "read = \"quorum\"", static_first: false, ..Options::default() }
}

/// One more node than owners.
fn with_one_beside() -> Options {
    Options { nodes: 4, ..options() }
}

/// What a node held of an object before a write, to be put back as if the node had been away meanwhile.
struct Missed<'a> {
    cluster: &'a Cluster,
    node: usize,
    file: PathBuf,
    kept: PathBuf,
}

impl<'a> Missed<'a> {
    fn begin(cluster: &'a Cluster, node: usize, target: &str) -> Self {
        let (file, kept) = (cluster.file(node, target), cluster.config(node).with_file_name("kept"));
        wait_until("the old copy is there", || file.is_file());
        fs::hard_link(&file, &kept).unwrap();
        Self { cluster, node, file, kept }
    }

    /// Everybody has written; this node has not.
    fn end(self) {
        let tombstones = self.cluster.root(self.node).join(".webdfs/tombstones");
        for folder in fs::read_dir(&tombstones).unwrap() {
            for tombstone in fs::read_dir(folder.unwrap().path()).unwrap() {
                fs::remove_file(tombstone.unwrap().path()).unwrap();
            }
        }
        fs::create_dir_all(self.file.parent().unwrap()).unwrap();
        fs::rename(&self.kept, &self.file).unwrap();
    }
}

#[track_caller]
fn expect_everywhere(answer: &common::Answer) {
    assert!(matches!(answer.status, 201 | 204), "{answer}");
    assert_eq!(answer.header("Webdfs-Replicas"), Some("3/3"), "{answer}");
}

/// Stores an object twice; the second time a node has missed it. Returns the ETag of the first.
fn make_stale(cluster: &Cluster, node: usize, target: &str, (old, new): (&[u8], &[u8])) -> String {
    let other = cluster.owners(target).into_iter().find(|owner| *owner != node).unwrap();
    let first = cluster.put(other, target, old);
    expect_everywhere(&first);
    let missed = Missed::begin(cluster, node, target);
    expect_everywhere(&cluster.put(other, target, new));
    missed.end();
    assert_eq!(fs::read(cluster.file(node, target)).unwrap(), old);
    first.etag().to_owned()
}

/// The same with a deletion in place of the second.
fn make_undeleted(cluster: &Cluster, node: usize, target: &str) {
    let other = cluster.owners(target).into_iter().find(|owner| *owner != node).unwrap();
    expect_everywhere(&cluster.put(other, target, OLD));
    let missed = Missed::begin(cluster, node, target);
    cluster.delete(other, target).expect(204);
    wait_until("all have deleted it", || {
        cluster.owners(target).into_iter().all(|owner| !cluster.has_file(owner, target))
    });
    missed.end();
    assert_eq!(fs::read(cluster.file(node, target)).unwrap(), OLD);
}

fn what_an_owner_missed_is_what_its_clients_get(front: Front) {
    let cluster = Cluster::start(front, options());
    for node in cluster.present() {
        let target = format!("/stale/{node}.jpg");
        make_stale(&cluster, node, &target, (OLD, NEW));
        let head = cluster.head(node, &target).expect(200);
        let answer = cluster.get(node, &target).expect(200);
        assert_eq!(answer.body, NEW, "{answer}");
        assert_eq!(head.etag(), answer.etag());
        assert_eq!(head.header("Content-Length"), Some(NEW.len().to_string().as_str()), "{head}");
        // It has kept what it passed on.
        wait_until("the node is up to date", || fs::read(cluster.file(node, &target)).unwrap() == NEW);
    }
    // Large enough for the web server to send it itself: its own is the older one again.
    let (old, new) = (noise(1, 900_000), noise(2, 900_000));
    make_stale(&cluster, 0, "/stale/large.jpg", (&old, &new));
    for node in cluster.present() {
        assert!(cluster.get(node, "/stale/large.jpg").expect(200).body == new, "node {node}");
    }
}

fn whoever_is_asked_the_newest_is_served_and_those_behind_catch_up(front: Front) {
    let cluster = Cluster::start(front, with_one_beside());
    for (number, beside) in [true, false].into_iter().enumerate() {
        let folder = format!("/whoever/{number}");
        let target = cluster.path_owned(&folder, |owners| owners.contains(&0) != beside);
        for stale in cluster.owners(&target) {
            make_stale(&cluster, stale, &target, (OLD, NEW));
            // Whose answers are compared depends on who is asked; none of them is the old one alone.
            wait_until("the one that is behind has caught up", || {
                for node in cluster.present() {
                    assert_eq!(cluster.get(node, &target).expect(200).body, NEW, "{stale} is stale");
                }
                fs::read(cluster.file(stale, &target)).is_ok_and(|bytes| bytes == NEW)
            });
        }
    }
}

fn what_was_deleted_while_an_owner_was_away_is_missing_there_too(front: Front) {
    let cluster = Cluster::start(front, options());
    for node in cluster.present() {
        let target = format!("/deleted/{node}.jpg");
        make_undeleted(&cluster, node, &target);
        cluster.head(node, &target).expect(404);
        cluster.get(node, &target).expect(404);
        wait_until("the node has deleted it", || !cluster.has_file(node, &target));
        for asked in cluster.present() {
            cluster.get(asked, &target).expect(404);
        }
    }
}

fn an_owner_that_comes_back_never_serves_what_it_had(front: Front) {
    let cluster = Cluster::start(front, options());
    for target in ["/away/replaced.jpg", "/away/deleted.jpg"] {
        expect_everywhere(&cluster.put(0, target, OLD));
    }
    cluster.kill(2);
    cluster.put(0, "/away/replaced.jpg", NEW).expect(204);
    cluster.delete(0, "/away/deleted.jpg").expect(204);
    cluster.restart(2);
    // From its first answer on.
    wait_until("the node answers as the others do", || {
        let ask = |target: &str| Call::new("GET", target).try_send(cluster.address(2));
        let (replaced, deleted) = (ask("/away/replaced.jpg"), ask("/away/deleted.jpg"));
        for answer in [&replaced, &deleted].into_iter().flatten() {
            assert!(answer.body != OLD, "{answer}");
        }
        replaced.is_ok_and(|answer| answer.body == NEW) && deleted.is_ok_and(|answer| answer.status == 404)
    });
}

fn too_few_owners_that_answer_are_no_answer(front: Front) {
    let cluster = Cluster::start(front, options());
    expect_everywhere(&cluster.put(0, "/few/a.jpg", NEW));
    // It takes connections and never answers.
    cluster.pause(1);
    assert_eq!(cluster.get(0, "/few/a.jpg").expect(200).body, NEW);
    cluster.get(0, "/few/never.jpg").expect(404);
    cluster.resume(1);
    cluster.kill(1);
    assert_eq!(cluster.get(0, "/few/a.jpg").expect(200).body, NEW);
    cluster.get(0, "/few/never.jpg").expect(404);
    cluster.kill(2);
    // Though it lies here.
    assert_eq!(fs::read(cluster.file(0, "/few/a.jpg")).unwrap(), NEW);
    for target in ["/few/a.jpg", "/few/never.jpg"] {
        let answer = cluster.get(0, target).expect(503);
        assert!(answer.header("Retry-After").is_some(), "{answer}");
        cluster.head(0, target).expect(503);
        Call::new("COPY", target).header("Destination", "/few/b.jpg").send(cluster.address(0)).expect(503);
    }
    cluster.restart(2);
    wait_until("enough answer again", || cluster.get(0, "/few/a.jpg").status == 200);
}

#[test]
fn an_owner_whose_root_is_incomplete_does_not_count() {
    let cluster = Cluster::start(Front::Embedded, options());
    expect_everywhere(&cluster.put(1, "/incomplete.jpg", NEW));
    cluster.kill(0);
    cluster.kill(2);
    fs::remove_dir_all(cluster.root(0)).unwrap();
    fs::create_dir(cluster.root(0)).unwrap();
    cluster.restart(0);
    wait_until("it answers, and has got the file from the one that has it", || {
        Call::new("GET", "/incomplete.jpg").try_send(cluster.address(0)).is_ok()
            && cluster.has_file(0, "/incomplete.jpg")
    });
    for node in [0, 1] {
        cluster.get(node, "/incomplete.jpg").expect(503);
    }
    cluster.restart(2);
    cluster.wait_until_ready(2);
    for node in cluster.present() {
        wait_until("two complete owners answer", || cluster.get(node, "/incomplete.jpg").status == 200);
    }
}

fn what_is_written_is_found_at_once_where_it_was_missing_before(front: Front) {
    let cluster = Cluster::start(front, with_one_beside());
    for number in 0..10 {
        let target = cluster.path_owned(&format!("/at-once/{number}"), |owners| !owners.contains(&0));
        let owner = cluster.owners(&target)[0];
        cluster.get(0, &target).expect(404);
        cluster.put(owner, &target, NEW).expect(201);
        assert_eq!(cluster.get(0, &target).expect(200).body, NEW);
        cluster.delete(owner, &target).expect(204);
        cluster.get(0, &target).expect(404);
    }
}

fn ranges_and_conditions_are_those_of_the_newest(front: Front) {
    let cluster = Cluster::start(front, options());
    // In the second case those behind are the others: this node has the newest itself.
    for stale in [0, 1] {
        let ask = |name: &str, header: &str, value: &str| {
            let target = format!("/headers/{stale}/{name}.jpg");
            let old = make_stale(&cluster, stale, &target, (OLD, NEW));
            let new = cluster.get(2, &target).expect(200).etag().to_owned();
            let value = value.replace("OLD", &old).replace("NEW", &new);
            let call = Call::new("GET", &target).header(header, &value);
            if header == "If-Range" { call.header("Range", "bytes=0-3") } else { call }
                .send(cluster.address(0))
        };
        assert_eq!(ask("range", "Range", "bytes=5-7").expect(206).body, NEW[5..=7]);
        assert_eq!(ask("suffix", "Range", "bytes=-4").expect(206).body, NEW[NEW.len() - 4..]);
        ask("beyond", "Range", "bytes=1000-").expect(416);
        assert_eq!(ask("none-old", "If-None-Match", "OLD").expect(200).body, NEW);
        ask("none-new", "If-None-Match", "NEW").expect(304);
        ask("match-old", "If-Match", "OLD").expect(412);
        assert_eq!(ask("match-new", "If-Match", "NEW").expect(200).body, NEW);
        assert_eq!(ask("range-old", "If-Range", "OLD").expect(200).body, NEW);
        assert_eq!(ask("range-new", "If-Range", "NEW").expect(206).body, NEW[..4]);
    }
}

fn a_request_that_was_handed_on_is_compared_as_well(front: Front) {
    let cluster = Cluster::start(front, options());
    make_stale(&cluster, 0, "/hop.jpg", (OLD, NEW));
    // What one node says to another is about its own disk: no node asks a third one for another.
    let name = ObjectName::from_bytes(b"hop.jpg").unwrap();
    let object = signed(&cluster, 0, &Operation::Object(name), b"", Seal::default());
    assert_eq!(object.send(cluster.address(0)).expect(200).body, OLD);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mark = sign::hop(&signer(), b"/hop.jpg", now);
    let handed_on = Call::new("GET", "/hop.jpg").header("Webdfs-Hop", &mark);
    assert_eq!(handed_on.send(cluster.address(0)).expect(200).body, NEW);
}

fn a_copy_is_one_of_the_newest(front: Front) {
    let cluster = Cluster::start(front, options());
    make_stale(&cluster, 0, "/source.jpg", (OLD, NEW));
    let copy = Call::new("COPY", "/source.jpg").header("Destination", "/copied.jpg");
    copy.send(cluster.address(0)).expect(201);
    assert_eq!(cluster.get(1, "/copied.jpg").expect(200).body, NEW);
    make_undeleted(&cluster, 0, "/gone.jpg");
    Call::new("COPY", "/gone.jpg").header("Destination", "/kept.jpg").send(cluster.address(0)).expect(404);
    cluster.get(1, "/kept.jpg").expect(404);
}

#[test]
fn when_the_owner_of_the_newest_breaks_off_another_one_that_has_it_goes_on() {
    const LENGTH: usize = 1_200_000;
    let cluster = Cluster::launch(
        Front::Embedded,
        Options { detour: &[1, 2], write: "object_max = \"4MiB\"", ..options() },
    );
    let open = |node| Detour::open(cluster.detour_address(node), Way::to(cluster.address(node)));
    let detours = [open(1), open(2)];
    for node in cluster.present() {
        cluster.wait_until_ready(node);
    }
    let (old, new) = (noise(1, LENGTH), noise(2, LENGTH));
    for (number, detour) in detours.iter().enumerate() {
        let target = format!("/broken/{number}.jpg");
        make_stale(&cluster, 0, &target, (&old, &new));
        detour.harm(Some(Harm { after: 600_000, end: End::Close }));
        assert!(cluster.get(0, &target).expect(200).body == new);
        detour.harm(None);
    }
    let harmed: usize = detours.iter().map(Detour::harmed).sum();
    assert!(harmed > 0, "nobody broke off");
}
