//! `webdfs config`: what it prints for a node is accepted by the real web server, and serves.

mod common;

use std::fs;
use std::process::Command;

use common::printed::{as_printed, config, text};
use common::{Call, Cluster, Front, Options, noise};

fn serves_as_the_node_says(front: Front) {
    let options = Options {
        prepare: as_printed,
        write: "object_max = \"5MiB\"",
        top: "exclude = [\".*\", \"*.tmp\", \"private*\", \"Thumbs.db\"]\nindex = \"start.htm\"",
        ..Options::default()
    };
    let cluster = Cluster::start(front, options);
    let body = noise(1, 100_000);
    cluster.put(0, "/made/cat.jpg", body.clone()).expect(201);
    cluster.put(0, "/made/start.htm", "the index").expect(201);
    for node in 0..3 {
        assert!(cluster.get(node, "/made/cat.jpg").expect(200).body == body);
        assert_eq!(cluster.get(node, "/made/").expect(200).text(), "the index");
    }
    // A name that is excluded by default and not here.
    cluster.put(0, "/made/script.php", "text").expect(201);
    assert_eq!(cluster.get(1, "/made/script.php").expect(200).text(), "text");
    for name in
        ["/made/a.tmp", "/made/A.TMP", "/private.jpg", "/made/private/a.jpg", "/made/Thumbs.db", "/.hidden"]
    {
        let file = cluster.file(0, name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "put here by hand").unwrap();
        cluster.get(0, name).expect(404);
    }
    assert_ne!(cluster.get(0, "/.webdfs/node.toml").status, 200);
    let large = Call::new("PUT", "/made/large.jpg").body(noise(2, (5 << 20) + 1024)).send(cluster.address(0));
    assert_eq!(large.status, 413);
    cluster.put(0, "/made/fits.jpg", noise(2, 5 << 20)).expect(201);
}

/// A site of its own, of which webdfs serves the URLs below /my imäges.d/.
fn as_a_part_of_a_site(cluster: &Cluster) {
    as_printed(cluster);
    for node in cluster.present() {
        let dir = cluster.config(node).with_file_name("");
        let site = dir.join("site");
        fs::create_dir_all(site.join("my imäges.d")).unwrap();
        fs::write(site.join("about.html"), "the site's own").unwrap();
        fs::write(site.join("my imäges.d/under.txt"), "what the prefix covers").unwrap();
        let (root, site) = (cluster.root(node).display().to_string(), site.display());
        let (file, from, to) = match cluster.front {
            Front::Nginx | Front::Responder | Front::Embedded => {
                ("nginx.conf", format!("root {root};"), format!("root {site};"))
            }
            Front::ApacheFcgid | Front::ApacheProxy => {
                let own = format!(
                    "DocumentRoot \"{site}\"\n<Directory \"{site}\">\nRequire all granted\n</Directory>\n"
                );
                ("httpd.conf", "    Include ".to_owned(), format!("{own}Include "))
            }
            Front::Lighttpd | Front::LighttpdSpawned => (
                "lighttpd.conf",
                format!("document-root = \"{root}\""),
                format!("document-root = \"{site}\""),
            ),
            Front::Haproxy => panic!("HAProxy has no files"),
            Front::Caddy => {
                ("Caddyfile", "import ".to_owned(), format!("root * {site}\n    file_server\n    import "))
            }
        };
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(&from), "{file} does not say {from}");
        fs::write(dir.join(file), text.replace(&from, &to)).unwrap();
    }
}

