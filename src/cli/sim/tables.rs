//! The results as text: a few lines that say the most, then tables. A table of more rows than asked for shows those
//! that lie furthest from what they should be, and says so.

use std::cmp::Ordering;
use std::io::{self, Write};

use super::plots::{self, PlotError};
use super::{AllAlgorithms, Answer, MapFacts, NOWHERE, OneMap, TwoMaps, pair_ends, worst};
use crate::cli::table::table;
use crate::placement::narrate::count;
use crate::sim::{Failure, Load, Movement};

/// What stands where there is nothing to say.
const NONE: &str = "-";

impl Answer for OneMap {
    fn print(&self, out: &mut dyn Write, rows: usize) -> io::Result<()> {
        writeln!(out, "{}", describe(&self.map))?;
        print_load(out, &self.load, rows)?;
        print_failures(out, &self.failures, self.map.nodes, rows)?;
        let speed = &self.speed;
        let (one, all) = (speed.one_core / 1e6, speed.all_cores / 1e6);
        writeln!(
            out,
            "\nLookups per second: {one:.2} million on one core ({:.0} ns each), {all:.2} million on {}.",
            1e9 / speed.one_core,
            speed.cores
        )
    }

    fn draw(&self, folder: &std::path::Path) -> Result<(), PlotError> {
        plots::load(folder, &self.load)?;
        plots::takeover(folder, &self.load, &self.failures)
    }
}

impl Answer for TwoMaps {
    fn print(&self, out: &mut dyn Write, rows: usize) -> io::Result<()> {
        writeln!(out, "before: {}\nafter:  {}", describe(&self.before), describe(&self.after))?;
        for warning in &self.warnings {
            writeln!(out, "WARNING {warning}")?;
        }
        print_movement(out, &self.movement, rows)
    }

    fn draw(&self, folder: &std::path::Path) -> Result<(), PlotError> {
        plots::load_change(folder, &self.movement)?;
        plots::movement(folder, &self.movement)
    }
}

impl Answer for AllAlgorithms {
    fn print(&self, out: &mut dyn Write, _rows: usize) -> io::Result<()> {
        let fleet = &self.fleet;
        writeln!(
            out,
            "{} nodes of weight 1, {} to a sub-cluster, {} replicas, {} objects.\n",
            fleet.nodes, fleet.per_subcluster, fleet.replicas, self.objects
        )?;
        let head = [
            "algorithm",
            "load spread",
            "worst node",
            "add",
            "drain newest",
            "drain middle",
            "drain oldest",
            "node out",
            "survivors",
            "ns",
        ];
        let rows = self.algorithms.iter().map(|timed| {
            let found = &timed.comparison;
            [
                found.algorithm.to_owned(),
                times(found.load_spread),
                percent(found.worst_node),
                times(found.add),
                times(found.drain_newest),
                times(found.drain_middle),
                times(found.drain_oldest),
                times(found.node_out),
                times(found.survivors_spread),
                format!("{:.0}", timed.nanoseconds),
            ]
        });
        writeln!(out, "{}", table(head, rows, &[0]))?;
        for refused in &self.unplaceable {
            writeln!(out, "\n{} cannot place on such nodes: {}", refused.algorithm, refused.reason)?;
        }
        writeln!(
            out,
            "\nload spread, survivors: how far the nodes are from equal parts, of all copies and of the copies of a \
             node that is out;\n  1 is what pure chance does, give or take {:.2}. worst node: how far the node \
             furthest from its part is from it.\nadd, drain, node out: copies that move, by the least that have to. ns: one lookup on one core.",
            chance(fleet.nodes)
        )
    }

    fn draw(&self, folder: &std::path::Path) -> Result<(), PlotError> {
        plots::comparison(folder, self)
    }
}

fn describe(map: &MapFacts) -> String {
    let MapFacts { file, epoch, placement, replicas, nodes, subclusters } = map;
    let subclusters = count(*subclusters, "sub-cluster");
    format!(
        "{file}: epoch {epoch}, {placement}, {} in {subclusters}, {}",
        count(*nodes, "node"),
        count(*replicas, "replica")
    )
}

