//! A plan as text.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};

use super::Plan;
use super::forecast::{Forecast, NodeForecast};
use crate::cli::map::diff::{print_against, print_differences};
use crate::cli::table::table;
use crate::control::Amount;

/// More pairs are counted, not listed.
const PAIRS_SHOWN: usize = 40;
/// What stands where nothing is known.
const NONE: &str = "-";

pub(super) fn print(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let Plan { old, new, unsettled, change, forecast } = plan;
    for (about, which) in [("old", old), ("new", new)] {
        writeln!(out, "{about}: {}: epoch {}, fingerprint {}", which.file, which.epoch, which.fingerprint)?;
    }
    print_differences(out, change)?;
    print_against(out, change)?;
    if !unsettled.is_empty() {
        let epochs: Vec<_> = unsettled.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "WARNING files still move from where epoch {} placed them: some of what is counted has moved already",
            epochs.join(", ")
        )?;
    }
    for node in &forecast.nodes {
        if let Some(problem) = &node.problem {
            writeln!(out, "WARNING {} has not counted: {problem}", node.node)?;
        }
        if node.unread > 0 {
            writeln!(
                out,
                "WARNING {} could not read {} files or folders, which are not counted",
                node.node, node.unread
            )?;
        }
    }
    print_pairs(out, forecast)?;
    print_nodes(out, forecast)?;
    print_sums(out, forecast)
}

fn print_pairs(out: &mut impl Write, forecast: &Forecast) -> io::Result<()> {
    if forecast.pairs.is_empty() {
        return Ok(());
    }
    let rows = forecast.pairs.iter().take(PAIRS_SHOWN).map(|flow| {
        let Amount { objects, bytes } = flow.amount;
        [flow.from.to_string(), flow.to.to_string(), objects.to_string(), BinaryBytes(bytes).to_string()]
    });
    writeln!(out, "\n{}", table(["from", "to", "copies", "bytes"], rows, &[0, 1]))?;
    match forecast.pairs.len().saturating_sub(PAIRS_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more pairs, each with fewer bytes"),
    }
}

fn print_nodes(out: &mut impl Write, forecast: &Forecast) -> io::Result<()> {
    let head = ["node", "holds", "brings", "gets", "gives up", "holds then", "free now", "free then"];
    let rows = forecast.nodes.iter().map(|node| {
        let bytes =
            |bytes: Option<u64>| bytes.map_or(NONE.to_owned(), |bytes| BinaryBytes(bytes).to_string());
        [
            node.node.to_string(),
            amount(node.before),
            amount(Some(node.brings)),
            amount(Some(node.gets)),
            amount(node.before.map(|_| node.gives_up)),
            amount(node.after),
            bytes(node.free),
            bytes(free_then(node)),
        ]
    });
    writeln!(out, "\n{}\n", table(head, rows, &[0]))
}

/// Bytes that are free when all has moved, as far as nothing else comes or goes.
pub(super) fn free_then(node: &NodeForecast) -> Option<u64> {
    node.free.map(|free| (free + node.gives_up.bytes).saturating_sub(node.gets.bytes))
}

fn print_sums(out: &mut impl Write, forecast: &Forecast) -> io::Result<()> {
    let Forecast { objects, moves, optimum, against_optimum, seconds, missing, .. } = forecast;
    let against = match against_optimum {
        Some(times) => format!(
            "{times:.2} times the least that any placement has to move, {} ({})",
            optimum.objects,
            BinaryBytes(optimum.bytes)
        ),
        None => "and nothing has to".to_owned(),
    };
    writeln!(
        out,
        "{} objects of {}; {} copies of {} move, {against}",
        objects.objects,
        BinaryBytes(objects.bytes),
        moves.objects,
        BinaryBytes(moves.bytes)
    )?;
    match seconds {
        Some(seconds) => {
            let time = HumanDuration(Duration::from_secs(*seconds));
            writeln!(out, "at the nodes' rates ([agent] bytes_per_second) that takes {time} at least")?;
        }
        None => writeln!(
            out,
            "how long that takes is not known: not all nodes have a rate ([agent] bytes_per_second)"
        )?,
    }
    if *missing > 0 {
        writeln!(out, "PARTIAL {missing} nodes that hold files are left out")?;
    }
    Ok(())
}

fn amount(amount: Option<Amount>) -> String {
    match amount {
        None => NONE.to_owned(),
        Some(Amount { objects, bytes }) => format!("{objects} ({})", BinaryBytes(bytes)),
    }
}
