//! Measuring in turns, and the table.

use std::str::FromStr;

use crate::Result;
use crate::ratio::{Ratio, median, verdict};

/// Seconds of each turn, unless the environment says otherwise.
const SECONDS: u64 = 2;
/// How often everyone has a turn.
const ROUNDS: usize = 5;

/// What is to be measured, and for how long.
pub struct Plan {
    /// Of each turn.
    pub seconds: u64,
    rounds: usize,
    /// The rows wanted; `None` for all.
    rows: Option<Vec<String>>,
}

impl Plan {
    /// Reads it from the environment.
    pub fn from_environment() -> Result<Self> {
        let rows = std::env::var("WEBDFS_BENCH_ROWS").ok().filter(|rows| !rows.is_empty());
        let rows: Option<Vec<String>> =
            rows.map(|rows| rows.split(',').map(|row| row.trim().to_owned()).collect());
        let known = || crate::rows::ALL.iter().chain(&crate::rows::ON_REQUEST);
        let known = |row: &String| known().any(|(name, _)| name == row);
        if let Some(unknown) = rows.iter().flatten().find(|row| !known(row)) {
            return Err(format!("WEBDFS_BENCH_ROWS: there is no row {unknown}").into());
        }
        let seconds = number("WEBDFS_BENCH_SECONDS", SECONDS)?;
        Ok(Self { seconds, rounds: number("WEBDFS_BENCH_ROUNDS", ROUNDS)?, rows })
    }

    /// Whether a row is to be measured.
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_none() || self.names(row)
    }

    /// Whether a row is asked for by name.
    pub fn names(&self, row: &str) -> bool {
        self.rows.iter().flatten().any(|wanted| wanted == row)
    }
}

fn number<T: FromStr + PartialOrd + From<u8>>(variable: &str, default: T) -> Result<T> {
    let Ok(text) = std::env::var(variable) else { return Ok(default) };
    match text.parse() {
        Ok(number) if number >= T::from(1) => Ok(number),
        _ => Err(format!("{variable}: \"{text}\" is no number from 1").into()),
    }
}

/// One side's turn: how many requests it answered each second.
pub type Turn<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

/// One side.
pub struct Side<'a> {
    /// What it is, in the table.
    name: String,
    /// For a reference: the ratio to it that ours should reach.
    limit: Option<f64>,
    turn: Turn<'a>,
}

impl<'a> Side<'a> {
    pub fn new(name: impl Into<String>, turn: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), limit: None, turn: Box::new(turn) }
    }

    pub fn limit(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Everybody takes turns, round after round; then one line for each of ours and each reference.
pub fn contest(row: &str, plan: &Plan, ours: Vec<Side<'_>>, references: Vec<Side<'_>>) -> Result<()> {
    let count = ours.len();
    let mut sides: Vec<_> = ours.into_iter().chain(references).collect();
    let mut rates = vec![Vec::new(); sides.len()];
    for _ in 0..plan.rounds {
        for (side, rates) in sides.iter_mut().zip(&mut rates) {
            rates.push((side.turn)().map_err(|error| format!("{}: {error}", side.name))?);
        }
    }
    let (ours, references) = sides.split_at(count);
    for (own, own_rates) in ours.iter().zip(&rates) {
        for (reference, reference_rates) in references.iter().zip(&rates[count..]) {
            print_line(row, (&own.name, own_rates), (&reference.name, reference_rates), reference.limit);
        }
    }
    Ok(())
}

/// Says what the columns are.
pub fn print_heading(plan: &Plan) {
    println!(
        "Requests per second; medians of {} rounds of {} s each in turn. The ratio is the median of the rounds' \
         ratios\n(least..most): what else the machine does then slows both sides of a ratio.\n\n\
         {:<3} {:<34} {:>7}  {:<36} {:>7}  {:>5} {:<14} limit",
        plan.rounds, plan.seconds, "row", "webdfs", "", "against", "", "ratio", ""
    );
}

fn print_line(row: &str, ours: (&str, &[f64]), reference: (&str, &[f64]), limit: Option<f64>) {
    let (own, other) = (median(ours.1), median(reference.1));
    let ratio = Ratio::of(ours.1, reference.1);
    println!(
        "{row:<3} {:<34} {own:>7.0}  {:<36} {other:>7.0}  {:>5.2} {:<14} {}",
        ours.0,
        reference.0,
        ratio.median,
        ratio.range(),
        verdict(limit.map(|limit| (limit, ratio.median >= limit)))
    );
}

/// A quantity that should not exceed a limit.
pub fn print_quantity(row: &str, what: &str, text: &str, limit: &str, kept: bool) {
    let verdict = if kept { "ok" } else { "MISSED" };
    println!("{row:<3} {what:<34} {text}, limit {limit}: {verdict}");
}
