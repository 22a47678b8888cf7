//! What is stored after a case, and that nothing else is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::case::After;
use super::lane::Lane;
use super::run::{Job, Known};
use crate::common::{Call, Cluster};

impl Job<'_> {
    /// Everything that the case names, and all that was stored before and is not named.
    pub fn check_after(
        &self,
        cluster: &Cluster,
        after: &[(String, After)],
        known: Option<&Known>,
    ) -> Result<(), String> {
        for (name, state) in after {
            let target = self.fill(name);
            let nodes = match state {
                After::Stored(_) => vec![self.node, (self.node + 1) % 3],
                After::Missing => vec![0, 1, 2],
            };
            for node in nodes {
                let get = Call::new("GET", &target).try_send(cluster.address(node));
                let answer = get.map_err(|error| format!("afterwards {name} on node {node}: {error}"))?;
                let right = match state {
                    After::Stored(body) => answer.status == 200 && answer.body == *body,
                    After::Missing => answer.status == 404,
                };
                if !right {
                    let wanted = if matches!(state, After::Missing) { "missing" } else { "stored" };
                    return Err(format!("afterwards {name} on node {node} should be {wanted}: {answer}"));
                }
            }
        }
        if matches!(self.case.method, "GET" | "HEAD" | "OPTIONS") {
            return Ok(());
        }
        for (name, body) in &self.case.before {
            if after.iter().any(|(named, _)| named == name) {
                continue;
            }
            let get = Call::new("GET", &self.fill(name)).try_send(cluster.address(self.node));
            let answer = get.map_err(|error| format!("afterwards {name}: {error}"))?;
            let is_target = name.as_bytes() == self.case.target;
            let etag = known.filter(|_| is_target).map(|known| known.etag.as_str());
            if answer.status != 200 || answer.body != *body || etag.is_some_and(|etag| answer.etag() != etag)
            {
                return Err(format!("{name} should be as before: {answer}"));
            }
        }
        Ok(())
    }
}

/// Files on the disks that no case has stored there, or that one has removed.
pub fn strays(jobs: &[Job], lane: &Lane, cluster: &Cluster) -> Vec<String> {
    let mut expected = BTreeSet::new();
    for job in jobs {
        let except = job.case.except.iter().find(|except| except.fact.holds(lane, job.place));
        let after = except.and_then(|except| except.after.as_ref()).unwrap_or(&job.case.after);
        expected.extend(job.case.before.iter().map(|(name, _)| decoded(&job.fill(name))));
        for (name, state) in after {
            match state {
                After::Stored(_) => expected.insert(decoded(&job.fill(name))),
                After::Missing => expected.remove(&decoded(&job.fill(name))),
            };
        }
    }
    let mut strays = Vec::new();
    for node in cluster.present() {
        let root = cluster.root(node);
        let mut found = Vec::new();
        files(&root, &mut found);
        for file in found {
            let name = &file[root.as_os_str().len()..];
            if !expected.contains(name) {
                strays
                    .push(format!("on the disk of node {node}, and should not be: {}", name.escape_ascii()));
            }
        }
    }
    strays
}

/// A target's path as bytes: percent signs decoded once.
fn decoded(target: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(target).collect()
}

/// The files below a folder, but for webdfs's own.
fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            if entry.file_name() != OsStr::new(".webdfs") {
                files(&entry.path(), found);
            }
        } else {
            found.push(entry.path().into_os_string().into_vec());
        }
    }
}