fn serves_its_part_of_the_site(front: Front) {
    let options = Options {
        prepare: as_a_part_of_a_site,
        replicas: 2,
        write: "object_max = \"5MiB\"",
        prefix: "/my imäges.d/",
        ..Options::default()
    };
    let cluster = Cluster::start(front, options);
    let (cat, body) = ("/my%20im%C3%A4ges.d/made/cat.jpg", noise(1, 100_000));
    cluster.put(0, cat, body.clone()).expect(201);
    cluster.put(0, "/my%20im%C3%A4ges.d/index.html", "the first page").expect(201);
    cluster.put(0, "/my%20im%C3%A4ges.d/made/index.html", "a page").expect(201);
    cluster.put(0, "/my%20im%C3%A4ges.d/both/a.jpg", "in the folder").expect(201);
    cluster.put(0, "/my%20im%C3%A4ges.d/both", "of the same name").expect(201);
    let owners = cluster.owners(cat);
    for node in 0..3 {
        let is = |target: &str, text: &str| assert_eq!(cluster.get(node, target).expect(200).text(), text);
        assert!(cluster.get(node, cat).expect(200).body == body);
        assert!(cluster.get(node, "/my%20im%c3%a4g%65s.d/made/cat.jpg").expect(200).body == body);
        assert_eq!(cluster.has_file(node, "/made/cat.jpg"), owners.contains(&node));
        is("/my%20im%C3%A4ges.d/", "the first page");
        is("/my%20im%C3%A4ges.d/made/", "a page");
        is("/my%20im%C3%A4ges.d/both", "of the same name");
        is("/my%20im%C3%A4ges.d/both/a.jpg", "in the folder");
        let folder = cluster.get(node, "/my%20im%C3%A4ges.d/made");
        if front == Front::Nginx && folder.status == 301 {
            assert!(folder.header("Location").unwrap().ends_with("/my%20im%C3%A4ges.d/made/"));
        } else {
            folder.expect(404);
        }
        is("/about.html", "the site's own");
        // Some servers refuse it, Caddy's takes it for a GET.
        assert_ne!(cluster.put(node, "/about.html", "webdfs's").status, 201);
        is("/about.html", "the site's own");
        for missing in
            ["/made/cat.jpg", "/missing.html", "/my%20im%C3%A4ges.d/under.txt", "/My%20images/made/cat.jpg"]
        {
            cluster.get(node, missing).expect(404);
        }
    }
    let large = Call::new("PUT", "/my%20im%C3%A4ges.d/large.jpg").body(noise(2, (5 << 20) + 1024));
    assert_eq!(large.send(cluster.address(0)).status, 413);
    cluster.put(0, "/my%20im%C3%A4ges.d/fits.jpg", noise(2, 5 << 20)).expect(201);
    shows_nothing_that_is_not_for_clients(&cluster);
    if front.role() == Some("serve") {
        cluster.kill_webdfs(owners[0]);
        assert!(cluster.get(owners[0], cat).expect(200).body == body);
        assert_eq!(cluster.get(owners[0], "/about.html").expect(200).text(), "the site's own");
        cluster.get(owners[0], "/missing.html").expect(404);
        assert!(cluster.get(owners[0], "/my%20im%C3%A4ges.d/missing.html").status >= 500);
    }
}

fn shows_nothing_that_is_not_for_clients(cluster: &Cluster) {
    for name in ["made/script.php", "made/.hidden", ".hidden/a.jpg"] {
        let file = cluster.root(0).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "put here by hand").unwrap();
        cluster.get(0, &format!("/my%20im%C3%A4ges.d/{name}")).expect(404);
    }
    cluster.get(0, "/my%20im%C3%A4ges.d/made%2Fcat.jpg").expect(400);
    for before in [
        "/my%20im%C3%A4ges.d",
        "/my%20im%c3%a4g%65s.d",
        "//my%20im%C3%A4ges.d",
        "/x/../my%20im%C3%A4ges.d",
        "/my%20im%C3%A4ges.d/x/..",
    ] {
        for private in ["/.webdfs/node.toml", "/%2ewebdfs/node.toml", "//.webdfs/node.toml", "/made/.hidden"]
        {
            let answer = cluster.get(0, &format!("{before}{private}"));
            assert!(answer.status >= 300, "{before}{private}: {}", answer.status);
        }
    }
}

