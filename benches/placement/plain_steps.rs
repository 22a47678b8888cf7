//! RUSH_R by the steps of `tests/vectors/rush_r/README.md` as they stand there, written straightforwardly, on the
//! generator given there: what the lookups of webdfs should not be slower than.

/// A cluster, for the plain steps.
pub struct Plain {
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
    /// `node_count` nodes of weight 1 in sub-clusters of `subcluster_nodes`.
    pub fn new(node_count: usize, subcluster_nodes: usize, replicas: usize) -> Self {
        let (mut before, mut weight_before) = (0, 0.0);
        let mut subclusters = Vec::new();
        for _ in 0..node_count / subcluster_nodes {
            let servers = subcluster_nodes as u32;
            subclusters.push((servers, 1.0, before, weight_before));
            before += servers;
            weight_before += f64::from(servers);
        }
        Self { replicas: replicas as u32, subclusters, deck: vec![0; subcluster_nodes] }
    }

    /// Finds the servers of a key: fills `found`, which has room for the replicas.
    pub fn locate(&mut self, key: u32, found: &mut [u32]) {
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
