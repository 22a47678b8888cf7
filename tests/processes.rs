//! Several webdfs processes on one root, as web servers start them.

mod common;

use std::process::Command;

use common::process::Process;
use common::{Call, Cluster, Front, Options, fcgi, noise, wait_until};
use rustix::process::Signal;

/// Another process on the root of a node, with a FastCGI socket of its own.
fn another(cluster: &Cluster, node: usize, name: &str) -> (Process, std::path::PathBuf) {
    let dir = cluster.root(node).parent().unwrap().to_path_buf();
    let socket = dir.join(format!("{name}.sock"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("serve").arg("--config").arg(cluster.config(node));
    command.arg("--fcgi").arg(format!("unix:{}", socket.display()));
    let process = Process::start(&mut command, &dir.join(format!("{name}.log")));
    wait_until("it listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    (process, socket)
}

fn request(socket: &std::path::Path, method: &str, target: &str, body: &[u8]) -> fcgi::Reply {
    let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let length = body.len().to_string();
    let pairs = [
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", target),
        ("CONTENT_LENGTH", &length),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    fcgi::Client::new(stream).put(&pairs, body)
}

#[test]
fn processes_on_one_root_serve_the_same_and_one_does_the_background_work() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let (second, socket) = another(&cluster, 0, "second");
    wait_until("the second knows what is missing", || {
        request(&socket, "GET", "/missing.jpg", b"").status() == 404
    });
    let body = noise(1, 50_000);
    assert_eq!(request(&socket, "PUT", "/shared/a.jpg", &body).status(), 201);
    assert!(cluster.get(0, "/shared/a.jpg").expect(200).body == body);
    cluster.put(0, "/shared/b.jpg", "b").expect(201);
    assert_eq!(request(&socket, "GET", "/shared/b.jpg", b"").body(), b"b");
    cluster.delete(0, "/shared/b.jpg").expect(204);
    assert_eq!(request(&socket, "GET", "/shared/b.jpg", b"").status(), 404);

    // The first does the background work and has the embedded front; when it dies, the second takes both over.
    cluster.kill_webdfs(0);
    let at = cluster.side_address(0);
    wait_until("the second has the embedded front", || {
        Call::new("GET", "/shared/a.jpg").try_send(at).is_ok_and(|answer| answer.body == body)
    });
    cluster.kill(1);
    assert_eq!(request(&socket, "PUT", "/shared/c.jpg", b"c").status(), 201);
    cluster.restart(1);
    cluster.wait_until_ready(1);
    // Replayed by node 0 or 2, whoever is faster; node 0's marks go only if its second process works.
    wait_until("node 1 has what it missed", || cluster.has_file(1, "/shared/c.jpg"));
    let dirty = cluster.root(0).join(".webdfs/dirty").join(cluster.name(1));
    wait_until("no mark is left", || dirty.read_dir().is_ok_and(|mut marks| marks.next().is_none()));
    drop(second);
    cluster.restart(0);
    cluster.wait_until_ready(0);
    assert!(cluster.get(0, "/shared/a.jpg").expect(200).body == body);
}

#[test]
fn uploads_of_a_process_that_died_are_swept_by_another() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let (second, socket) = another(&cluster, 0, "second");
    let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let mut client = fcgi::Client::new(stream);
    let pairs = [
        ("REQUEST_METHOD", "PUT"),
        ("REQUEST_URI", "/swept/a.jpg"),
        ("CONTENT_LENGTH", "1000000"),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &pairs)].concat());
    client.send_body(1, &noise(1, 500_000));
    wait_until("the upload is on its way", || (0..3).all(|node| !cluster.spools(node).is_empty()));
    second.kill();
    wait_until("the upload is dropped", || (0..3).all(|node| cluster.spools(node).is_empty()));
    (0..3).for_each(|node| drop(cluster.get(node, "/swept/a.jpg").expect(404)));
}

#[test]
fn webdfs_agent_has_the_embedded_front_of_a_root_and_does_its_background_work() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    cluster.put(0, "/alone/a.jpg", "a").expect(201);
    cluster.kill_webdfs(0);
    let dir = cluster.root(0).parent().unwrap().to_path_buf();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("agent").arg("--config").arg(cluster.config(0));
    let mut agent = Process::start(&mut command, &dir.join("agent.log"));
    let at = cluster.side_address(0);
    wait_until("the agent has the embedded front", || {
        Call::new("GET", "/alone/a.jpg").try_send(at).is_ok_and(|answer| answer.text() == "a")
    });
    // Beside it, another process answers FastCGI.
    cluster.restart(0);
    cluster.wait_until_ready(0);
    cluster.put(0, "/alone/b.jpg", "b").expect(201);
    assert_eq!(Call::new("GET", "/alone/b.jpg").send(at).expect(200).text(), "b");
    // Its settings are read again there too.
    cluster.write_config(0, r#"["10.0.0.0/8"]"#);
    agent.signal(Signal::HUP);
    wait_until("the agent lets nobody write", || {
        Call::new("PUT", "/alone/x.jpg").body("x").send(at).status == 403
    });
    cluster.kill(1);
    cluster.put(2, "/alone/c.jpg", "c").expect(201);
    cluster.restart(1);
    cluster.wait_until_ready(1);
    let dirty = cluster.root(0).join(".webdfs/dirty").join(cluster.name(1));
    wait_until("no mark is left", || dirty.read_dir().is_ok_and(|mut marks| marks.next().is_none()));
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait().code(), Some(0));
    wait_until("the other process has the embedded front", || {
        Call::new("GET", "/alone/b.jpg").try_send(at).is_ok_and(|answer| answer.text() == "b")
    });
}

