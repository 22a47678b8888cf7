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
fn a_root_with_hashed_names_and_reads_that_are_compared_leave_every_request_to_webdfs() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n";
    let hashed = "layout = \"webdfs_hashed\"\nphp = \"5.2\"\n";
    let quorum = "read = \"quorum\"\n";
    let says = [
        (Server::Nginx, "\nlocation / {\n    error_page 404 = @webdfs;"),
        (Server::ApacheFcgid, "\nRewriteRule \"^/\" \"-\" [S=2]\n"),
        (Server::ApacheProxy, "\nRewriteRule \"^/\" \"-\" [S=2]\n"),
        (Server::Lighttpd, "\nurl.rewrite-once := "),
        (Server::Caddy, "\tmethod NONE\n"),
    ];
    for (server, line) in says {
        let says = |more: &str| filled(server, &format!("{text}{more}")).unwrap().contains(line);
        assert!(says(hashed) && says(quorum) && !says(""), "{server:?}");
    }
}

#[test]
fn what_is_private_is_left_to_webdfs() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n";
    let private = "[access]\nprivate = [\"/members/\", \"/é.x y\"]\n";
    let below = "prefix = \"/img\"\n[access]\nprivate = [\"/img/members/\"]\n";
    let cond = "\nRewriteCond $1 \"!^/+members/\"\n";
    let says = [
        (
            Server::Nginx,
            "\nlocation ^~ \"/é.x y/\" {\n    error_page",
            "\n    location ^~ \"/img/members/\" {\n",
        ),
        (Server::ApacheFcgid, "\nRewriteCond $1 \"!^/+é\\.x y/\"\n", cond),
        (Server::ApacheProxy, cond, cond),
        (
            Server::Lighttpd,
            "\n    \"(?i)^/(?:%[0-9a-f]{2}|.)(?:%[0-9a-f]{2}|.)\\.x(?:%[0-9a-f]{2}|.)y/\" => \"/_webdfs/client\",\n",
            "\n        \"(?i)^/img/members/\" => \"/_webdfs/client\",\n",
        ),
        (Server::Caddy, "\n\tnot path_regexp \"^/é\\.x y/\"\n", "\n\t\tnot path_regexp ^/members/\n"),
    ];
    for (server, whole, part) in says {
        let printed = filled(server, &format!("{text}{private}")).unwrap();
        assert!(printed.contains(whole), "{server:?}: {printed}");
        assert!(filled(server, &format!("{text}{below}")).unwrap().contains(part), "{server:?}");
        let all = filled(server, &format!("{text}[access]\nprivate = [\"/\"]\n")).unwrap();
        assert_eq!(all, filled(server, &format!("{text}read = \"quorum\"\n")).unwrap(), "{server:?}");
    }
    let odd = format!("{text}[access]\nprivate = ['/a\"b/']\n");
    assert!(matches!(
        filled(Server::Nginx, &odd),
        Err(SiteError::Unsayable { what: "[access] private", .. })
    ));
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
        (Server::ApacheFcgid, "/data/a[b]", '['),
        (Server::Haproxy, "/data/a\\b", '\\'),
    ] {
        match filled(server, &with_root(root)) {
            Err(SiteError::Unsayable { character: found, .. }) => assert_eq!(found, character, "{server:?}"),
            other => panic!("{server:?}: {other:?}"),
        }
    }
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\nexclude = [\"a b*\"]\n";
    assert!(matches!(filled(Server::Nginx, text), Err(SiteError::Unsayable { what: "exclude", .. })));
}

#[test]
fn an_address_of_ipv6_is_written_as_each_server_wants_it() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n[listen]\nfcgi = \"[::1]:9000\"\n";
    assert!(filled(Server::Nginx, text).unwrap().contains("server [::1]:9000;"));
    assert!(filled(Server::Lighttpd, text).unwrap().contains("\"host\" => \"::1\", \"port\" => 9000,"));
}

#[test]
fn a_limit_that_lighttpd_would_take_for_none_is_refused() {
    let text = |size| format!("name = \"img1\"\nroot = \"/srv/webdfs\"\n[write]\nobject_max = \"{size}\"\n");
    assert!(filled(Server::Lighttpd, &text("2147483647KiB")).is_ok());
    assert!(matches!(filled(Server::Lighttpd, &text("2TiB")), Err(SiteError::Limit { .. })));
    assert!(filled(Server::Nginx, &text("16TiB")).is_ok());
}

#[test]
fn no_path_of_node_toml_adds_a_line() {
    let odd = Site {
        path: "/etc/a\nserver_tokens off;/node.toml".into(),
        ..site("name = \"img1\"\nroot = \"/srv/webdfs\"\n")
    };
    let refused = fill(Server::Nginx, &odd, Path::new(PROGRAM));
    assert!(matches!(
        refused,
        Err(SiteError::Unsayable { what: "the path of node.toml", character: '\n', .. })
    ));
}

#[test]
fn a_node_with_a_prefix_is_kept_to_the_urls_below_it() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\nprefix = \"/my images.d/\"\n";
    let says = [
        (Server::Nginx, "\nlocation ^~ \"/my images.d/\" {\n    alias \"/srv/webdfs/\";\n"),
        (Server::ApacheFcgid, "\nAlias \"/my images.d/\" \"/srv/webdfs/\"\n"),
        (Server::ApacheProxy, "RewriteRule \"^(?:/my images\\.d|/_webdfs/v1)/\" \"unix:"),
        (Server::Lighttpd, "    alias.url = ( \"/my images.d/\" => \"/srv/webdfs/\" )\n"),
        (Server::Caddy, "\turi strip_prefix \"/my images.d\"\n"),
    ];
    for (server, line) in says {
        let printed = filled(server, text).unwrap();
        assert!(printed.contains(line), "{server:?}");
        assert!(
            printed.starts_with("# For the URLs below /my images.d/") || server == Server::Nginx,
            "{server:?}"
        );
        let hashed = format!("{text}layout = \"webdfs_hashed\"\nphp = \"5.2\"\n");
        assert_ne!(filled(server, &hashed).unwrap(), printed, "{server:?}");
    }
    // Only a prefix that might be excluded itself makes nginx's expression a slower one.
    let anchored = r"(?s)^/my images\.d(?=/).*?(?:\.(?:(?<=/\.)";
    assert!(filled(Server::Nginx, text).unwrap().contains(anchored));
    assert!(
        filled(Server::Nginx, &text.replace(".d/", "/")).unwrap().contains(&format!("location ~* \"{NAMES}"))
    );
    // HAProxy sends on what it is told to send on.
    let whole = text.replace("prefix", "#prefix");
    assert_eq!(filled(Server::Haproxy, text).unwrap(), filled(Server::Haproxy, &whole).unwrap());
    let odd = text.replace("my images.d", "a\\\"b");
    assert!(matches!(filled(Server::Nginx, &odd), Err(SiteError::Unsayable { what: "prefix", .. })));
}

#[test]
fn nginx_has_memory_for_more_than_what_webdfs_maps() {
    let text = "name = \"img1\"\nroot = \"/srv/webdfs\"\n[deliver]\n";
    for (map_max, says) in [
        ("256KiB", ["fastcgi_buffers 15 32k;", "512 KiB in memory"]),
        ("512KiB", ["fastcgi_buffers 16 32k;", "544 KiB in memory"]),
        ("1MiB", ["fastcgi_buffers 32 32k;", "1056 KiB in memory"]),
    ] {
        let printed = filled(Server::Nginx, &format!("{text}map_max = \"{map_max}\"\n")).unwrap();
        assert!(says.iter().all(|line| printed.contains(line)), "{map_max}");
    }
}
