//! HAProxy in front of webdfs: facts about it that the shipped file relies on, and its multiplexed connections, which no
//! other web server has.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{
    Answer, Call, Cluster, Connection, Front, Options, WRONG_PASSWORD, assert_missing, assert_nothing,
    assert_only_ann_may_upload, assert_stored, noise, wait_until,
};

/// After this time a request that webdfs has not been told of is one that HAProxy holds back.
const STALLS_AFTER: Duration = Duration::from_secs(10);

fn one_node(prepare: fn(&Cluster)) -> Cluster {
    Cluster::start(Front::Haproxy, Options::one_node(prepare))
}

fn edit(cluster: &Cluster, changes: &[(&str, &str)]) {
    cluster.edit_server_file(0, "webdfs.cfg", changes);
}

/// Several requests at a time on one connection, whichever clients they come from.
fn multiplex(cluster: &Cluster) {
    edit(
        cluster,
        &[
            (
                "    option keep-conn\n",
                "    option keep-conn\n    option mpxs-conns\n    option max-reqs 32\n",
            ),
            ("    retries 3\n", "    retries 3\n    http-reuse always\n"),
        ],
    );
}

/// The connections that are open to the socket of webdfs. (`/proc/net/unix`: the accepted ends bear the name of the
/// socket they came through, and are in state 3, connected.)
fn connections(cluster: &Cluster) -> usize {
    let socket = cluster.socket(0);
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let ours = sockets.lines().filter(|line| line.ends_with(socket.to_str().unwrap()));
    ours.filter(|line| line.split_whitespace().nth(5) == Some("03")).count()
}

/// HAProxy holds a request back.
struct Stalled;

/// Tries again where HAProxy stalls. It forgets a stream of a shared connection now and then: nothing waits in a socket on either
/// side, webdfs has answered all it was asked, and HAProxy sleeps (seen with 2.6).
fn unless_it_stalls(test: impl Fn()) {
    for _ in 0..8 {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(&test)) {
            Ok(()) => return,
            Err(problem) if problem.is::<Stalled>() => eprintln!("HAProxy holds a request back: once more"),
            Err(problem) => std::panic::resume_unwind(problem),
        }
    }
    panic!("HAProxy holds requests back every time");
}

