//! How long deletions are remembered: until every owner has known for a day that all know of them, and no longer. Nothing
//! that was deleted comes back, whatever happens meanwhile.

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{
    Cluster, Front, Options, Seal, assert_missing, assert_stored, clock_off_by, remembered, signed,
    tombstone, wait_until,
};
use webdfs::peer::message::Operation;
use webdfs::peer::reconcile::{HaveAnswer, HaveOrder};
use webdfs::store::NameHash;

const ALL: [usize; 3] = [0, 1, 2];
const GONE: &str = "/shop/gone.jpg";
/// Passes and scrubs are held when the test says so.
const WHEN_ASKED: &str = "pass_every = \"30d\"\nscrub_every = \"never\"";

/// Three nodes that own everything.
fn cluster() -> Cluster {
    Cluster::start(Front::Embedded, Options { agent: WHEN_ASKED, ..Options::default() })
}

fn webdfs(cluster: &Cluster, node: usize, command: &[&str]) -> Output {
    let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    webdfs.args(command).arg("--config").arg(cluster.config(node)).output().expect("webdfs runs")
}

/// Has nodes finish a pass, one after the other.
fn reconcile(cluster: &Cluster, nodes: &[usize]) {
    for node in nodes {
        // After a start it takes a moment until all others have said which root they know.
        wait_until("a pass is finished", || {
            webdfs(cluster, *node, &["reconcile", "--once"]).status.success()
        });
    }
}

/// Starts all nodes anew so many hours later.
fn later(cluster: &Cluster, hours: i64) {
    later_with(cluster, hours, &ALL, None);
}

/// The same; some stay down, and one dies at a failpoint.
fn later_with(cluster: &Cluster, hours: i64, nodes: &[usize], dies: Option<(usize, &str)>) {
    cluster.present().for_each(|node| cluster.kill(node));
    for node in nodes {
        let mut environment = clock_off_by(hours * 3600);
        if let Some((_, point)) = dies.filter(|(dying, _)| dying == node) {
            environment.push(("FAILPOINTS".to_owned(), format!("{point}=return")));
        }
        cluster.set_environment(*node, environment);
        cluster.restart(*node);
    }
    nodes.iter().for_each(|node| cluster.wait_until_ready(*node));
}

/// Stores something on nodes whose clock is off. That of their files is not: uploads look as if nobody had committed them for
/// hours, and one that the agent meets is dropped.
fn put_later(cluster: &Cluster, node: usize, path: &str, body: &str) {
    wait_until("it is stored", || matches!(cluster.put(node, path, body).status, 201 | 204));
}

/// Stores something and deletes it; all know of that.
fn delete(cluster: &Cluster, path: &str) {
    let stored = cluster.put(0, path, "deleted");
    assert!(matches!(stored.status, 201 | 204), "{stored}");
    cluster.delete(1, path).expect(204);
    wait_until("all owners have deleted it", || {
        remembered(cluster, path) == ALL && ALL.iter().all(|node| !cluster.has_file(*node, path))
    });
}

