//! The locators, path hash and random numbers of the original webDFS against its own answers:
//! `tests/vectors/webdfs_php`, whose README says where they come from and describes the files. Another folder of the
//! same shape is read when `WEBDFS_VECTORS` names the folder above it. What is missing or empty fails the tests.

mod placement_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use placement_support::{Layout, csv_rows, number, parse_groups, parse_numbers, php, read_vectors, report};
use webdfs::cluster::{ClusterMap, MapError, PlacementSpec, WebdfsFault};
use webdfs::php::{Fault, Group, Kind, Locator, PhpVersion, Rand, Runtime, Seed, Twister, path_hash, range};
use webdfs::placement::{Event, ObjectKey, Replicas, locate, locate_traced};

const PHP82: Runtime = Runtime::Php71;
const PHP52: Runtime = Runtime::Php52;
const PHP52_THREADED: Runtime = Runtime::Php52Threaded;

#[test]
fn the_random_numbers_meet_every_generator_vector() {
    let (path, text) = read("rng.csv");
    let rows = csv_rows(&path, &text, "generator,seed,call,outputs");
    let mut generators = BTreeSet::new();
    for row in &rows {
        let &[generator, seed, call, expected] = row.as_slice() else { unreachable!("checked by csv_rows") };
        // PHP and the C library take the low 32 bits.
        let seed = number::<i64>(seed) as u32;
        let (version, mut next): (_, Box<dyn FnMut() -> u32>) = match generator {
            "mt_php82" | "mt_php52" => {
                let version = if generator == "mt_php82" { PhpVersion::V7_1 } else { PhpVersion::V5_2 };
                let mut twister = Twister::new(version, seed);
                (version, Box::new(move || twister.next_output()))
            }
            "libc_random" | "rand_r" => {
                let runtime = if generator == "rand_r" { PHP52_THREADED } else { PHP52 };
                let mut rand = Rand::new(runtime, seed);
                (runtime.version(), Box::new(move || rand.next_output()))
            }
            _ => panic!("{row:?}: unknown generator"),
        };
        let expected: Vec<u32> = parse_numbers(expected);
        let last = call.strip_prefix("range 0 ").map(number);
        match call {
            "raw after 620" => (0..620).for_each(|_| _ = next()),
            _ => assert!(call == "raw" || last.is_some(), "{row:?}: unknown call"),
        }
        let one = |_: &u32| match last {
            None => next() >> 1,
            Some(last) => range(version, last, &mut next),
        };
        let computed: Vec<u32> = expected.iter().map(one).collect();
        assert_eq!(computed, expected, "{row:?}");
        generators.insert(generator);
    }
    assert_eq!(generators.len(), 4, "some generators have no rows: {generators:?}");
    report(&path, rows.len());
}

#[test]
fn names_are_reduced_as_the_key_vectors_say() {
    let (path, keys) = keys();
    let mut strings = 0;
    for (name, seed) in keys.values() {
        if let Some(name) = name {
            assert_eq!(i64::from(Seed::of(name).get()), *seed, "{}", name.escape_ascii());
            strings += 1;
        }
    }
    assert!(strings > 0, "no key is a string");
    report(&path, keys.len());
}

#[test]
fn rushr_meets_its_vectors() {
    compare("RUSHr", Kind::RushR, "rushr.csv.gz", &[("php82", PHP82), ("php52", PHP52)]);
}

#[test]
fn rushp_meets_its_vectors() {
    let columns = [("php82", PHP82), ("php52", PHP52), ("php52_threaded", PHP52_THREADED)];
    compare("RUSHp", Kind::RushP, "rushp.csv.gz", &columns);
}

/// Looks up each row of a file under each of its columns.
fn compare(algorithm: &str, kind: Kind, file: &str, columns: &[(&str, Runtime)]) {
    let (configs_path, configs) = configs(algorithm);
    let (_, keys) = keys();
    let (path, text) = read(file);
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    let rows = csv_rows(&path, &text, &format!("config,key,{}", names.join(",")));
    let mut used = BTreeSet::new();
    for row in &rows {
        let (config, key) = (&configs[row[0]], &keys[row[1]]);
        for ((name, runtime), expected) in columns.iter().zip(&row[2..]) {
            let found = shown(&config.locator(kind), *runtime, key.1);
            assert_eq!(found, *expected, "{algorithm} {name} config {} key {}", row[0], row[1]);
        }
        used.insert(row[0]);
    }
    let all: BTreeSet<&str> = configs.keys().map(String::as_str).collect();
    assert_eq!(used, all, "configurations with rows, and configurations");
    report(&path, rows.len());
    report(&configs_path, configs.len());
}

