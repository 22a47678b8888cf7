//! Files that the web server sends in webdfs's place: what webdfs tells it, through a raw FastCGI client in the place of
//! the server, and what becomes of it, through the real server.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::OnceLock;

use common::fcgi::{Client, Reply, record};
use common::{Answer, Call, Cluster, Front, Options, PATIENCE, noise};

/// Larger than `map_max` here.
const LARGE: usize = 20_000;
/// Parameters of a request.
type Params<'a> = &'a [(&'a str, &'a str)];
/// The servers that know X-Sendfile.
const SENDERS: [Front; 4] = [Front::Lighttpd, Front::LighttpdSpawned, Front::ApacheProxy, Front::ApacheFcgid];
/// Names that a header, a URL or a path could get wrong, percent-encoded; and whether lighttpd can be told of them.
const ODD: [(&str, bool); 9] = [
    ("/odd/a%20b.jpg", true),
    ("/odd/100%25.jpg", true),
    ("/odd/%2541.jpg", true),
    ("/odd/what%3F%23.jpg", true),
    ("/odd/%22q%22&'+;.jpg", true),
    ("/odd/%C3%A4%E2%82%AC.jpg", true),
    ("/odd/back%5Cslash.jpg", true),
    ("/odd/latin%E4.jpg", false),
    ("/odd/space%20", true),
];
/// Names with control characters: no header may ever carry them.
const CONTROLS: [&str; 4] =
    ["/odd/line%0D%0AX-Split:%20yes.jpg", "/odd/tab%09.jpg", "/odd/del%7F.jpg", "/odd/%01.jpg"];

/// One node that leaves files above 10,000 bytes to its server, which asks for each.
fn start(front: Front, top: &'static str) -> Cluster {
    Cluster::start(
        front,
        Options {
            nodes: 1,
            replicas: 1,
            write_quorum: 1,
            deliver: "map_max = \"10000B\"",
            top,
            static_first: false,
            ..Options::default()
        },
    )
}

/// A cluster that all tests of this program share.
fn shared(front: Front) -> &'static Cluster {
    static CLUSTERS: [OnceLock<Cluster>; 3] = [const { OnceLock::new() }; 3];
    let index = match front {
        Front::Lighttpd => 0,
        Front::ApacheProxy => 1,
        Front::Responder => 2,
        _ => unreachable!("not shared"),
    };
    CLUSTERS[index].get_or_init(|| start(front, ""))
}

/// What webdfs answers to its server.
fn told(cluster: &Cluster, method: &str, target: &str, more: Params<'_>) -> Reply {
    let stream = UnixStream::connect(cluster.socket(0)).expect("webdfs listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut pairs = vec![("REQUEST_METHOD", method), ("REQUEST_URI", target)];
    pairs.extend(more);
    Client::new(stream).get(&pairs)
}

/// What webdfs answers to its server, which has said that it sends files.
fn told_sender(cluster: &Cluster, method: &str, target: &str, more: Params<'_>) -> Reply {
    told(cluster, method, target, &[&[("WEBDFS_SENDFILE", "1")], more].concat())
}

/// The value of X-Sendfile, whatever bytes it has.
fn file_named(reply: &Reply) -> Option<Vec<u8>> {
    let head = reply.stdout.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let line =
        reply.stdout[..head].split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"X-Sendfile: "));
    let line = line.or_else(|| {
        reply.stdout[..head].split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"x-sendfile: "))
    });
    line.map(|value| value.strip_suffix(b"\r").unwrap_or(value).to_vec())
}

fn decoded(target: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(target).collect()
}

fn put(cluster: &Cluster, target: &str, seed: u64) -> Vec<u8> {
    let body = noise(seed, LARGE);
    let answer = Call::new("PUT", target).body(body.clone()).send(cluster.side_address(0));
    assert!(matches!(answer.status, 201 | 204), "{target} {answer}");
    body
}

