//! The objects of a benchmark: bytes that anyone can compute again from the name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// How many different objects are asked for, unless they are so large that fewer fill [`BYTES_MAX`].
const COUNT: usize = 2_000;
/// What all objects of a size take together, in bytes, so that they stay in memory.
const BYTES_MAX: usize = 64 << 20;
/// The sizes measured, in bytes, each with its name.
pub const SIZES: [(usize, &str); 2] = [(4 << 10, "4 KiB"), (32 << 10, "32 KiB")];

/// Objects of one size.
pub struct Objects {
    /// Their URL paths.
    pub paths: Vec<String>,
    /// The size of each, in bytes.
    pub size: usize,
    /// A file that lists the paths, for `wrk`.
    pub list: PathBuf,
}

impl Objects {
    /// Objects of those names that `wanted` accepts.
    pub fn new(folder: &Path, size: usize, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let names = (0..).map(|number| format!("/images{size}/{:02}/{number:06}.jpg", number % 16));
        let paths: Vec<_> = names.filter(|path| wanted(path)).take(COUNT.min(BYTES_MAX / size)).collect();
        let list = folder.join(format!("paths{size}"));
        fs::write(&list, paths.join("\n") + "\n")?;
        Ok(Self { paths, size, list })
    }

    /// Some of the paths: first, last and between.
    pub fn samples(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().step_by(self.paths.len().div_ceil(10)).chain(self.paths.last())
    }
}

/// The bytes of the object at a path: noise, as a compressed image is.
pub fn bytes_of(path: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(u64::from(crc32fast::hash(path.as_bytes()))).fill(&mut bytes);
    bytes
}
