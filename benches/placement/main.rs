//! Time of one lookup of three replicas, for each algorithm and cluster size: `make bench-placement`.
//!
//! All sides of one size take turns in the same run. First come nanoseconds per lookup, which depend on the machine;
//! then batches on one core and on all; at the end ratios between two sides beside the limits they should keep. A
//! ratio beyond its limit is printed as MISSED. The C code of CRUSH takes part with the feature `crush-c`.
//!
//! Environment: `WEBDFS_BENCH_ROUNDS`.

mod batch;
mod maps;
mod plain_steps;
#[path = "../common/ratio.rs"]
mod ratio;
mod turns;

use std::process::ExitCode;

use webdfs::cluster::PlacementKind;
use webdfs::placement::{ObjectKey, locate};

use maps::{REPLICAS, SUBCLUSTER_NODES, map};
use plain_steps::Plain;
use ratio::{Ratio, median, verdict};
use turns::{Measured, Side};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

const PLAIN_STEPS: &str = "plain steps of rush_r";
const CRUSH_IN_C: &str = "crush in C";

/// What a lookup may take at most, beside that of another side.
struct Limit {
    ours: &'static str,
    reference: &'static str,
    sizes: &'static [usize],
    ratio: f64,
}

const LIMITS: [Limit; 3] = [
    Limit { ours: "rush_r", reference: PLAIN_STEPS, sizes: &SIZES, ratio: 1.0 },
    Limit { ours: "rush_t", reference: "rush_r", sizes: &[10_000], ratio: 0.2 },
    Limit { ours: "crush", reference: CRUSH_IN_C, sizes: &SIZES, ratio: 1.0 },
];

fn main() -> ExitCode {
    // `cargo test --all-targets` starts benchmarks too, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match turns::rounds() {
        Ok(rounds) => {
            let measured = SIZES.map(|size| turns::measure(sides(size), rounds));
            print_times(&measured);
            batch::print();
            print_ratios(&measured, rounds);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not measured: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everyone who looks up in a cluster of `nodes`.
fn sides(nodes: usize) -> Vec<Side<'static>> {
    let (mut plain, mut found) = (Plain::new(nodes, SUBCLUSTER_NODES, REPLICAS), [0; REPLICAS]);
    let plain_steps = Side::new(PLAIN_STEPS, move |key| {
        plain.locate(key, &mut found);
        found
    });
    let mut sides = vec![plain_steps];
    for &kind in PlacementKind::ALL {
        let all_in = map(kind, nodes, 0);
        sides.push(Side::new(kind.as_str(), move |key| locate(&all_in, ObjectKey::from_number(key))));
        let some_out = map(kind, nodes, nodes / 10);
        let name = format!("{}, a tenth out", kind.as_str());
        sides.push(Side::new(name, move |key| locate(&some_out, ObjectKey::from_number(key))));
    }
    #[cfg(feature = "crush-c")]
    sides.push(in_c(nodes));
    sides
}

/// CRUSH on the same hierarchy as ours, every replica in a rack of its own.
#[cfg(feature = "crush-c")]
fn in_c(nodes: usize) -> Side<'static> {
    let racks = maps::racks(nodes);
    let hosts = nodes / racks;
    let mut crush = webdfs_crush_c::Hierarchy::new(racks, hosts, REPLICAS);
    let mut found = [0; REPLICAS];
    for key in 0..1_000 {
        let count = crush.locate(key, &mut found);
        let racks: std::collections::HashSet<_> = found.iter().map(|node| *node as usize / hosts).collect();
        assert!(count == REPLICAS && racks.len() == REPLICAS, "crush in C put key {key} on {found:?}");
    }
    Side::new(CRUSH_IN_C, move |key| {
        crush.locate(key, &mut found);
        found
    })
}

fn print_times(measured: &[Vec<Measured>; SIZES.len()]) {
    print!("Nanoseconds per lookup of {REPLICAS} replicas\n\n{:<28}", "nodes");
    SIZES.iter().for_each(|size| print!("{size:>9}"));
    println!();
    for (i, side) in measured[0].iter().enumerate() {
        print!("{:<28}", side.name);
        measured.iter().for_each(|sides| print!("{:>9.1}", median(&sides[i].rounds)));
        println!();
    }
}

fn print_ratios(measured: &[Vec<Measured>; SIZES.len()], rounds: usize) {
    println!(
        "\nTime of one side as a share of another's: the median of {rounds} rounds' ratios (least..most)\n\n\
         {:>6}  {:<12} {:<22} {:>5} {:<14} at most",
        "nodes", "", "against", "ratio", ""
    );
    for limit in &LIMITS {
        for (size, sides) in SIZES.iter().zip(measured).filter(|(size, _)| limit.sizes.contains(size)) {
            let rounds = |name: &str| Some(&sides.iter().find(|side| side.name == name)?.rounds);
            let (ratio, range, verdict) = match (rounds(limit.ours), rounds(limit.reference)) {
                (Some(ours), Some(reference)) => {
                    let ratio = Ratio::of(ours, reference);
                    let kept = ratio.median <= limit.ratio;
                    (format!("{:.2}", ratio.median), ratio.range(), verdict(Some((limit.ratio, kept))))
                }
                _ => ("-".to_owned(), String::new(), format!("{:.2} not measured", limit.ratio)),
            };
            println!(
                "{size:>6}  {:<12} {:<22} {ratio:>5} {range:<14} {verdict}",
                limit.ours, limit.reference
            );
        }
    }
}