#[test]
fn who_does_the_background_work_stays_the_same_when_configurations_are_read_again() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let (second, _socket) = another(&cluster, 0, "second");
    let log_of_second = || std::fs::read_to_string(cluster.root(0).with_file_name("second.log")).unwrap();
    let elected = "this process does the background work";
    for _ in 0..3 {
        let again = "the configuration was read again";
        let before = (cluster.log(0).matches(again).count(), log_of_second().matches(again).count());
        cluster.with_webdfs(0, |first| first.signal(Signal::HUP));
        second.signal(Signal::HUP);
        wait_until("both have read it again", || {
            cluster.log(0).matches(again).count() > before.0
                && log_of_second().matches(again).count() > before.1
        });
    }
    assert_eq!(cluster.log(0).matches(elected).count(), 1, "elected once, and for all that");
    assert_eq!(log_of_second().matches(elected).count(), 0);
    cluster.kill_webdfs(0);
    wait_until("the second has the embedded front", || {
        Call::new("GET", "/missing.jpg")
            .try_send(cluster.side_address(0))
            .is_ok_and(|answer| answer.status == 404)
    });
    let log = log_of_second();
    assert!(!log.contains("cannot be bound"), "it did not try before it was elected:\n{log}");
}

#[test]
fn a_root_that_another_process_finds_complete_is_so_for_the_very_next_request() {
    let options = Options { nodes: 2, replicas: 2, write_quorum: 2, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let identity = cluster.root(0).join(".webdfs/node.toml");
    // Alone it can never find that out by itself.
    cluster.kill(1);
    let text = std::fs::read_to_string(&identity).unwrap();
    let returned = text.replace("complete = true", "complete = false")
        + "returned = \"5-00000000000000000000000000000000\"\n";
    std::fs::write(&identity, returned).unwrap();
    // Of two names: what nobody could say of the first is believed for a moment.
    let asked = |method, target| Call::new(method, target).try_send(cluster.address(0));
    wait_until("it answers", || asked("GET", "/before.jpg").is_ok());
    for method in ["GET", "HEAD", "DELETE"] {
        assert_eq!(asked(method, "/before.jpg").unwrap().status, 503, "{method} before");
    }
    std::fs::write(&identity, text).unwrap();
    for method in ["GET", "HEAD"] {
        assert_eq!(asked(method, "/afterwards.jpg").unwrap().status, 404, "{method} afterwards");
    }
}

/// The threads of a process: the name of each, and what it is nicer by than usual.
fn threads(id: u32) -> Vec<(String, i32)> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let of = |folder: std::path::PathBuf| {
        // One may end meanwhile.
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        // proc_pid_stat(5): the 19th, and the third is the first after the name.
        Some((name.to_owned(), rest.split_whitespace().nth(16)?.parse().unwrap()))
    };
    threads.filter_map(|thread| of(thread.unwrap().path())).collect()
}

#[test]
fn the_background_work_of_a_node_and_for_others_gives_way_to_requests() {
    const FILES: usize = 200;
    let prepare = |cluster: &Cluster| {
        (0..FILES).for_each(|number| {
            common::lay_down(&cluster.root(0), &format!("{number}.jpg"), &noise(number as u64, 2000));
        });
    };
    let options = Options { nodes: 2, replicas: 2, write_quorum: 1, prepare, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    wait_until("all has been sent to the other node", || {
        (0..FILES).all(|number| cluster.has_file(1, &format!("/{number}.jpg")))
    });
    cluster.put(0, "/written.jpg", "x").expect(201);
    for node in 0..2 {
        let threads = threads(cluster.with_webdfs(node, |process| process.id()));
        let (background, other): (Vec<_>, Vec<_>) =
            threads.iter().partition(|(name, _)| name == "background");
        assert!(background.iter().all(|(_, nice)| *nice == 10), "{threads:?}");
        assert!(other.iter().all(|(_, nice)| *nice == 0), "{threads:?}");
        // One waits for sockets; others have read what was sent, or stored what came.
        assert!(background.len() > 1, "the disk is waited for by such threads, too: {threads:?}");
    }
}
