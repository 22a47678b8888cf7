use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use webdfs::store::{SpoolId, Store};

use crate::store_support::*;

const ROLE: &str = "WEBDFS_TEST_ROLE";
const ROOT: &str = "WEBDFS_TEST_ROOT";
/// Writes of one writer.
const WRITES: u64 = 12;

/// This program again, playing a role; run by another program if one is given.
pub fn role(role: &str, root: &Path, through: &[&str]) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = match through {
        [] => Command::new(own),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(own);
            command
        }
    };
    command.args(["--exact", "store::processes::a_role", "--ignored", "--nocapture"]);
    command.env(ROLE, role).env(ROOT, root);
    command
}

fn start(role: &str, root: &Path) -> Child {
    self::role(role, root, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Reads what a process says up to a line that ends so; the rest of the line before it.
fn said(child: &mut Child, end: &str) -> String {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut lines = lines.filter(|line| line.ends_with(end));
    lines.next().unwrap_or_else(|| panic!("the process never said {end:?}"))
}

#[test]
#[ignore = "a part that the other tests here start as a process of its own"]
fn a_role() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(ROOT)) else { return };
    let root = Path::new(&root);
    if role == "umask" {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    if role.starts_with("mount:") {
        return super::mounts::play(&role, root);
    }
    if role == "nobody" {
        return super::settled::play_nobody(root);
    }
    let store = open(root);
    let say = |text: &str| {
        println!("\n{text}");
        std::io::stdout().flush().unwrap();
        // Until it is killed, or whoever started it has died.
        std::io::stdin().lines().for_each(drop);
    };
    match role.as_str() {
        "agent" => {
            let _lock = store.try_lock_agent().unwrap().expect("nobody else is the agent");
            say("elected");
        }
        "upload" => {
            let mut spool = store.spool(SpoolId::random(), None).unwrap();
            spool.write(b"half").unwrap();
            say("uploading");
        }
        "umask" => drop(put(&store, &name("a/b/x"), at(1), b"x").unwrap()),
        _ => write_much(&store, role.parse().expect("a writer's number")),
    }
}

/// Bytes that show which version they belong to and are seen to be cut off or mixed.
fn bytes_of(version: u64) -> Vec<u8> {
    format!("{version:06}").repeat(1000).into_bytes()
}

/// Writes versions of one key, and one below it, interleaved with those of the other writers.
fn write_much(store: &Arc<Store>, writer: u64) {
    for round in 0..WRITES {
        let version = 1 + round * 10 + writer;
        put(store, &name("d/key"), at(version), &bytes_of(version)).unwrap();
        // Makes and removes the same folders all the time, and another's path or folder.
        let beside = name(format!("d/e/{writer}"));
        put(store, &beside, at(version), b"beside").unwrap();
        assert_eq!(read(store, &beside).unwrap().0, b"beside");
        store.delete(&beside, at(version).successor()).unwrap();
        let clash = name(if writer.is_multiple_of(2) { "c" } else { "c/x" });
        put(store, &clash, at(version), &bytes_of(version)).unwrap();
        if round % 3 == writer % 3 {
            store.delete(&clash, at(version).successor()).unwrap();
        }
    }
}

fn check_after_writers(root: &Path, writers: u64) {
    let store = open(root);
    assert!(!store.sync_has_failed());
    let last = 1 + (WRITES - 1) * 10 + writers - 1;
    assert_eq!(read(&store, &name("d/key")), Some((bytes_of(last), at(last))));
    let held = store.held(&name("d/key")).unwrap();
    assert_eq!(held.copy().unwrap().crc32, Some(crc32(&bytes_of(last))));
    for writer in 0..writers {
        assert_eq!(read(&store, &name(format!("d/e/{writer}"))), None);
    }
    for clash in ["c", "c/x"] {
        if let Some((bytes, version)) = read(&store, &name(clash)) {
            assert!((1..=last).any(|number| at(number) == version && bytes_of(number) == bytes), "{clash}");
        }
    }
    assert!(private_files(root, "tmp").is_empty());
    assert!(!root.join("d/e").exists(), "an empty folder is left");
}

/// Reads the contended key until the writers are done; every copy must be whole.
fn read_meanwhile(root: &Path, done: impl Fn() -> bool) {
    let store = open(root);
    let mut newest = at(0);
    while !done() {
        if let Some((bytes, version)) = read(&store, &name("d/key")) {
            let number = std::str::from_utf8(&bytes[..6]).unwrap().parse().unwrap();
            assert!(bytes == bytes_of(number) && version == at(number), "a mixed copy of version {number}");
            assert!(version >= newest, "an older version came back");
            newest = version;
        }
    }
}

#[test]
fn many_processes_writing_one_key_leave_the_highest_version_and_never_a_mixed_one() {
    let root = new_root();
    let writers = 3;
    let mut children: Vec<_> = (0..writers).map(|writer| start(&writer.to_string(), root.path())).collect();
    let running = std::cell::RefCell::new(children.iter_mut().collect::<Vec<_>>());
    read_meanwhile(root.path(), || {
        running.borrow_mut().retain_mut(|child| child.try_wait().unwrap().is_none());
        running.borrow().is_empty()
    });
    drop(running);
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    check_after_writers(root.path(), writers);
}

#[test]
fn many_threads_and_stores_writing_one_key_leave_the_highest_version() {
    let root = new_root();
    let writers = 4;
    let shared = open(root.path());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let store = if writer < 2 { Arc::clone(&shared) } else { open(root.path()) };
                scope.spawn(move || write_much(&store, writer))
            })
            .collect();
        read_meanwhile(root.path(), || threads.iter().all(|thread| thread.is_finished()));
    });
    assert!(!shared.sync_has_failed());
    check_after_writers(root.path(), writers);
}

#[test]
fn the_agents_lock_passes_on_when_its_holder_is_killed() {
    let root = new_root();
    let store = open(root.path());
    let mut agent = start("agent", root.path());
    said(&mut agent, "elected");
    assert!(store.try_lock_agent().unwrap().is_none());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let lock = store.try_lock_agent().unwrap();
    assert!(lock.is_some());
    assert!(open(root.path()).try_lock_agent().unwrap().is_none(), "two agents");
    drop(lock);
    assert!(open(root.path()).try_lock_agent().unwrap().is_some());
}

#[test]
fn the_upload_of_a_living_process_is_kept_and_that_of_a_killed_one_is_swept() {
    let root = new_root();
    let store = open(root.path());
    let mut uploader = start("upload", root.path());
    said(&mut uploader, "uploading");
    assert_eq!(store.sweep_spools(Duration::ZERO).unwrap().abandoned, 0);
    assert_eq!(private_files(root.path(), "tmp").len(), 1);
    uploader.kill().unwrap();
    uploader.wait().unwrap();
    assert_eq!(store.sweep_spools(Duration::ZERO).unwrap().abandoned, 1);
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn a_web_server_can_read_replicas_whatever_umask_it_left_us() {
    use std::os::unix::fs::MetadataExt;
    let root = new_root();
    assert!(start("umask", root.path()).wait().unwrap().success());
    for (path, mode) in [("a", 0o755), ("a/b", 0o755), ("a/b/x", 0o644), (".webdfs", 0o700)] {
        let metadata = std::fs::metadata(root.path().join(path)).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{path}");
    }
}
