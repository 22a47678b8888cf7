//! The shipped units, and what systemd and webdfs tell each other.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::process::{Dir, Process, children};
use common::{Call, Cluster, Front, Options, fcgi, noise, wait_until};
use rustix::process::Signal;
use webdfs::front::fastcgi;
use webdfs::peer::client::ANSWER_TIMEOUT;

const SERVICES: [&str; 2] = ["webdfs.service", "webdfs-agent.service"];
const SOCKETS: [&str; 2] = ["webdfs.socket", "webdfs-http.socket"];
/// What `systemd-analyze security` may say of a service at most, in tenths; 100 is "no protection at all".
const EXPOSURE_MAX: u32 = 15;
/// Somebody who owns nothing on this machine.
const NOBODY: u32 = 65534;

fn alone() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of a setting of a unit.
fn values(unit: &str, setting: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == setting).map(|(_, value)| value.to_owned()).collect()
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Output {
    Command::new("systemd-analyze").args(arguments).args(units).output().expect("systemd-analyze runs")
}

/// The shipped units in a folder, with a program that is there.
fn installed(dir: &Dir) -> Vec<PathBuf> {
    let install = |name: &&str| {
        let path = dir.join(name);
        let text = unit(name).replace("/usr/bin/webdfs", env!("CARGO_BIN_EXE_webdfs"));
        fs::write(&path, text).unwrap();
        path
    };
    SOCKETS.iter().chain(&SERVICES).map(install).collect()
}

