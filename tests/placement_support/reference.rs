//! The reference's random numbers, as `tests/vectors/rush_r/README.md` describes them: two multiply-with-carry
//! halves, and the seeds it gives them.

use webdfs::placement::rush_r::{RandomSource, RandomStream, Step};

pub struct Generator {
    x: u32,
    y: u32,
}

impl Generator {
    pub fn new(a: u32, b: u32) -> Self {
        Self { x: if a == 0 { 521_288_629 } else { a }, y: if b == 0 { 362_436_069 } else { b } }
    }

    pub fn next(&mut self) -> u32 {
        self.x = 18_000u32.wrapping_mul(self.x & 65_535).wrapping_add(self.x >> 16);
        self.y = 18_879u32.wrapping_mul(self.y & 65_535).wrapping_add(self.y >> 16);
        (self.x << 16).wrapping_add(self.y & 65_535)
    }

    pub fn next_real(&mut self) -> f64 {
        f64::from(self.next()) / 4_294_967_296.0
    }
}

impl RandomStream for Generator {
    fn next_bits(&mut self) -> u64 {
        u64::from(self.next()) << 32
    }
}

/// H of the README.
pub fn hash(key: u32) -> u32 {
    (key ^ 0xdead_1234).wrapping_mul(2_654_435_761)
}

/// The random numbers of one key.
pub struct ReferenceSource {
    pub key: u32,
}

impl RandomSource for ReferenceSource {
    type Stream = Generator;

    fn stream(&self, j: u32, step: Step) -> Generator {
        let h = hash(self.key);
        match step {
            Step::Draw => Generator::new(h ^ j, j ^ 0x00b9_0738),
            Step::Pick => Generator::new(h ^ j ^ 11, j ^ 0x00fe_a937),
        }
    }
}
