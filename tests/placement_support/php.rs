//! RUSHps and RUSHpw of the original webDFS, which nothing is placed with, by the facts in
//! `tests/vectors/webdfs_php/README.md`. Only their vectors need them.

use webdfs::php::{Rand, Runtime, range};

/// The node that either finds for a key, counted through all clusters of `(nodes, weight)`; none where it points past
/// the end of a cluster. RUSHps knows no weights: give it 1.
pub fn single(clusters: &[(u32, f64)], runtime: Runtime, key: i64) -> Option<u32> {
    let mut before: u32 = clusters.iter().map(|cluster| cluster.0).sum();
    let mut weight_before: f64 = clusters.iter().map(|cluster| f64::from(cluster.0) * cluster.1).sum();
    for (j, &(m, w)) in clusters.iter().enumerate().rev() {
        before -= m;
        let own = f64::from(m) * w;
        weight_before -= own;
        let mut rand = Rand::new(runtime, key as u32);
        for _ in 0..=j {
            rand.next_output();
        }
        let z = range(runtime.version(), (own + weight_before - 1.0) as u32, || rand.next_output());
        if f64::from(z) < own {
            let place = match j {
                0 => before + z % m,
                _ => (before + z % m) % j as u32 + 1,
            };
            return (place < m).then_some(before + place);
        }
    }
    None
}