/// What is written in a row for a lookup.
fn shown(locator: &Locator, runtime: Runtime, key: i64) -> String {
    let mut nodes: Vec<u32> = Vec::new();
    match locator.locate(runtime, key, &mut nodes) {
        Ok(()) => join(&nodes),
        Err(Fault::Exhausted) => "!".to_owned(),
        Err(fault) => panic!("key {key}: {fault}"),
    }
}

/// What the original places on distinct nodes, webdfs places there too; where the original repeats a node, throws, or
/// uses weight 0, for any name that there could be, the map is refused.
#[test]
fn maps_give_the_vectors_answers_or_are_refused_for_what_the_vectors_show() {
    for (algorithm, file) in [("RUSHr", "rushr.csv.gz"), ("RUSHp", "rushp.csv.gz")] {
        let (_, configs) = configs(algorithm);
        let (_, keys) = keys();
        let (path, text) = read(file);
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let (mut compared, mut refused) = (0, BTreeSet::new());
        for (config_name, config) in &configs {
            // One PHP each, for the sake of time: every column is compared above.
            let odd = number::<usize>(config_name) % 2 == 1;
            let (column, php) = if odd { (2, PhpVersion::V7_1) } else { (3, PhpVersion::V5_2) };
            let placement = match algorithm {
                "RUSHr" => PlacementSpec::WebdfsRushR(php),
                _ => PlacementSpec::WebdfsRushP(php),
            };
            let layout = Layout::new(&config.clusters, config.replicas);
            let map = match ClusterMap::new(layout.spec(placement)) {
                Ok(map) => map,
                Err(error) => {
                    let MapError::WebdfsPlacement { example, fault, .. } = &error else { panic!("{error}") };
                    let mut nodes: Vec<u32> = Vec::new();
                    let kind = if algorithm == "RUSHr" { Kind::RushR } else { Kind::RushP };
                    let seed = i64::from(Seed::of(example.as_bytes()).get());
                    let found = config.locator(kind).locate(php.into(), seed, &mut nodes);
                    let distinct: BTreeSet<&u32> = nodes.iter().collect();
                    match fault {
                        WebdfsFault::Lookup(fault) => assert_eq!(found, Err(*fault), "{error}"),
                        WebdfsFault::Repeat { .. } => assert!(distinct.len() < nodes.len(), "{error}"),
                        WebdfsFault::Weightless { .. } => panic!("no configuration shows this: {error}"),
                    }
                    refused.insert((config_name.as_str(), config.category.as_str()));
                    continue;
                }
            };
            for row in rows.iter().filter(|row| row[0] == config_name) {
                let Some(name) = &keys[row[1]].0 else { continue };
                let key = ObjectKey::of(name);
                let mut steps = Vec::new();
                let owners = locate(&map, key);
                let context = || format!("{algorithm} config {config_name} key {}", row[1]);
                assert_eq!(join(numbers(&owners)), row[column], "{}", context());
                assert_eq!(locate_traced(&map, key, &mut steps), owners, "{}", context());
                let picks = steps.iter().filter(|step| matches!(step, Event::Pick { .. })).count();
                assert_eq!(picks, owners.len(), "{}: {steps:?}", context());
                compared += 1;
            }
        }
        report(&path, compared);
        println!("  refused: {refused:?}");
        for (config, category) in &refused {
            assert!(
                ["small", "fracweight", "zeroweight", "exception"].contains(category),
                "{config} {category}"
            );
        }
        if algorithm == "RUSHr" {
            assert!(refused.iter().all(|(_, category)| *category == "zeroweight"), "{refused:?}");
        } else {
            assert!(refused.iter().any(|(_, category)| *category == "exception"), "{refused:?}");
        }
    }
}

fn numbers(owners: &Replicas) -> Vec<u32> {
    owners.iter().map(|owner| owner.get() as u32).collect()
}