fn print_load(out: &mut dyn Write, load: &Load, rows: usize) -> io::Result<()> {
    writeln!(
        out,
        "\nLoad of {} objects, {} copies: spread {} times what chance does (give or take {:.2}); the fullest node \
         holds {:.3}, the emptiest {:.3} of its fair share.\n",
        load.objects,
        load.copies,
        times(load.spread),
        chance(load.nodes.iter().filter(|node| node.fair_share > 0.0).count()),
        load.fullest,
        load.emptiest
    )?;
    let off = |against_fair: Option<f64>| against_fair.map_or(0.0, |against_fair| (against_fair - 1.0).abs());
    let head = ["node", "sub-cluster", "weight", "copies", "share", "fair share", "against fair"];
    let nodes = worst(&load.nodes, rows, |node| off(node.against_fair));
    let cells = nodes.iter().map(|node| {
        [
            node.node.to_string(),
            node.subcluster.to_string(),
            match (node.lost, node.out) {
                (true, _) => "lost".to_owned(),
                (false, true) => "out".to_owned(),
                (false, false) => node.weight.to_string(),
            },
            node.copies.to_string(),
            percent(node.share),
            percent(node.fair_share),
            thousandths(node.against_fair),
        ]
    });
    writeln!(out, "{}", table(head, cells, &[0, 1]))?;
    print_cut(out, nodes.len(), load.nodes.len(), "furthest from their fair shares")?;
    if load.subclusters.len() < 2 {
        return Ok(());
    }
    let head =
        ["sub-cluster", "nodes", "weight", "copies", "share", "fair share", "against fair", "spread within"];
    let subclusters = worst(&load.subclusters, rows, |subcluster| off(subcluster.against_fair));
    let cells = subclusters.iter().map(|subcluster| {
        [
            subcluster.subcluster.to_string(),
            subcluster.nodes.to_string(),
            subcluster.weight.to_string(),
            subcluster.copies.to_string(),
            percent(subcluster.share),
            percent(subcluster.fair_share),
            thousandths(subcluster.against_fair),
            times(subcluster.spread),
        ]
    });
    writeln!(out, "\n{}", table(head, cells, &[0]))?;
    print_cut(out, subclusters.len(), load.subclusters.len(), "furthest from their fair shares")
}

fn print_failures(out: &mut dyn Write, failures: &[Failure], nodes: usize, rows: usize) -> io::Result<()> {
    if failures.is_empty() {
        return writeln!(out, "\nNo node can fail for good: there would be too few left to place on.");
    }
    let tried = failures.len();
    writeln!(
        out,
        "\nWhen a node fails and is marked out ({tried} of {nodes} tried), and how the survivors share what it held:\n"
    )?;
    let head = [
        "node",
        "held",
        "moved",
        "astray",
        "spread",
        "most",
        "least",
        "most by least",
        "nodes with its objects",
    ];
    let cells = failures.iter().map(|failure| {
        [
            failure.node.to_string(),
            failure.held.to_string(),
            failure.moved.to_string(),
            failure.astray.to_string(),
            times(failure.spread),
            format!("{:.3}", failure.most),
            format!("{:.3}", failure.least),
            times(failure.most_by_least),
            format!("{} of {}", failure.co_holders, failure.survivors.len()),
        ]
    });
    writeln!(out, "{}", table(head, cells, &[0]))?;
    let [failure] = failures else { return Ok(()) };
    writeln!(out, "\nWho takes over from {}, and who held the same objects all along:\n", failure.node)?;
    let survivors = worst(&failure.survivors, rows, |node| (node.took as f64 - node.fair).abs());
    let head = ["node", "takes over", "fair part", "against fair", "holds too"];
    let cells = survivors.iter().map(|node| {
        [
            node.node.to_string(),
            node.took.to_string(),
            format!("{:.0}", node.fair),
            thousandths((node.fair > 0.0).then(|| node.took as f64 / node.fair)),
            node.co_holds.to_string(),
        ]
    });
    writeln!(out, "{}", table(head, cells, &[0]))?;
    print_cut(out, survivors.len(), failure.survivors.len(), "furthest from their fair parts")
}