#[test]
fn no_server_is_told_to_open_a_file_that_may_be_gone_by_then_since_it_belongs_elsewhere() {
    let options = Options {
        nodes: 2,
        replicas: 1,
        write_quorum: 1,
        deliver: "map_max = \"10000B\"",
        static_first: false,
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Lighttpd, options);
    let body = noise(1, LARGE);
    for (owner, is_told) in [(0, true), (1, false)] {
        let target = cluster.path_owned("/far", |owners| owners == [owner]);
        let file = cluster.file(0, &target);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &body).unwrap();
        let reply = told_sender(&cluster, "GET", &target, &[]);
        assert_eq!(file_named(&reply).is_some(), is_told, "{}", reply.head());
        assert!(is_told || reply.body() == body);
    }
}

#[test]
fn lighttpd_is_told_an_encoded_path_and_apache_the_path_as_it_is() {
    for front in [Front::Lighttpd, Front::ApacheProxy] {
        let cluster = shared(front);
        for (seed, (target, for_lighttpd)) in ODD.into_iter().enumerate() {
            put(cluster, target, seed as u64);
            let reply = told_sender(cluster, "GET", target, &[]);
            let value = file_named(&reply);
            let mut path = cluster.root(0).into_os_string().into_encoded_bytes();
            path.extend(decoded(target));
            let expected = match front {
                Front::Lighttpd if !for_lighttpd => None,
                Front::ApacheProxy if target.ends_with("%20") => None,
                _ => Some(path),
            };
            let understood = value.map(|value| match front {
                Front::Lighttpd => percent_encoding::percent_decode(&value).collect(),
                _ => value,
            });
            assert_eq!(understood, expected, "{front:?} {target}");
            assert_eq!(reply.stdout.ends_with(b"\r\n\r\n"), expected.is_some(), "{front:?} {target}: a body");
        }
    }
}

#[test]
fn a_name_with_control_characters_never_gets_into_a_header() {
    for front in [Front::Lighttpd, Front::ApacheProxy, Front::Responder] {
        let cluster = shared(front);
        for (seed, target) in CONTROLS.into_iter().enumerate() {
            let body = put(cluster, target, 50 + seed as u64);
            let reply = told_sender(cluster, "GET", target, &[]);
            assert_eq!(reply.status(), 200, "{front:?} {target}");
            assert_eq!(reply.header("X-Split"), None);
            let lines = reply.head().replace("\r\n", "");
            assert!(!lines.chars().any(|c| c.is_ascii_control()), "{front:?} {target}: {lines:?}");
            assert_eq!(file_named(&reply), None, "{front:?} {target}");
            if front != Front::Responder {
                assert!(reply.body() == body, "{front:?} {target}");
            }
        }
    }
}

#[test]
fn only_a_server_that_says_so_and_no_client_makes_webdfs_name_a_file() {
    for front in [Front::Lighttpd, Front::ApacheProxy] {
        let cluster = shared(front);
        let body = put(cluster, "/plain.jpg", 1);
        let small = noise(2, 9_999);
        Call::new("PUT", "/small.jpg").body(small.clone()).send(cluster.side_address(0));
        assert!(file_named(&told_sender(cluster, "GET", "/plain.jpg", &[])).is_some());
        for params in [
            &[][..],
            &[("WEBDFS_SENDFILE", "0")],
            &[("WEBDFS_SENDFILE", "")],
            &[("HTTP_WEBDFS_SENDFILE", "1")],
            &[("HTTP_X_SENDFILE", "1"), ("HTTP_X_SENDFILE_TYPE", "X-Sendfile")],
        ] {
            let reply = told(cluster, "GET", "/plain.jpg", params);
            assert_eq!(file_named(&reply), None, "{front:?} {params:?}");
            assert!(reply.body() == body, "{front:?} {params:?}");
        }
        let reply = told_sender(cluster, "GET", "/small.jpg", &[]);
        assert!(file_named(&reply).is_none() && reply.body() == small, "a small file");
    }
}

