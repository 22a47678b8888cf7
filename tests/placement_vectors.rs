//! RUSH_R against the answers of an implementation nobody here wrote: `tests/vectors/rush_r`, whose README says
//! where they come from and describes the files. Another folder of the same shape is read when `WEBDFS_VECTORS`
//! names the folder above it. What is missing or empty fails the tests.

mod placement_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use placement_support::{
    csv_rows, naive, number, parse_groups, parse_numbers, read_vectors, reference, report,
};
use reference::{Generator, ReferenceSource, hash};
use webdfs::cluster::{SlotGroup, SlotTable};
use webdfs::placement::rush_r::{self, RandomSource, Step};

#[test]
fn the_reference_generator_meets_the_unit_vectors() {
    let (path, text) = read("units.csv");
    let rows = csv_rows(&path, &text, "kind,seed1_or_input,seed2,arguments,result");
    let mut kinds = BTreeSet::new();
    for row in &rows {
        let &[kind, a, b, arguments, result] = row.as_slice() else { unreachable!("checked by csv_rows") };
        let seeded = || Generator::new(number(a), number(b));
        let computed = match kind {
            "hash" => hash(number(a)).to_string(),
            "rng" => {
                let mut generator = seeded();
                join((0..8).map(|_| generator.next()))
            }
            "hypergeo" => {
                let arguments: Vec<f64> = parse_numbers(arguments);
                let &[draws, yes, total, w] = arguments.as_slice() else { panic!("{row:?}: four arguments") };
                let (mut generator, draws) = (seeded(), draws as usize);
                let hits = naive::count_hits(&mut || generator.next_real(), draws, draws, (yes, total), w);
                (if w > 1e-9 { hits } else { 0 }).to_string()
            }
            "drawkofn" => {
                let arguments: Vec<usize> = parse_numbers(arguments);
                let &[k, n] = arguments.as_slice() else { panic!("{row:?}: two arguments") };
                let mut generator = seeded();
                join(naive::pick_servers(&mut || generator.next_real(), k, n))
            }
            _ => panic!("{row:?}: unknown kind"),
        };
        assert_eq!(computed, result, "{row:?}");
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 4, "some kinds have no rows: {kinds:?}");
    report(&path, rows.len());
}

/// Shows that the generator and the steps here are the reference's before they are used to judge anything.
#[test]
fn the_plain_steps_meet_every_mapping_vector() {
    let (path, configs, mappings) = vectors();
    let mut on_weight_zero: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &mappings {
        let config = &configs[&row.config];
        let found = naive::plain_steps(&config.groups, config.replicas, &reference_seed(row.key));
        assert_eq!(found, row.servers, "{} key {}", row.config, row.key as i32);
        let weight = |server: usize| {
            let mut weights = config.groups.iter().flat_map(|group| vec![group.1; group.0 as usize]);
            weights.nth(server).expect("servers are in range")
        };
        *on_weight_zero.entry(&row.config).or_default() +=
            usize::from(found.iter().any(|server| weight(*server) == 0.0));
    }
    report(&path, mappings.len());
    for (name, config) in &configs {
        assert_eq!(Some(&config.on_weight_zero), on_weight_zero.get(name.as_str()), "{name}");
        assert_eq!(
            config.servers,
            config.groups.iter().map(|group| group.0 as usize).sum::<usize>(),
            "{name}"
        );
    }
    report(&path.with_file_name("configs.csv"), configs.len());
}

