//! The answers of CRUSH for cluster maps, pinned for good: files lie on disk by them. `crush_maps.csv` in
//! `tests/golden/placement` lists maps, made from locations or from the text maps of `tests/vectors/crush`, and
//! `crush.csv` the owners of some keys under them.
//!
//! With `WEBDFS_WRITE_GOLDEN=1` the test writes rows for maps that have none. It never changes or removes a row; a
//! row that differs is a broken placement, not a row to correct.

mod placement_support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use placement_support::crush::{Places, Stand, on_text_map};
use placement_support::{csv_rows, image_keys, owners, parse_numbers, report, tests_folder};
use webdfs::cluster::{ClusterMap, Level};

/// The keys that a map has rows for.
const KEYS: usize = 300;

const HEADER: &str = "map,key,owners";

#[test]
fn crush_answers_as_it_always_has() {
    let folder = tests_folder("golden/placement");
    let path = folder.join("crush.csv");
    let maps = maps(&folder.join("crush_maps.csv"));
    if std::env::var_os("WEBDFS_WRITE_GOLDEN").is_some_and(|value| value == "1") {
        append_missing(&path, &maps);
    }
    let text = read(&path);
    let rows = csv_rows(&path, &text, HEADER);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let (name, key, pinned) = (row[0], row[1].parse().expect(row[1]), parse_numbers::<usize>(row[2]));
        let map = maps.get(name).unwrap_or_else(|| panic!("{name} is not in crush_maps.csv"));
        assert_eq!(owners(map, key), pinned, "map {name}, key {key}");
        *counts.entry(name).or_default() += 1;
    }
    for name in maps.keys() {
        assert_eq!(counts.get(name.as_str()), Some(&KEYS), "rows of map {name}");
    }
    report(&path, rows.len());
}

fn maps(path: &Path) -> BTreeMap<String, ClusterMap> {
    let text = read(path);
    let rows = csv_rows(path, &text, "map,replicas,domain,levels,nodes,crush_map,out");
    let maps: BTreeMap<_, _> = rows.iter().map(|row| (row[0].to_owned(), map(row))).collect();
    assert_eq!(maps.len(), rows.len(), "{}: a map is listed twice", path.display());
    maps
}

fn map(row: &[&str]) -> ClusterMap {
    let (replicas, out) = (row[1].parse().expect(row[1]), parse_numbers(row[6]));
    if !row[5].is_empty() {
        let path = tests_folder("vectors/crush").join(row[5]);
        return on_text_map(&read(&path), replicas, &out)
            .unwrap_or_else(|error| panic!("{}: {error}", row[0]));
    }
    let domain = row[2].parse().unwrap_or_else(|error| panic!("{error}"));
    let mut places = Places { domain, replicas, weights: Vec::new(), nodes: Vec::new(), out };
    let levels: Vec<Level> = row[3]
        .split_whitespace()
        .map(|level| level.parse().unwrap_or_else(|error| panic!("{error}")))
        .collect();
    // Sub-clusters as `WEIGHT NODES NODES...`, with nodes as `PLACE/PLACE` or `-`, and how many of them.
    for subcluster in row[4].split(" | ") {
        let (weight, nodes) = subcluster.split_once(' ').expect(subcluster);
        for stands in nodes.split(' ') {
            let (stand, count) = stands.split_once('*').unwrap_or((stands, "1"));
            let numbers = stand.split('/').filter(|number| *number != "-");
            let places_of = levels.iter().copied().zip(numbers.map(|number| number.parse().expect(number)));
            let stand = Stand { subcluster: places.weights.len(), places: places_of.collect() };
            places.nodes.extend(vec![stand; count.parse().expect(count)]);
        }
        places.weights.push(weight.parse().expect(weight));
    }
    places.map()
}

fn append_missing(path: &Path, maps: &BTreeMap<String, ClusterMap>) {
    let mut text = if path.exists() { read(path) } else { format!("{HEADER}\n") };
    for (name, map) in maps {
        if text.contains(&format!("\n{name},")) {
            continue;
        }
        let edges = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
        for key in edges.into_iter().chain(image_keys(KEYS - edges.len())) {
            let owners: Vec<_> = owners(map, key).iter().map(ToString::to_string).collect();
            writeln!(text, "{name},{key},{}", owners.join(" ")).expect("a string takes any text");
        }
        println!("{}: wrote {KEYS} rows for map {name}", path.display());
    }
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
