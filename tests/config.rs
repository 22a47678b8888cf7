//! The configuration files: the shipped ones load and say the truth about defaults, and every mistake is refused
//! with its line and what would be right.

mod config_support;

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use config_support::assert_says;
use tempfile::TempDir;
use webdfs::config::{
    ConfigError, Durability, FcgiListen, Overrides, Read, Remote, Reserve, Settings, load, load_map,
    load_naming, parse_map,
};
use webdfs::semantics::FrontKind;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A folder with a node.toml of that text and a secret beside it.
fn folder(node_toml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("node.toml"), node_toml).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    folder
}

fn load_text(node_toml: &str) -> Result<Settings, ConfigError> {
    load(&folder(node_toml).path().join("node.toml"))
}

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)).unwrap()
}

/// The text with every commented-out setting (`#key = value`) put in force.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The decided settings without those that depend on the folder.
fn decided(settings: &Settings) -> Vec<(&'static str, String)> {
    settings
        .decided()
        .filter(|(setting, _)| !["map", "secret_file", "access.tokens"].contains(setting))
        .collect()
}

#[test]
fn every_shipped_file_loads() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut seen = 0;
    for entry in fs::read_dir(conf).unwrap() {
        let path = entry.unwrap().path();
        seen += 1;
        match path.file_name().and_then(|name| name.to_str()).unwrap() {
            "cluster.toml" => assert_eq!(load_map(&path).unwrap().nodes().len(), 3),
            "cluster-crush.toml" => assert_eq!(load_map(&path).unwrap().nodes().len(), 6),
            "node.toml" => drop(load_text(&fs::read_to_string(&path).unwrap()).unwrap()),
            other => panic!("conf/{other} is loaded by no test"),
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_shipped_files_name_each_other() {
    let node = load_text(&shipped("node.toml")).unwrap();
    let map = parse_map(&shipped("cluster.toml"), Path::new("cluster.toml")).unwrap();
    assert!(map.index_of(&node.name).is_some());
    assert_eq!(node.map.file_name().unwrap(), "cluster.toml");
}

#[test]
fn what_is_commented_out_in_node_toml_is_the_default() {
    let text = shipped("node.toml");
    let full = uncommented(&text);
    assert_ne!(text, full);
    assert_eq!(decided(&load_text(&text).unwrap()), decided(&load_text(&full).unwrap()));
}

#[test]
fn what_is_commented_out_in_cluster_toml_is_the_default() {
    let text = shipped("cluster.toml");
    let full = uncommented(&text);
    assert_ne!(text, full);
    let map = |text: &str| parse_map(text, Path::new("cluster.toml")).unwrap();
    assert_eq!(map(&text).fingerprint(), map(&full).fingerprint());
}

#[test]
fn two_lines_are_enough_and_the_rest_has_defaults() {
    let folder = folder("name = \"img1\"\nroot = \"data\"\n");
    let settings = load(&folder.path().join("node.toml")).unwrap();
    assert_eq!(settings.name.to_string(), "img1");
    assert_eq!(settings.path, folder.path().join("node.toml"));
    assert_eq!(settings.root, folder.path().join("data"));
    assert_eq!(settings.map, folder.path().join("cluster.toml"));
    assert_eq!(settings.secrets.signing(), SECRET.as_bytes());
    assert_eq!(settings.index.as_deref(), Some("index.html"));
    assert_eq!((settings.file_mode, settings.folder_mode), (0o644, 0o755));
    assert!(!settings.root_is_mount && !settings.follow_symlinks);
    assert_eq!(settings.front, FrontKind::Nginx);
    assert_eq!(settings.durability, Durability::Sync);
    assert_eq!((&settings.listen.fcgi, &settings.listen.http), (&FcgiListen::Inherited, &None));
    assert_eq!(settings.listen.gossip, None);
    assert_eq!((settings.deliver.map_max, settings.deliver.remote), (256 << 10, Remote::Internal));
    assert_eq!((settings.write.object_max, settings.write.reserve), (1 << 30, Reserve::Default));
    let agent = &settings.agent;
    assert_eq!((agent.bytes_per_second.bytes(), agent.concurrency.get()), (None, 8));
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    assert_eq!((agent.pass_every, agent.scrub_every), (6 * hour, Some(30 * day)));
    let here: IpAddr = "127.0.0.1".parse().unwrap();
    assert!(
        !settings.write.allow.admits(Some(here), Some("ada")),
        "nobody may write unless the file says so"
    );
}

#[test]
fn every_setting_can_be_set() {
    let text = r#"
        name = "img2"
        map = "/etc/map.toml"
        root = "/srv/x"
        root_is_mount = true
        layout = "webdfs_hashed"
        php = "7.1"
        prefix = "/images/"
        index = ""
        exclude = ["*.exe"]
        follow_symlinks = true
        file_mode = "0640"
        folder_mode = "0750"
        secret_file = "./secret"
        front = "lighttpd"
        durability = "none"
        read = "any"
        [listen]
        fcgi = "unix:run/w.sock"
        fcgi_mode = "0600"
        http = "[::1]:0"
        gossip = "10.0.0.1:7071"
        [deliver]
        map_max = "0"
        remote = "redirect"
        [write]
        allow = ["10.0.0.0/8"]
        object_max = "5MiB"
        reserve = "0"
        [access]
        tokens = "/etc/webdfs/tokens"
        private = []
        users = [{ name = "ann", prefix = "/images/a", methods = ["GET", "PUT"] }, { name = "bob", methods = ["UI"] }]
        sign_keys = ["secrets/sign.key"]
        [limits]
        requests_per_second = 20
        bytes_per_second = "5MiB"
        uploads = 4
        [agent]
        bytes_per_second = "20MiB"
        concurrency = 2
        pass_every = "90min"
        scrub_every = "never"
    "#;
    let folder = folder(text);
    let sign_key = folder.path().join("secrets/sign.key");
    fs::create_dir(sign_key.parent().unwrap()).unwrap();
    fs::write(&sign_key, format!("site1:{SECRET}\n")).unwrap();
    fs::set_permissions(&sign_key, PermissionsExt::from_mode(0o600)).unwrap();
    let settings = load(&folder.path().join("node.toml")).unwrap();
    let socket = folder.path().join("run/w.sock");
    let expected = [
        ("name", "img2"),
        ("map", "/etc/map.toml"),
        ("root", "/srv/x"),
        ("root_is_mount", "yes"),
        ("layout", "webdfs_hashed (PHP 7.1)"),
        ("prefix", "/images/"),
        ("index", "none"),
        ("exclude", "*.exe"),
        ("follow_symlinks", "yes"),
        ("file_mode", "0640"),
        ("folder_mode", "0750"),
        ("secret_file", &format!("{} (secrets: 1)", folder.path().join("./secret").display())),
        ("front", "lighttpd"),
        ("durability", "none"),
        ("read", "any"),
        ("listen.fcgi", &format!("unix:{} mode 0600", socket.display())),
        ("listen.http", "[::1]:0"),
        ("listen.gossip", "10.0.0.1:7071"),
        ("deliver.map_max", "0B"),
        ("deliver.remote", "redirect"),
        ("write.allow", "10.0.0.0/8"),
        ("write.object_max", "5MiB"),
        ("write.reserve", "0B"),
        ("access.tokens", "/etc/webdfs/tokens"),
        ("access.private", "none"),
        ("access.users", "ann (GET PUT below /images/a/), bob (UI below /)"),
        ("access.sign_keys", &format!("site1 ({})", sign_key.display())),
        ("limits.requests_per_second", "20"),
        ("limits.bytes_per_second", "5MiB"),
        ("limits.uploads", "4"),
        ("agent.bytes_per_second", "20MiB"),
        ("agent.concurrency", "2"),
        ("agent.pass_every", "90min"),
        ("agent.scrub_every", "never"),
    ];
    let decided: Vec<_> = settings.decided().collect();
    assert_eq!(decided, expected.map(|(setting, value)| (setting, value.to_owned())));
    assert!(!format!("{settings:?}").contains(SECRET));
}

#[test]
fn what_is_private_lies_below_the_prefix_or_holds_all_of_it() {
    let private = |top: &str| {
        let text = format!("name = \"a\"\nroot = \"r\"\n{top}");
        load_text(&text).unwrap().access.private.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(private("[access]\nprivate = [\"/a\", \"/b c/d/\"]\n"), ["/a/", "/b c/d/"]);
    assert_eq!(
        private("prefix = \"/i/\"\n[access]\nprivate = [\"/i/a\", \"/i\", \"/\"]\n"),
        ["/i/a/", "/i/", "/"]
    );
}

#[test]
fn another_nodes_file_is_fetched_as_the_front_can_do_it() {
    for (front, remote) in [
        ("nginx", Remote::Internal),
        ("apache", Remote::Proxy),
        ("lighttpd", Remote::Proxy),
        ("plain", Remote::Proxy),
    ] {
        let settings = load_text(&format!("name = \"a\"\nroot = \"r\"\nfront = \"{front}\"\n")).unwrap();
        assert_eq!(settings.deliver.remote, remote, "{front}");
    }
}

#[test]
fn what_is_compared_before_it_is_served_is_never_handed_on() {
    for top in ["front = \"nginx\"\n", "front = \"apache\"\n", ""] {
        for deliver in ["", "[deliver]\nremote = \"proxy\"\n"] {
            let text = format!("name = \"a\"\nroot = \"r\"\nread = \"quorum\"\n{top}{deliver}");
            let settings = load_text(&text).unwrap();
            assert_eq!((settings.read, settings.deliver.remote), (Read::Quorum, Remote::Proxy), "{text}");
        }
    }
}

#[test]
fn the_command_line_goes_before_the_file_and_a_bad_one_changes_nothing() {
    let mut settings = load_text(&shipped("node.toml")).unwrap();
    let before = settings.listen.clone();
    let fcgi = Some("127.0.0.1:9000".to_owned());
    let bad =
        Overrides { fcgi: fcgi.clone(), http: Some("nonsense".to_owned()), gossip: Some("a:1".to_owned()) };
    assert!(settings.apply(&bad, Path::new("/")).is_err());
    assert_eq!(settings.listen, before);
    let good = Overrides { fcgi, ..Overrides::default() };
    settings.apply(&good, Path::new("/")).unwrap();
    assert_eq!(settings.listen.fcgi, FcgiListen::Tcp("127.0.0.1:9000".to_owned()));
    assert_eq!((settings.listen.http, settings.listen.gossip), (before.http, before.gossip));
}

/// What every node.toml below starts with: two lines.
const START: &str = "name = \"img1\"\nroot = \"/srv/webdfs\"\n";

/// (what follows the first two lines, the line of the mistake, what the error says)
const REFUSED_AFTER_START: &[(&str, usize, &str)] = &[
    // Not TOML, and values of another type.
    ("front = nginx", 3, "a text stands in quotes; use front = \"nginx\""),
    ("[write]\nobject_max = 5MiB  # enough", 4, "use object_max = \"5MiB\""),
    ("[deliver] remote = \"proxy\"", 3, "[deliver]: "),
    ("front = \"nginx", 3, "invalid basic string"),
    ("name = \"again\"", 3, "duplicate key"),
    ("[listen", 3, "unclosed table"),
    ("front = 5", 3, "front = 5: this is integer 5; use a text in quotes"),
    ("root_is_mount = \"yes\"", 3, "use true or false, without quotes"),
    ("layout = \"hashed\"", 3, "layout = \"hashed\": use path or webdfs_hashed"),
    ("layout = \"webdfs_hashed\"", 3, "php: is missing; add a line such as php = \"5.2\""),
    ("layout = \"webdfs_hashed\"\nphp = \"\"", 4, "php: is missing"),
    (
        "layout = \"webdfs_hashed\"\nphp = \"8.2\"",
        4,
        "php = \"8.2\": use \"5.2\" for PHP 5.2.1 to 7.0, or \"7.1\"",
    ),
    ("php = \"5.2\"", 3, "php = \"5.2\": there is a use for it with layout = \"webdfs_hashed\" only"),
    ("listen = \"127.0.0.1:80\"", 3, "use a table that starts with a line [listen]"),
    ("[write]\nallow = \"10.0.0.1\"", 4, "use a list in brackets: [\"...\""),
    ("[write]\nallow = [5]", 4, "use a text in quotes"),
    ("root_is_mount = yes", 3, "use true or false, without quotes"),
    ("file_mode = 0644", 3, "use file_mode = \"0644\""),
    // Unknown keys.
    ("rooot = \"/srv\"", 3, "rooot: there is no such setting; did you mean root?"),
    (
        "\n\n[deliver]\nremotes = \"proxy\"",
        6,
        "[deliver] remotes: there is no such setting; did you mean remote?",
    ),
    ("[listen]\nbacklog = 5", 4, "known are fcgi, fcgi_mode, http, gossip"),
    ("remote = \"proxy\"", 3, "there is no such setting here; known are name, map, root,"),
    ("[lisden]\nhttp = \"a:1\"", 3, "[lisden]: there is no such setting; did you mean listen?"),
    ("listen = { htp = \"a:1\" }", 3, "did you mean http?"),
    // Values that cannot be.
    ("map = \"\"", 3, "map = \"\": is empty; use a path"),
    ("prefix = \"images\"", 3, "prefix = \"images\": "),
    ("index = \"a/b\"", 3, "use one file name, such as \"index.html\""),
    ("index = \"..\"", 3, "use one file name"),
    ("exclude = [\"a/b\"]", 3, "exclude = [\"a/b\"]: "),
    ("file_mode = \"0755\"", 3, "use a mode without x bits"),
    ("file_mode = \"rw\"", 3, "octal digits in quotes, such as \"0644\""),
    ("folder_mode = \"0644\"", 3, "needs 0700"),
    (
        "front = \"iis\"",
        3,
        "front = \"iis\": use nginx, apache, lighttpd, caddy, caddy-2.6, caddy-dash or plain",
    ),
    ("durability = \"full\"", 3, "durability = \"full\": use sync or none"),
    ("[listen]\nfcgi = \"9000\"", 4, "[listen] fcgi = \"9000\": use \"unix:PATH\" or \"HOST:PORT\""),
    ("[listen]\nfcgi = \"/run/w.sock\"", 4, "use \"unix:/run/w.sock\""),
    (
        "[listen]\nfcgi = \"unix:w\"\nfcgi_mode = \"9\"",
        5,
        "[listen] fcgi_mode = \"9\": a mode is octal digits",
    ),
    ("[listen]\nhttp = \"7070\"", 4, "[listen] http = \"7070\": use \"HOST:PORT\""),
    ("[listen]\nhttp = \"unix:/w\"", 4, "the embedded front needs an address"),
    ("[listen]\ngossip = \"7071\"", 4, "[listen] gossip = \"7071\": use \"HOST:PORT\""),
    ("[listen]\ngossip = \"unix:/w\"", 4, "gossip goes by UDP and needs an address"),
    (
        "[deliver]\nmap_max = \"256k\"",
        4,
        "[deliver] map_max = \"256k\": a size is a whole number with B, KiB",
    ),
    ("[deliver]\nmap_max = \"2GiB\"", 4, "use a size from 0B to 1GiB"),
    (
        "[deliver]\nremote = \"intrenal\"",
        4,
        "[deliver] remote = \"intrenal\": use internal, proxy or redirect",
    ),
    ("read = \"newest\"", 3, "read = \"newest\": use any or quorum"),
    (
        "read = \"quorum\"\n[deliver]\nremote = \"internal\"",
        5,
        "[deliver] remote = \"internal\": with read = \"quorum\" webdfs compares what the owners hold",
    ),
    ("read = \"quorum\"\n[deliver]\nremote = \"redirect\"", 5, "use proxy, or leave this out"),
    (
        "[write]\nallow = [\n  \"10.0.0.0/8\",\n  \"localhost\",\n]",
        6,
        "[write] allow = \"localhost\": use an address",
    ),
    ("[write]\nallow = [\"10.0.0.1/8\"]", 4, "use 10.0.0.0/8 for the range, or 10.0.0.1 for the one address"),
    ("[write]\nobject_max = \"0\"", 4, "use a size from 1B to 16TiB"),
    ("[write]\nobject_max = \"99999999TiB\"", 4, "no file can be that large"),
    ("[write]\nreserve = \"1%\"", 4, "[write] reserve = \"1%\": a size is"),
    (
        "[agent]\nbytes_per_second = \"9KiB\"",
        4,
        "[agent] bytes_per_second = \"9KiB\": use a size from 1MiB to",
    ),
    ("[agent]\nconcurrency = 0", 4, "[agent] concurrency = 0: use a whole number from 1 to 256"),
    ("[agent]\nconcurrency = 257", 4, "use a whole number from 1 to 256"),
    ("[agent]\npass_every = \"never\"", 4, "a time is a whole number with s, min, h or d, such as \"6h\""),
    ("[agent]\nscrub_every = \"1min\"", 4, "[agent] scrub_every = \"1min\": use a time from 1h to 365d"),
    // Contradictions.
    (
        "index = \"index.php\"",
        3,
        "index = \"index.php\": exclude keeps index.php, the index, from being served",
    ),
    ("exclude = [\"index*\"]", 3, "exclude = [\"index*\"]: exclude keeps index.html, the index,"),
    ("front = \"apache\"\n[deliver]\nremote = \"internal\"", 5, "front is \"apache\"; use proxy or redirect"),
    ("[listen]\nfcgi_mode = \"0600\"", 4, "set fcgi = \"unix:PATH\" as well"),
    ("[listen]\nfcgi = \"a:1\"\nfcgi_mode = \"0600\"", 5, "set fcgi = \"unix:PATH\" as well"),
    ("[listen]\nfcgi = \"a:1\"\nhttp = \"a:1\"", 5, "fcgi and http cannot share a:1"),
    ("secret_file = \"/srv/webdfs/sub/../secret\"", 3, "lies inside the storage root /srv/webdfs"),
];

/// (a whole node.toml, the line of the mistake or 0 for none, what the error says)
const REFUSED: &[(&str, usize, &str)] = &[
    ("", 0, "node.toml: name: is missing; add a line such as name = \"img1\""),
    ("name = \"a\"", 0, "node.toml: root: is missing; add a line such as root = \"/srv/webdfs\""),
    ("root = \"/srv\"\nname = \"img 1\"", 2, "name = \"img 1\": "),
    ("name = \"\"\nroot = \"/srv\"", 1, "name = \"\": "),
    ("name = \"a\"\nroot = \"/\"", 2, "root = \"/\": the storage root cannot be the whole file system"),
    ("name = \"a\"\nroot = \"/srv/..//.\"", 2, "cannot be the whole file system"),
    ("name = \"a\"\nroot = \"\"", 2, "root = \"\": is empty"),
    ("name = \"a\"\nroot = \".\"", 0, "secret_file = \"secret\": lies inside the storage root"),
];

#[test]
fn every_mistake_in_node_toml_is_refused_with_its_line_and_what_is_right() {
    drop(load_text(START).expect("the start alone is right"));
    for (rest, line, fragment) in REFUSED_AFTER_START {
        let text = format!("{START}{rest}\n");
        assert_says(&load_text(&text).expect_err(&text), "node.toml", *line, fragment);
    }
    for (text, line, fragment) in REFUSED {
        assert_says(&load_text(text).expect_err(text), "node.toml", *line, fragment);
    }
}

#[test]
fn a_missing_file_and_one_that_is_no_text_are_refused_by_name() {
    let folder = folder("name = \"a\"\n\n\u{e4}");
    let path = folder.path().join("node.toml");
    fs::write(&path, b"name = \"a\"\n\n# \xff\n").unwrap();
    assert_says(&load(&path).unwrap_err(), "node.toml", 3, "not UTF-8 text");
    fs::remove_file(&path).unwrap();
    for error in [load(&path).unwrap_err(), load_map(&path).unwrap_err()] {
        assert!(std::error::Error::source(&error).is_some());
        assert_says(&error, "node.toml", 0, "cannot be read");
    }
}

#[test]
fn a_secret_that_others_may_read_is_refused_and_never_shown() {
    let folder = folder(START);
    let secret = folder.path().join("secret");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o640)).unwrap();
    let error = load(&folder.path().join("node.toml")).unwrap_err().to_string();
    assert!(
        error.contains("mode 0640") && error.contains(&format!("chmod 600 {}", secret.display())),
        "{error}"
    );
    assert!(!error.contains(SECRET));
    let naming = load_naming(&folder.path().join("node.toml")).expect("no secret tells where a file is");
    assert!(naming.root.is_some_and(|root| root.is_absolute()), "nor where the root is");
}