#[test]
fn the_two_forerunners_meet_their_vectors() {
    let (_, configs) = configs("RUSHps/RUSHpw");
    let (_, keys) = keys();
    let (path, text) = read("rushps_rushpw.csv.gz");
    let rows = csv_rows(&path, &text, "algorithm,config,key,php82,php52,php52_threaded");
    for row in &rows {
        let mut clusters = configs[row[1]].clusters.clone();
        match row[0] {
            "RUSHps" => clusters.iter_mut().for_each(|cluster| cluster.1 = 1.0),
            "RUSHpw" => {}
            other => panic!("{other} is unknown"),
        }
        for (runtime, expected) in [PHP82, PHP52, PHP52_THREADED].into_iter().zip(&row[3..]) {
            let found = php::single(&clusters, runtime, keys[row[2]].1);
            let found = found.map_or_else(|| "-1".to_owned(), |node| node.to_string());
            assert_eq!(found, *expected, "{row:?} {runtime:?}");
        }
    }
    report(&path, rows.len());
}

#[test]
fn names_are_filed_where_the_path_vectors_say() {
    let (path, text) = read("paths.csv.gz");
    let rows = csv_rows(&path, &text, "name_hex,php82,php52,dirname_hex");
    for row in &rows {
        let name = hex::decode(row[0]).expect(row[0]);
        for (version, expected) in [(PhpVersion::V7_1, row[1]), (PhpVersion::V5_2, row[2])] {
            let hash = path_hash(version, &name);
            let found = format!("{:02}/{:02}", hash / 100, hash % 100);
            assert_eq!(found, expected, "{} PHP {version}", name.escape_ascii());
        }
        // With path hashing off a file lies under its own name: that is webdfs's layout "path".
        if let Ok(name) = webdfs::name::ObjectName::from_bytes(&name) {
            let own = name.as_bytes();
            let folder = own.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |slash| &own[..slash]);
            assert_eq!(hex::encode(folder), row[3], "{name}");
        }
    }
    report(&path, rows.len());
}

#[test]
fn the_repository_s_own_keys_meet_their_vectors() {
    let uuids = uuids();
    let (path, text) = read("uuids_placements.csv.gz");
    let columns: Vec<String> = ["php82", "php52"]
        .iter()
        .flat_map(|php| ["rushr", "rushp"].map(|kind| (php, kind)))
        .flat_map(|(php, kind)| (1..=3).map(move |count| format!("{kind}{count}_{php}")))
        .collect();
    let rows = csv_rows(&path, &text, &format!("line,{}", columns.join(",")));
    assert_eq!(rows.len(), uuids.len());
    report(&path.with_file_name("uuids.gz"), uuids.len());
    for (column, name) in columns.iter().enumerate() {
        let kind = if name.starts_with("rushr") { Kind::RushR } else { Kind::RushP };
        let runtime = if name.ends_with("php82") { PHP82 } else { PHP52 };
        let locator = locator(kind, &UUID_CLUSTERS[..number::<usize>(&name[5..6])], 3);
        for (row, uuid) in rows.iter().zip(&uuids) {
            let found = shown(&locator, runtime, i64::from(Seed::of(uuid.as_bytes()).get()));
            assert_eq!(found, row[column + 1], "{name} line {}", row[0]);
        }
    }
    report(&path, rows.len());
}

/// The clusters that the repository's own keys are placed on.
const UUID_CLUSTERS: [(u32, f64); 4] = [(5, 1.0), (5, 2.0), (5, 4.0), (5, 8.0)];