#[test]
fn systemd_accepts_the_units_without_a_word() {
    let dir = Dir::new();
    let output = analyze(&["verify", "--man=no"], &installed(&dir));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_service_is_exposed_to_little() {
    let dir = Dir::new();
    for service in &installed(&dir)[SOCKETS.len()..] {
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let output = analyze(&["security", "--offline=true", &threshold], std::slice::from_ref(service));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{}", said.lines().last().unwrap_or_default());
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn what_the_units_start_exists() {
    for name in SERVICES {
        let [command] = &values(&unit(name), "ExecStart")[..] else { panic!("{name}: one ExecStart") };
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "/usr/bin/webdfs");
        let missing = "/nonexistent/node.toml";
        let arguments = words[1..].iter().map(|word| word.replace("/etc/webdfs/node.toml", missing));
        let output = Command::new(env!("CARGO_BIN_EXE_webdfs")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Not 2, which is what an unknown option ends with.
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(missing), "{said}");
    }
}

#[test]
fn systemd_waits_longer_for_the_end_than_webdfs_takes() {
    let background = ANSWER_TIMEOUT * 2 + Duration::from_secs(2);
    for name in SERVICES {
        let stop = values(&unit(name), "TimeoutStopSec").remove(0);
        let seconds: u64 = stop.trim_end_matches('s').parse().unwrap();
        let needed = fastcgi::Limits::default().drain + background;
        assert!(
            Duration::from_secs(seconds) > needed + Duration::from_secs(10),
            "{name}: {stop}, {needed:?}"
        );
    }
}

/// What a `Type=notify` service is told to speak to.
struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message.
    fn told(&self) -> String {
        let mut buffer = [0; 1000];
        let length = self.0.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

#[test]
fn systemd_is_told_of_the_whole_life_of_a_service() {
    let cluster = Cluster::start(Front::Nginx, alone());
    drop(cluster.take_webdfs(0));
    Process::prepare_to_adopt();
    let dir = cluster.root(0).parent().unwrap().to_path_buf();
    let manager = Manager::new(&dir.join("notify"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["serve", "--config"]).arg(cluster.config(0)).env("NOTIFY_SOCKET", dir.join("notify"));
    let mut webdfs = Process::start(&mut command, &dir.join("webdfs.log"));
    assert_eq!(manager.told().trim(), "READY=1");
    assert!(UnixStream::connect(cluster.socket(0)).is_ok(), "it has said that it is ready");

    webdfs.signal(Signal::HUP);
    let reloading = manager.told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.told().trim(), "READY=1");

    webdfs.signal(Signal::USR2);
    let main = manager.told();
    let id = main.trim().strip_prefix("MAINPID=").and_then(|id| id.parse().ok()).expect("a new main process");
    assert_eq!(manager.told().trim(), "READY=1");
    assert_eq!(webdfs.wait().code(), Some(0));
    let mut next = Process::adopt(id);
    assert_eq!(cluster.get(0, "/missing.jpg").status, 404);

    next.signal(Signal::TERM);
    assert_eq!(manager.told().trim(), "STOPPING=1");
    assert_eq!(next.wait().code(), Some(0));
}

/// `systemd-socket-activate` with the cluster's sockets and these names, before webdfs.
fn activated(cluster: &Cluster, names: &str, listen: &[String]) -> Process {
    let mut command = Command::new("systemd-socket-activate");
    command.args(listen.iter().flat_map(|address| ["-l", address]));
    command.arg(format!("--fdname={names}")).arg(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["serve", "--config"]).arg(cluster.config(0));
    let log = cluster.root(0).parent().unwrap().join("webdfs.log");
    Process::start(&mut command, &log)
}

#[test]
fn both_sockets_may_come_from_systemd_in_any_order() {
    for (names, reversed) in [("fcgi:http", false), ("http:fcgi", true)] {
        let cluster = Cluster::start(Front::Responder, alone());
        cluster.put(0, "/a.jpg", "a").expect(201);
        let mut old = cluster.take_webdfs(0);
        old.signal(Signal::TERM);
        assert_eq!(old.wait().code(), Some(0));
        let mut listen = [cluster.socket(0).display().to_string(), cluster.side_address(0).to_string()];
        if reversed {
            listen.reverse();
        }
        let mut webdfs = activated(&cluster, names, &listen);
        wait_until("it listens", || cluster.socket(0).exists());
        assert_eq!(cluster.get(0, "/a.jpg").expect(200).text(), "a");
        let side = Call::new("GET", "/a.jpg").send(cluster.side_address(0));
        assert_eq!(side.expect(200).text(), "a");
        webdfs.signal(Signal::TERM);
        assert_eq!(webdfs.wait().code(), Some(0));
        assert!(cluster.socket(0).exists(), "the socket is not ours to remove");
    }
}

#[test]
fn a_socket_that_listens_elsewhere_than_configured_is_refused() {
    let cluster = Cluster::start(Front::Nginx, alone());
    drop(cluster.take_webdfs(0));
    let dir = cluster.root(0).parent().unwrap().to_path_buf();
    let elsewhere = dir.join("elsewhere.sock");
    let mut webdfs = activated(&cluster, "fcgi", &[elsewhere.display().to_string()]);
    wait_until("it listens", || UnixStream::connect(&elsewhere).is_ok());
    assert_eq!(webdfs.wait().code(), Some(1));
    let log = cluster.log(0);
    let said = format!("is unix:{}, and [listen] fcgi is another", elsewhere.display());
    assert!(log.contains(&said), "{log}");
}

/// Starts webdfs as the unit does, as far as that goes without systemd: nobody's user, no privileges and no way to get
/// any, everything read-only but the storage root and the folder of the sockets, under a strict umask; and writes
/// down every system call.
fn confined(cluster: &Cluster, calls: &Path) -> Process {
    let dir = cluster.root(0).parent().unwrap().to_path_buf();
    let umask = values(&unit("webdfs.service"), "UMask").remove(0);
    let script = format!(
        "set -e; mount --make-rprivate /
         for writable in root sockets calls; do mount --bind $writable $writable; done
         mount -o remount,bind,ro /; mount -o remount,bind,ro /tmp 2>/dev/null || true
         umask {umask}
         exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --bounding-set=-all \
            --inh-caps=-all strace -f -o {calls} \"$0\" serve --config \"$1\"",
        calls = calls.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_webdfs")]);
    command.arg(cluster.config(0)).current_dir(&dir);
    Process::start(&mut command, &dir.join("webdfs.log"))
}

/// Gives a folder and all in it to nobody.
fn give_away(path: &Path) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}

/// The names in a set of system calls, as systemd has it; a call of its own is a set of one.
fn system_calls(set: &str) -> BTreeSet<String> {
    if !set.starts_with('@') {
        return BTreeSet::from([set.to_owned()]);
    }
    let output = analyze(&["syscall-filter", set], &[]);
    assert!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stderr));
    let mut names = BTreeSet::new();
    for word in String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::trim) {
        match word.strip_prefix('#') {
            None if word.starts_with('@') => names.append(&mut system_calls(word)),
            None if !word.is_empty() => drop(names.insert(word.to_owned())),
            _ => {}
        }
    }
    names
}

/// What `SystemCallFilter=` leaves of all system calls.
fn allowed_calls(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for line in values(unit, "SystemCallFilter") {
        let sets = line.trim_start_matches('~').split(' ').map(system_calls);
        for set in sets {
            if line.starts_with('~') {
                allowed = allowed.difference(&set).cloned().collect();
            } else {
                allowed.extend(set);
            }
        }
    }
    allowed
}

