//! RUSH_P and RUSH_T, slow and obvious, from the descriptions at the head of `src/placement/rush_p.rs`,
//! `rush_t.rs`, `server.rs` and `src/cluster/tree.rs` alone. As in `naive.rs`, no code of the real ones is used.

use super::naive::mixed_bits;

const TWO_64: u128 = 1 << 64;

/// The card that a replica takes of the shuffled servers of sub-cluster j.
fn shuffled_server(key: u32, j: usize, m: usize, replica: usize) -> usize {
    let mut deck: Vec<usize> = (0..m).collect();
    let mut cards = Vec::new();
    for made in 0..=replica {
        let draw = u128::from(mixed_bits(key, 1, j as u32, made as u64));
        let place = (draw * deck.len() as u128 / TWO_64) as usize;
        cards.push(deck.swap_remove(place));
    }
    cards[replica]
}

fn node(groups: &[(u32, f64)], key: u32, j: usize, replica: usize) -> usize {
    let before: usize = groups[..j].iter().map(|group| group.0 as usize).sum();
    before + shuffled_server(key, j, groups[j].0 as usize, replica)
}

pub fn rush_p(groups: &[(u32, f64)], replicas: usize, key: u32) -> Vec<usize> {
    let own = |j: usize| f64::from(groups[j].0) * groups[j].1;
    let mut totals = Vec::new();
    for j in 0..groups.len() {
        totals.push(if j == 0 { own(j) } else { totals[j - 1] + own(j) });
    }
    let find = |replica: usize| {
        let weighted: Vec<usize> = (0..groups.len()).filter(|j| own(*j) > 0.0).collect();
        for &j in weighted[1..].iter().rev() {
            let mut position = u128::from(mixed_bits(key, 0, j as u32, 0));
            for _ in 0..replica {
                position = position * 0xf1357aea2e62a9c5 % TWO_64;
            }
            if position < (own(j) / totals[j] * 2f64.powi(64)).floor() as u128 {
                return j;
            }
        }
        weighted[0]
    };
    (0..replicas).map(|replica| node(groups, key, find(replica), replica)).collect()
}

/// How many half-lives a draw of 32 bits stands for, by the series that the real one has.
fn half_lives(draw: u64) -> f64 {
    let series = [
        0.721347520444482,
        0.180335964266674,
        0.0601512494087248,
        0.0220601470721447,
        0.0116725048429985,
        -0.00387574243714487,
        0.013660070132161,
        -0.00941640241001392,
        0.00406468867997376,
    ];
    let (mut fraction, mut halvings) = ((draw as f64 + 0.5) / 2f64.powi(32), 0.0);
    while fraction < 0.5 {
        fraction *= 2.0;
        halvings += 1.0;
    }
    let t = 2.0 - 2.0 * fraction;
    halvings + (0..).zip(series).map(|(power, factor)| factor * t.powi(power + 1)).sum::<f64>()
}

pub fn rush_t(groups: &[(u32, f64)], replicas: usize, key: u32) -> Vec<usize> {
    // Weights of the binary tree's nodes by height and position, as far as there are any; every fourth level
    // counts.
    let mut levels = vec![groups.iter().map(|group| f64::from(group.0) * group.1).collect::<Vec<f64>>()];
    while levels[levels.len() - 1].len() > 1 {
        let below = &levels[levels.len() - 1];
        levels
            .push(below.chunks(16).map(|chunk| chunk.iter().fold(0.0, |sum, weight| sum + weight)).collect());
    }
    let find = |replica: usize| {
        let mut position = 0;
        for (level, weights) in levels.iter().enumerate().rev().skip(1) {
            let height = 4 * level as u32;
            let mut best = None;
            for child in (position * 16..weights.len().min(position * 16 + 16)).filter(|c| weights[*c] > 0.0)
            {
                // The binary tree's node over the child and its neighbour has one trailing zero more.
                let label = (child as u32 / 2 * 2 + 1) << (height + 1);
                let pair = mixed_bits(key, 5, label, replica as u64);
                let draw = if child % 2 == 0 { pair / (1 << 32) } else { pair % (1 << 32) };
                let wait = half_lives(draw) / weights[child];
                if best.is_none_or(|(shortest, _)| wait < shortest) {
                    best = Some((wait, child));
                }
            }
            position = best.expect("a node of weight above 0 has a child of weight above 0").1;
        }
        position
    };
    (0..replicas).map(|replica| node(groups, key, find(replica), replica)).collect()
}
