//! How evenly CRUSH over locations spreads objects, and how few it moves when a cluster grows or loses a node.
//! Measured over fixed keys, as the mean over several maps, so the figures never differ from run to run.

mod placement_support;

use placement_support::crush::Places;
use placement_support::{image_keys, owners, spread};
use webdfs::cluster::{FailureDomain, Level};

const KEYS: usize = 10_000;

/// The owners of all keys.
fn placed(places: &Places) -> Vec<Vec<usize>> {
    let map = places.map();
    image_keys(KEYS).map(|key| owners(&map, key)).collect()
}

/// How many replicas are on a node that did not have the object before.
fn moved(before: &[Vec<usize>], after: &[Vec<usize>]) -> usize {
    let gained =
        |(old, new): (&Vec<usize>, &Vec<usize>)| new.iter().filter(|node| !old.contains(node)).count();
    before.iter().zip(after).map(gained).sum()
}

fn loads(placed: &[Vec<usize>], nodes: usize) -> Vec<usize> {
    let mut loads = vec![0; nodes];
    placed.iter().flatten().for_each(|node| loads[*node] += 1);
    loads
}

fn mean(what: &str, figures: &[f64]) -> f64 {
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    println!("{what}: mean {mean:.3} of {figures:.3?}");
    mean
}

/// Maps of 5 to 24 racks with equal nodes, over racks, hosts and nodes. The places of each map, and of each series, have
/// names of their own, so that what chance does to one map says nothing about the next.
fn equal(series: u32) -> Vec<Places> {
    let shapes =
        [(10, 5, 2), (5, 4, 4), (8, 10, 1), (24, 2, 2), (12, 1, 8), (16, 3, 3), (20, 4, 1), (6, 6, 2)];
    let domains = [FailureDomain::Level(Level::Rack), FailureDomain::Level(Level::Host), FailureDomain::Node];
    let mut all = Vec::new();
    for (at, (racks, hosts, nodes)) in shapes.into_iter().enumerate() {
        let mut places = Places::racks(racks, hosts, nodes, &[1.0]);
        places.domain = domains[at % domains.len()];
        places.rename(100_000 * (8 * series + at as u32));
        all.push(places);
    }
    all
}

#[test]
fn equal_nodes_hold_equal_loads() {
    let spreads: Vec<f64> = (0..4)
        .flat_map(equal)
        .map(|places| spread(&loads(&placed(&places), places.nodes.len()), &places.node_weights()))
        .collect();
    let mean = mean("spread against pure chance", &spreads);
    assert!((0.8..1.05).contains(&mean), "{mean}");
}

#[test]
fn loads_follow_the_weights_where_the_domains_are_many() {
    // Replicas are kept apart, so that a domain of a large share cannot hold all of it more than once.
    let spreads: Vec<f64> = [(40, 2, 1), (60, 1, 2), (50, 3, 1)]
        .into_iter()
        .map(|(racks, hosts, nodes)| {
            let mut places = Places::racks(racks, hosts, nodes, &[1.0, 2.0, 1.5, 3.0]);
            places.replicas = 1;
            spread(&loads(&placed(&places), places.nodes.len()), &places.node_weights())
        })
        .collect();
    let mean = mean("spread against pure chance", &spreads);
    assert!((0.8..1.05).contains(&mean), "{mean}");
}

#[test]
fn a_new_rack_moves_little_more_than_its_share() {
    let mut ratios = Vec::new();
    for places in equal(0) {
        let mut grown = places.clone();
        let per_rack = places.nodes.len() / places.weights.len();
        grown.add_rack(per_rack as u32, 1, 1.0);
        let share = per_rack as f64 / grown.nodes.len() as f64;
        ratios.push(
            moved(&placed(&places), &placed(&grown)) as f64 / (share * (KEYS * places.replicas) as f64),
        );
    }
    let mean = mean("moved against the optimum", &ratios);
    assert!(mean < 1.2, "{mean}");
}

#[test]
fn a_new_rack_leaves_most_substitutes_where_they_are() {
    let mut ratios = Vec::new();
    for mut places in equal(0) {
        places.out = (0..places.nodes.len()).step_by(7).collect();
        let mut grown = places.clone();
        let per_rack = places.nodes.len() / places.weights.len();
        grown.add_rack(per_rack as u32, 1, 1.0);
        let share = per_rack as f64 / (grown.nodes.len() - grown.out.len()) as f64;
        ratios.push(
            moved(&placed(&places), &placed(&grown)) as f64 / (share * (KEYS * places.replicas) as f64),
        );
    }
    let mean = mean("moved against the optimum, every seventh node out", &ratios);
    assert!(mean < 1.2, "{mean}");
}

#[test]
fn a_node_that_is_out_moves_its_objects_only_and_the_others_take_them_evenly() {
    let mut spreads = Vec::new();
    for places in equal(0) {
        let node = places.nodes.len() / 3;
        let mut marked = places.clone();
        marked.out.push(node);
        let (before, after) = (placed(&places), placed(&marked));
        let [old, new] = [&before, &after].map(|placed| loads(placed, places.nodes.len()));
        assert_eq!((moved(&before, &after), new[node]), (old[node], 0));
        let gains: Vec<usize> = new.iter().zip(&old).map(|(new, old)| new.saturating_sub(*old)).collect();
        let mut weights = places.node_weights();
        weights[node] = 0.0;
        spreads.push(spread(&gains, &weights));
    }
    let spread = mean("spread of what survivors take over", &spreads);
    assert!(spread < 1.2, "{spread}");
}
