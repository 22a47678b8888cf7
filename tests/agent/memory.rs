//! The memory of a process that walks over a root, compares it with another node's and reads all of it: the most that
//! was ever resident, as the system counts it, with the program itself and everything else.

use std::time::Instant;

use crate::commands::run;
use crate::common::{Cluster, Front, Options, lay_down, not_due, wait_until};

/// What a process may need with a million files.
const LIMIT: u64 = 64 << 20;

/// As long as names can be, about, so that few of them say as much as many of the usual length.
fn long_name(number: usize) -> String {
    format!("{:0>250}/{:0>250}/{:0>250}/{number:0>250}", 0, number % 7, number % 101)
}

fn usual_name(number: usize) -> String {
    format!("album/{:03}/{:03}/picture-{number:07}.jpg", number % 211, number % 13)
}

/// The names and numbers of a root's files.
type Names = (fn(usize) -> String, usize);

/// Two nodes that own all files.
fn two_nodes(prepare: fn(&Cluster)) -> Cluster {
    let agent = "scrub_every = \"never\"";
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, agent, prepare, ..Options::default() };
    Cluster::start(Front::Embedded, options)
}

/// Has some nodes hold the same files, most of them empty.
fn fill(cluster: &Cluster, nodes: &[usize], (name, files): Names) {
    std::thread::scope(|scope| {
        for &node in nodes {
            scope.spawn(move || {
                let root = cluster.root(node);
                not_due(&root);
                for number in 0..files {
                    let bytes = if number % 100 == 0 { &b"not empty"[..] } else { b"" };
                    lay_down(&root, &name(number), bytes);
                }
            });
        }
    });
}

/// The most memory that the first node has needed for a pass and a scrub, and the second to take part, in bytes.
fn peaks(cluster: &Cluster, files: usize) -> [u64; 2] {
    for work in [&["reconcile", "--once"][..], &["scrub"]] {
        let begun = Instant::now();
        let ran = run(work, &cluster.config(0));
        assert!(ran.code == 0 && ran.out.contains(&format!("is finished: {files} keys")), "{ran:?}");
        println!("{files} files: {work:?} took {:.1} s", begun.elapsed().as_secs_f64());
    }
    let peaks = [0, 1].map(|node| cluster.with_webdfs(node, |webdfs| webdfs.peak_memory()).expect("it runs"));
    println!("{files} files: at most {} and {} KiB resident (VmHWM)", peaks[0] >> 10, peaks[1] >> 10);
    peaks
}

#[test]
fn ten_times_as_many_files_cost_a_pass_and_a_scrub_no_more_memory() {
    const FEW: usize = 4_000;
    const MANY: usize = 10 * FEW;
    // The names alone of what comes on top are 36 MB.
    const MORE_MAX: u64 = 12 << 20;
    let few = peaks(&two_nodes(|cluster| fill(cluster, &[0, 1], (long_name, FEW))), FEW);
    let many = peaks(&two_nodes(|cluster| fill(cluster, &[0, 1], (long_name, MANY))), MANY);
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < few + MORE_MAX, "{few} bytes, then {many}");
        assert!(many < LIMIT, "{many} bytes");
    }
}

/// The most memory of a node that is to give up all it has, in a map of so many nodes that all of that is one range of what is compared.
fn out_of_many(files: usize) -> u64 {
    const NODES: usize = 2_100;
    let cluster = Cluster::launch(Front::Embedded, Options { absent: &[0], ..Options::one_node(|_| ()) });
    let mut map = format!(
        "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\n[[subcluster.node]]\nname = \"img1\"\n\
         url = \"http://{}/_webdfs\"\nstate = \"out\"\n",
        cluster.address(0)
    );
    for number in 1..NODES {
        // Nobody listens there.
        map +=
            &format!("[[subcluster.node]]\nname = \"far{number}\"\nurl = \"http://127.0.0.1:1/{number}\"\n");
    }
    cluster.configure(0);
    std::fs::write(cluster.root(0).join("../../cluster.toml"), map).unwrap();
    (0..files).for_each(|number| lay_down(&cluster.root(0), &long_name(number), b""));
    cluster.restart(0);
    wait_until("a pass over them is over", || {
        cluster.log(0).contains(&format!("{files} keys here"))
            && cluster.log(0).contains("that belong elsewhere stay")
    });
    cluster.with_webdfs(0, |process| process.peak_memory()).expect("it runs")
}

#[test]
#[ignore = "as many nodes as that take minutes: `make million`"]
fn three_times_as_many_files_cost_no_more_memory_in_a_large_cluster_either() {
    // More than are compared at the same time.
    const FEW: usize = 15_000;
    const MANY: usize = 3 * FEW;
    // The names alone of what comes on top are 30 MB.
    const MORE_MAX: u64 = 15 << 20;
    let (few, many) = (out_of_many(FEW), out_of_many(MANY));
    println!("{FEW} files: {} KiB, {MANY} files: {} KiB", few >> 10, many >> 10);
    assert!(many < few + MORE_MAX, "{few} bytes, then {many}");
}

#[test]
#[ignore = "makes two million files, which takes minutes: `make million`"]
fn a_million_files_cost_a_pass_and_a_scrub_less_than_64_mebibytes() {
    const MANY: usize = 1_000_000;
    let begun = Instant::now();
    let cluster = two_nodes(|cluster| fill(cluster, &[0, 1], (usual_name, MANY)));
    println!("made and started in {:.0} s", begun.elapsed().as_secs_f64());
    for peak in peaks(&cluster, MANY) {
        assert!(peak < LIMIT, "{peak} bytes");
    }
}

#[test]
#[ignore = "sends a hundred thousand files, which takes minutes: `make million`"]
fn a_million_files_cost_no_more_where_all_of_them_are_sent() {
    // As many as are compared at the same time, however many there are.
    const MANY: usize = 100_000;
    let cluster = two_nodes(|cluster| {
        fill(cluster, &[0], (usual_name, MANY));
        not_due(&cluster.root(1));
    });
    for peak in peaks(&cluster, MANY) {
        assert!(peak < LIMIT, "{peak} bytes");
    }
}
