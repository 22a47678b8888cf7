//! A cluster of the original webDFS is taken over: its files lie where its own programs put them, by the answers in
//! `tests/vectors/webdfs_php`, and nodes with the same map serve them as they are.

mod common;
mod placement_support;

/// docs/takeover.md, step by step.
#[path = "takeover/guide.rs"]
mod guide;
/// Maps made from configurations of the original.
#[path = "takeover/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{Call, Cluster, Front, Options, assert_missing, assert_stored, noise, wait_until};
use placement_support::{csv_rows, parse_groups, parse_numbers, read_vectors};
use webdfs::held::Held;
use webdfs::name::{Exclude, ObjectName};

on_both_fronts!(
    hashed_folders_of_php_5_2_are_served_as_they_are,
    names_of_any_bytes_are_stored_in_hashed_folders,
);

/// A cluster of the original, as its configurations in the vectors are numbered.
#[derive(Clone, Copy)]
struct Original {
    algorithm: &'static str,
    config: &'static str,
    /// The file with the places, and the column of the PHP in it and in `paths.csv.gz`, if paths are hashed.
    rows: &'static str,
    php: &'static str,
    hashed: bool,
}

const RUSHR: Original =
    Original { algorithm: "RUSHr", config: "37", rows: "rushr.csv.gz", php: "php52", hashed: true };
const RUSHP: Original =
    Original { algorithm: "RUSHp", config: "5", rows: "rushp.csv.gz", php: "php82", hashed: false };

/// An object that the original stored.
struct Stored {
    name: ObjectName,
    /// Where, below a storage root.
    path: PathBuf,
    /// On which nodes, in rank order.
    nodes: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn target(&self) -> String {
        format!("/{}", self.name.url_path())
    }
}

impl Original {
    fn options(self, top: &'static str, placement: &str, prepare: fn(&Cluster)) -> Options {
        let (path, text) = read_vectors("webdfs_php", "configs.csv");
        let rows = csv_rows(&path, &text, "algorithm,config,category,replicas,total_nodes,clusters");
        let row = rows.iter().find(|row| row[0] == self.algorithm && row[1] == self.config).expect("listed");
        let clusters = parse_groups(row[5]);
        Options {
            nodes: row[4].parse().unwrap(),
            replicas: row[3].parse().unwrap(),
            top,
            map: placement.to_owned(),
            subclusters: clusters.iter().map(|&(nodes, weight)| (nodes as usize, weight)).collect(),
            prepare,
            ..Options::default()
        }
    }

    /// What it holds: of the names that have both a place and a path in the vectors, those that can be asked for, and
    /// of those that cannot lie side by side the first.
    fn stored(self) -> Vec<Stored> {
        let (path, text) = read_vectors("webdfs_php", "paths.csv.gz");
        let column = if self.php == "php82" { 1 } else { 2 };
        let folders: BTreeMap<&str, &str> = csv_rows(&path, &text, "name_hex,php82,php52,dirname_hex")
            .iter()
            .map(|row| (row[0], row[column]))
            .collect();
        let (path, keys) = read_vectors("webdfs_php", "keys.csv");
        let keys = csv_rows(&path, &keys, "key,type,value,seed");
        let (_, places) = read_vectors("webdfs_php", self.rows);
        let header: Vec<&str> = places.lines().next().expect("a header").split(',').collect();
        let column = header.iter().position(|name| *name == self.php).expect(self.php);
        let rows = places.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let places: BTreeMap<&str, &str> =
            rows.filter(|row| row[0] == self.config).map(|row| (row[1], row[column])).collect();
        let mut stored: Vec<Stored> = Vec::new();
        for key in keys.iter().filter(|key| key[1] == "string") {
            let (Some(folder), Some(nodes)) = (folders.get(key[2]), places.get(key[0])) else { continue };
            let Ok(name) = ObjectName::from_bytes(&hex::decode(key[2]).unwrap()) else { continue };
            let last =
                Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).file_name().expect("a segment");
            let path = match self.hashed {
                true => Path::new(folder).join(last),
                false => Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).to_owned(),
            };
            let storable = !Exclude::default().matches(&name) && last.len() < 256;
            let mut others = stored.iter().map(|other| &other.path);
            if storable && others.all(|other| !other.starts_with(&path) && !path.starts_with(other)) {
                // One that is too large to be mapped, if the web server may send it.
                let length = if stored.is_empty() { 700_000 } else { 1_000 + stored.len() };
                let bytes = noise(stored.len() as u64, length);
                stored.push(Stored { name, path, nodes: parse_numbers(nodes), bytes });
            }
        }
        assert!(stored.len() >= 20, "only {} names can be stored", stored.len());
        stored.truncate(40);
        stored
    }

    /// Puts it all on the nodes' disks, each copy at a time of its own, as the original does.
    fn lay_down(self, cluster: &Cluster) {
        for (number, stored) in self.stored().iter().enumerate() {
            for (rank, node) in stored.nodes.iter().enumerate() {
                let path = cluster.root(*node).join(&stored.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &stored.bytes).unwrap();
                let seconds = 1_262_304_000 + 100 * number + rank;
                let written = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64);
                fs::File::open(&path).unwrap().set_modified(written).unwrap();
            }
        }
    }
}