fn counted(cluster: &Cluster, node: usize) -> u64 {
    let status = webdfs(cluster, node, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let count = status["tombstones"].as_u64().expect("a number");
    let shown = String::from_utf8(webdfs(cluster, node, &["status"]).stdout).expect("text");
    assert!(shown.lines().any(|line| line == format!("tombstones  {count}")), "{shown}");
    count
}

#[test]
fn a_deletion_is_forgotten_by_every_owner_a_day_after_all_knew_of_it_and_not_before() {
    let cluster = cluster();
    cluster.put(0, "/shop/kept.jpg", "kept").expect(201);
    let paths: Vec<_> = (0..30).map(|number| format!("/shop/{number}.jpg")).collect();
    paths.iter().for_each(|path| delete(&cluster, path));
    assert!(ALL.iter().all(|node| counted(&cluster, *node) == 30));
    reconcile(&cluster, &ALL);
    reconcile(&cluster, &ALL);
    later(&cluster, 23);
    reconcile(&cluster, &ALL);
    assert!(ALL.iter().all(|node| counted(&cluster, *node) == 30));
    assert!(paths.iter().all(|path| remembered(&cluster, path) == ALL));
    later(&cluster, 25);
    // One of them is enough.
    reconcile(&cluster, &[1]);
    assert!(ALL.iter().all(|node| counted(&cluster, *node) == 0));
    assert!(cluster.log(1).contains("30 deleted so long ago that all owners have forgotten them"));
    // Nobody has it from a walk of before.
    reconcile(&cluster, &ALL);
    assert!(paths.iter().all(|path| remembered(&cluster, path).is_empty()));
    assert_missing(&cluster, &paths[0]);
    assert_stored(&cluster, "/shop/kept.jpg", b"kept");
    put_later(&cluster, 2, &paths[0], "again");
    reconcile(&cluster, &ALL);
    assert_stored(&cluster, &paths[0], b"again");
}

#[test]
fn a_node_that_owns_everything_alone_forgets_by_itself() {
    let options = Options { agent: WHEN_ASKED, ..Options::one_node(|_| ()) };
    let cluster = Cluster::start(Front::Embedded, options);
    cluster.put(0, GONE, "deleted").expect(201);
    cluster.delete(0, GONE).expect(204);
    reconcile(&cluster, &[0]);
    for (hours, count) in [(23, 1), (25, 0)] {
        later_with(&cluster, hours, &[0], None);
        reconcile(&cluster, &[0]);
        assert_eq!(counted(&cluster, 0), count, "after {hours} hours");
    }
    cluster.get(0, GONE).expect(404);
}

#[test]
fn owners_that_forget_at_the_same_time_end_up_agreed() {
    let cluster = cluster();
    let paths: Vec<_> = (0..50).map(|number| format!("/shop/{number}.jpg")).collect();
    paths.iter().for_each(|path| delete(&cluster, path));
    reconcile(&cluster, &ALL);
    later(&cluster, 25);
    std::thread::scope(|scope| {
        for node in ALL {
            let cluster = &cluster;
            scope.spawn(move || reconcile(cluster, &[node]));
        }
    });
    reconcile(&cluster, &ALL);
    let count = counted(&cluster, 0);
    assert!(ALL.iter().all(|node| counted(&cluster, *node) == count));
    assert!(paths.iter().all(|path| [0, 3].contains(&remembered(&cluster, path).len())));
    later(&cluster, 51);
    reconcile(&cluster, &ALL);
    assert!(ALL.iter().all(|node| counted(&cluster, *node) == 0));
    assert_missing(&cluster, &paths[0]);
}

#[test]
fn a_deletion_is_remembered_as_long_as_an_owner_is_away() {
    let cluster = cluster();
    delete(&cluster, GONE);
    reconcile(&cluster, &ALL);
    later_with(&cluster, 25, &[0, 1], None);
    for node in [0, 1] {
        wait_until("node 2 alone is missing in the pass", || {
            let pass = webdfs(&cluster, node, &["reconcile", "--once"]);
            let said = String::from_utf8_lossy(&pass.stderr).into_owned();
            assert!(!pass.status.success(), "{said}");
            said.contains("img3") && !said.contains(&cluster.name(1 - node))
        });
    }
    assert_eq!(remembered(&cluster, GONE), ALL);
    later(&cluster, 26);
    reconcile(&cluster, &[0]);
    assert!(remembered(&cluster, GONE).is_empty());
}

#[test]
fn where_an_owner_had_lost_a_deletion_it_gets_it_and_the_day_begins_anew() {
    let cluster = cluster();
    delete(&cluster, GONE);
    reconcile(&cluster, &ALL);
    fs::remove_file(tombstone(&cluster, 2, GONE)).unwrap();
    later(&cluster, 25);
    reconcile(&cluster, &[0]);
    assert_eq!(remembered(&cluster, GONE), ALL, "it has it again");
    // Nobody else takes it for old either.
    reconcile(&cluster, &ALL);
    assert_eq!(remembered(&cluster, GONE), ALL);
    later(&cluster, 48);
    reconcile(&cluster, &ALL);
    assert_eq!(remembered(&cluster, GONE), ALL);
    later(&cluster, 51);
    reconcile(&cluster, &[0]);
    assert!(remembered(&cluster, GONE).is_empty());
}

#[test]
fn what_is_put_meanwhile_stays_and_its_own_deletion_is_remembered_for_a_day_of_its_own() {
    let cluster = cluster();
    let again = "/shop/deleted-again.jpg";
    delete(&cluster, GONE);
    delete(&cluster, again);
    reconcile(&cluster, &ALL);
    cluster.put(0, GONE, "put meanwhile").expect(201);
    delete(&cluster, again);
    later(&cluster, 25);
    reconcile(&cluster, &ALL);
    assert_stored(&cluster, GONE, b"put meanwhile");
    assert_eq!(remembered(&cluster, again), ALL);
    later(&cluster, 51);
    reconcile(&cluster, &ALL);
    assert_stored(&cluster, GONE, b"put meanwhile");
    assert!(remembered(&cluster, again).is_empty());
}

#[test]
fn an_older_copy_of_a_root_brings_nothing_back_whose_deletion_is_forgotten() {
    let cluster = cluster();
    cluster.put(0, GONE, "deleted").expect(201);
    cluster.put(0, "/shop/kept.jpg", "kept").expect(201);
    reconcile(&cluster, &ALL);
    cluster.kill(0);
    let backup = cluster.root(0).with_extension("backup");
    copy(&cluster.root(0), &backup);
    cluster.restart(0);
    cluster.wait_until_ready(0);
    delete(&cluster, GONE);
    reconcile(&cluster, &ALL);
    later(&cluster, 25);
    reconcile(&cluster, &[1]);
    assert!(remembered(&cluster, GONE).is_empty());
    cluster.kill(0);
    fs::remove_dir_all(cluster.root(0)).unwrap();
    fs::rename(&backup, cluster.root(0)).unwrap();
    cluster.restart(0);
    wait_until("it is known", || cluster.log(0).contains("not the one that other nodes know"));
    cluster.wait_until_ready(0);
    reconcile(&cluster, &ALL);
    assert_missing(&cluster, GONE);
    assert_stored(&cluster, "/shop/kept.jpg", b"kept");
    // It lies where a person may look at it.
    let folders = fs::read_dir(cluster.root(0).join(".webdfs/quarantine/returned")).unwrap();
    let mut files =
        folders.map(|folder| folder.unwrap().path().join("root").join(GONE.trim_start_matches('/')));
    assert!(files.any(|file| file.is_file()));
}

/// As a backup would: times and attributes, too.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to].map(OsStr::new)).status().expect("cp runs");
    assert!(status.success());
}

