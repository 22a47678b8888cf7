//! The original's RUSHp: each replica is looked up on its own, from the newest cluster to the oldest. One draw for each
//! cluster, the same for all replicas, is moved on for each replica by a prime of the cluster.

use super::locator::{Clusters, Fault, Row, Steps};
use super::{Rand, Runtime, range};

/// The prime of each cluster: the first number above the cluster's weight, counted up in steps of 1 from that, that
/// the original takes for a prime.
///
/// # Errors
/// If a draw from all the weight would exceed the range of PHP's random numbers.
pub(super) fn primes(clusters: &Clusters) -> Result<Vec<f64>, Fault> {
    let total = clusters.rows().last().map_or(0.0, |row| row.own + row.weight_before);
    if total.is_nan() || total > f64::from(i32::MAX) {
        return Err(Fault::TooHeavy);
    }
    let prime = |row: &Row| {
        let mut candidates = (1u32..).map(|step| row.own + f64::from(step));
        candidates.find(|candidate| is_prime(*candidate)).expect("there is a prime above every number")
    };
    Ok(clusters.rows().iter().map(prime).collect())
}

/// Whether the original takes a number for a prime: its fraction does not count, except that 3 with a fraction is none,
/// since it is above 3 and divisible by it.
fn is_prime(number: f64) -> bool {
    let whole = number as u64;
    let divisible = |divisor: &u64| whole.is_multiple_of(*divisor);
    number <= 3.0
        || !([2, 3].iter().any(divisible)
            || (5..).take_while(|divisor| divisor * divisor <= whole).any(|divisor| divisible(&divisor)))
}

/// Room for the random numbers of a lookup.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The outputs so far.
    outputs: Vec<u32>,
    /// The draws for the newest clusters, newest first, as far as they were asked for: the same for all replicas.
    draws: Vec<u32>,
}

/// Looks up a key. What is in `room` does not matter.
pub(super) fn locate(
    clusters: &Clusters,
    primes: &[f64],
    (runtime, key): (Runtime, i64),
    room: &mut Room,
    steps: &mut impl Steps,
) -> Result<(), Fault> {
    let mut rand = Rand::new(runtime, key as u32);
    room.draws.clear();
    room.outputs.clear();
    room.outputs.extend((0..=clusters.rows().len()).map(|_| rand.next_output()));
    for replica in 0..clusters.replicas() {
        let mut newest_first = clusters.rows().iter().zip(primes).rev().enumerate();
        let found = newest_first.find_map(|(asked, (row, prime))| {
            if asked == room.draws.len() {
                room.draws.push(draw(row, runtime, &mut room.outputs, &mut rand));
            }
            let moved = f64::from(room.draws[asked]) + f64::from(replica) * prime;
            let node = place(row, clusters.replicas(), (key, replica, moved), steps).transpose()?;
            Some(node.map(|node| (row.cluster, node)))
        });
        let (cluster, node) = found.ok_or(Fault::Exhausted)??;
        steps.pick(cluster, node);
    }
    Ok(())
}

/// The draw for a cluster: a number below the weight of it and the older ones, from the outputs after the first, and
/// as many more as there are older clusters.
fn draw(row: &Row, runtime: Runtime, outputs: &mut Vec<u32>, rand: &mut Rand) -> u32 {
    let last = (row.own + row.weight_before - 1.0) as u32;
    let mut next = row.cluster as usize + 1;
    range(runtime.version(), last, || {
        if next == outputs.len() {
            outputs.push(rand.next_output());
        }
        next += 1;
        outputs[next - 1]
    })
}

/// The node of a replica if it falls on that cluster. `moved` is the draw, moved on for the replica.
fn place<S: Steps>(
    row: &Row,
    replicas: u32,
    (key, replica, moved): (i64, u32, f64),
    steps: &mut S,
) -> Result<Option<u32>, Fault> {
    let total = row.own + row.weight_before;
    // Operands of a remainder lose their fraction.
    let zb = (moved as u64).checked_rem(total as u64).ok_or(Fault::NoWeight)? as f64;
    let v = (key as f64 + moved) as i64;
    let (limit, turns) = if row.nodes >= replicas {
        (row.own, row.nodes)
    } else {
        (f64::from(replicas) * row.weight, replicas)
    };
    // Of a negative key it may be negative; the seeds of names are not. At least one replica is looked up.
    let turn = u32::try_from(v % i64::from(turns)).ok();
    let place = turn.filter(|turn| zb < limit && *turn < row.nodes);
    if S::LISTENS {
        steps.draw(row.cluster, replica, zb / total, (limit / total).min(1.0), place.is_some());
    }
    Ok(place.map(|place| row.nodes_before + place))
}
