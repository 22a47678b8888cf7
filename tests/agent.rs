//! The process that does the background work of a root can be talked to: what it tells, and what becomes of those who
//! wait for it.

mod common;

/// Commands of an operator, run against real nodes.
#[path = "agent/commands.rs"]
mod commands;
/// Work that fails: what the log is told of it, and when it is done again.
#[path = "agent/failing.rs"]
mod failing;
/// What it costs in memory.
#[path = "agent/memory.rs"]
mod memory;
/// How fast it goes, and how much of it at the same time.
#[path = "agent/pace.rs"]
mod pace;
/// Work that an operator has rest, or go at another rate.
#[path = "agent/paused.rs"]
mod paused;
/// How soon it is done after a death and a return.
#[path = "agent/prompt.rs"]
mod prompt;
/// Work that is cut off by SIGKILL goes on.
#[path = "agent/resumed.rs"]
mod resumed;
/// Work over a whole root that ends when the test says so.
#[path = "agent/staged.rs"]
mod staged;
/// Commands on a terminal.
#[path = "agent/terminal.rs"]
mod terminal;
/// What the node cannot read of its own.
#[path = "agent/unreadable.rs"]
mod unreadable;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{Cluster, Front, Options, wait_until};
use rustix::process::Signal;

use commands::{Ran, another, run, start, status};

#[test]
fn a_status_tells_what_a_node_holds_and_lacks_and_which_others_answer() {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let cluster = Cluster::start(Front::Embedded, Options::default());
    cluster.put(0, "/status/a.jpg", "a").expect(201);
    cluster.put(0, "/status/b.jpg", "b").expect(201);
    cluster.delete(0, "/status/b.jpg").expect(204);
    std::fs::write(cluster.root(0).join(".webdfs/quarantine/some-file"), "x").unwrap();
    let now = status(&cluster, 0);
    assert_eq!((&now["node"], &now["epoch"], &now["complete"]), (&"img1".into(), &1.into(), &true.into()));
    assert_eq!((&now["tombstones"], &now["dirty"], &now["quarantine"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!(run(&["reconcile", "--once"], &cluster.config(0)).code, 0);
    let counted = &status(&cluster, 0)["counted"];
    assert_eq!((&counted["objects"], &counted["bytes"]), (&1.into(), &1.into()));
    let peers = |now: &serde_json::Value| -> Vec<(String, bool)> {
        let peer = |peer: &serde_json::Value| {
            (peer["node"].as_str().unwrap().to_owned(), peer["up"].as_bool().unwrap())
        };
        now["peers"].as_array().unwrap().iter().map(peer).collect()
    };
    assert_eq!(peers(&now), [("img2".to_owned(), true), ("img3".to_owned(), true)]);

    let finished = |work: &str| {
        let at = status(&cluster, 0)[work]["finished"].as_u64().expect("it is finished");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (begun..=now).contains(&at)
    };
    assert!(finished("reconcile"));
    assert_eq!(run(&["scrub"], &cluster.config(0)).code, 0);
    assert!(finished("scrub"));
    let scrubbed = &status(&cluster, 0)["scrub"]["now"];
    let expected = serde_json::json!(
        { "state": "finished", "doing": "reading", "done": 1, "of": 1, "bytes": 1 });
    assert_eq!(scrubbed, &expected);

    cluster.kill(1);
    for number in 0..3 {
        cluster.put(0, &format!("/status/missed/{number}.jpg"), "c").expect(201);
    }
    wait_until("it is known what node 1 has missed", || {
        [0, 2].into_iter().all(|node| status(&cluster, node)["dirty"] == 3)
    });
    assert_eq!(peers(&status(&cluster, 0)), [("img2".to_owned(), false), ("img3".to_owned(), true)]);
    let Ran { code, out, err } = run(&["status"], &cluster.config(0));
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((&lines[0][..25], lines[3]), ("node        img1, epoch 1", "complete    yes"));
    assert!(lines.iter().any(|line| line.starts_with("peer        img2 down: ")), "{out}");
    assert_eq!(lines.last(), Some(&"peer        img3 up"));

    cluster.restart(1);
    cluster.wait_until_ready(1);
    wait_until("node 1 is up to date", || {
        let now = status(&cluster, 0);
        now["dirty"] == 0 && peers(&now).iter().all(|(_, up)| *up)
    });
}

#[test]
fn where_no_webdfs_runs_every_command_says_so_and_fails() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let socket = cluster.root(0).join(".webdfs/agent.sock");
    assert!(socket.exists());
    cluster.with_webdfs(0, |node| {
        node.signal(Signal::TERM);
        assert!(node.wait().success());
    });
    assert!(!socket.exists(), "who leaves in peace leaves no socket behind");
    for command in
        [&["status"][..], &["status", "--json"], &["reconcile", "--once"], &["scrub"], &["agent", "pause"]]
    {
        let Ran { code, out, err } = run(command, &cluster.config(0));
        assert_eq!((code, out.as_str()), (1, ""), "{command:?}");
        let expected = format!("webdfs: no webdfs does the background work of {}", cluster.root(0).display());
        assert!(err.starts_with(&expected) && err.lines().count() == 1, "{err}");
    }
    // A socket that was left behind by one that was killed.
    cluster.kill_webdfs(1);
    assert!(cluster.root(1).join(".webdfs/agent.sock").exists());
    let Ran { code, err, .. } = run(&["status"], &cluster.config(1));
    assert!(code == 1 && err.contains("no webdfs does the background work"), "{err}");
    cluster.restart(1);
    assert_eq!(status(&cluster, 1)["node"], "img2");
}

#[test]
fn the_socket_is_that_of_whoever_does_the_background_work() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let second = another(&cluster, 0, "second");
    let answering = || status(&cluster, 0)["process"].as_u64().unwrap() as u32;
    let first = cluster.with_webdfs(0, |node| node.id());
    assert_eq!(answering(), first);
    let again = cluster.log(0).matches("the configuration was read again").count();
    cluster.with_webdfs(0, |node| node.signal(Signal::HUP));
    wait_until("it has read its configuration again", || {
        cluster.log(0).matches("the configuration was read again").count() > again
    });
    assert_eq!(answering(), first);
    // To a process of the same program that takes the first one's place ...
    cluster.upgrade(0);
    assert_eq!(answering(), cluster.with_webdfs(0, |node| node.id()));
    assert_ne!(answering(), first);
    // ... and to another one of the root, when that dies. Whoever asks meanwhile waits for it.
    cluster.kill_webdfs(0);
    assert_eq!(answering(), second.id());
}

#[test]
fn who_waits_for_one_that_dies_is_told_and_can_ask_the_next() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let second = another(&cluster, 0, "second");
    // It hangs, so that it cannot have answered before it dies.
    cluster.pause(0);
    let waiting = start(&["status"], &cluster.config(0));
    wait_until("somebody waits", || commands::waits_for_socket(waiting.id()));
    cluster.kill_webdfs(0);
    let Ran { code, out, err } = commands::end_of(waiting);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "webdfs: the webdfs that was asked has ended before it was done; ask again\n");
    assert_eq!(status(&cluster, 0)["node"], "img1");
    drop(second);
}

/// To be turned round together with the commands' `hide` when there is such work.
#[test]
fn a_pass_means_one_that_was_not_asked_for_too_early() {
    let Ran { code, err, .. } = run(&["reconcile"], "node.toml".as_ref());
    assert!(code == 2 && err.contains("--once"), "{err}");
}