#[test]
fn a_copy_on_a_node_that_does_not_own_it_brings_nothing_back_whose_deletion_is_forgotten() {
    let options = Options { replicas: 2, write_quorum: 2, agent: WHEN_ASKED, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let owners = cluster.owners(GONE);
    let stranger = ALL.into_iter().find(|node| !owners.contains(node)).unwrap();
    cluster.put(0, GONE, "deleted").expect(201);
    let aside = cluster.root(stranger).with_extension("aside");
    copy(&cluster.file(owners[0], GONE), &aside);
    cluster.delete(0, GONE).expect(204);
    reconcile(&cluster, &ALL);
    later(&cluster, 25);
    reconcile(&cluster, &[owners[0]]);
    assert!(remembered(&cluster, GONE).is_empty());
    fs::create_dir_all(cluster.file(stranger, GONE).parent().unwrap()).unwrap();
    copy(&aside, &cluster.file(stranger, GONE));
    reconcile(&cluster, &[stranger]);
    assert!(!cluster.has_file(stranger, GONE));
    let status = String::from_utf8(webdfs(&cluster, stranger, &["status"]).stdout).unwrap();
    assert!(status.contains("quarantine  1 files"), "somebody is told that there is such a copy: {status}");
    reconcile(&cluster, &owners);
    for owner in owners {
        assert!(!cluster.has_file(owner, GONE));
        cluster.get(owner, GONE).expect(404);
    }
}

#[test]
fn once_a_deletion_is_forgotten_what_lies_in_quarantine_keeps_nobody_from_saying_that_it_is_gone() {
    use std::os::unix::fs::FileExt;
    let cluster = cluster();
    cluster.put(0, GONE, "deleted").expect(201);
    wait_until("all have it", || ALL.iter().all(|node| cluster.has_file(*node, GONE)));
    let file = cluster.file(0, GONE);
    let mtime = fs::metadata(&file).unwrap().modified().unwrap();
    let rotten = fs::File::options().write(true).open(&file).unwrap();
    rotten.write_all_at(b"D", 0).unwrap();
    rotten.set_modified(mtime).unwrap();
    assert!(webdfs(&cluster, 0, &["scrub"]).status.success());
    wait_until("it has healed", || fs::read(&file).is_ok_and(|bytes| bytes == b"deleted"));
    delete(&cluster, GONE);
    reconcile(&cluster, &ALL);
    later(&cluster, 25);
    reconcile(&cluster, &[0]);
    assert!(remembered(&cluster, GONE).is_empty());
    let status = String::from_utf8(webdfs(&cluster, 0, &["status"]).stdout).unwrap();
    assert!(status.contains("quarantine  1 files"), "{status}");
    // Two who say so are needed.
    cluster.kill(2);
    for node in [0, 1] {
        cluster.get(node, GONE).expect(404);
    }
}

#[test]
fn a_note_that_no_clock_can_have_made_ends_no_tombstone() {
    let cluster = cluster();
    let ahead = "/shop/ahead.jpg";
    delete(&cluster, GONE);
    delete(&cluster, ahead);
    let note = |node: usize, path: &str, seconds: u64| {
        let file = tombstone(&cluster, node, path);
        let text = seconds.to_string();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(file, "user.webdfs.agreed", text.as_bytes(), flags).unwrap();
    };
    for node in ALL {
        // All clocks were far behind; and far ahead.
        note(node, GONE, 1_000_000_000);
        note(node, ahead, 9_000_000_000);
    }
    reconcile(&cluster, &ALL);
    assert_eq!(remembered(&cluster, GONE), ALL, "it was made less than a day ago");
    later(&cluster, 23);
    reconcile(&cluster, &ALL);
    assert_eq!(remembered(&cluster, ahead), ALL);
    later(&cluster, 25);
    reconcile(&cluster, &ALL);
    assert!(remembered(&cluster, GONE).is_empty() && remembered(&cluster, ahead).is_empty());
}

#[test]
fn what_is_forgotten_since_a_walk_is_not_offered_from_it() {
    let cluster = cluster();
    delete(&cluster, GONE);
    delete(&cluster, "/shop/deleted-since.jpg");
    reconcile(&cluster, &[0]);
    let offered = || {
        let from = NameHash::first_of(0).expect("the first bucket");
        let order = HaveOrder { from, to: None, items: Vec::new(), durable: false };
        let body = serde_json::to_vec(&order).expect("JSON");
        let answer =
            cluster.send(0, &signed(&cluster, 0, &Operation::Have, &body, Seal::default())).expect(200);
        let answer: HaveAnswer = serde_json::from_slice(&answer.body).expect("an answer");
        answer.more.into_iter().map(|item| item.name.url_path()).collect::<BTreeSet<_>>()
    };
    assert_eq!(offered(), BTreeSet::from(["shop/gone.jpg".into(), "shop/deleted-since.jpg".into()]));
    fs::remove_file(tombstone(&cluster, 0, GONE)).unwrap();
    assert_eq!(offered(), BTreeSet::from(["shop/deleted-since.jpg".into()]));
}

/// A node dies at a step of a pass that ends tombstones; what was deleted stays so, what is put meanwhile stays, and the
/// tombstones end in the end.
fn killed_at(point: &str, dying: usize) {
    let cluster = cluster();
    let again = "/shop/put-again.jpg";
    delete(&cluster, GONE);
    delete(&cluster, again);
    reconcile(&cluster, &ALL);
    later_with(&cluster, 25, &ALL, Some((dying, point)));
    wait_until("it has died", || {
        webdfs(&cluster, 0, &["reconcile", "--once"]);
        !cluster.is_alive(dying)
    });
    let others: Vec<_> = ALL.into_iter().filter(|node| *node != dying).collect();
    put_later(&cluster, others[0], again, "put again");
    cluster.kill(dying);
    cluster.set_environment(dying, clock_off_by(25 * 3600));
    cluster.restart(dying);
    cluster.wait_until_ready(dying);
    reconcile(&cluster, &ALL);
    assert!([0, 3].contains(&remembered(&cluster, GONE).len()), "all owners agree");
    assert_missing(&cluster, GONE);
    assert_stored(&cluster, again, b"put again");
    later(&cluster, 51);
    reconcile(&cluster, &ALL);
    assert!(remembered(&cluster, GONE).is_empty() && remembered(&cluster, again).is_empty());
    assert_missing(&cluster, GONE);
    assert_stored(&cluster, again, b"put again");
}

#[test]
fn nothing_comes_back_when_a_node_dies_before_it_tells_anybody() {
    killed_at("agent.tombstone-agreed", 0);
}

#[test]
fn nothing_comes_back_when_a_node_dies_after_it_has_told_one_owner() {
    killed_at("agent.forget-sent", 0);
}

#[test]
fn nothing_comes_back_when_a_node_dies_as_the_last_one_that_remembers() {
    killed_at("agent.forgotten-elsewhere", 0);
}

#[test]
fn nothing_comes_back_when_an_owner_dies_that_is_told_to_forget() {
    killed_at("service.forget-ordered", 1);
}
