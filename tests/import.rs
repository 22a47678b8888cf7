//! `webdfs import`: files of folders, lists and a MogileFS come to running nodes whole or not at all, whatever happens on
//! the way.

mod common;

/// Folders: every name, what is there already, what changes.
#[path = "import/folders.rs"]
mod folders;
/// Lists of origins, good and bad.
#[path = "import/lists.rs"]
mod lists;
/// A MogileFS: what a tracker says, by one that the test plays. A real one needs a database and several daemons.
#[path = "import/mogilefs.rs"]
mod mogilefs;
/// Targets that refuse, by a web server that the test plays.
#[path = "import/refusals.rs"]
mod refusals;
/// The import or a node is killed in the middle.
#[path = "import/resumed.rs"]
mod resumed;
/// Web servers, good and bad, that files are fetched from.
#[path = "import/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;

use common::{Cluster, Options};

/// One node that clients may write to.
fn options() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

/// The command, up to where it brings files.
fn import(cluster: &Cluster, source: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("import").arg(source).arg("--json");
    command.arg("--to").arg(format!("http://{}", cluster.address(0)));
    command
}

/// What a finished import says.
#[derive(Debug, serde::Deserialize)]
struct Said {
    files: u64,
    bytes: u64,
    same: u64,
    resumed: u64,
    failed: u64,
    failures: Vec<Failed>,
}

#[derive(Debug, serde::Deserialize)]
struct Failed {
    what: String,
    why: String,
}

/// Runs an import to its end, which is good exactly if nothing failed.
#[track_caller]
fn finish(command: &mut Command) -> Said {
    let output = command.output().expect("webdfs import runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Said =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    assert_eq!(output.status.code(), Some(i32::from(said.failed > 0)), "{said:?} {errors}");
    assert_eq!(said.failed, said.failures.len() as u64);
    said
}

impl Said {
    /// Stored, the same, finished before, failed.
    fn counts(&self) -> [u64; 4] {
        [self.files, self.same, self.resumed, self.failed]
    }

    /// Checks that something failed, and why.
    #[track_caller]
    fn assert_failed(&self, what: &str, why: &str) {
        let mut failures = self.failures.iter();
        assert!(
            failures.any(|one| one.what.ends_with(what) && one.why.contains(why)),
            "{what}: {why}: {self:#?}"
        );
    }
}
