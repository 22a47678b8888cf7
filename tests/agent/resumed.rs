use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use rustix::process::Signal;

use webdfs::name::ObjectName;
use webdfs::store::NameHash;

use crate::commands::{Ran, another, end_of, run, start, status};
use crate::common::{Cluster, Front, Options, lay_down, noise, not_due, wait_until};

/// Files of the scrub, in the order in which it reads them.
fn scrubbed() -> Vec<String> {
    let mut names: Vec<_> = (0..12).map(|number| format!("album/{number}.jpg")).collect();
    names.sort_by_key(|name| bucket(name));
    names
}

fn bucket(name: &str) -> usize {
    NameHash::of(&ObjectName::from_bytes(name.as_bytes()).unwrap()).bucket()
}

/// Changes a file as a disk does: nobody has written to it.
fn changed(cluster: &Cluster, name: &str, change: impl Fn(&File)) {
    let file = File::options().read(true).write(true).open(cluster.root(0).join(name)).unwrap();
    let mtime = file.metadata().unwrap().modified().unwrap();
    change(&file);
    file.set_modified(mtime).unwrap();
}

fn rot(cluster: &Cluster, name: &str) {
    changed(cluster, name, |file| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, 1000).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 1000).unwrap();
    });
}

/// The bucket up to which a scrub is remembered to be done.
fn remembered(cluster: &Cluster) -> Option<usize> {
    let text = fs::read_to_string(cluster.root(0).join(".webdfs/agent.toml")).ok()?;
    let record: toml::Table = text.parse().unwrap();
    Some(record.get("scrubbing")?["bucket"].as_integer().unwrap() as usize)
}

#[test]
fn a_scrub_whose_process_is_killed_goes_on_where_it_was_in_the_next_one() {
    let prepare = |cluster: &Cluster| {
        for (number, name) in scrubbed().iter().enumerate() {
            lay_down(&cluster.root(0), name, &noise(number as u64, 1 << 20));
        }
    };
    let agent = "bytes_per_second = \"1MiB\"";
    let cluster = Cluster::start(Front::Nginx, Options { agent, ..Options::one_node(prepare) });
    let second = another(&cluster, 0, "second");
    wait_until("it is remembered how far the scrub is", || remembered(&cluster).is_some());
    let at = remembered(&cluster).unwrap();
    let names = scrubbed();
    let behind = names.iter().filter(|name| bucket(name) < at).count();
    assert!((1..names.len()).contains(&behind), "{behind} of {} are done", names.len());
    // One that has been read, and the last of those that have not.
    rot(&cluster, &names[0]);
    rot(&cluster, names.last().unwrap());
    cluster.kill_webdfs(0);

    let shown = || status(&cluster, 0)["scrub"].clone();
    wait_until("the next one reads", || shown()["now"]["doing"] == "reading");
    let now = shown()["now"].clone();
    assert!(now["done"].as_u64().unwrap() >= behind as u64, "{now}");
    assert!(now["bytes"].as_u64().unwrap() >= (behind as u64) << 20, "{now}");
    assert_eq!(now["of"], names.len());
    let second_log = || fs::read_to_string(cluster.root(0).with_file_name("second.log")).unwrap();
    assert!(second_log().contains("the scrub goes on after"), "{}", second_log());
    wait_until("the scrub is finished", || shown()["finished"].is_u64());
    assert_eq!(shown()["now"]["done"], names.len());
    assert_eq!(remembered(&cluster), None);
    // What was read before was not read again ...
    assert_eq!(status(&cluster, 0)["quarantine"], 1);
    assert!(cluster.has_file(0, &format!("/{}", names[0])));
    // ... but whoever asks for a scrub has all of it read.
    let Ran { code, out, err } = run(&["scrub"], &cluster.config(0));
    assert_eq!((code, out.as_str()), (0, "scrub is finished: 11 keys, 11.00 MiB\n"), "{err}");
    assert_eq!(status(&cluster, 0)["quarantine"], 2);
    drop(second);
}

#[test]
fn a_status_tells_where_a_scrub_was_cut_off_that_does_not_run() {
    let prepare = |cluster: &Cluster| {
        for (number, name) in scrubbed().iter().enumerate() {
            lay_down(&cluster.root(0), name, &noise(number as u64, 1 << 20));
        }
        not_due(&cluster.root(0));
    };
    // Nothing makes it go on but a command.
    let agent = "bytes_per_second = \"1MiB\"\nscrub_every = \"never\"";
    let cluster = Cluster::start(Front::Embedded, Options { agent, ..Options::one_node(prepare) });
    let shown = || status(&cluster, 0)["scrub"].clone();
    assert_eq!(shown().get("cut_off"), None);
    let waiting = start(&["scrub"], &cluster.config(0));
    wait_until("it is remembered how far the scrub is", || remembered(&cluster).is_some());
    assert_eq!(shown().get("cut_off"), None, "it runs");
    cluster.kill_webdfs(0);
    assert_eq!(end_of(waiting).code, 1);
    cluster.restart(0);
    let at = remembered(&cluster).unwrap();
    let behind = scrubbed().iter().filter(|name| bucket(name) < at).count();
    let cut_off = shown()["cut_off"].clone();
    assert_eq!((&cut_off["percent"], &cut_off["done"]), (&(at * 100 / 4096).into(), &behind.into()));
    assert_eq!(cut_off["bytes"], behind << 20);
    let text = run(&["status"], &cluster.config(0)).out;
    let line = text.lines().find(|line| line.starts_with("scrub ")).unwrap();
    let expected =
        format!(" at {} %, {behind} keys, {behind}.00 MiB, and goes on there; finished ", at * 100 / 4096);
    assert!(line.starts_with("scrub       cut off ") && line.contains(&expected), "{line}");
}