/// What webDFS's authors counted, on the PHP of their time.
#[test]
fn the_published_vector_of_counts_is_met() {
    let (path, text) = read("published_rushr.csv");
    // The third field is prose and may stand in quotes, with commas inside.
    let rows: Vec<(&str, &str, &str)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (head, counts) = line.rsplit_once(',').expect(line);
            let (figure, rest) = head.split_once(',').expect(line);
            (figure, rest.split_once(',').expect(line).0, counts)
        })
        .collect();
    let before = places(&UUID_CLUSTERS[..3], 0);
    let [one, two, four, eight] = UUID_CLUSTERS;
    for (figure, kind, counts) in &rows {
        let after = match *figure {
            "obj_moved_dist" => places(&[one, two, four, eight], 0),
            // The nodes after it keep their own numbers.
            "obj_moved_single_disk" => places(&[(4, 1.0), two, four], 1),
            "obj_moved_remove_subcluster" => places(&[(5, 0.0), two, four], 0),
            "obj_moved_weight_change" => places(&[one, (5, 4.0), four], 0),
            _ => Vec::new(),
        };
        let counted = match *kind {
            "dist" => count(before.iter().flatten()),
            "co-replicas" => {
                let disk = number::<u32>(figure.strip_prefix("failed_disk_").expect(figure)) - 1;
                let sharing = before.iter().filter(|nodes| nodes.contains(&disk));
                count(sharing.flatten().filter(|node| **node != disk))
            }
            "moved-from" => {
                assert_eq!(after.len(), before.len(), "{figure} is unknown");
                let pairs = before.iter().zip(&after);
                count(pairs.flat_map(|(old, new)| old.iter().filter(|node| !new.contains(node))))
            }
            _ => panic!("{kind} is unknown"),
        };
        assert_eq!(counted, parse_numbers::<usize>(counts), "{figure}");
    }
    report(&path, rows.len());
}

/// Where all of the repository's own keys lie, with the first number that the nodes of the first cluster have.
fn places(clusters: &[(u32, f64)], first: u32) -> Vec<Vec<u32>> {
    let locator = locator(Kind::RushR, clusters, 3);
    let place = |uuid: &String| {
        let mut nodes: Vec<u32> = Vec::new();
        let seed = i64::from(Seed::of(uuid.as_bytes()).get());
        locator.locate(PHP52, seed, &mut nodes).expect("these clusters hold all replicas");
        nodes.iter().map(|node| node + first).collect()
    };
    uuids().iter().map(place).collect()
}

fn count<'a>(nodes: impl Iterator<Item = &'a u32>) -> Vec<usize> {
    let mut counts = vec![0; 15];
    nodes.filter(|node| **node < 15).for_each(|node| counts[*node as usize] += 1);
    counts
}

struct Config {
    category: String,
    replicas: usize,
    clusters: Vec<(u32, f64)>,
}

impl Config {
    fn locator(&self, kind: Kind) -> Locator {
        locator(kind, &self.clusters, self.replicas)
    }
}

fn locator(kind: Kind, clusters: &[(u32, f64)], replicas: usize) -> Locator {
    let groups: Vec<Group> = clusters.iter().map(|&(nodes, weight)| Group { nodes, weight }).collect();
    Locator::new(kind, &groups, replicas).expect("no configuration is too heavy")
}

/// The configurations of one algorithm by their numbers.
fn configs(algorithm: &str) -> (PathBuf, BTreeMap<String, Config>) {
    let (path, text) = read("configs.csv");
    let rows = csv_rows(&path, &text, "algorithm,config,category,replicas,total_nodes,clusters");
    let mut configs = BTreeMap::new();
    for row in rows.iter().filter(|row| row[0] == algorithm) {
        let config =
            Config { category: row[2].to_owned(), replicas: number(row[3]), clusters: parse_groups(row[5]) };
        assert_eq!(
            config.clusters.iter().map(|cluster| cluster.0).sum::<u32>(),
            number::<u32>(row[4]),
            "{row:?}"
        );
        configs.insert(row[1].to_owned(), config);
    }
    assert!(!configs.is_empty(), "{algorithm} has no configurations");
    (path, configs)
}

/// The name, if it is one, and what the locator starts from.
type Key = (Option<Vec<u8>>, i64);

/// The keys by their numbers.
fn keys() -> (PathBuf, BTreeMap<String, Key>) {
    let (path, text) = read("keys.csv");
    let key = |row: &Vec<&str>| {
        let name = match row[1] {
            "string" => Some(hex::decode(row[2]).expect(row[2])),
            "int" => None,
            other => panic!("{other} is unknown"),
        };
        (row[0].to_owned(), (name, number(row[3])))
    };
    let keys = csv_rows(&path, &text, "key,type,value,seed").iter().map(key).collect();
    (path, keys)
}

fn uuids() -> Vec<String> {
    read("uuids.gz").1.lines().map(str::to_owned).collect()
}

fn read(name: &str) -> (PathBuf, String) {
    read_vectors("webdfs_php", name)
}

fn join(nodes: impl AsRef<[u32]>) -> String {
    nodes.as_ref().iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}
