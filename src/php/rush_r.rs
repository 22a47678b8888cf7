//! The original's RUSHr: from the newest cluster to the oldest, each receives as many of the replicas as draws by
//! weight give it, on nodes chosen by a shuffle. For the draws and for the shuffle a twister is seeded with the key
//! and the number of the cluster.

use super::locator::{Clusters, Fault, REPLICAS_MAX, Row, Steps};
use super::twister::Front;
use super::{PhpVersion, Seed, Twister, range};

/// What the seed of a cluster's shuffle has more than that of its draws.
const SHUFFLE: u32 = 1_560;

/// The largest `mt_rand()`.
const DRAW_MAX: f64 = i32::MAX as f64;

/// Where twisters come from.
pub(super) trait Seeded {
    /// The PHP whose they are.
    fn version(&self) -> PhpVersion;

    /// The outputs for that seed, from the first on; they do not end.
    fn outputs(&self, seed: u32) -> impl FnMut() -> u32;
}

/// Each is seeded when it is asked for.
pub(super) struct Fresh(pub PhpVersion);

impl Seeded for Fresh {
    fn version(&self) -> PhpVersion {
        self.0
    }

    fn outputs(&self, seed: u32) -> impl FnMut() -> u32 {
        let mut twister = Twister::new(self.0, seed);
        move || twister.next_output()
    }
}

/// The first outputs for all seeds that the lookups of names meet.
pub(super) struct Drawn {
    version: PhpVersion,
    /// Outputs of each seed: as many as a lookup has replicas, which is nearly always enough.
    each: usize,
    outputs: Vec<u32>,
}

impl Drawn {
    /// Draws them.
    pub(super) fn new(version: PhpVersion, clusters: &Clusters) -> Self {
        /// Seeds that are drawn for side by side.
        const LANES: usize = 8;
        let each = clusters.replicas() as usize;
        let seeds = (Seed::COUNT + clusters.rows().len() + SHUFFLE as usize).next_multiple_of(LANES);
        let mut outputs = vec![0; seeds * each];
        for (first, outputs) in (0u32..).step_by(LANES).zip(outputs.chunks_exact_mut(LANES * each)) {
            let mut front =
                Front::new(version, std::array::from_fn::<_, LANES, _>(|lane| first + lane as u32));
            for number in 0..each {
                let drawn = front.next_outputs().expect("there are far fewer replicas than cheap outputs");
                for (lane, output) in drawn.into_iter().enumerate() {
                    outputs[lane * each + number] = output;
                }
            }
        }
        Self { version, each, outputs }
    }
}

impl Seeded for Drawn {
    fn version(&self) -> PhpVersion {
        self.version
    }

    fn outputs(&self, seed: u32) -> impl FnMut() -> u32 {
        let mut drawn = self.outputs[seed as usize * self.each..][..self.each].iter();
        let mut further = None;
        move || match drawn.next() {
            Some(output) => *output,
            // Some were passed over because they favour small numbers.
            None => further
                .get_or_insert_with(|| {
                    let mut twister = Twister::new(self.version, seed);
                    for _ in 0..self.each {
                        twister.next_output();
                    }
                    twister
                })
                .next_output(),
        }
    }
}

/// Looks up a key.
pub(super) fn locate(
    clusters: &Clusters,
    key: i64,
    seeded: &impl Seeded,
    steps: &mut impl Steps,
) -> Result<(), Fault> {
    let mut left = clusters.replicas();
    for row in clusters.rows().iter().rev() {
        // PHP seeds with the low 32 bits.
        let seed = (key as u32).wrapping_add(row.cluster);
        let take = hits(row, left, seeded.outputs(seed), steps);
        if take > 0 {
            pick(row, take, seeded.version(), seeded.outputs(seed.wrapping_add(SHUFFLE)), steps);
            left -= take;
        }
        if left == 0 {
            return Ok(());
        }
    }
    Err(Fault::Exhausted)
}

/// How many of the replicas that are left fall on a cluster: those that the older ones have no nodes for, and those
/// that draws without replacement give it.
fn hits(row: &Row, left: u32, mut next_output: impl FnMut() -> u32, steps: &mut impl Steps) -> u32 {
    let forced = left.saturating_sub(row.nodes_before);
    // The original takes the number of those forced, not their weight, from both.
    let mut own = row.own - f64::from(forced);
    let mut total = row.own + row.weight_before - f64::from(forced);
    let mut take = forced;
    for replica in forced..left {
        if total != 0.0 {
            let draw = f64::from(next_output() >> 1) / DRAW_MAX;
            let hit = draw <= own / total;
            steps.draw(row.cluster, replica, draw, own / total, hit);
            if hit {
                take += 1;
                own -= row.weight;
            }
        }
        total -= row.weight;
    }
    let take = take.min(row.nodes);
    if take > 0 {
        steps.take(row.cluster, take, forced.min(take));
    }
    take
}

/// Chooses `take` nodes of a cluster: the start of a shuffle, of which only the places it changes are kept.
fn pick(
    row: &Row,
    take: u32,
    version: PhpVersion,
    mut next_output: impl FnMut() -> u32,
    steps: &mut impl Steps,
) {
    // (place, the node that lies there now); later entries override earlier ones.
    let mut moved = [(0u32, 0u32); REPLICAS_MAX];
    for made in 0..take {
        let earlier = &moved[..made as usize];
        let at =
            |place: u32| earlier.iter().fold(place, |at, entry| if entry.0 == place { entry.1 } else { at });
        let last = row.nodes - made - 1;
        let place = range(version, last, &mut next_output);
        steps.pick(row.cluster, row.nodes_before + at(place));
        moved[made as usize] = (place, at(last));
    }
}
