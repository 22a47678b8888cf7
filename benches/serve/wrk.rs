//! Running `wrk` and reading what it counted.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::processes::run;

/// What one run of `wrk` counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Requests answered.
    pub requests: u64,
    /// The same each second.
    pub rate: f64,
    /// Bytes received, heads included.
    bytes: u64,
}

/// The address asked, how long, and over how many connections.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub address: &'a str,
    pub seconds: u64,
    pub connections: usize,
}

impl Load<'_> {
    /// Gets the paths listed in a file, each with at least `size` bytes.
    pub fn get(&self, script: &Path, paths: &Path, size: usize) -> Result<Counted> {
        let counted = self.run(script, &[&paths.to_string_lossy()])?;
        if counted.bytes < counted.requests * size as u64 {
            return Err(format!("{}: bodies are missing from the answers", self.address).into());
        }
        Ok(counted)
    }

    /// Puts the bytes of a file under names below `prefix`.
    pub fn put(&self, script: &Path, prefix: &str, file: &Path) -> Result<Counted> {
        self.run(script, &[prefix, &file.to_string_lossy()])
    }

    fn run(&self, script: &Path, arguments: &[&str]) -> Result<Counted> {
        let mut command = Command::new("wrk");
        command.arg("-t1").arg(format!("-c{}", self.connections)).arg(format!("-d{}s", self.seconds));
        command.arg("-s").arg(script).arg(format!("http://{}/", self.address)).arg("--").args(arguments);
        let output = run(&mut command)?;
        let numbers = output.lines().find_map(|line| line.strip_prefix("result "));
        let numbers: Vec<u64> =
            numbers.unwrap_or_default().split(' ').filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [0, ..] => Err(format!("{}: no request was answered", self.address).into()),
            [requests, microseconds, bytes, 0] => Ok(Counted {
                requests: *requests,
                rate: *requests as f64 / (*microseconds as f64 / 1e6),
                bytes: *bytes,
            }),
            [_, _, _, _] => Err(format!("{}: answers with errors:\n{output}", self.address).into()),
            _ => Err(format!("wrk said something else:\n{output}").into()),
        }
    }
}