#[test]
fn a_file_is_named_with_status_200_alone() {
    for front in [Front::Lighttpd, Front::ApacheProxy] {
        let cluster = shared(front);
        let target = format!("/status-{}.jpg", front.word());
        put(cluster, &target, 3);
        let etag = cluster.get(0, &target).expect(200).etag().to_owned();
        let cases: [(&str, Params<'_>, u16); 8] = [
            ("GET", &[("HTTP_IF_NONE_MATCH", &etag)], 304),
            ("HEAD", &[("HTTP_IF_NONE_MATCH", &etag)], 304),
            ("GET", &[("HTTP_IF_MATCH", "\"other\"")], 412),
            ("GET", &[("HTTP_RANGE", "bytes=99999-")], 416),
            ("GET", &[("HTTP_RANGE", "bytes=0-1,5-6")], 206),
            ("PUT", &[("CONTENT_LENGTH", "5")], 403),
            ("POST", &[], 405),
            ("DELETE", &[], 403),
        ];
        for (method, params, status) in cases {
            let params = [params, &[("REMOTE_ADDR", "192.0.2.1")]].concat();
            let reply = told_sender(cluster, method, &target, &params);
            if method != "POST" {
                assert_eq!(reply.status(), status, "{front:?} {method} {params:?}");
            }
            assert_eq!(file_named(&reply), None, "{front:?} {method} {params:?}");
        }
        let reply = told_sender(cluster, "GET", "/.webdfs/node.toml", &[]);
        assert!(file_named(&reply).is_none() && reply.status() >= 400);
        let reply = told_sender(cluster, "GET", "/missing.jpg", &[]);
        assert!(file_named(&reply).is_none() && reply.status() == 404);
    }
}

#[test]
fn a_replica_that_lies_in_webdfs_own_folder_is_sent_by_webdfs() {
    for front in [Front::Lighttpd, Front::ApacheProxy] {
        let cluster = shared(front);
        let (folder, inside) = ("/both", "/both/inside.jpg");
        put(cluster, folder, 4);
        let body = put(cluster, inside, 5);
        let escaped = [folder, inside].into_iter().filter(|target| !cluster.has_file(0, target));
        assert_eq!(escaped.collect::<Vec<_>>(), [inside], "the second cannot lie at its path");
        let reply = told_sender(cluster, "GET", inside, &[]);
        assert!(file_named(&reply).is_none() && reply.body() == body, "{front:?}");
        assert!(cluster.get(0, inside).expect(200).body == body);
    }
}

#[test]
fn where_the_original_webdfs_hashed_paths_the_server_is_told_the_hashed_one() {
    let top = "layout = \"webdfs_hashed\"\nphp = \"7.1\"\n";
    for front in [Front::Lighttpd, Front::ApacheProxy, Front::Responder] {
        let cluster = start(front, top);
        let body = put(&cluster, "/pets/a%20cat.jpg", 6);
        let root = cluster.root(0);
        if front == Front::Responder {
            let reply = told(&cluster, "GET", "/pets/a%20cat.jpg", &[]);
            let location = reply.header("X-Accel-Redirect").expect("nginx is told, too");
            assert!(location.ends_with("/a%20cat.jpg") && !location.contains("pets"), "{location}");
        } else {
            let named = file_named(&told_sender(&cluster, "GET", "/pets/a%20cat.jpg", &[])).expect("a file");
            let named =
                if front == Front::Lighttpd { decoded(std::str::from_utf8(&named).unwrap()) } else { named };
            let named = std::path::PathBuf::from(String::from_utf8(named).unwrap());
            assert!(named.starts_with(&root) && !named.starts_with(root.join("pets")), "{}", named.display());
            assert!(fs::read(named).unwrap() == body);
        }
        assert!(cluster.get(0, "/pets/a%20cat.jpg").expect(200).body == body, "{front:?}");
    }
}

/// What a client sees of an answer, but for what differs each time.
fn seen(answer: &Answer) -> (u16, Vec<(&str, &str)>, &[u8]) {
    let told = ["Content-Type", "Content-Length", "Content-Range", "ETag", "Last-Modified"];
    let headers = told.into_iter().filter_map(|name| Some((name, answer.header(name)?))).collect();
    (answer.status, headers, &answer.body)
}

#[test]
fn a_client_cannot_tell_who_sent_a_file() {
    for front in SENDERS {
        let cluster = start(front, "");
        let mut targets: Vec<&str> = ODD.map(|(target, _)| target).to_vec();
        targets.push("/odd/line%0D%0AX-Split:%20yes.jpg");
        for (seed, target) in targets.into_iter().enumerate() {
            let body = put(&cluster, target, 20 + seed as u64);
            // The embedded front never leaves a file to anybody. Its ETags are those of this node's server.
            let ours = |call: &Call| call.send(cluster.side_address(0));
            let get = || Call::new("GET", target);
            let etag = ours(&get()).etag().to_owned();
            let modified = ours(&get()).header("Last-Modified").unwrap().to_owned();
            let calls = [
                get(),
                Call::new("HEAD", target),
                get().header("If-None-Match", &etag),
                get().header("If-None-Match", "\"other\""),
                get().header("If-Modified-Since", &modified),
                get().header("If-Modified-Since", "Thu, 01 Jan 2015 00:00:00 GMT"),
                get().header("If-Match", &etag),
                get().header("If-Match", "\"other\""),
                get().header("If-Unmodified-Since", "Thu, 01 Jan 2015 00:00:00 GMT"),
                get().header("Range", "bytes=100-199"),
                get().header("Range", "bytes=19000-"),
                get().header("Range", "bytes=-7"),
                get().header("Range", "bytes=20000-"),
                get().header("Range", "bytes=5-9").header("If-Range", &etag),
                get().header("Range", "bytes=5-9").header("If-None-Match", "\"other\""),
            ];
            for call in calls {
                let (server, ours) = (call.send(cluster.address(0)), ours(&call));
                let what = format!("{front:?} {call:?}\n{server}\nours: {ours}");
                assert!(seen(&server) == seen(&ours), "{what}");
                assert_eq!(server.header("X-Sendfile"), None, "{what}");
                assert_eq!(server.header("Content-Encoding"), None, "{what}");
            }
            assert!(cluster.get(0, target).body == body);
        }
        let left = cluster.log(0).matches("is left to the web server").count();
        let least = 8 * 5;
        assert!(left >= least, "{front:?} was told of a file {left} times, at least {least} were expected");
    }
}

/// What `is_last` of `front/fastcgi/connection.rs` rests on.
#[test]
fn a_kept_connection_of_nginx_is_dropped_when_it_is_sent_to_a_file() {
    let cluster = start(Front::Nginx, "");
    let body = put(&cluster, "/sent.jpg", 7);
    // Another responder in webdfs's place, which keeps the connection open.
    cluster.kill_webdfs(0);
    fs::remove_file(cluster.socket(0)).unwrap();
    let listener = UnixListener::bind(cluster.socket(0)).unwrap();
    let answer = std::thread::scope(|scope| {
        let responder = scope.spawn(|| {
            let (mut nginx, _) = listener.accept().unwrap();
            nginx.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut begin = [0; 16];
            nginx.read_exact(&mut begin).unwrap();
            assert_eq!(begin[10], 1, "it asks to keep the connection");
            let head = b"Status: 200 OK\r\nX-Accel-Redirect: /_webdfs/file/sent.jpg\r\n\r\n";
            nginx.write_all(&[record(6, 1, head, 0), record(3, 1, &[0; 8], 0)].concat()).unwrap();
            std::io::copy(&mut nginx, &mut std::io::sink()).expect("it closes the connection")
        });
        let answer = cluster.get(0, "/sent.jpg");
        responder.join().unwrap();
        answer
    });
    assert!(answer.expect(200).body == body);
}