/// A file by its path: inode, time of change and bytes.
type Files = BTreeMap<PathBuf, (u64, i64, Vec<u8>)>;

/// What lies on each node's disk outside `.webdfs`.
fn on_disk(cluster: &Cluster) -> Vec<Files> {
    let files_of = |node: usize| {
        let (mut files, mut ahead) = (BTreeMap::new(), vec![cluster.root(node)]);
        while let Some(folder) = ahead.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                match entry.metadata().unwrap() {
                    _ if entry.file_name() == ".webdfs" => {}
                    about if about.is_dir() => ahead.push(entry.path()),
                    about => {
                        let bytes = fs::read(entry.path()).unwrap();
                        let changed = about.ctime() * 1_000_000_000 + about.ctime_nsec();
                        files.insert(entry.path(), (about.ino(), changed, bytes));
                    }
                }
            }
        }
        files
    };
    cluster.present().map(files_of).collect()
}

/// The nodes that have a file of an object at its path.
fn holders(cluster: &Cluster, stored: &Stored) -> Vec<usize> {
    cluster.present().filter(|node| cluster.root(*node).join(&stored.path).is_file()).collect()
}

/// Everything is served through every node and stays as it is; one object is replaced and one deleted, where they lie.
fn is_served_as_it_is(cluster: &Cluster, original: Original) {
    let all = original.stored();
    let before = on_disk(cluster);
    for stored in &all {
        assert_eq!(cluster.owners(&stored.target()), stored.nodes, "{}", stored.name);
        assert_stored(cluster, &stored.target(), &stored.bytes);
    }
    assert!(on_disk(cluster) == before, "files were changed, added or taken away");

    let (replaced, deleted) = (&all[1], &all[2]);
    let mut expected = [replaced.nodes.clone(), deleted.nodes.clone()];
    expected.iter_mut().for_each(|nodes| nodes.sort_unstable());
    assert_eq!([holders(cluster, replaced), holders(cluster, deleted)], expected);
    for through in [0, cluster.options.nodes - 1] {
        let body = noise(1_000 + through as u64, 5_000);
        cluster.put(through, &replaced.target(), body.clone()).expect(204);
        assert_stored(cluster, &replaced.target(), &body);
        for node in &expected[0] {
            assert!(fs::read(cluster.root(*node).join(&replaced.path)).unwrap() == body, "node {node}");
        }
    }
    cluster.delete(0, &deleted.target()).expect(204);
    assert_missing(cluster, &deleted.target());
    assert_eq!([holders(cluster, replaced), holders(cluster, deleted)], [expected[0].clone(), vec![]]);

    // The rest is still what it was.
    let touched = [&replaced.path, &deleted.path];
    for (was, is) in before.iter().zip(on_disk(cluster)) {
        let others = was.iter().filter(|(path, _)| !touched.iter().any(|touched| path.ends_with(touched)));
        assert!(others.into_iter().all(|(path, about)| is.get(path) == Some(about)));
    }
}

fn hashed_folders_of_php_5_2_are_served_as_they_are(front: Front) {
    let placement = "placement = \"webdfs_rush_r\"\nphp = \"5.2\"";
    let cluster = Cluster::start(front, RUSHR.options(HASHED, placement, |cluster| RUSHR.lay_down(cluster)));
    is_served_as_it_is(&cluster, RUSHR);
}

/// Two names of one path under PHP 5.2, and that path.
const TWINS: [&str; 2] = ["/a/b/c.jpg", "/ab/c.jpg"];
const PLACE: &str = "16/23/c.jpg";
const HASHED: &str = "layout = \"webdfs_hashed\"\nphp = \"5.2\"";

#[test]
fn a_file_of_the_original_is_not_lost_by_copying_it_to_another_name_of_its_path() {
    let prepare = |cluster: &Cluster| {
        for node in cluster.present() {
            let path = cluster.root(node).join(PLACE);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "original").unwrap();
        }
    };
    let cluster = Cluster::start(Front::Embedded, Options { top: HASHED, prepare, ..Options::default() });
    let [first, second] = TWINS;
    let to = |method: &str| Call::new(method, first).header("Destination", second);
    // To the original the two are one file, and so this would take the name that is copied away.
    let refused = cluster.send(1, &to("COPY")).expect(403);
    assert!(refused.text().contains("same file"), "{refused}");
    TWINS.iter().for_each(|target| assert_stored(&cluster, target, b"original"));

    cluster.put(0, first, "first").expect(204);
    cluster.send(1, &to("COPY")).expect(201);
    TWINS.iter().for_each(|target| assert_stored(&cluster, target, b"first"));
    cluster.delete(2, second).expect(204);
    cluster.send(1, &to("MOVE")).expect(201);
    assert_stored(&cluster, second, b"first");
    assert_missing(&cluster, first);
}

