//! Tests of [`super`].

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config;

fn plan(folder: &Path, front: Front) -> Plan {
    Plan {
        executable: "/bin/false".into(),
        folder: folder.to_owned(),
        node_count: 4,
        replica_count: 3,
        front,
    }
}

fn some_nginx() -> Option<Nginx> {
    // Any program that runs will do: these tests only look at the files.
    let dir = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/bin/true", dir.path().join("nginx")).expect("a link");
    Nginx::find(Some(dir.path().as_os_str()))
}

#[test]
fn webdfs_takes_the_files_as_they_are_meant() {
    let dir = tempfile::tempdir().expect("a folder");
    let fronts = [("http", Front::Http), ("nginx", Front::Nginx(some_nginx().expect("found")))];
    for (name, front) in fronts {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        let cluster = Cluster::prepare(plan(&folder, front)).expect("files are written");
        assert_eq!(cluster.nodes.len(), 4);
        for node in &cluster.nodes {
            let settings = config::load(&node.config()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(settings.name.as_str(), node.name);
            assert_eq!(settings.root, node.root());
            let text = fs::read_to_string(node.config()).expect("it was written");
            let socket = format!("fcgi = \"unix:{}\"", node.socket().display());
            assert_eq!(text.contains(&socket), name == "nginx", "{text}");
            assert_eq!(text.contains("http = \"127.0.0.1:"), name == "http", "{text}");
            assert_eq!(node.folder.join("nginx.conf").exists(), name == "nginx");
        }
    }
}

#[test]
fn the_map_names_every_node_and_a_majority() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::prepare(plan(dir.path(), Front::Http)).expect("files are written");
    let map = config::load_map(&dir.path().join("cluster.toml")).expect("a good map");
    assert_eq!(map.epoch().get(), 1);
    let text = fs::read_to_string(dir.path().join("cluster.toml")).expect("it was written");
    assert!(text.contains("replicas = 3\nwrite_quorum = 2\n"), "{text}");
    for node in &cluster.nodes {
        let entry = format!("name = \"{}\"\nurl = \"{}/_webdfs\"\n", node.name, node.url());
        assert!(text.contains(&entry), "{text}");
    }
}

#[test]
fn the_secret_is_new_each_time_and_for_its_owner_alone() {
    let secret_of = |dir: &tempfile::TempDir| {
        Cluster::prepare(plan(dir.path(), Front::Http)).expect("files are written");
        let path = dir.path().join("secret");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::read_to_string(path).expect("text")
    };
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = secret_of(&one);
    assert_eq!(first.trim_end().len(), 2 * SECRET_BYTES);
    assert_ne!(first, secret_of(&other));
}

#[test]
fn a_write_needs_more_than_half_of_the_copies() {
    for (replica_count, wanted) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
        let plan = Plan { replica_count, ..plan(Path::new("/"), Front::Http) };
        assert_eq!(plan.write_quorum(), wanted, "of {replica_count}");
    }
}

#[test]
fn a_folder_too_deep_for_a_socket_is_refused_with_its_length() {
    let dir = tempfile::tempdir().expect("a folder");
    let deep = dir.path().join("d".repeat(100));
    fs::create_dir(&deep).expect("a folder");
    let front = Front::Nginx(some_nginx().expect("found"));
    let error = Cluster::prepare(plan(&deep, front)).map(|_| ()).expect_err("too long");
    assert!(matches!(&error, ClusterError::SocketPath(path) if path.as_os_str().len() > 107), "{error}");
}

#[tokio::test]
async fn a_node_that_ends_is_named_and_its_log_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    // `cat serve --config ...` complains and ends.
    let plan =
        Plan { executable: "cat".into(), node_count: 1, replica_count: 1, ..plan(dir.path(), Front::Http) };
    let mut cluster = Cluster::prepare(plan).expect("files are written");
    cluster.start().expect("cat starts");
    let error = cluster.wait_until_ready(&Client::default()).await.expect_err("cat is no node");
    let ClusterError::Ended { node, program, .. } = &error else { panic!("{error}") };
    assert_eq!((node.as_str(), *program), ("img1", "webdfs"));
    let tails = cluster.log_tails(5);
    assert!(tails.contains("img1/webdfs.log:\n") && tails.contains("cat: "), "{tails}");
}