macro_rules! fronts {
    ($does:ident: $($name:ident: $front:ident),+ $(,)?) => {
        $(#[test] fn $name() { $does(Front::$front) })+
    };
}

fronts!(serves_its_part_of_the_site:
    nginx_serves_its_part_of_the_site: Nginx,
    apache_with_mod_fcgid_serves_its_part_of_the_site: ApacheFcgid,
    apache_with_mod_proxy_fcgi_serves_its_part_of_the_site: ApacheProxy,
    lighttpd_serves_its_part_of_the_site: Lighttpd,
    lighttpd_that_starts_webdfs_serves_its_part_of_the_site: LighttpdSpawned,
    caddy_serves_its_part_of_the_site: Caddy,
);

#[test]
fn nginx_is_told_the_file_of_a_part_of_the_site_by_its_url() {
    let prepare = |cluster: &Cluster| {
        as_a_part_of_a_site(cluster);
        let file = cluster.config(0).with_file_name("webdfs.conf");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("#return 404;", "return 404;");
        let sends = "location ^~ /_webdfs/file/ {\n";
        fs::write(&file, text.replace(sends, &format!("{sends}    add_header X-Sent-By nginx;\n"))).unwrap();
    };
    let options = Options {
        prepare,
        nodes: 1,
        replicas: 1,
        write_quorum: 1,
        deliver: "map_max = \"1KiB\"",
        prefix: "/my imäges.d/",
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Nginx, options);
    let body = noise(1, 100_000);
    cluster.put(0, "/my%20im%C3%A4ges.d/a%20b/cat.jpg", body.clone()).expect(201);
    let answer = cluster.get(0, "/my%20im%C3%A4ges.d/a%20b/cat.jpg").expect(200);
    assert!(answer.body == body);
    assert_eq!(answer.header("X-Sent-By"), Some("nginx"));
    let range = Call::new("GET", "/my%20im%C3%A4ges.d/a%20b/cat.jpg").header("Range", "bytes=5-9");
    assert!(cluster.send(0, &range).expect(206).body == body[5..10]);
    cluster.put(0, "/my%20im%C3%A4ges.d/small.jpg", "few bytes").expect(201);
    assert_eq!(cluster.get(0, "/my%20im%C3%A4ges.d/small.jpg").expect(200).header("X-Sent-By"), None);
}

fronts!(serves_as_the_node_says:
    nginx_serves_as_the_node_says: Nginx,
    apache_with_mod_fcgid_serves_as_the_node_says: ApacheFcgid,
    apache_with_mod_proxy_fcgi_serves_as_the_node_says: ApacheProxy,
    lighttpd_serves_as_the_node_says: Lighttpd,
    lighttpd_that_starts_webdfs_serves_as_the_node_says: LighttpdSpawned,
    haproxy_serves_as_the_node_says: Haproxy,
    caddy_serves_as_the_node_says: Caddy,
);

#[test]
fn odd_paths_are_written_so_that_every_server_accepts_them() {
    every_server_accepts("");
}

#[test]
fn odd_prefixes_are_written_so_that_every_server_accepts_them() {
    every_server_accepts("prefix = \"/a b/c.d+(e)/\"\n");
    // Every request is webdfs's.
    every_server_accepts("prefix = \"/a b/ä/\"\nlayout = \"webdfs_hashed\"\nphp = \"5.2\"\n");
}

/// Whether they accept what is printed for a node with odd paths and `top` in its node.toml.
fn every_server_accepts(top: &str) {
    let dir = common::process::Dir::new();
    let odd = dir.join("my odd files");
    fs::create_dir_all(odd.join("root")).unwrap();
    let here = dir.path().display();
    let node_toml = |front: &str, fcgi: &str| {
        let path = dir.join(format!("{front}.toml"));
        let text = format!(
            "name = \"img1\"\nroot = \"my odd files/root\"\nfront = \"{front}\"\n{top}exclude = [\"*~\", \"a+b*\", \".*\"]\n[listen]\n{fcgi}\n"
        );
        fs::write(&path, text).unwrap();
        path
    };
    let socket = "fcgi = \"unix:my odd files/w.sock\"";
    let print = |server: &str, front: &str, fcgi: &str| {
        let output = config(server, &node_toml(front, fcgi), &["--output", here.to_string().as_str()]);
        assert!(output.status.success(), "{server}: {}", text(&output.stderr));
    };
    let check = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir.path()).env("HOME", dir.path());
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{program}: {said}");
    };

    print("nginx", "nginx", socket);
    let nginx = "pid nginx.pid; error_log nginx.log; events {}\n\
                 http { include webdfs-http.conf; server { listen 127.0.0.1:8999; include webdfs.conf; } }\n";
    fs::write(dir.join("nginx.conf"), nginx).unwrap();
    check("nginx", &["-t", "-p", &here.to_string(), "-c", "nginx.conf", "-e", "nginx.log"]);

    print("lighttpd", "lighttpd", socket);
    let lighttpd = "server.port = 8999\nserver.document-root = \"/tmp\"\n\
                    include \"webdfs.conf\"\ninclude \"mimetypes.conf\"\n";
    fs::write(dir.join("lighttpd.conf"), lighttpd).unwrap();
    check("lighttpd", &["-tt", "-f", &format!("{here}/lighttpd.conf")]);

    print("haproxy", "plain", socket);
    let haproxy = "frontend images\n    mode http\n    bind 127.0.0.1:8999\n    timeout client 60s\n    default_backend webdfs\n";
    fs::write(dir.join("haproxy.cfg"), haproxy).unwrap();
    check("haproxy", &["-c", "-f", "haproxy.cfg", "-f", "webdfs.cfg"]);

    print("caddy", "caddy", socket);
    fs::rename(dir.join("Caddyfile"), dir.join("webdfs.caddy")).unwrap();
    fs::write(dir.join("Caddyfile"), "http://:8999 {\n\timport webdfs.caddy\n}\n").unwrap();
    check("caddy", &["validate", "--config", "Caddyfile", "--adapter", "caddyfile"]);

    let modules = ["mpm_event", "alias", "authn_core", "authz_core", "dir", "env", "rewrite"];
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    for (server, fcgi, more) in [
        ("apache-fcgid", "", &["fcgid"][..]),
        ("apache-proxy", "fcgi = \"127.0.0.1:9000\"", &["proxy", "proxy_fcgi"][..]),
    ] {
        print(server, "apache", fcgi);
        let file = if server == "apache-fcgid" { "webdfs-fcgid.conf" } else { "webdfs-proxy-fcgi.conf" };
        let loads: String = modules.iter().chain(more).map(load).collect();
        let conf = format!(
            "ServerRoot {here}\nServerName localhost\nListen 127.0.0.1:8999\nErrorLog apache.log\nPidFile apache.pid\n\
                            DefaultRuntimeDir {here}\n{loads}\n<VirtualHost *:8999>\nInclude {file}\n</VirtualHost>\n"
        );
        fs::write(dir.join("httpd.conf"), conf).unwrap();
        check("/usr/sbin/apache2", &["-t", "-d", &here.to_string(), "-f", &format!("{here}/httpd.conf")]);
    }
}

#[test]
fn what_does_not_fit_together_is_said() {
    let dir = common::process::Dir::new();
    let node_toml = dir.join("node.toml");
    let write =
        |more: &str| fs::write(&node_toml, format!("name = \"img1\"\nroot = \"root\"\n{more}")).unwrap();

    // No secret is there, and none is needed.
    write("front = \"nginx\"\n");
    let output = config("lighttpd", &node_toml, &[]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("set front = \"lighttpd\""), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.starts_with("# Of node img1, from ") && printed.contains("======== mimetypes.conf"));

    let output = config("nginx", &node_toml, &["--file", "nginx.conf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("use one of webdfs-http.conf, webdfs.conf"),
        "{}",
        text(&output.stderr)
    );

    write("[listen]\nfcgi = \"127.0.0.1:9000\"\n");
    let output = config("apache-fcgid", &node_toml, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("take fcgi out of node.toml"), "{}", text(&output.stderr));
}