/// An upload that has begun, and whose first bytes webdfs has taken.
fn begin_upload(cluster: &Cluster, target: &str, body: &[u8], sent: usize) -> Connection {
    let before = cluster.spools(0).len();
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", target).header("Content-Length", &body.len().to_string());
    connection.begin(&call).unwrap();
    connection.write(&body[..sent]).unwrap();
    let began = Instant::now();
    while cluster.spools(0).len() <= before {
        if began.elapsed() > STALLS_AFTER {
            std::panic::panic_any(Stalled);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    connection
}

#[test]
fn a_kept_connection_is_used_again_by_one_request_at_a_time() {
    let cluster = one_node(|_| ());
    let mut client = Connection::open(cluster.address(0)).unwrap();
    let mut get = || Call::new("GET", "/none.jpg").send_on(&mut client).unwrap().expect(404);
    get();
    let before = connections(&cluster);
    (0..20).for_each(|_| drop(get()));
    assert!(connections(&cluster) <= before);
    let body = noise(1, 1_000_000);
    let uploads: Vec<_> =
        (0..4).map(|number| begin_upload(&cluster, &format!("/kept/{number}.jpg"), &body, 500_000)).collect();
    assert!(connections(&cluster) >= 4);
    for mut upload in uploads {
        upload.write(&body[500_000..]).unwrap();
        upload.answer("PUT").unwrap().expect(201);
    }
}

#[test]
fn requests_of_many_clients_share_one_connection_if_haproxy_is_told_so() {
    unless_it_stalls(|| {
        let cluster = one_node(multiplex);
        cluster.get(0, "/none.jpg").expect(404);
        let body = noise(2, 1_000_000);
        // Each is in the middle of its upload while the others begin, end and fail.
        let uploads: Vec<_> = (0..8)
            .map(|number| begin_upload(&cluster, &format!("/shared/{number}.jpg"), &body, 500_000))
            .collect();
        assert_eq!(connections(&cluster), 1);
        for number in 0..20 {
            let target = format!("/shared/between/{number}.jpg");
            cluster.put(0, &target, body.clone()).expect(201);
            assert!(cluster.get(0, &target).expect(200).body == body);
            cluster.get(0, "/shared/none.jpg").expect(404);
        }
        for mut upload in uploads {
            upload.write(&body[500_000..]).unwrap();
            upload.answer("PUT").unwrap().expect(201);
        }
        (0..8).for_each(|number| assert_stored(&cluster, &format!("/shared/{number}.jpg"), &body));
        assert_eq!(connections(&cluster), 1);
    });
}

#[test]
fn more_requests_than_a_connection_takes_get_another_one() {
    unless_it_stalls(|| {
        let cluster = one_node(multiplex);
        let body = noise(3, 1_000_000);
        let uploads: Vec<_> = (0..40)
            .map(|number| begin_upload(&cluster, &format!("/many/{number}.jpg"), &body, 500_000))
            .collect();
        // webdfs says that 32 at a time is its limit, and HAProxy keeps to it.
        assert_eq!(connections(&cluster), 2);
        for mut upload in uploads {
            upload.write(&body[500_000..]).unwrap();
            upload.answer("PUT").unwrap().expect(201);
        }
    });
}

#[test]
fn a_client_that_goes_away_ends_its_own_request_on_a_shared_connection_and_no_other() {
    unless_it_stalls(|| {
        let cluster = one_node(multiplex);
        let body = noise(4, 1_000_000);
        let mut stays = begin_upload(&cluster, "/gone/stays.jpg", &body, 500_000);
        for _ in 0..5 {
            let goes = begin_upload(&cluster, "/gone/goes.jpg", &body, 500_000);
            // The background work has a file of its own there for a moment.
            wait_until("both are on their way", || cluster.spools(0).len() == 2);
            drop(goes);
            wait_until("the upload of the client that went away is dropped", || cluster.spools(0).len() == 1);
        }
        assert_eq!(connections(&cluster), 1, "the connection is the same");
        stays.write(&body[500_000..]).unwrap();
        stays.answer("PUT").unwrap().expect(201);
        assert_stored(&cluster, "/gone/stays.jpg", &body);
        assert_nothing(&cluster, "/gone/goes.jpg");
    });
}

#[test]
fn a_reader_that_goes_away_leaves_a_shared_connection_in_step() {
    let cluster = one_node(multiplex);
    let (large, small) = (noise(5, 16 << 20), noise(6, 20_000));
    cluster.put(0, "/leaves/large.bin", large).expect(201);
    cluster.put(0, "/leaves/small.jpg", small.clone()).expect(201);
    for _ in 0..10 {
        let mut reader = Connection::open(cluster.address(0)).unwrap();
        reader.begin(&Call::new("GET", "/leaves/large.bin")).unwrap();
        reader.answer_head().unwrap().expect(200);
        drop(reader);
        assert!(cluster.get(0, "/leaves/small.jpg").expect(200).body == small);
    }
    // HAProxy may close it when a reader has gone, and open another.
    wait_until("one connection at most is left", || connections(&cluster) <= 1);
}

#[test]
fn a_chunked_upload_larger_than_haproxys_buffer_is_refused_and_leaves_nothing() {
    let cluster = one_node(|_| ());
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/chunked/a.jpg").header("Transfer-Encoding", "chunked")).unwrap();
    let _ = connection.chunk(&noise(7, 100_000));
    let _ = connection.chunk(b"");
    connection.answer("PUT").unwrap().expect(411);
    assert_nothing(&cluster, "/chunked/a.jpg");
}

#[test]
fn an_upload_above_the_limit_is_refused() {
    let cluster = one_node(|cluster| edit(cluster, &[("1073741824", "100000")]));
    let put = |length: usize| -> Answer {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        let call = Call::new("PUT", "/limit/a.jpg").header("Content-Length", &length.to_string());
        connection.begin(&call).unwrap();
        // HAProxy waits for a buffer of the body before it looks at any rule.
        let _ = connection.write(&noise(8, length));
        connection.answer("PUT").unwrap()
    };
    put(100_001).expect(413);
    assert_missing(&cluster, "/limit/a.jpg");
    put(100_000).expect(201);
}

#[test]
fn whoever_knows_the_password_may_write_once_passwords_are_switched_on() {
    let switched_on = |cluster: &Cluster| {
        cluster.write_config(0, r#"["remote-user"]"#);
        edit(
            cluster,
            &[
                ("#http-request auth", "http-request auth"),
                ("#http-request set-var(txn.webdfs_user)", "http-request set-var(txn.webdfs_user)"),
                ("#userlist", "userlist"),
                ("#    user ann password $5$...", "    user ann insecure-password secret"),
            ],
        );
    };
    let cluster = one_node(switched_on);
    assert_only_ann_may_upload(&cluster);
    cluster.send(0, &Call::new("GET", "/password/a.jpg").header("Authorization", WRONG_PASSWORD)).expect(200);
}

#[test]
fn headers_with_an_underscore_do_not_pass_for_others() {
    let cluster = one_node(|_| ());
    let etag = cluster.put(0, "/under/a.jpg", "x").expect(201).etag().to_owned();
    let call = |name: &str| Call::new("GET", "/under/a.jpg").header(name, &etag);
    cluster.send(0, &call("If-None-Match")).expect(304);
    cluster.send(0, &call("If_None_Match")).expect(200);
}

#[test]
fn what_haproxy_cannot_pass_on_is_the_clients_mistake() {
    let cluster = one_node(|_| ());
    for (method, target) in [("GET", "*"), ("PUT", "*"), ("CONNECT", "localhost:80")] {
        cluster.send(0, &Call::new(method, target).header("Content-Length", "0")).expect(400);
    }
    cluster.get(0, &format!("/{}", "a".repeat(9000))).expect(414);
    cluster.get(0, &format!("/{}", "%61".repeat(3000))).expect(414);
    // The longest names that there are.
    let name = vec!["a".repeat(255); 4].join("/");
    let encoded = name.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().replace("%2F", "/");
    cluster.put(0, &format!("/{encoded}"), "long").expect(201);
    assert_stored(&cluster, &format!("/{name}"), b"long");
}

/// What Debian's haproxy.cfg says, and what the shipped file says to do about it.
#[test]
fn a_haproxy_in_a_chroot_reaches_webdfs_as_its_group_if_the_socket_is_there() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    assert!(rustix::process::geteuid().is_root(), "only root can have HAProxy change its user");
    let id = |kind: &str, name: &str| -> u32 {
        let output = std::process::Command::new("id").args([kind, name]).output().expect("id runs");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("Debian brings this user")
    };
    let prepare = |cluster: &Cluster| {
        let (dir, config) = (cluster.root(0).parent().unwrap().to_owned(), "haproxy.cfg");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // In the chroot, which is this folder, the path of this folder leads back to it.
        let inside = dir.join(dir.strip_prefix("/").unwrap());
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        symlink("/", &inside).unwrap();
        let jail = format!("global\n    chroot {}\n    user haproxy\n    group www-data\n", dir.display());
        let text = fs::read_to_string(dir.join(config)).unwrap();
        fs::write(dir.join(config), text.replacen("global\n", &jail, 1)).unwrap();
    };
    let options = Options { nodes: 1, replicas: 1, write_quorum: 1, prepare, ..Options::default() };
    let cluster = Cluster::launch(Front::Haproxy, options);
    wait_until("the socket is there", || cluster.socket(0).exists());
    wait_until("HAProxy answers", || Call::new("GET", "/a.txt").try_send(cluster.address(0)).is_ok());
    cluster.get(0, "/a.txt").expect(503);
    chown(cluster.socket(0), None, Some(id("-g", "www-data"))).unwrap();
    cluster.wait_until_ready(0);
    cluster.put(0, "/a.txt", "through the wall").expect(201);
    // The group that a user has besides does not count.
    chown(cluster.socket(0), Some(id("-u", "www-data")), Some(id("-g", "haproxy"))).unwrap();
    cluster.get(0, "/a.txt").expect(503);
}
