use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::common::{
    Call, Cluster, Front, Options, assert_missing, assert_stored, noise, shared, wait_until,
};
use crate::{both_ways, configure_server, edit};

both_ways!(
    any_name_can_be_stored_read_moved_and_deleted,
    any_name_is_read_through_webdfs_alone,
    whoever_answers_says_the_same_of_a_file,
    a_folder_on_disk_hides_neither_its_index_nor_a_file_of_its_name,
    what_is_excluded_is_never_served,
    a_link_made_by_hand_is_followed_by_apache_alone_and_not_where_that_is_switched_off,
    a_stored_file_is_never_run_or_negotiated,
);

const NAMES: &[&str] = &[
    "plain.jpg",
    "a%20b.jpg",
    "it's%22quoted%22.jpg",
    "100%25.jpg",
    "a%2520b.jpg",
    "a%252Fb.jpg",
    "what%3Fnow.jpg",
    "no%231.jpg",
    "1+1%2B2.jpg",
    "a;b=c&d.jpg",
    "$0%24%7BREQUEST_URI%7D.jpg",
    "%C3%A9%E2%82%AC.jpg",
    "latin-%E9.jpg",
    "tab%09line%0Aend.jpg",
    "line-at-the-end%0A",
    "back%5Cslash.jpg",
    "page.html.en",
    "x.var",
    "below",
    "below/that",
];

fn any_name_can_be_stored_read_moved_and_deleted(front: Front) {
    names(&shared(front), "/names");
}

fn any_name_is_read_through_webdfs_alone(front: Front) {
    names(&Cluster::start(front, Options { static_first: false, ..Options::default() }), "/names");
}

fn names(cluster: &Cluster, folder: &str) {
    let long = format!("{}.jpg", "x".repeat(300));
    for name in NAMES.iter().copied().chain([&*long]) {
        let (path, moved) = (format!("{folder}/{name}"), format!("{folder}/moved/{name}"));
        let body = noise(1, 3000);
        cluster.put(0, &path, body.clone()).expect(201);
        for node in 0..3 {
            let answer = cluster.get(node, &format!("{path}?v=1%20+2"));
            assert!(answer.status == 200 && answer.body == body, "{path} through node {node}: {answer}");
            let head = cluster.head(node, &path).expect(200);
            assert_eq!(head.header("Content-Length"), Some("3000"), "{path} through node {node}: {head}");
        }
        cluster.send(1, &Call::new("MOVE", &path).header("Destination", &moved)).expect(201);
        assert_missing(cluster, &path);
        assert_stored(cluster, &moved, &body);
        cluster.delete(2, &moved).expect(204);
        assert_missing(cluster, &moved);
    }
}

fn whoever_answers_says_the_same_of_a_file(front: Front) {
    let cluster = Cluster::start(front, Options { replicas: 1, write_quorum: 1, ..Options::default() });
    let path = cluster.path_owned("/same", |owners| owners == [0]);
    let stored = cluster.put(1, &path, noise(3, 5000)).expect(201);
    let ask = |node: usize, call: &Call| cluster.send(node, call);
    // In the second after a file was written Apache calls its own ETag of it weak.
    wait_until("the ETag is a strong one", || !ask(0, &Call::new("GET", &path)).etag().starts_with("W/"));
    for method in ["GET", "HEAD"] {
        let call = Call::new(method, &path);
        let (own, other) = (ask(0, &call).expect(200), ask(1, &call).expect(200));
        assert_eq!(own.body, other.body);
        for name in ["ETag", "Last-Modified", "Content-Type", "Content-Length", "Accept-Ranges"] {
            assert_eq!(own.header(name), other.header(name), "{name}:\n{own}\n{other}");
        }
        assert_eq!(own.etag(), stored.etag());
        let date = own.header("Last-Modified").expect("a date").to_owned();
        for (name, value, status) in [
            ("If-None-Match", own.etag(), 304),
            ("If-None-Match", "\"other\"", 200),
            ("If-Modified-Since", &date, 304),
            ("If-Match", "\"other\"", 412),
        ] {
            let call = call.clone().header(name, value);
            (0..2).for_each(|node| drop(ask(node, &call).expect(status)));
        }
    }
    let part = Call::new("GET", &path).header("Range", "bytes=10-19");
    let (own, other) = (ask(0, &part).expect(206), ask(1, &part).expect(206));
    assert_eq!(own.header("Content-Range"), other.header("Content-Range"));
    assert_eq!(own.body, other.body);
    (0..2).for_each(|node| {
        drop(ask(node, &Call::new("GET", &path).header("Range", "bytes=9000-")).expect(416))
    });
}

