//! Measuring in turns.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a turn takes, about: short, so that what else the machine does slows all sides of a round.
const TURN: Duration = Duration::from_millis(8);
/// How often every side has a turn, unless the environment says otherwise.
const ROUNDS: usize = 51;

/// One lookup after another of so many keys, from a first one on.
type Lookups<'a> = Box<dyn FnMut(u32, u32) + 'a>;

/// One side.
pub struct Side<'a> {
    /// What it is, in the tables.
    pub name: String,
    lookups: Lookups<'a>,
}

impl<'a> Side<'a> {
    /// `lookup` looks up one key; what it returns is taken as used.
    pub fn new<T>(name: impl Into<String>, mut lookup: impl FnMut(u32) -> T + 'a) -> Self {
        // The loop is compiled together with the lookup, as in a program that looks up many keys.
        let lookups = move |first: u32, count: u32| {
            for i in 0..count {
                // Any odd factor gives keys without a repeat; this one spreads them.
                let key = first.wrapping_add(i).wrapping_mul(0x9e37_79b9);
                black_box(&lookup(black_box(key)));
            }
        };
        Self { name: name.into(), lookups: Box::new(lookups) }
    }

    fn time(&mut self, first: u32, count: u32) -> Duration {
        let start = own_time();
        (self.lookups)(first, count);
        own_time().saturating_sub(start)
    }

    /// How many lookups make a turn. Running this often enough to tell also warms everything up.
    fn turn_count(&mut self) -> u32 {
        let mut count = 64;
        loop {
            let time = self.time(0, count);
            if time >= TURN / 4 {
                let turns = TURN.as_secs_f64() / time.as_secs_f64();
                return (f64::from(count) * turns).ceil() as u32;
            }
            count *= 2;
        }
    }
}

/// How long this thread has run: what other programs take of the machine is not in it.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().expect("nanoseconds below a second"))
}

/// Nanoseconds per lookup of one side, round by round.
pub struct Measured {
    pub name: String,
    pub rounds: Vec<f64>,
}

/// All sides take turns, round after round, on the same keys.
pub fn measure(mut sides: Vec<Side<'_>>, rounds: usize) -> Vec<Measured> {
    let counts: Vec<u32> = sides.iter_mut().map(Side::turn_count).collect();
    let mut times = vec![Vec::with_capacity(rounds); sides.len()];
    let mut first = 0u32;
    for round in 0..rounds {
        // Whoever comes first in one round comes last in the next.
        for turn in 0..sides.len() {
            let side = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
            let time = sides[side].time(first, counts[side]);
            times[side].push(time.as_secs_f64() * 1e9 / f64::from(counts[side]));
        }
        first = first.wrapping_add(counts.iter().copied().max().unwrap_or(0));
    }
    sides.into_iter().zip(times).map(|(side, rounds)| Measured { name: side.name, rounds }).collect()
}

/// The number of rounds that `WEBDFS_BENCH_ROUNDS` asks for.
///
/// # Errors
/// When it is no number from 1.
pub fn rounds() -> Result<usize, String> {
    let Ok(text) = std::env::var("WEBDFS_BENCH_ROUNDS") else { return Ok(ROUNDS) };
    match text.parse() {
        Ok(rounds) if rounds >= 1 => Ok(rounds),
        _ => Err(format!("WEBDFS_BENCH_ROUNDS: \"{text}\" is no number from 1")),
    }
}