fn print_movement(out: &mut dyn Write, movement: &Movement, rows: usize) -> io::Result<()> {
    writeln!(
        out,
        "\n{} of {} copies move ({}), {}. {} of {} objects change.{}\nAstray: {} copies \
         move without need, onto nodes whose share does not grow or off nodes whose share does not shrink.\nLoad \
         spread: {} times what chance does before, {} after.\n",
        movement.moved,
        movement.before.copies,
        percent(movement.moved_share),
        need(movement),
        movement.objects_changed,
        movement.objects,
        other_replicas(movement),
        movement.astray,
        times(movement.before.spread),
        times(movement.after.spread),
    )?;
    let head = ["node", "before", "fair", "after", "fair", "receives", "loses"];
    let nodes = worst(&movement.nodes, rows, |node| (node.arrived + node.left) as f64);
    let cells = nodes.iter().map(|node| {
        let count = |copies: Option<u64>| copies.map_or(NONE.to_owned(), |copies| copies.to_string());
        [
            node.node.to_string(),
            count(node.before),
            format!("{:.0}", node.fair_before),
            count(node.after),
            format!("{:.0}", node.fair_after),
            node.arrived.to_string(),
            node.left.to_string(),
        ]
    });
    writeln!(out, "{}", table(head, cells, &[0]))?;
    print_cut(out, nodes.len(), movement.nodes.len(), "that receive and lose most")?;
    if movement.pairs.is_empty() {
        return Ok(());
    }
    let of = pair_ends(movement);
    let shown = &movement.pairs[..rows.min(movement.pairs.len())];
    let (from, to) = (format!("from {of}"), format!("to {of}"));
    let cells = shown.iter().map(|pair| {
        let share = percent(pair.copies as f64 / movement.moved as f64);
        [pair.from.clone().unwrap_or(NOWHERE.to_owned()), pair.to.clone(), pair.copies.to_string(), share]
    });
    writeln!(out, "\n{}", table([&from, &to, "copies", "of all that move"], cells, &[0, 1]))?;
    print_cut(out, shown.len(), movement.pairs.len(), "that move most")
}

/// How many copies have to move.
fn need(movement: &Movement) -> String {
    match movement.against_optimum {
        Some(times) => format!("{} have to: {times:.2} times the optimum", movement.optimum.round()),
        None => "none has to".to_owned(),
    }
}

/// What another number of replicas does. Empty where it is the same.
fn other_replicas(movement: &Movement) -> String {
    let (before, after) = (movement.before.copies, movement.after.copies);
    match after.cmp(&before) {
        Ordering::Less => format!("\nFewer replicas: {} copies are given up.", before - after),
        Ordering::Equal => String::new(),
        Ordering::Greater => format!("\nMore replicas: {} copies are added.", after - before),
    }
}

fn print_cut(out: &mut dyn Write, shown: usize, all: usize, which: &str) -> io::Result<()> {
    if shown == all {
        return Ok(());
    }
    writeln!(out, "{shown} of {all} rows, those {which}; --rows 0 shows all.")
}

/// How far from 1 the spread over so many nodes is by chance, as a standard deviation: that of chi squared by its
/// degrees of freedom is the root of 2 by these, that of the root of it about half as much.
fn chance(nodes: usize) -> f64 {
    1.0 / (2.0 * nodes.saturating_sub(1).max(1) as f64).sqrt()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or(NONE.to_owned(), |ratio| format!("{ratio:.2}"))
}

fn thousandths(ratio: Option<f64>) -> String {
    ratio.map_or(NONE.to_owned(), |ratio| format!("{ratio:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_to_the_worst_rows_in_their_order() {
        let all = [3.0, -9.0, 1.0, 7.0];
        assert_eq!(worst(&all, 2, |value: &f64| value.abs()), [&-9.0, &7.0]);
        assert_eq!(worst(&all, 9, |value: &f64| value.abs()).len(), 4);
    }
}
