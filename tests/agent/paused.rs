use std::collections::BTreeSet;
use std::fs::File;

use rustix::process::Signal;
use serde_json::Value;
use webdfs::config::load;
use webdfs::name::ObjectName;
use webdfs::node::store_settings;
use webdfs::store::Store;

use crate::commands::{Ran, end_of, hears, run, start, status};
use crate::common::{Cluster, Front, Options, lay_down, noise, not_due, wait_until};

const FILES: usize = 16;
/// Of each file, in bytes: too much to be sent together with others.
const SIZE: usize = 5 << 18;

fn ordered(cluster: &Cluster, order: &[&str]) -> String {
    let Ran { code, out, err } = run(&[&["agent"], order].concat(), &cluster.config(0));
    assert_eq!((code, err.as_str()), (0, ""), "{order:?}");
    out
}

fn background(cluster: &Cluster) -> Value {
    status(cluster, 0)["background"].clone()
}

/// Has the work of node 0 rest, and waits until what it had begun is finished.
fn pause(cluster: &Cluster) {
    assert!(ordered(cluster, &["pause"]).starts_with("background work: paused until "));
    wait_until("what was begun is finished", || background(cluster)["files"] == 0);
    // If it did not rest, it would soon be done.
    ordered(cluster, &["rate", "unlimited"]);
}

#[test]
fn a_paused_pass_rests_whatever_becomes_of_its_process_while_missed_writes_travel_and_is_finished_once_resumed()
 {
    let prepare = |cluster: &Cluster| {
        for number in 0..FILES {
            lay_down(&cluster.root(0), &format!("{number}.jpg"), &noise(number as u64, SIZE));
        }
        not_due(&cluster.root(0));
        not_due(&cluster.root(1));
    };
    let agent = "bytes_per_second = \"2MiB\"\nconcurrency = 2";
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, agent, prepare, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let has = |number: &usize| cluster.has_file(1, &format!("/{number}.jpg"));
    let arrived = || (0..FILES).filter(has).collect::<BTreeSet<_>>();
    let waiting = start(&["reconcile", "--once"], &cluster.config(0));
    wait_until("some have arrived", || !arrived().is_empty());
    pause(&cluster);
    let mut expected = arrived();
    assert!(expected.len() < FILES - 6, "the pass was too fast for this test");
    // Writes that node 1 has missed come to it, one after the other, which gives a pass that does not rest time to go on.
    let store = Store::open(store_settings(&load(&cluster.config(0)).unwrap())).unwrap();
    let mut replay_some = || {
        for _ in 0..3 {
            let missed = (0..FILES).find(|number| !expected.contains(number)).unwrap();
            let name = ObjectName::from_bytes(format!("{missed}.jpg").as_bytes()).unwrap();
            store.mark_dirty(&cluster.name(1).parse().unwrap(), &name).unwrap();
            wait_until("node 1 has what it missed", || has(&missed) && status(&cluster, 0)["dirty"] == 0);
            expected.insert(missed);
        }
        assert_eq!(arrived(), expected);
    };
    replay_some();

    // The configuration read again, and another process: all keep to what was ordered.
    let reread = || cluster.log(0).matches("the configuration was read again").count();
    let again = reread();
    cluster.with_webdfs(0, |node| node.signal(Signal::HUP));
    wait_until("it has read its configuration again", || reread() > again);
    assert_eq!(background(&cluster)["paused"], true);
    cluster.kill_webdfs(0);
    let Ran { code, err, .. } = end_of(waiting);
    assert!(code == 1 && err.contains("the background work is paused, and waits for"), "{err}");
    cluster.restart(0);
    let expected = serde_json::json!(
        { "paused": true, "bytes_per_second": null, "by_command": true, "files": 0 });
    assert_eq!(background(&cluster), expected);
    let mut waiting = start(&["reconcile", "--once"], &cluster.config(0));
    assert_eq!(
        hears(&mut waiting),
        "webdfs: reconcile: the background work is paused, and waits for `webdfs agent resume`, 0 keys, 0 B\n"
    );

    replay_some();
    assert_eq!(status(&cluster, 0)["reconcile"]["now"]["state"], "running");
    assert!(waiting.try_wait().unwrap().is_none());

    assert_eq!(ordered(&cluster, &["resume"]), "background work: as fast as it can by command\n");
    assert_eq!(end_of(waiting).code, 0);
    assert_eq!(arrived().len(), FILES);
    assert_eq!(ordered(&cluster, &["rate", "default"]), "background work: at most 2.00 MiB per second\n");
}