fn a_folder_on_disk_hides_neither_its_index_nor_a_file_of_its_name(front: Front) {
    let cluster = Cluster::start(front, Options { replicas: 1, write_quorum: 1, ..Options::default() });
    for owner in 0..3 {
        // An index that one node has, and a folder of that name on every node.
        let folder = (0..1000).map(|number| format!("/i{number}"));
        let folder =
            folder.into_iter().find(|folder| cluster.owners(&format!("{folder}/index.html")) == [owner]);
        let folder = folder.expect("a folder whose index this node owns");
        cluster.put(0, &format!("{folder}/index.html"), "the index").expect(201);
        for node in 0..3 {
            let inner = cluster.path_owned(&folder, |owners| owners == [node]);
            cluster.put(0, &inner, "inner").expect(201);
        }
        cluster.put(0, &folder, "a file of the folder's name").expect(201);
        for node in 0..3 {
            assert_eq!(cluster.get(node, &format!("{folder}/")).expect(200).text(), "the index");
            assert_eq!(cluster.get(node, &folder).expect(200).text(), "a file of the folder's name");
        }
    }
    // No redirect, no list.
    (0..3).for_each(|node| drop(cluster.get(node, "/i").expect(404)));
}

fn what_is_excluded_is_never_served(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/public/kept.jpg", "public").expect(201);
    let hidden =
        ["public/.htaccess", "public/.git/config", "public/x.php", "public/X.PHP", "public/a.php/b.jpg"];
    let more = ["public/run.cgi", "public/run.sh", ".hidden", "public/x.phtml"];
    for name in hidden.iter().chain(&more) {
        let file = cluster.root(0).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "Require all denied\nsecret").unwrap();
        for path in [format!("/{name}"), format!("//{name}"), format!("/x/../{name}"), format!("/{name}?a=b")]
        {
            for method in ["GET", "HEAD"] {
                let answer = cluster.send(0, &Call::new(method, &path)).expect(404);
                assert!(!answer.text().contains("secret"), "{path}: {answer}");
            }
        }
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = cluster.get(0, &format!("/{}", encoded.replace("%2f", "/")));
        assert_eq!(answer.status, 404, "{name}: {answer}");
        cluster.put(0, &format!("/{name}"), "mine").expect(403);
    }
    for path in [
        "/.webdfs/node.toml",
        "/.webdfs/",
        "/.webdfs",
        "/public/../.webdfs/node.toml",
        "/%2ewebdfs/node.toml",
    ] {
        let answer = cluster.get(0, path);
        assert!(
            matches!(answer.status, 400 | 404) && !answer.text().contains("complete"),
            "{path}: {answer}"
        );
    }
    // Nor does what was there before decide anything.
    assert_eq!(cluster.get(0, "/public/kept.jpg").expect(200).text(), "public");
}

fn a_link_made_by_hand_is_followed_by_apache_alone_and_not_where_that_is_switched_off(front: Front) {
    fn prepare(cluster: &Cluster) {
        for node in 0..2 {
            let outside = cluster.root(node).with_file_name("outside.jpg");
            fs::write(&outside, "outside").unwrap();
            symlink(&outside, cluster.root(node).join("link.jpg")).unwrap();
        }
        edit(cluster, 1, "#Options None", "Options None");
    }
    let cluster = Cluster::start(front, Options { prepare, ..Options::default() });
    assert_eq!(cluster.get(0, "/link.jpg").expect(200).text(), "outside");
    let linked = cluster.get(1, "/link.jpg").expect(403);
    assert!(!linked.text().contains("outside"), "{linked}");
    // webdfs is asked about it by the third node, whose Apache finds nothing.
    cluster.get(2, "/link.jpg").expect(404);
}

fn a_stored_file_is_never_run_or_negotiated(front: Front) {
    fn prepare(cluster: &Cluster) {
        let lines = "LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so\nScriptSock cgisock\n\
            <FilesMatch \"\\.(phar|exe)$\">\n    SetHandler cgi-script\n    Options +ExecCGI\n</FilesMatch>\n\
            AddHandler cgi-script .run\nAddHandler type-map .var\nAddHandler server-status .status\n";
        let lines = lines.replace("    Options +ExecCGI\n", "");
        configure_server(cluster, 0, &lines);
        edit(cluster, 0, "    Options FollowSymLinks\n", "    Options ExecCGI MultiViews\n");
    }
    let options = Options { nodes: 1, replicas: 1, write_quorum: 1, prepare, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let script = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho it ran\n";
    for name in ["/x.phar", "/x.exe", "/x.run", "/x.var", "/x.status"] {
        cluster.put(0, name, script).expect(201);
        fs::set_permissions(cluster.file(0, name), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(cluster.get(0, name).expect(200).text(), script, "{name}");
    }
    cluster.get(0, "/x").expect(404);
}
