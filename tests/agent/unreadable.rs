use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use crate::commands::{Ran, run, status};
use crate::common::{Cluster, Front, Options, lay_down, noise, not_due};

/// Files that both nodes are to have in the end. Node 0 has the first four, node 1 the others and `closed.jpg`.
const FILES: [&str; 7] =
    ["album/1.jpg", "album/2.jpg", "closed.jpg", "shut/3.jpg", "theirs/4.jpg", "theirs/5.jpg", "6.jpg"];

fn of_node(node: usize) -> impl Iterator<Item = &'static str> {
    let is_there = move |(place, name): &(usize, &str)| (node == 0) == (*place < 4) || *name == "closed.jpg";
    FILES.into_iter().enumerate().filter(is_there).map(|(_, name)| name)
}

fn permit(cluster: &Cluster, modes: [u32; 2]) {
    for (name, mode) in ["closed.jpg", "shut"].into_iter().zip(modes) {
        set_permissions(cluster.root(0).join(name), Permissions::from_mode(mode)).unwrap();
    }
}

fn has(cluster: &Cluster, node: usize) -> Vec<&'static str> {
    FILES.into_iter().filter(|name| cluster.has_file(node, &format!("/{name}"))).collect()
}

#[test]
fn a_file_and_a_folder_that_cannot_be_read_hold_up_no_other_and_nothing_is_finished_without_them() {
    let prepare = |cluster: &Cluster| {
        for node in 0..2 {
            of_node(node).for_each(|name| lay_down(&cluster.root(node), name, &noise(1, 3000)));
            not_due(&cluster.root(node));
        }
    };
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, prepare, ..Options::default() };
    // This one runs webdfs as a user whom permissions keep out.
    let cluster = Cluster::start(Front::ApacheProxy, options);
    permit(&cluster, [0o000, 0o000]);

    // Passes of both nodes bring everything else to the other, and say what is missing.
    let Ran { code, err, .. } = run(&["reconcile", "--once"], &cluster.config(0));
    let lacks = |path: &str, action: &str| {
        let path = cluster.root(0).join(path);
        format!("1 could not be read here: {}: cannot {action}: Permission denied", path.display())
    };
    assert_eq!(code, 1, "{err}");
    for line in [lacks("closed.jpg", "open"), lacks("shut", "list")] {
        assert!(err.contains(&line), "{line}\n{err}");
        assert_eq!(cluster.log(0).matches(&format!("ERROR webdfs::reconcile::walks] {line}")).count(), 1);
    }
    assert_eq!(status(&cluster, 0)["reconcile"]["now"]["state"], "failed");
    let but_shut: Vec<_> = FILES.into_iter().filter(|name| *name != "shut/3.jpg").collect();
    assert_eq!((has(&cluster, 0), has(&cluster, 1)), (FILES.to_vec(), but_shut));
    lay_down(&cluster.root(1), "7.jpg", b"later");
    let Ran { code, err, .. } = run(&["reconcile", "--once"], &cluster.config(1));
    assert!(code == 1 && err.contains("1 could not be brought up to date"), "{err}");
    assert!(cluster.has_file(0, "/7.jpg"));
    let Ran { code, err, .. } = run(&["scrub"], &cluster.config(0));
    assert!(code == 1 && err.contains("of the files 2 could not be read: the log names them"), "{err}");
    // It is not told again for each walk.
    let log = cluster.log(0);
    assert_eq!(log.matches("ERROR webdfs::reconcile::walks] ").count(), 2, "{log}");

    permit(&cluster, [0o644, 0o755]);
    for node in 0..2 {
        let Ran { code, err, .. } = run(&["reconcile", "--once"], &cluster.config(node));
        assert_eq!(code, 0, "{err}");
    }
    assert_eq!((has(&cluster, 0), has(&cluster, 1)), (FILES.to_vec(), FILES.to_vec()));
}
