//! Every fuzz target on its seeds and on seeded random inputs: what keeps the targets true where no fuzzer runs.
//! `WEBDFS_FUZZ_SEED` repeats a run, `WEBDFS_FUZZ_ROUNDS` makes it longer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use webdfs::fuzzing::{FuzzTarget, TARGETS};

/// Random inputs for each target unless told otherwise.
const ROUNDS: u64 = 20_000;

/// The longest random input; a little over the longest name, and past the limit on ranges.
const INPUT_BYTES_MAX: usize = 1_500;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a whole number, not {text:?}")))
}

fn fuzz_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = fuzz_folder().join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    // Of the shipped maps the fuzzers have copies, which may be older.
    if target == "map" {
        let conf = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf");
        paths.extend(["cluster.toml", "cluster-crush.toml"].map(|name| conf.join(name)));
    }
    // Always the same order, or a random seed would not repeat a run.
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed file")).collect()
}

/// Runs a target and says which input it failed on, as something that can be pasted into a test.
fn run(name: &str, target: FuzzTarget, input: &[u8], random_seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("{name} failed with WEBDFS_FUZZ_SEED={random_seed} on b\"{}\"", input.escape_ascii());
    }
}

/// An input near a seed, of pieces of two seeds, or of nothing but chance.
fn random_input(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.choice(seeds).cloned().unwrap_or_default();
    match random.u8(0..8) {
        0 => input = (0..random.usize(0..64)).map(|_| random.u8(..)).collect(),
        1 => input = input.repeat(random.usize(1..8)),
        2 | 3 => {
            let other = random.choice(seeds).cloned().unwrap_or_default();
            input.truncate(random.usize(0..=input.len()));
            input.extend_from_slice(&other[random.usize(0..=other.len())..]);
        }
        _ => {}
    }
    for _ in 0..random.usize(0..4) {
        if input.is_empty() {
            break;
        }
        let at = random.usize(0..input.len());
        match random.u8(0..4) {
            0 => input[at] = random.u8(..),
            1 => input[at] = input[random.usize(0..input.len())],
            2 => input.insert(at, random.u8(..)),
            _ => drop(input.remove(at)),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

#[test]
fn no_input_breaks_an_invariant() {
    let random_seed = number("WEBDFS_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = number("WEBDFS_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    println!("WEBDFS_FUZZ_SEED={random_seed}");
    for &(name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        run(name, target, b"", random_seed);
        for seed in &seeds {
            // Whole, cut off at every byte, and with something after it.
            (0..=seed.len()).for_each(|end| run(name, target, &seed[..end], random_seed));
            run(name, target, &[seed, &b"\0trailing"[..]].concat(), random_seed);
        }
        let mut random = fastrand::Rng::with_seed(random_seed);
        for _ in 0..rounds {
            run(name, target, &random_input(&mut random, &seeds), random_seed);
        }
    }
}

#[test]
fn every_target_has_its_file_and_its_entry() {
    let manifest =
        fs::read_to_string(fuzz_folder().join("Cargo.toml")).expect("the manifest of the fuzz project");
    let files = fs::read_dir(fuzz_folder().join("fuzz_targets")).expect("the fuzz targets").count();
    assert_eq!(files, TARGETS.len(), "every file in fuzz/fuzz_targets is in TARGETS");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has an entry for {name}");
        let file = fuzz_folder().join("fuzz_targets").join(format!("{name}.rs"));
        let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(source.contains(&format!("fuzz_{name}(")), "{} calls its function", file.display());
    }
}
