use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::{Said, finish, import, options};
use crate::common::{Cluster, Front, Options, assert_stored, noise, wait_until};

const FILES: usize = 400;

/// A folder with many files.
fn many() -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        fs::write(source.path().join(format!("{number}.jpg")), noise(number as u64, 3_000 + number)).unwrap();
    }
    source
}

fn assert_all_stored(cluster: &Cluster) {
    for number in (0..FILES).step_by(7) {
        assert_stored(cluster, &format!("/{number}.jpg"), &noise(number as u64, 3_000 + number));
    }
}

fn lines(journal: &Path) -> usize {
    fs::read(journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let source = many();
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let command = || {
        let mut command = import(&cluster, source.path());
        command.arg("--resume").arg(&journal).args(["--concurrency", "2"]);
        command
    };
    let mut killed = 0;
    for _ in 0..3 {
        let before = lines(&journal);
        let mut child = command().stdout(Stdio::null()).spawn().unwrap();
        wait_until("more files are finished", || lines(&journal) >= before + 20);
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed == 3 && lines(&journal) < FILES, "it was too fast to be killed");
    let said = finish(&mut command());
    let Said { files, same, resumed, failed, .. } = said;
    assert!(failed == 0 && resumed >= 57 && files > 0, "{said:?}");
    assert_eq!(files + same + resumed, FILES as u64);
    assert_all_stored(&cluster);
    assert_eq!(finish(&mut command()).counts(), [0, 0, FILES as u64, 0]);

    // A file that has changed since is another.
    fs::write(source.path().join("7.jpg"), "changed").unwrap();
    let said = finish(&mut command());
    assert_eq!(said.counts(), [0, 0, FILES as u64 - 1, 1]);
    said.assert_failed("/7.jpg", "there is another file");
}

#[test]
fn an_import_outlives_its_nodes() {
    let cluster = Cluster::start(Front::Embedded, options());
    let source = many();
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let mut command = import(&cluster, source.path());
    // Nobody ever listens there.
    command.args(["--to", "http://127.0.0.1:9", "--concurrency", "2", "--retries", "20"]);
    let child = command.arg("--resume").arg(&journal).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("some files are finished", || lines(&journal) > 20);
    cluster.kill(0);
    assert!(lines(&journal) < FILES, "it was too fast");
    cluster.restart(0);
    let output = child.wait_with_output().unwrap();
    let said: Said = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said.files, said.failed), (FILES as u64, 0), "{said:?}");
    assert_all_stored(&cluster);
}

#[test]
fn an_import_without_nodes_gives_up_and_says_so() {
    let cluster = Cluster::start(Front::Embedded, options());
    let source = many();
    cluster.kill(0);
    let said = finish(import(&cluster, source.path()).args(["--retries", "0", "--concurrency", "64"]));
    assert_eq!(said.files, 0);
    said.assert_failed("the import", "the last 32 files were given up");
    said.assert_failed(".jpg", "does not answer");
}

#[test]
fn the_journal_of_another_import_is_refused() {
    let cluster = Cluster::start(Front::Embedded, options());
    let (one, other, dir) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = dir.path().join("journal");
    assert_eq!(finish(import(&cluster, one.path()).arg("--resume").arg(&journal)).counts(), [0; 4]);
    let output = import(&cluster, other.path()).arg("--resume").arg(&journal).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("is the journal of importing"), "{errors}");
    // What only looks leaves no journal behind.
    let none = dir.path().join("none");
    finish(import(&cluster, one.path()).arg("--dry-run").arg("--resume").arg(&none));
    assert!(!none.exists());
}
