//! RUSH_R (the others of the family are in `naive_family.rs`) and the substitution of nodes that are out, slow and
//! obvious, from the descriptions alone: lists are built, searched and thrown away, nothing is precomputed, and no
//! code of the real one is used.

use webdfs::cluster::PlacementSpec;

use super::{Layout, naive_family};

/// Starts the reals for sub-cluster j and a step, 0 for draws and 1 for picks.
pub type Seed<'a> = dyn Fn(u32, u64) -> Box<dyn FnMut() -> f64> + 'a;

/// Draws without replacement, step 3 of the README, up to `most` hits. It divides.
pub fn count_hits(
    real: &mut dyn FnMut() -> f64,
    draws: usize,
    most: usize,
    (mut yes, mut total): (f64, f64),
    w: f64,
) -> usize {
    let mut hits = 0;
    for _ in 0..draws {
        if hits == most {
            break;
        }
        let u = real();
        if u < yes / total {
            hits += 1;
            yes -= w;
        }
        total -= w;
    }
    hits
}

/// Picks `take` of `m`, step 4 of the README.
pub fn pick_servers(real: &mut dyn FnMut() -> f64, take: usize, m: usize) -> Vec<usize> {
    let mut deck: Vec<usize> = (0..m).collect();
    let mut picks = Vec::new();
    for i in 0..take {
        let p = (real() * (m - i) as f64).trunc() as usize;
        picks.push(deck[p]);
        deck[p] = deck[m - i - 1];
    }
    picks
}

/// The four steps of the README as they stand, without any repair.
pub fn plain_steps(groups: &[(u32, f64)], replicas: usize, seed: &Seed) -> Vec<usize> {
    let mut found = Vec::new();
    for j in (0..groups.len()).rev() {
        let left = replicas - found.len();
        let (m, w) = (groups[j].0 as usize, groups[j].1);
        let before: usize = groups[..j].iter().map(|group| group.0 as usize).sum();
        let wbefore = groups[..j].iter().fold(0.0, |sum, group| sum + f64::from(group.0) * group.1);
        let must = left.saturating_sub(before);
        let draws = (left - must).min(m - must);
        let mut hits = 0;
        if w > 1e-9 {
            let yes = m as f64 * w;
            hits = count_hits(&mut *seed(j as u32, 0), draws, draws, (yes, wbefore + yes), w);
        }
        found.extend(pick_servers(&mut *seed(j as u32, 1), must + hits, m).iter().map(|s| before + s));
    }
    found
}

/// The steps with the repairs: as many draws as replicas are left, at most m hits, at least what the weighted
/// servers of older sub-clusters cannot hold, and nothing on weight 0.
pub fn repaired_steps(groups: &[(u32, f64)], replicas: usize, seed: &Seed) -> Vec<usize> {
    let mut found = Vec::new();
    for j in (0..groups.len()).rev() {
        let left = replicas - found.len();
        let (m, w) = (groups[j].0 as usize, groups[j].1);
        if w == 0.0 || m == 0 || left == 0 {
            continue;
        }
        let older = || groups[..j].iter();
        let before: usize = older().map(|group| group.0 as usize).sum();
        let can_hold: usize = older().filter(|group| group.1 > 0.0).map(|group| group.0 as usize).sum();
        let wbefore = older().fold(0.0, |sum, group| sum + f64::from(group.0) * group.1);
        let must = left.saturating_sub(can_hold);
        let yes = m as f64 * w;
        let hits = count_hits(&mut *seed(j as u32, 0), left, m, (yes, wbefore + yes), w);
        let take = must.max(hits);
        found.extend(pick_servers(&mut *seed(j as u32, 1), take, m).iter().map(|s| before + s));
    }
    found
}

/// The frozen random number for key, purpose, sub-cluster and position.
pub fn mixed_bits(key: u32, purpose: u64, j: u32, position: u64) -> u64 {
    let mix = |z: u128| {
        let modulus = 1u128 << 64;
        let z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 % modulus;
        let z = (z ^ (z >> 27)) * 0x94d049bb133111eb % modulus;
        z ^ (z >> 31)
    };
    let start = mix(u128::from(u64::from_be_bytes(*b"webdfs 1")) ^ u128::from(key));
    let counter = u128::from(purpose * (1 << 56) + u64::from(j) * (1 << 24) + position);
    mix((start + counter * 0x9e3779b97f4a7c15) % (1u128 << 64)) as u64
}

/// The same as a real.
pub fn mixed_real(key: u32, purpose: u64, j: u32, position: u64) -> f64 {
    (mixed_bits(key, purpose, j, position) / (1 << 11)) as f64 / 2f64.powi(53)
}

/// What `locate` must answer for a map of that layout.
pub fn owners(layout: &Layout, key: u32) -> Vec<usize> {
    let seed = |j: u32, step: u64| -> Box<dyn FnMut() -> f64> {
        let mut position = 0;
        Box::new(move || {
            position += 1;
            mixed_real(key, step, j, position - 1)
        })
    };
    let mut owners = match &layout.placement {
        PlacementSpec::RushR => repaired_steps(&layout.groups, layout.replicas, &seed),
        PlacementSpec::RushP => naive_family::rush_p(&layout.groups, layout.replicas, key),
        PlacementSpec::RushT => naive_family::rush_t(&layout.groups, layout.replicas, key),
        other => panic!("{other:?} has no naive version here"),
    };
    let mut candidates = None;
    for rank in 0..owners.len() {
        if layout.out.contains(&owners[rank]) {
            let candidates = candidates.get_or_insert_with(|| candidate_list(layout, key).into_iter());
            owners[rank] = candidates
                .find(|node| !layout.out.contains(node) && !owners.contains(node))
                .expect("enough nodes are in service");
        }
    }
    owners
}

/// Every candidate of a key: 256 drawn by weight, newest sub-cluster first, then all of weight above 0.
fn candidate_list(layout: &Layout, key: u32) -> Vec<usize> {
    let weights = layout.weights();
    let weighted: Vec<usize> = (0..weights.len()).filter(|node| weights[*node] > 0.0).collect();
    let mut list = Vec::new();
    for position in 0..256 {
        let mut chosen = None;
        for (j, &(m, w)) in layout.groups.iter().enumerate().rev() {
            let wbefore =
                layout.groups[..j].iter().fold(0.0, |sum, group| sum + f64::from(group.0) * group.1);
            let own = f64::from(m) * w;
            if chosen.is_none() && own > 0.0 && mixed_real(key, 2, j as u32, position) < own / (wbefore + own)
            {
                let before: usize = layout.groups[..j].iter().map(|group| group.0 as usize).sum();
                let server = (mixed_real(key, 3, j as u32, position) * f64::from(m)).trunc() as usize;
                chosen = Some(before + server);
            }
        }
        list.push(chosen.expect("the oldest of weight above 0 always takes it"));
    }
    let start = (mixed_real(key, 4, 0, 0) * weighted.len() as f64).trunc() as usize;
    list.extend(&weighted[start..]);
    list.extend(&weighted[..start]);
    list
}
