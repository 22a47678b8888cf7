//! The answers of every placement, pinned for good: files lie on disk by them. `tests/golden/placement/maps.csv`
//! lists maps, and one file for each algorithm the owners of some keys under them.
//!
//! With `WEBDFS_WRITE_GOLDEN=1` the test writes rows for maps that have none. It never changes or removes a row; a
//! row that differs is a broken placement, not a row to correct.

mod placement_support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use placement_support::{
    Layout, csv_rows, image_keys, naive, owners, parse_groups, parse_numbers, report, tests_folder,
};
use webdfs::cluster::PlacementSpec;

/// The keys that a map has rows for.
const KEYS: usize = 300;

const HEADER: &str = "map,key,owners";

/// The algorithms whose owners depend on nothing but the sub-clusters, the replicas and who is out.
const PLACEMENTS: [PlacementSpec; 3] = [PlacementSpec::RushR, PlacementSpec::RushP, PlacementSpec::RushT];

#[test]
fn every_placement_answers_as_it_always_has() {
    let folder = tests_folder("golden/placement");
    let all = layouts(&folder.join("maps.csv"));
    for placement in PLACEMENTS {
        let layouts = all.iter().map(|(name, layout)| (name.clone(), layout.clone().placed_by(&placement)));
        // Those with sub-clusters too small for the algorithm are not for it.
        let layouts: BTreeMap<_, _> = layouts.filter(|(_, layout)| layout.try_map().is_ok()).collect();
        let kind = layouts.values().next().expect("a map for each algorithm").map().placement();
        compare(&folder.join(format!("{kind}.csv")), &layouts);
    }
}

fn compare(path: &Path, layouts: &BTreeMap<String, Layout>) {
    if std::env::var_os("WEBDFS_WRITE_GOLDEN").is_some_and(|value| value == "1") {
        append_missing(path, layouts);
    }
    let text = read(path);
    let rows = csv_rows(path, &text, HEADER);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let maps: BTreeMap<&str, _> =
        layouts.iter().map(|(name, layout)| (name.as_str(), layout.map())).collect();
    for row in &rows {
        let (name, key, pinned) = (row[0], row[1].parse().expect(row[1]), parse_numbers::<usize>(row[2]));
        let map = maps.get(name).unwrap_or_else(|| panic!("{name} is not in maps.csv, or refused"));
        assert_eq!(owners(map, key), pinned, "{}: map {name}, key {key}", path.display());
        assert_eq!(naive::owners(&layouts[name], key), pinned, "{}: {name}, {key}: naive", path.display());
        *counts.entry(name).or_default() += 1;
    }
    for name in layouts.keys() {
        assert_eq!(counts.get(name.as_str()), Some(&KEYS), "{}: rows of map {name}", path.display());
    }
    report(path, rows.len());
}

fn layouts(path: &Path) -> BTreeMap<String, Layout> {
    let layout = |row: &Vec<&str>| {
        Layout::new(&parse_groups(row[2]), row[1].parse().expect(row[1])).with_out(&parse_numbers(row[3]))
    };
    let text = read(path);
    let rows = csv_rows(path, &text, "map,replicas,subclusters,out");
    let layouts: BTreeMap<_, _> = rows.iter().map(|row| (row[0].to_owned(), layout(row))).collect();
    assert_eq!(layouts.len(), rows.len(), "{}: a map is listed twice", path.display());
    layouts
}

fn append_missing(path: &Path, layouts: &BTreeMap<String, Layout>) {
    let mut text = if path.exists() { read(path) } else { format!("{HEADER}\n") };
    for (name, layout) in layouts {
        if text.contains(&format!("\n{name},")) {
            continue;
        }
        let map = layout.map();
        let edges = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
        for key in edges.into_iter().chain(image_keys(KEYS - edges.len())) {
            let owners: Vec<_> = owners(&map, key).iter().map(ToString::to_string).collect();
            writeln!(text, "{name},{key},{}", owners.join(" ")).expect("a string takes any text");
        }
        println!("{}: wrote {KEYS} rows for map {name}", path.display());
    }
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