#[test]
fn what_the_service_may_not_do_it_does_not_need() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes a mount namespace");
    let cluster = Cluster::start(Front::Embedded, Options { durability: "sync", ..alone() });
    drop(cluster.take_webdfs(0));
    Process::prepare_to_adopt();
    let dir = cluster.root(0).parent().unwrap().to_path_buf();
    for folder in ["sockets", "calls"] {
        fs::create_dir(dir.join(folder)).unwrap();
    }
    let config = fs::read_to_string(cluster.config(0)).unwrap();
    let socket = dir.join("sockets/webdfs.sock");
    let listen = format!("[listen]\nfcgi = \"unix:{}\"\nfcgi_mode = \"0666\"", socket.display());
    fs::write(cluster.config(0), config.replace("[listen]", &listen)).unwrap();
    give_away(dir.parent().unwrap()).unwrap();

    let calls = dir.join("calls/strace");
    let mut tracer = confined(&cluster, &calls);
    wait_until("it serves", || {
        assert!(tracer.ended().is_none(), "{}", cluster.log(0));
        UnixStream::connect(&socket).is_ok()
            && Call::new("GET", "/missing").try_send(cluster.address(0)).is_ok_and(|a| a.status == 404)
    });
    let webdfs = main_process(tracer.id());
    exercise(&cluster, &socket);
    let signal = |id: u32, signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(id as i32).unwrap(), signal).unwrap();
    };
    signal(webdfs, Signal::HUP);
    wait_until("it reads its configuration", || cluster.log(0).contains("the configuration was read again"));
    signal(webdfs, Signal::USR2);
    wait_until("a new process serves", || cluster.log(0).contains("has taken the place"));
    exercise(&cluster, &socket);
    wait_until("the old one has ended", || main_process(tracer.id()) != webdfs);
    let log = cluster.log(0);
    let next = log.lines().find_map(|line| line.split_once(" starts, and takes over")?.0.rsplit(' ').next());
    signal(next.expect("a process").parse().unwrap(), Signal::TERM);
    tracer.wait();
    let log = cluster.log(0);
    assert!(!log.contains("ERROR"), "{log}");

    let text = fs::read_to_string(&calls).unwrap();
    check_calls(&text);
}

/// The first process that a tracer traces and that still runs.
fn main_process(tracer: u32) -> u32 {
    children(tracer).first().copied().unwrap_or(0)
}

/// Requests of every kind.
fn exercise(cluster: &Cluster, socket: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let body = noise(1, 3 << 20);
    cluster.put(0, "/a/b/c.jpg", body.clone());
    assert!(cluster.get(0, "/a/b/c.jpg").expect(200).body == body);
    let mode = |path: &str| cluster.file(0, path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("/a"), mode("/a/b"), mode("/a/b/c.jpg")), (0o755, 0o755, 0o644), "whatever the umask");
    cluster.send(0, &Call::form("/a/", &[("name=\"f\"; filename=\"f.jpg\"", b"form")]));
    cluster.send(0, &Call::new("COPY", "/a/f.jpg").header("Destination", "/a/g.jpg"));
    cluster.delete(0, "/a/f.jpg").expect(204);
    cluster.put(0, "/a/b", "a file where a folder is");
    cluster.delete(0, "/a/b").expect(204);
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut client = fcgi::Client::new(stream);
    let pairs = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a/b/c.jpg"), ("REMOTE_ADDR", "127.0.0.1")];
    let reply = client.get(&pairs);
    assert_eq!(reply.status(), 200);
}

/// Checks every call that strace has written down against what the unit allows.
fn check_calls(text: &str) {
    let unit = unit("webdfs.service");
    let allowed = allowed_calls(&unit);
    let families = values(&unit, "RestrictAddressFamilies").remove(0);
    let families: BTreeSet<&str> = families.split(' ').collect();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        // PID NAME(ARGUMENTS) = RESULT, or a call that goes on, a signal or an end.
        let Some((_, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        seen.insert(name);
        if matches!(name, "socket" | "socketpair") {
            let family = arguments.split(',').next().unwrap();
            assert!(families.contains(family), "RestrictAddressFamilies forbids {line}");
        }
        if matches!(name, "mmap" | "mprotect" | "pkey_mprotect") {
            let both = arguments.contains("PROT_EXEC") && arguments.contains("PROT_WRITE");
            assert!(!both, "MemoryDenyWriteExecute forbids {line}");
            assert!(name == "mmap" || !arguments.contains("PROT_EXEC"), "it also forbids {line}");
        }
        if name.starts_with("open") && arguments.contains("\"/proc/") && !line.contains("= -1") {
            // The last is glibc's malloc, which takes it for 0 if it cannot be read (`check_may_shrink_heap`).
            let fine = ["\"/proc/self/", "\"/proc/thread-self/", "\"/proc/sys/vm/overcommit_memory\""];
            let own = fine.iter().any(|fine| arguments.contains(fine));
            assert!(own, "ProcSubset=pid hides {line}");
        }
    }
    assert!(seen.contains("execve") && seen.contains("fsync") && seen.len() > 40, "{seen:?}");
    let forbidden: Vec<_> = seen.iter().filter(|name| !allowed.contains(**name)).collect();
    assert!(forbidden.is_empty(), "SystemCallFilter forbids {forbidden:?}");
}