#[test]
fn a_pass_whose_process_is_killed_sends_nothing_again_that_has_arrived() {
    const FILES: usize = 16;
    let prepare = |cluster: &Cluster| {
        for number in 0..FILES {
            lay_down(&cluster.root(0), &format!("{number}.jpg"), &noise(number as u64, 3 << 19));
        }
        // The pass is that of node 0 alone.
        not_due(&cluster.root(0));
        not_due(&cluster.root(1));
    };
    let agent = "bytes_per_second = \"4MiB\"\nconcurrency = 2";
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, agent, prepare, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let arrived = || -> BTreeMap<usize, (u64, i64)> {
        let stat = |number| fs::metadata(cluster.file(1, &format!("/{number}.jpg"))).ok();
        let look = |number| stat(number).map(|stat| (number, (stat.ino(), stat.ctime_nsec())));
        (0..FILES).filter_map(look).collect()
    };
    let waiting = start(&["reconcile", "--once"], &cluster.config(0));
    wait_until("some have arrived", || arrived().len() >= 4);
    cluster.kill_webdfs(0);
    let before = arrived();
    assert!(before.len() < FILES, "the pass was too fast for this test");
    let Ran { code, err, .. } = end_of(waiting);
    assert!(code == 1 && err.contains("has ended before it was done; ask again"), "{err}");

    cluster.restart(0);
    let Ran { code, err, .. } = run(&["reconcile", "--once"], &cluster.config(0));
    assert_eq!(code, 0, "{err}");
    let after = arrived();
    assert_eq!(after.len(), FILES);
    assert!(before.iter().all(|(number, look)| after.get(number) == Some(look)), "{before:?} {after:?}");
    for number in 0..FILES {
        let bytes = fs::read(cluster.file(1, &format!("/{number}.jpg"))).unwrap();
        assert!(bytes == noise(number as u64, 3 << 19), "{number}");
    }
    wait_until("nothing half sent is left", || cluster.present().all(|node| cluster.spools(node).is_empty()));
}

#[test]
fn a_process_that_reads_a_large_file_slowly_ends_when_it_is_told_to() {
    // At 1 MiB a second this takes far longer than a test waits.
    let prepare = |cluster: &Cluster| {
        lay_down(&cluster.root(0), "large.jpg", b"");
        changed(cluster, "large.jpg", |file| file.set_len(200 << 20).unwrap());
    };
    let agent = "bytes_per_second = \"1MiB\"";
    let cluster = Cluster::start(Front::Embedded, Options { agent, ..Options::one_node(prepare) });
    wait_until("the scrub reads", || status(&cluster, 0)["scrub"]["now"]["doing"] == "reading");
    cluster.with_webdfs(0, |webdfs| {
        webdfs.signal(Signal::TERM);
        assert!(webdfs.wait().success());
    });
}

#[test]
fn a_scrub_that_cannot_read_a_file_reads_the_others_and_says_so_to_whoever_asked() {
    let prepare = |cluster: &Cluster| {
        for (number, name) in scrubbed().iter().take(3).enumerate() {
            lay_down(&cluster.root(0), name, &noise(number as u64, 1 << 20));
        }
        not_due(&cluster.root(0));
    };
    // This one runs webdfs as a user whom permissions keep out.
    let agent = "bytes_per_second = \"1MiB\"";
    let cluster = Cluster::start(Front::ApacheProxy, Options { agent, ..Options::one_node(prepare) });
    let waiting = start(&["scrub"], &cluster.config(0));
    wait_until("the scrub reads", || status(&cluster, 0)["scrub"]["now"]["done"] == 1);
    let unreadable = cluster.root(0).join(&scrubbed()[2]);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let Ran { code, err, .. } = end_of(waiting);
    let expected = "webdfs: scrub is not finished: of the files 1 could not be read: the log names them\n";
    assert!(code == 1 && err.ends_with(expected), "{err}");
    let scrub = status(&cluster, 0)["scrub"].clone();
    assert_eq!((&scrub["now"]["state"], &scrub["now"]["done"]), (&"failed".into(), &3.into()));
    assert!(cluster.log(0).contains(&format!("{} cannot be read: ", scrubbed()[2])), "{}", cluster.log(0));
}
