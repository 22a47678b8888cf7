//! Names: what lighttpd serves itself is what webdfs would have served, and nothing else.

use crate::common::{Answer, Call, Cluster, Front, Options, assert_missing, assert_stored, noise, shared};
use crate::in_both_roles;

/// Percent-encoded, below a folder.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "plain.jpg",
        "a%20b.jpg",
        "two%20%20spaces%20.jpg",
        "%22quoted%22.jpg",
        "it's.jpg",
        "100%25.jpg",
        "%2525.jpg",
        "what%3F.jpg",
        "a%23b.jpg",
        "a+b&c=d;e.jpg",
        "%C3%A9t%C3%A9.jpg",
        "%E9t%E9.jpg",
        "%FF%FE.jpg",
        "line%0Abreak.jpg",
        "tab%09.jpg",
        "back%5Cslash.jpg",
        "%5Bx%5D~%7E.jpg",
        "no-extension",
        "UPPER.JPG",
        "index.html",
        "data.nosuchthing",
        "a.tar.gz",
        "text.txt",
        "style.css",
        "code.js",
    ]
    .map(str::to_owned)
    .into();
    // The longest segment that can be a file name, one that is too long for it, and the longest key of such segments.
    names.extend([format!("{}.jpg", "n".repeat(251)), format!("{}.jpg", "m".repeat(300))]);
    names.push(format!("{0}/{0}/{0}/{1}.jpg", "%C3%A9".repeat(125), "k".repeat(250)));
    names
}

/// What a client can tell an object by.
fn identity(answer: &Answer) -> [Option<&str>; 4] {
    ["ETag", "Last-Modified", "Content-Type", "Content-Length"].map(|name| answer.header(name))
}

#[test]
fn files_of_odd_names_are_stored_read_moved_and_deleted() {
    in_both_roles(&Options::default(), |cluster| {
        for (seed, name) in odd_names().into_iter().enumerate() {
            let (target, moved) = (format!("/odd/{name}"), format!("/moved/{name}"));
            let body = noise(seed as u64, 5000);
            cluster.put(0, &target, body.clone()).expect(201);
            assert_stored(cluster, &target, &body);
            let order = Call::new("MOVE", &target).header("Destination", &moved);
            cluster.send(1, &order).expect(201);
            assert_missing(cluster, &target);
            assert_stored(cluster, &moved, &body);
            cluster.delete(2, &moved).expect(204);
            assert_missing(cluster, &moved);
        }
    });
}

#[test]
fn an_object_looks_the_same_from_lighttpd_and_from_webdfs_on_every_node() {
    let cluster = shared(Front::Lighttpd);
    for (seed, name) in odd_names().into_iter().enumerate() {
        let target = format!("/same/{name}");
        cluster.put(0, &target, noise(seed as u64, 3000 + seed)).expect(201);
        let first = cluster.get(0, &target).expect(200);
        assert!(identity(&first).iter().all(Option::is_some), "{first}");
        for node in cluster.present() {
            for method in ["GET", "HEAD"] {
                let call = Call::new(method, &target);
                let (server, webdfs) = (cluster.send(node, &call), call.send(cluster.side_address(node)));
                assert_eq!(
                    identity(&server.expect(200)),
                    identity(&first),
                    "{method} {target} lighttpd {node}"
                );
                assert_eq!(
                    identity(&webdfs.expect(200)),
                    identity(&first),
                    "{method} {target} webdfs {node}"
                );
            }
            let condition = Call::new("GET", &target).header("If-None-Match", first.etag());
            cluster.send(node, &condition).expect(304);
        }
    }
}

#[test]
fn a_file_on_this_disk_is_served_without_webdfs_and_anything_else_is_not() {
    let cluster = Cluster::start(Front::Lighttpd, Options::default());
    let body = noise(1, 70_000);
    for target in ["/here/a%20b.jpg", "/here/index.html", "/here/%E9.jpg", "/here/what%3F.jpg"] {
        cluster.put(0, target, body.clone()).expect(201);
    }
    cluster.kill_webdfs(0);
    for target in [
        "/here/a%20b.jpg",
        "/here/a%20b.jpg?v=1",
        "/here/index.html",
        "/here/",
        "/here/?v=1",
        "/here/%E9.jpg",
    ] {
        assert!(cluster.get(0, target).expect(200).body == body, "{target}");
        cluster.head(0, target).expect(200);
    }
    // Everything else needs webdfs.
    for target in [
        "/here",
        "/there/",
        "/here/b.jpg",
        "//here/index.html",
        "/here/../here/index.html",
        "/here%2Findex.html",
    ] {
        cluster.get(0, target).expect(503);
    }
    for method in ["PUT", "DELETE", "POST", "OPTIONS", "PROPFIND", "MOVE"] {
        // A POST without a length would get 411 from lighttpd.
        cluster.send(0, &Call::new(method, "/here/index.html").body("")).expect(503);
    }
}

#[test]
fn every_request_goes_to_webdfs_where_that_is_wanted() {
    let cluster = Cluster::start(Front::Lighttpd, Options { static_first: false, ..Options::default() });
    cluster.put(0, "/all/a.jpg", "a").expect(201);
    assert_stored(&cluster, "/all/a.jpg", b"a");
    cluster.kill_webdfs(0);
    cluster.get(0, "/all/a.jpg").expect(503);
}