fn names_of_any_bytes_are_stored_in_hashed_folders(front: Front) {
    let cluster = Cluster::start(front, Options { top: HASHED, ..Options::default() });
    let (long, too_long) = (format!("/d/{}", "x".repeat(255)), format!("/d/{}", "x".repeat(256)));
    let targets = [
        "/%FF%FE/%80.jpg",
        "/%FF%FE/%81.jpg",
        "/it's%20%22quoted%22.jpg",
        "/100%25.jpg",
        "/100%2525.jpg",
        "/what%3F.jpg",
        "/back%5Cslash.jpg",
        "/%3F%3A%2A%5C%7C%3C%3E%22%25",
        "/folder/index.html",
        TWINS[0],
        TWINS[1],
        "/a%5Cb/c.jpg",
        &long,
        &too_long,
    ];
    for target in targets {
        cluster.put(0, target, target).expect(201);
    }
    for target in targets {
        assert_stored(&cluster, target, target.as_bytes());
    }
    assert_eq!(cluster.get(1, "/folder/").expect(200).text(), "/folder/index.html");
    let copy = |method: &str, to: &str| Call::new(method, targets[0]).header("Destination", to);
    cluster.send(1, &copy("COPY", "/%FD/%80.jpg")).expect(201);
    cluster.send(2, &copy("MOVE", targets[1])).expect(204);
    assert_missing(&cluster, targets[0]);
    for target in [targets[1], "/%FD/%80.jpg"] {
        assert_stored(&cluster, target, targets[0].as_bytes());
        cluster.delete(0, target).expect(204);
    }
    for target in &targets[2..] {
        cluster.delete(2, target).expect(204);
        assert_missing(&cluster, target);
    }
    wait_until("nothing is left", || on_disk(&cluster).iter().all(BTreeMap::is_empty));
}

#[test]
fn a_file_of_the_original_moves_to_another_name_of_its_path() {
    let cluster = Cluster::start(Front::Embedded, Options { top: HASHED, ..Options::default() });
    let [first, second] = TWINS;
    for node in cluster.present() {
        let path = cluster.root(node).join(PLACE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "original").unwrap();
    }
    cluster.send(0, &Call::new("MOVE", first).header("Destination", second)).expect(204);
    assert_stored(&cluster, second, b"original");
    assert_missing(&cluster, first);
}

#[test]
fn a_node_that_was_away_gets_all_names_of_a_path_as_the_others_have_them() {
    let cluster = Cluster::start(Front::Embedded, Options { top: HASHED, ..Options::default() });
    let [first, second] = TWINS;
    cluster.put(0, first, "first").expect(201);
    cluster.put(1, second, "second").expect(201);
    TWINS.iter().for_each(|target| wait_until("all have it", || holds(&cluster, 2, target).copy().is_some()));
    cluster.kill(2);
    // The second comes to the path, and the first beside it; on the node that is away it is the other way round.
    cluster.delete(0, first).expect(204);
    cluster.put(1, second, "second again").expect(204);
    cluster.put(0, first, "first again").expect(201);
    cluster.restart(2);
    for target in TWINS {
        wait_until("the node that was away has it", || {
            holds(&cluster, 2, target) == holds(&cluster, 0, target)
        });
    }
    assert_stored(&cluster, first, b"first again");
    assert_stored(&cluster, second, b"second again");
    cluster.delete(2, second).expect(204);
    assert_stored(&cluster, first, b"first again");
    assert_missing(&cluster, second);
}

/// What a node has of an object.
fn holds(cluster: &Cluster, node: usize, target: &str) -> Held {
    let name = ObjectName::from_bytes(target.trim_start_matches('/').as_bytes()).unwrap();
    cluster.store(node).held(&name).unwrap()
}

#[test]
fn folders_of_php_7_1_without_path_hashing_are_served_as_they_are() {
    let placement = "placement = \"webdfs_rush_p\"\nphp = \"7.1\"";
    let options = RUSHP.options("", placement, |cluster| RUSHP.lay_down(cluster));
    is_served_as_it_is(&Cluster::start(Front::Embedded, options), RUSHP);
}

#[test]
fn check_says_that_the_web_server_cannot_find_hashed_files_and_refuses_another_layout() {
    let map = "placement = \"webdfs_rush_r\"\nphp = \"7.1\"".to_owned();
    let cluster = Cluster::start(Front::Embedded, Options { top: HASHED, map, ..Options::default() });
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_webdfs"));
        let output = command.arg("check").arg("--config").arg(cluster.config(0)).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (well, report) = check();
    assert!(well, "{report}");
    assert!(report.contains("set   layout: webdfs_hashed (PHP 5.2)"), "{report}");
    assert!(report.contains("warn  layout: ") && report.contains("static-first cannot work"), "{report}");

    assert!(report.contains("warn  php: node.toml says 5.2 and the map 7.1"), "{report}");

    let config = cluster.config(0);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(HASHED, "")).unwrap();
    let (well, report) = check();
    let expected = "are laid out as webdfs_hashed (PHP 5.2), not as path: set layout and php back";
    assert!(!well && report.contains(expected), "{report}");
    assert!(!report.contains("warn  layout: "), "{report}");
}
