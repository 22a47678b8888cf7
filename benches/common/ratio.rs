//! The figures that benchmarks print: medians over rounds in which all sides take turns, and ratios between two sides.

/// The ratio of two sides: the median of the rounds' ratios, since what else the machine does slows both sides of one
/// round.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Ratio {
    /// Of `ours` to `reference`, which are the same rounds in the same order.
    pub fn of(ours: &[f64], reference: &[f64]) -> Self {
        let ratios: Vec<_> = ours.iter().zip(reference).map(|(own, other)| own / other).collect();
        Self {
            median: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
        }
    }

    /// The least and the most of the rounds.
    pub fn range(&self) -> String {
        format!("({:.2}..{:.2})", self.least, self.most)
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// How a ratio stands to its limit, and whether it keeps it.
pub fn verdict(limit: Option<(f64, bool)>) -> String {
    match limit {
        Some((limit, true)) => format!("{limit:.2} ok"),
        Some((limit, false)) => format!("{limit:.2} MISSED"),
        None => "-".to_owned(),
    }
}
