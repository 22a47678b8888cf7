use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use webdfs::name::ObjectName;

use super::{finish, import, options};
use crate::common::{Cluster, Front, Options, assert_missing, assert_stored, noise};

/// Puts a file below a folder.
fn lay(folder: &Path, name: &[u8], bytes: &[u8]) {
    let path = folder.join(OsStr::from_bytes(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_file_of_a_folder_comes_under_its_name_and_what_is_no_name_is_told_at_the_end() {
    let cluster = Cluster::start(Front::Nginx, Options { prefix: "/my images/", ..Options::default() });
    let source = tempfile::tempdir().unwrap();
    let names: [&[u8]; 8] = [
        b"a.jpg",
        b"p q/100%25 ?#&+;.jpg",
        "\u{e4}\u{2603}.png".as_bytes(),
        b"\xff\xfe.gif",
        b"empty",
        b"a/b/c/d",
        b"back\\slash",
        b"large.bin",
    ];
    for (number, name) in names.iter().enumerate() {
        let length = match *name {
            b"empty" => 0,
            b"large.bin" => 3_000_000,
            _ => 1_000 + number,
        };
        lay(source.path(), name, &noise(number as u64, length));
    }
    lay(source.path(), b".git/config", b"secret");
    lay(source.path(), b"a/index.php", b"<?php");
    lay(source.path(), b".webdfs/node.toml", b"x");
    symlink("/etc/passwd", source.path().join("link.jpg")).unwrap();

    let command = || {
        let mut command = import(&cluster, source.path());
        command.args(["--prefix", "/my images/"]).arg("--to").arg(format!("http://{}", cluster.address(2)));
        command
    };
    let said = finish(&mut command());
    assert_eq!(said.counts(), [8, 0, 0, 4], "{said:#?}");
    said.assert_failed("/.git/config", "names like this are not stored here");
    said.assert_failed("/a/index.php", "names like this are not stored here");
    said.assert_failed("/.webdfs", "belongs to webdfs itself");
    said.assert_failed("/link.jpg", "links are not followed");
    for name in names {
        let bytes = fs::read(source.path().join(OsStr::from_bytes(name))).unwrap();
        let target = format!("/my%20images/{}", ObjectName::from_bytes(name).unwrap().url_path());
        assert_stored(&cluster, &target, &bytes);
    }
    // Once more: everything is there.
    assert_eq!(finish(&mut command()).counts(), [0, 8, 0, 4]);
}

#[test]
fn what_is_there_with_other_bytes_stays_unless_it_may_be_replaced() {
    let cluster = Cluster::start(Front::Embedded, options());
    let source = tempfile::tempdir().unwrap();
    let (small, large) = (noise(1, 5_000), noise(2, 2_000_000));
    lay(source.path(), b"small", &small);
    lay(source.path(), b"large", &large);
    let (there, there_large) = (noise(3, 5_000), noise(4, 2_000_000));
    cluster.put(0, "/small", there.clone()).expect(201);
    cluster.put(0, "/large", there_large.clone()).expect(201);

    let said = finish(&mut import(&cluster, source.path()));
    assert_eq!(said.counts(), [0, 0, 0, 2]);
    said.assert_failed("/small", "there is another file of this name; it was left as it is");
    said.assert_failed("/large", "there is another file of this name; it was left as it is");
    assert_stored(&cluster, "/small", &there);
    assert_stored(&cluster, "/large", &there_large);

    let said = finish(import(&cluster, source.path()).arg("--dry-run"));
    assert_eq!((said.counts(), said.bytes), ([2, 0, 0, 0], 2_005_000));
    assert_stored(&cluster, "/small", &there);

    let said = finish(import(&cluster, source.path()).arg("--overwrite"));
    assert_eq!((said.counts(), said.bytes), ([2, 0, 0, 0], 2_005_000));
    assert_stored(&cluster, "/small", &small);
    assert_stored(&cluster, "/large", &large);
    assert_eq!(finish(import(&cluster, source.path()).arg("--overwrite")).counts(), [0, 2, 0, 0]);
}

#[test]
fn a_file_that_never_stops_changing_is_told_and_nothing_of_it_is_stored() {
    let cluster = Cluster::start(Front::Embedded, options());
    let source = tempfile::tempdir().unwrap();
    lay(source.path(), b"log", &noise(1, 4_000_000));
    lay(source.path(), b"photo", b"at rest");
    let path = source.path().join("log");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::{Seek, SeekFrom, Write};
            let mut file = fs::File::options().write(true).open(&path).unwrap();
            for number in 0u64.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                file.seek(SeekFrom::Start(number % 4_000_000)).unwrap();
                file.write_all(&number.to_le_bytes()[..1]).unwrap();
            }
        });
        let said = finish(&mut import(&cluster, source.path()));
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(said.counts(), [1, 0, 0, 1], "{said:#?}");
        said.assert_failed("/log", "changes while it is read");
    });
    assert_missing(&cluster, "/log");
    assert_stored(&cluster, "/photo", b"at rest");
    assert_eq!(finish(&mut import(&cluster, source.path())).counts(), [1, 1, 0, 0]);
    assert_stored(&cluster, "/log", &fs::read(path).unwrap());
}

#[test]
fn a_source_that_is_not_there_and_a_target_that_is_no_url_are_refused_at_once() {
    let cluster = Cluster::start(Front::Embedded, options());
    let refused = |command: &mut std::process::Command, expected: &str| {
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(expected), "{errors}");
    };
    refused(&mut import(&cluster, Path::new("/no/such/folder")), "/no/such/folder: cannot be imported");
    refused(import(&cluster, Path::new("/tmp")).args(["--to", "img1"]), "is not of the form http://host");
    refused(import(&cluster, Path::new("/tmp")).args(["--to", "https://img1"]), "https");
    refused(import(&cluster, Path::new("/tmp")).args(["--prefix", "p"]), "must start with a slash");
}