#[test]
fn what_lighttpd_would_read_as_another_name_is_answered_by_webdfs() {
    let cluster = shared(Front::Lighttpd);
    cluster.put(0, "/read/y.jpg", "the file").expect(201);
    for target in [
        "/read%2Fy.jpg",
        "/read%2fy.jpg",
        "/%2Fread/y.jpg",
        "//read/y.jpg",
        "/read//y.jpg",
        "/read/./y.jpg",
        "/read/x/../y.jpg",
        "/read/%2e/y.jpg",
        "/read/%2E%2E/read/y.jpg",
        "/../read/y.jpg",
        "/read/../../read/y.jpg",
        "/read/y.jpg/",
        "/read/y.jpg/more",
        "/read/y.jpg%00",
        "/read/y.jpg%00.txt",
        "/read/%00/../y.jpg",
        "/re%61d/y.jpg",
        "/read/y.jpg#part",
        "/read/y.jp%",
        "/read/y.jp%4",
        "/read/y%zz.jpg",
        "/read\\y.jpg",
        "/read/y.jpg;v=1",
    ] {
        let call = Call::new("GET", target);
        let (lighttpd, webdfs) = (cluster.send(1, &call), call.send(cluster.side_address(1)));
        assert_eq!(lighttpd.status, webdfs.status, "{target}\n{lighttpd}\n{webdfs}");
        assert!(lighttpd.body == webdfs.body, "{target}\n{lighttpd}\n{webdfs}");
    }
}

#[test]
fn nothing_that_must_not_be_served_is_served() {
    const SECRET: &str = "not for clients";
    let prepare = |cluster: &Cluster| {
        let root = cluster.root(0);
        for name in [".htaccess", ".git/config", "a/.hidden", "x.php", "X.PHP", "a/y.cgi", "z.php/inside.jpg"]
        {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, SECRET).unwrap();
        }
    };
    let cluster = Cluster::start(Front::Lighttpd, Options { prepare, ..Options::default() });
    for target in [
        "/.htaccess",
        "/%2ehtaccess",
        "/%2Ehtaccess?x",
        "/.git/config",
        "/a/.hidden",
        "/a/%2ehidden",
        "/x.php",
        "/x.php?a=b",
        "/X.PHP",
        "/x.%70hp",
        "/x%2ephp",
        "/x.php/",
        "/x.php/more",
        "/a/y.cgi",
        "/z.php/inside.jpg",
        "/.webdfs/node.toml",
        "/%2ewebdfs/node.toml",
        "/.%77ebdfs/node.toml",
        "//.webdfs/node.toml",
        "/a/../.webdfs/node.toml",
    ] {
        let answer = cluster.get(0, target);
        assert!(matches!(answer.status, 400 | 404), "{target} {answer}");
        assert!(!answer.text().contains(SECRET) && !answer.text().contains("complete"), "{target} {answer}");
    }
    // A folder is no list of files.
    for target in ["/a", "/a/", "/"] {
        cluster.get(0, target).expect(404);
    }
}

/// What lighttpd leaves to webdfs for its method or its conditions it must not find on its disk by way of the paths of
/// other nodes, which it leaves as they are.
#[test]
fn no_path_of_other_nodes_leads_to_a_file() {
    let prepare = |cluster: &Cluster| {
        for name in [".htaccess", "plain.txt"] {
            std::fs::write(cluster.root(0).join(name), "on the disk").unwrap();
        }
    };
    for static_first in [true, false] {
        let cluster =
            Cluster::start(Front::Lighttpd, Options { prepare, static_first, ..Options::default() });
        for file in ["/.webdfs/node.toml", "/.htaccess", "/plain.txt"] {
            for way in
                ["/_webdfs/..", "/_webdfs/%2e%2E", "/_webdfs/x/../..", "/_webdfs/..%2f", "/_webdfs/v1/../.."]
                    .into_iter()
                    .chain([
                        "/_webdfs/v1/%2E%2e/%2e%2e",
                        "/_webdfs/v1//../..",
                        "/_webdfs/v1/..%2f..",
                        "/_webdfs/v1/.%2e/..",
                    ])
            {
                for (method, header, value) in [
                    ("GET", "Accept", "*/*"),
                    ("GET", "If-Match", "*"),
                    ("HEAD", "If-Match", "*"),
                    ("GET", "If-Unmodified-Since", "Sun, 01 Jan 2096 00:00:00 GMT"),
                    ("POST", "Accept", "*/*"),
                    ("PUT", "Accept", "*/*"),
                ] {
                    let target = format!("{way}{file}");
                    let mut call = Call::new(method, &target).header(header, value);
                    if method.starts_with('P') {
                        call = call.body("");
                    }
                    let answer = cluster.send(0, &call);
                    assert!(matches!(answer.status, 400..=404), "{method} {target} {header}: {answer}");
                }
            }
        }
    }
}

#[test]
fn a_file_may_bear_the_name_of_a_folder() {
    in_both_roles(&Options::default(), |cluster| {
        cluster.put(0, "/both/a.jpg/b.jpg", "b").expect(201);
        cluster.put(1, "/both/a.jpg", "a").expect(201);
        cluster.put(2, "/both/a.jpg/index.html", "index").expect(201);
        assert_stored(cluster, "/both/a.jpg/b.jpg", b"b");
        assert_stored(cluster, "/both/a.jpg", b"a");
        assert_stored(cluster, "/both/a.jpg/index.html", b"index");
        assert_stored(cluster, "/both/a.jpg/", b"index");
    });
}