#[test]
fn a_paused_scrub_reads_no_further_until_it_is_resumed() {
    let prepare = |cluster: &Cluster| {
        for number in 0..FILES {
            lay_down(&cluster.root(0), &format!("{number}.jpg"), &noise(number as u64, SIZE));
        }
        not_due(&cluster.root(0));
    };
    let agent = "bytes_per_second = \"2MiB\"";
    let cluster = Cluster::start(Front::Embedded, Options { agent, ..Options::one_node(prepare) });
    let waiting = start(&["scrub"], &cluster.config(0));
    let now = || status(&cluster, 0)["scrub"]["now"].clone();
    wait_until("the scrub reads", || now()["done"].as_u64().unwrap() > 0);
    pause(&cluster);
    let at = now();
    assert!((1..FILES as u64).contains(&at["done"].as_u64().unwrap()), "{at}");
    let shown = run(&["status"], &cluster.config(0)).out;
    assert!(shown.contains("\nscrub       is paused: reading, "), "{shown}");
    assert!(
        shown.contains(
            "\nbackground  paused until `webdfs agent resume`, then as fast as it can by command\n"
        )
    );
    assert_eq!(now(), at);
    ordered(&cluster, &["resume"]);
    let Ran { code, out, err } = end_of(waiting);
    assert_eq!((code, out.as_str()), (0, "scrub is finished: 16 keys, 20.00 MiB\n"), "{err}");
}

#[test]
fn a_rate_that_is_ordered_holds_at_once_and_after_a_restart_until_the_configured_one_is_ordered() {
    // At 1 MiB a second this takes far longer than a test waits.
    let prepare = |cluster: &Cluster| {
        lay_down(&cluster.root(0), "large.jpg", b"");
        let large = File::options().write(true).open(cluster.root(0).join("large.jpg")).unwrap();
        let mtime = large.metadata().unwrap().modified().unwrap();
        large.set_len(200 << 20).unwrap();
        large.set_modified(mtime).unwrap();
        not_due(&cluster.root(0));
    };
    let agent = "bytes_per_second = \"1MiB\"";
    let cluster = Cluster::start(Front::Embedded, Options { agent, ..Options::one_node(prepare) });
    let rate = || {
        let background = background(&cluster);
        (background["bytes_per_second"].as_u64(), background["by_command"].as_bool().unwrap())
    };
    assert_eq!(rate(), (Some(1 << 20), false));
    let waiting = start(&["scrub"], &cluster.config(0));
    wait_until("the scrub reads", || background(&cluster)["files"] == 1);
    for (bad, problem) in [
        ("fast", "a size is a whole number with B, KiB, MiB, GiB or TiB"),
        ("100KiB", "use a size from 1MiB to "),
        ("0", "use a size from 1MiB to "),
        ("", "a size is a whole number"),
    ] {
        let Ran { code, out, err } = run(&["agent", "rate", bad], &cluster.config(0));
        assert_eq!((code, out.as_str()), (2, ""), "{bad}");
        assert!(err.contains(problem) && err.contains("unlimited"), "{err}");
    }
    assert_eq!(rate(), (Some(1 << 20), false));
    let answer = ordered(&cluster, &["rate", "300MiB"]);
    assert_eq!(answer, "background work: at most 300.00 MiB per second by command\n");
    let Ran { code, err, .. } = end_of(waiting);
    assert_eq!(code, 0, "{err}");

    cluster.kill_webdfs(0);
    cluster.restart(0);
    assert_eq!(rate(), (Some(300 << 20), true));
    ordered(&cluster, &["rate", "default"]);
    assert_eq!(rate(), (Some(1 << 20), false));
    let record = std::fs::read_to_string(cluster.root(0).join(".webdfs/agent.toml")).unwrap();
    assert!(!record.contains("rate"), "{record}");
}