/// The core of webdfs's RUSH_R, on the reference's generator, gives the reference's answers in every configuration
/// where the repairs make no difference; in the others, what the repaired steps give, written out naively.
///
/// The repairs make no difference where every sub-cluster of weight above 0 has at least as many servers as there
/// are replicas. For let such a sub-cluster have `left` replicas to place. If it is the oldest of them, its own
/// weight is the whole weight, so every draw of the reference hits, and both give it all that is left. If it is
/// not, an older one can hold them all: nothing is forced on it, and since it has `left` servers or more, the
/// reference's cap leaves all its draws. A sub-cluster of weight 0 gets nothing from either: while something is
/// left, an older one of weight above 0, with servers enough, still follows.
#[test]
fn the_core_meets_the_mapping_vectors_wherever_the_repairs_make_no_difference() {
    let (path, configs, mappings) = vectors();
    let (mut with_reference, mut with_naive, mut repaired, mut refused) = (0, 0, 0, 0);
    for row in &mappings {
        let config = &configs[&row.config];
        let unaffected =
            (config.groups.iter()).all(|group| is_zero(group.1) || group.0 as usize >= config.replicas);
        let found: Vec<usize> = match config.table() {
            Some(table) => {
                let source = ReferenceSource { key: row.key };
                rush_r::locate(&table, &source, &mut ()).iter().map(|node| node.get()).collect()
            }
            None => {
                // Only weight 0 could hold them all, and the constructor refuses that.
                assert!(config.weighted_servers() < config.replicas, "{} was refused", row.config);
                refused += 1;
                continue;
            }
        };
        let context = || format!("{} key {}", row.config, row.key as i32);
        if unaffected {
            assert_eq!(found, row.servers, "{}", context());
            with_reference += 1;
        } else {
            let seed = reference_seed(row.key);
            let expected = naive::repaired_steps(&config.exact_groups(), config.replicas, &seed);
            assert_eq!(found, expected, "{}", context());
            with_naive += 1;
            repaired += usize::from(found != row.servers);
        }
    }
    report(&path, with_reference + with_naive);
    println!(
        "  {with_reference} with the reference's answers; {with_naive} with the repaired steps, \
         of which the repairs change {repaired}; {refused} rows of configurations that are refused"
    );
    assert!(with_reference > 0, "no configuration is free of the repairs");
}

struct Config {
    replicas: usize,
    servers: usize,
    on_weight_zero: usize,
    groups: Vec<(u32, f64)>,
}

impl Config {
    /// With the weights that count as 0 for the reference at 0.
    fn exact_groups(&self) -> Vec<(u32, f64)> {
        self.groups.iter().map(|&(m, w)| (m, if is_zero(w) { 0.0 } else { w })).collect()
    }

    fn weighted_servers(&self) -> usize {
        self.exact_groups().iter().filter(|group| group.1 > 0.0).map(|group| group.0 as usize).sum()
    }

    fn table(&self) -> Option<SlotTable> {
        let groups: Vec<SlotGroup> =
            self.exact_groups().iter().map(|&(servers, weight)| SlotGroup { servers, weight }).collect();
        SlotTable::new(&groups, self.replicas)
    }
}

struct Mapping {
    config: String,
    key: u32,
    servers: Vec<usize>,
}

fn is_zero(weight: f64) -> bool {
    weight <= 1e-9
}

fn read(name: &str) -> (PathBuf, String) {
    read_vectors("rush_r", name)
}

/// All configurations and all mappings. Each configuration has at least one mapping, and the other way round.
fn vectors() -> (PathBuf, BTreeMap<String, Config>, Vec<Mapping>) {
    let (path, text) = read("configs.csv");
    let header = "config,category,replicas,total_servers,keys_forced_to_zero_weight,subclusters";
    let configs: BTreeMap<String, Config> = csv_rows(&path, &text, header)
        .iter()
        .map(|row| {
            let config = Config {
                replicas: number(row[2]),
                servers: number(row[3]),
                on_weight_zero: number(row[4]),
                groups: parse_groups(row[5]),
            };
            (row[0].to_owned(), config)
        })
        .collect();
    let (path, text) = read("mappings.csv.gz");
    let mappings: Vec<Mapping> = csv_rows(&path, &text, "config,key,servers")
        .iter()
        .map(|row| Mapping {
            config: row[0].to_owned(),
            key: number::<i32>(row[1]) as u32,
            servers: parse_numbers(row[2]),
        })
        .collect();
    let named: BTreeSet<&str> = configs.keys().map(String::as_str).collect();
    let mapped: BTreeSet<&str> = mappings.iter().map(|row| row.config.as_str()).collect();
    assert_eq!(named, mapped, "configurations named, and configurations with mappings");
    (path, configs, mappings)
}

fn reference_seed(key: u32) -> impl Fn(u32, u64) -> Box<dyn FnMut() -> f64> {
    move |j, step| {
        let step = if step == 0 { Step::Draw } else { Step::Pick };
        let mut stream = ReferenceSource { key }.stream(j, step);
        Box::new(move || stream.next_real())
    }
}

fn join<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
