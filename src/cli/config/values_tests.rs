//! The shipped files and what is made of them.

use super::*;
use crate::config::load_site;

/// The site of a node.toml that says `text`.
fn site(text: &str) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    std::fs::write(&file, text).unwrap();
    Site { path: NODE_TOML.into(), ..load_site(&file).unwrap() }
}

fn filled(server: Server, text: &str) -> Result<String, SiteError> {
    let files = fill(server, &site(text), Path::new(PROGRAM))?;
    Ok(files.into_iter().map(|file| file.text).collect())
}

const ALL: [Server; 6] = [
    Server::Nginx,
    Server::ApacheFcgid,
    Server::ApacheProxy,
    Server::Lighttpd,
    Server::Haproxy,
    Server::Caddy,
];

#[test]
fn a_node_with_the_shipped_values_gets_the_shipped_files() {
    for server in ALL {
        let fcgi = if server == Server::ApacheFcgid {
            ""
        } else {
            "[listen]\nfcgi = \"unix:/run/webdfs/webdfs.sock\""
        };
        let site = site(&format!("name = \"img1\"\nroot = \"/srv/webdfs\"\n{fcgi}\n"));
        for Filled { name, text } in fill(server, &site, Path::new(PROGRAM)).unwrap() {
            let folder = server.word().split('-').next().unwrap();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
            assert!(text == std::fs::read_to_string(&path).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn every_value_of_the_node_takes_its_place() {
    let text = "name = \"img1\"\nroot = \"/data/my files\"\nexclude = [\"*.tmp\", \"private*\"]\n\
                index = \"start.htm\"\n\
                [listen]\nfcgi = \"unix:/run/other.sock\"\n[write]\nobject_max = \"5MiB\"\n";
    let sizes = [
        "client_max_body_size 5m;",
        "",
        ">5242880",
        "max-request-size := 5120",
        "gt 5242880",
        "max_size 5MiB",
    ];
    for (server, size) in ALL.into_iter().zip(sizes).filter(|(server, _)| *server != Server::ApacheFcgid) {
        let text = filled(server, text).unwrap();
        assert!(text.contains(size), "{server:?}: {size}");
        assert!(text.contains("/run/other.sock"), "{server:?}");
        for left in ["/srv/webdfs", "/run/webdfs/webdfs.sock", "php|phtml"] {
            assert!(!text.contains(left), "{server:?} still says {left}");
        }
        if server != Server::Nginx {
            assert!(text.contains("/data/my files"), "{server:?}");
        }
        if server != Server::Haproxy {
            assert!(text.contains("|/private"), "{server:?}");
        }
        if !matches!(server, Server::Haproxy | Server::Caddy) {
            assert!(text.contains("start.htm"), "{server:?}");
        }
    }
}

#[test]
fn a_responder_behind_tcp_is_named_by_its_address() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n[listen]\nfcgi = \"0.0.0.0:9000\"\n";
    let says = [
        (Server::Nginx, "server 127.0.0.1:9000;"),
        (Server::ApacheProxy, "\"fcgi://127.0.0.1:9000/\" [P,QSD]"),
        (Server::Lighttpd, "\"host\" => \"127.0.0.1\", \"port\" => 9000,"),
        (Server::Haproxy, "server local 127.0.0.1:9000 proto fcgi"),
        (Server::Caddy, "reverse_proxy 127.0.0.1:9000 {"),
    ];
    for (server, line) in says {
        assert!(filled(server, text).unwrap().contains(line), "{server:?}");
    }
    assert!(matches!(filled(Server::ApacheFcgid, text), Err(SiteError::FcgiSet)));
}

#[test]
fn without_a_socket_lighttpd_starts_webdfs_and_the_others_take_that_of_systemd() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n";
    let lighttpd = filled(Server::Lighttpd, text).unwrap();
    assert!(lighttpd.contains("\n    \"bin-path\"") && lighttpd.contains("\n    \"max-procs\""));
    for server in [Server::Nginx, Server::ApacheProxy, Server::Haproxy, Server::Caddy] {
        assert!(filled(server, text).unwrap().contains(SOCKET), "{server:?}");
    }
}

#[test]
fn a_root_with_hashed_names_leaves_every_request_to_webdfs() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\nlayout = \"webdfs_hashed\"\nphp = \"5.2\"\n";
    let says = [
        (Server::Nginx, "\nlocation / {\n    error_page 404 = @webdfs;"),
        (Server::ApacheFcgid, "\nRewriteRule \"^/\" \"-\" [S=2]\n"),
        (Server::ApacheProxy, "\nRewriteRule \"^/\" \"-\" [S=2]\n"),
        (Server::Lighttpd, "\nurl.rewrite-once := "),
        (Server::Caddy, "\tmethod NONE\n"),
    ];
    for (server, line) in says {
        assert!(filled(server, text).unwrap().contains(line), "{server:?}");
    }
}

#[test]
fn what_a_server_cannot_be_told_is_refused_with_the_character() {
    let with_root = |root: &str| format!("name = \"img1\"\nroot = '{root}'\n");
    for (server, root, character) in [
        (Server::Nginx, "/data/a\"b", '"'),
        (Server::ApacheProxy, "/data/100%", '%'),
        (Server::ApacheFcgid, "/data/$0", '$'),
        (Server::Lighttpd, "/data/a\\b", '\\'),
        (Server::Caddy, "/data/{x}", '{'),
    ] {
        match filled(server, &with_root(root)) {
            Err(SiteError::Unsayable { character: found, .. }) => assert_eq!(found, character, "{server:?}"),
            other => panic!("{server:?}: {other:?}"),
        }
    }
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\nexclude = [\"a b*\"]\n";
    assert!(matches!(filled(Server::Nginx, text), Err(SiteError::Unsayable { what: "exclude", .. })));
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\nprefix = \"/images/\"\n";
    assert!(matches!(filled(Server::Nginx, text), Err(SiteError::Prefix { .. })));
    assert!(filled(Server::Haproxy, text).is_ok());
}
