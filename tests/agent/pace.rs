use std::path::PathBuf;
use std::time::Instant;

use webdfs::config::load;
use webdfs::name::ObjectName;
use webdfs::node::store_settings;
use webdfs::store::{SpoolId, Store};

use crate::commands::{end_of, start, status};
use crate::common::{Cluster, Front, Options, lay_down, noise, not_due, wait_until};

/// Files that node 0 has and node 1 lacks.
const FILES: usize = 10;
/// Of each, in bytes: too much to be sent together with others.
const SIZE: usize = 5 << 18;

fn target(number: usize) -> String {
    format!("/{number}.jpg")
}

/// Two nodes that own everything, and only the first has it. Nothing is due.
fn one_sided(agent: &'static str) -> Cluster {
    let prepare = |cluster: &Cluster| {
        for number in 0..FILES {
            lay_down(&cluster.root(0), target(number).trim_start_matches('/'), &noise(number as u64, SIZE));
        }
        not_due(&cluster.root(0));
        not_due(&cluster.root(1));
    };
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, agent, prepare, ..Options::default() };
    Cluster::start(Front::Embedded, options)
}

#[test]
fn scrub_and_transfers_together_keep_to_the_bytes_per_second() {
    const RATE: f64 = (2 << 20) as f64;
    // A tenth of a second at the full rate, and a piece of each file at work.
    const TOLERANCE: f64 = RATE / 10.0 + 9.0 * (128 << 10) as f64;
    let cluster = one_sided("bytes_per_second = \"2MiB\"");
    let begun = Instant::now();
    let commands = [&["scrub"][..], &["reconcile", "--once"]].map(|work| start(work, &cluster.config(0)));
    let mut at_once = false;
    let moved = || {
        let scrubbed = status(&cluster, 0)["scrub"]["now"]["bytes"].as_u64().unwrap();
        let length = |path| std::fs::metadata(path).map_or(0, |stat| stat.len());
        let received: u64 = (0..FILES).map(|number| length(cluster.file(1, &target(number)))).sum();
        (scrubbed, received + cluster.spools(1).into_iter().map(length).sum::<u64>())
    };
    let total = (FILES * SIZE) as u64;
    wait_until("all is read and sent", || {
        let (scrubbed, sent) = moved();
        let allowed = RATE * begun.elapsed().as_secs_f64() + TOLERANCE;
        assert!(((scrubbed + sent) as f64) < allowed, "{scrubbed} read and {sent} sent, more than {allowed}");
        at_once |= (1..total).contains(&scrubbed) && (1..total).contains(&sent);
        scrubbed >= total && sent >= total
    });
    assert!(at_once, "both went on at the same time");
    commands.into_iter().for_each(|command| assert_eq!(end_of(command).code, 0));
    let elapsed = begun.elapsed().as_secs_f64();
    let rate = (2 * total) as f64 / elapsed / RATE;
    println!("{} bytes read and sent in {elapsed:.1} s: {rate:.2} of the rate", 2 * total);
}

#[test]
fn no_more_files_travel_at_the_same_time_than_may_whatever_makes_them_travel() {
    const AT_ONCE: usize = 2;
    let cluster = one_sided("bytes_per_second = \"4MiB\"\nconcurrency = 2");
    // Half of them travel because of marks, and all of them because of a pass.
    let store = Store::open(store_settings(&load(&cluster.config(0)).unwrap())).unwrap();
    for number in 0..FILES / 2 {
        let name = ObjectName::from_bytes(target(number).trim_start_matches('/').as_bytes()).unwrap();
        store.mark_dirty(&cluster.name(1).parse().unwrap(), &name).unwrap();
    }
    let pass = start(&["reconcile", "--once"], &cluster.config(0));
    let mut most = 0;
    wait_until("all have arrived", || {
        let spools = cluster.spools(1);
        // What the node writes for itself there has more in its name.
        let is_upload = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().parse::<SpoolId>().is_ok())
        };
        most = most.max(spools.iter().filter(is_upload).count());
        (0..FILES).all(|number| cluster.has_file(1, &target(number)))
    });
    assert_eq!(most, AT_ONCE);
    assert_eq!(end_of(pass).code, 0);
}
