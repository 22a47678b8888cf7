//! Time of one lookup of three replicas, for each algorithm and cluster size, ten nodes to a sub-cluster.
//!
//! `plain_steps` is what the others are measured against: the steps of `tests/vectors/rush_r/README.md`, written
//! straightforwardly, on the generator given there.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use webdfs::cluster::{ClusterMap, MapSpec, NodeSpec, NodeState, PlacementSpec, SubClusterSpec};
use webdfs::placement::{ObjectKey, locate};

const REPLICAS: usize = 3;
const SUBCLUSTER_NODES: usize = 10;

fn map(node_count: usize, out: usize) -> ClusterMap {
    let node = |number: usize| NodeSpec {
        name: format!("n{number}"),
        url: format!("http://n{number}"),
        public_url: None,
        state: if number < out { NodeState::Out } else { NodeState::In },
        location: Default::default(),
    };
    let subcluster = |number: usize| SubClusterSpec {
        name: format!("s{number}"),
        weight: 1.0,
        nodes: (0..SUBCLUSTER_NODES).map(|i| node(number * SUBCLUSTER_NODES + i)).collect(),
    };
    ClusterMap::new(MapSpec {
        epoch: 1,
        replicas: REPLICAS,
        write_quorum: 2,
        placement: PlacementSpec::RushR,
        subclusters: (0..node_count / SUBCLUSTER_NODES).map(subcluster).collect(),
    })
    .expect("the map is right")
}

/// The plain steps and their generator.
struct Plain {
    replicas: u32,
    /// (servers, weight, servers before, weight before), oldest first.
    subclusters: Vec<(u32, f64, u32, f64)>,
    deck: Vec<u32>,
}

struct Generator {
    x: u32,
    y: u32,
}

impl Generator {
    fn new(a: u32, b: u32) -> Self {
        Self { x: if a == 0 { 521_288_629 } else { a }, y: if b == 0 { 362_436_069 } else { b } }
    }

    fn real(&mut self) -> f64 {
        self.x = 18_000u32.wrapping_mul(self.x & 65_535).wrapping_add(self.x >> 16);
        self.y = 18_879u32.wrapping_mul(self.y & 65_535).wrapping_add(self.y >> 16);
        f64::from((self.x << 16).wrapping_add(self.y & 65_535)) / 4_294_967_296.0
    }
}

impl Plain {
    fn new(node_count: usize) -> Self {
        let (mut before, mut weight_before) = (0, 0.0);
        let mut subclusters = Vec::new();
        for _ in 0..node_count / SUBCLUSTER_NODES {
            let servers = SUBCLUSTER_NODES as u32;
            subclusters.push((servers, 1.0, before, weight_before));
            before += servers;
            weight_before += f64::from(servers);
        }
        Self { replicas: REPLICAS as u32, subclusters, deck: vec![0; SUBCLUSTER_NODES] }
    }

    /// Fills `found`, which has room for the replicas.
    fn locate(&mut self, key: u32, found: &mut [u32]) {
        let hash = (key ^ 0xdead_1234).wrapping_mul(2_654_435_761);
        let mut left = self.replicas;
        for (j, &(m, w, before, weight_before)) in self.subclusters.iter().enumerate().rev() {
            if left == 0 {
                break;
            }
            let j = j as u32;
            let must = left.saturating_sub(before);
            let draws = (left - must).min(m - must);
            let mut generator = Generator::new(hash ^ j, j ^ 0x00b9_0738);
            let mut yes = f64::from(m) * w;
            let mut total = weight_before + yes;
            let mut take = must;
            for _ in 0..draws {
                if generator.real() < yes / total {
                    take += 1;
                    yes -= w;
                }
                total -= w;
            }
            if take > 0 {
                let mut generator = Generator::new(hash ^ j ^ 11, j ^ 0x00fe_a937);
                for (place, server) in self.deck.iter_mut().enumerate() {
                    *server = place as u32;
                }
                for i in 0..take {
                    let place = (generator.real() * f64::from(m - i)) as usize;
                    found[(self.replicas - left) as usize] = before + self.deck[place];
                    self.deck[place] = self.deck[(m - i - 1) as usize];
                    left -= 1;
                }
            }
        }
    }
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("locate");
    for nodes in [10, 100, 1_000, 10_000] {
        let mut key = 0u32;
        let mut next_key = move || {
            key = key.wrapping_add(0x9e37_79b9);
            key
        };
        let (mut plain, mut found) = (black_box(Plain::new(nodes)), [0; REPLICAS]);
        group.bench_function(BenchmarkId::new("plain_steps", nodes), |bencher| {
            bencher.iter(|| {
                plain.locate(black_box(next_key()), &mut found);
                black_box(&found);
            });
        });
        let all_in = map(nodes, 0);
        group.bench_function(BenchmarkId::new("rush_r", nodes), |bencher| {
            bencher.iter(|| {
                black_box(&locate(&all_in, ObjectKey::from_number(black_box(next_key()))));
            });
        });
        let some_out = map(nodes, nodes / 10);
        group.bench_function(BenchmarkId::new("rush_r_tenth_out", nodes), |bencher| {
            bencher.iter(|| {
                black_box(&locate(&some_out, ObjectKey::from_number(black_box(next_key()))));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
