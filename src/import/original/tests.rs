use super::*;
use crate::cluster::NodeName;
use crate::config::parse_map;

/// As the original's own example has it, put right, with two older states and a setting of the site's own.
const CONFIG: &str = r#"<?php
/** a licence */
define('STATIC_PORT', 81);
return array(
    'autoMove' => true, // comment
    'magicDbPath' => '/sw/share/file/magic',
    'thisProxyUrl' => 'http://10.0.0.2:80/dfs.php',
    'usePathHashing' => true,
    'ourOwn' => dirname(__FILE__) . '/x',
    'data' => array(
        array(
            'locatorClassName' => 'WebDFS_DataLocator_RUSHr',
            'locatorClassPath' => 'WebDFS/DataLocator/RUSHr.php',
            'storageRoot' => '/mnt/data',
            'tmpRoot' => '/mnt/tmp',
            'replicationDegree' => 2,
            'clusters' => array(
                array(
                    'weight' => 1,
                    'nodes' => array(
                        array('proxyUrl' => 'http://10.0.0.1:80/dfs.php', 'staticUrl' => 'http://10.0.0.1:' . STATIC_PORT),
                        array('proxyUrl' => 'http://10.0.0.2:80/dfs.php'),
                    ),
                ),
                array('weight' => 2.5, 'nodes' => array(array('proxyUrl' => 'http://img3.example.com:8080/dfs.php'))),
            ),
        ),
        array(
            'locatorClassName' => 'WebDFS_DataLocator_RUSHp',
            'replicationDegree' => 1,
            'clusters' => array(array('weight' => 1, 'nodes' => array(array('proxyUrl' => 'http://10.0.0.1/dfs.php')))),
        ),
    ),
    'errMsgs' => array('putData' => "ERROR: $%s"),
);
"#;

const WANTED: Wanted = Wanted { php: PhpVersion::V5_2, entry: 0, epoch: 1 };

fn read(text: &str) -> Result<Original, String> {
    let file = Path::new("conf/cluster_config.php");
    Original::read(text.as_bytes(), file, WANTED).map_err(|error| crate::chain::chain(&error))
}

/// [`CONFIG`] with a change is refused so.
fn assert_refused(from: &str, to: &str, line: usize, expected: &str) {
    assert!(CONFIG.contains(from), "{from}");
    let error = read(&CONFIG.replacen(from, to, 1)).expect_err(to);
    assert!(error.starts_with(&format!("conf/cluster_config.php:{line}: ")), "{to}: {error}");
    assert!(error.contains(expected), "{to}: {error}");
}

#[test]
fn the_map_is_that_of_the_present_state() {
    let original = read(CONFIG).unwrap();
    let text = original.to_toml(Path::new("conf/cluster_config.php"));
    let map = parse_map(&text, Path::new("cluster.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let nodes: Vec<String> = map
        .nodes()
        .iter()
        .map(|node| format!("{} {} {}", node.name(), node.url(), node.public_url().unwrap()))
        .collect();
    assert_eq!(
        nodes,
        [
            "10.0.0.1 http://10.0.0.1/_webdfs http://10.0.0.1",
            "10.0.0.2 http://10.0.0.2/_webdfs http://10.0.0.2",
            "img3.example.com http://img3.example.com:8080/_webdfs http://img3.example.com:8080"
        ]
    );
    assert_eq!((map.replicas(), map.write_quorum(), map.epoch().get()), (2, 2, 1));
    assert_eq!(original.spec.placement, PlacementSpec::WebdfsRushR(PhpVersion::V5_2));
    assert_eq!(original.spec.subclusters.iter().map(|one| one.weight).collect::<Vec<_>>(), [1.0, 2.5]);
}

#[test]
fn what_else_stood_there_is_advice_in_comments() {
    let text = read(CONFIG).unwrap().to_toml(Path::new("conf/cluster_config.php"));
    let words = text.replace("\n# ", " ");
    for expected in [
        "    name = \"10.0.0.2\"    # on the node whose file this was",
        "    root = \"/mnt/data\"",
        "    layout = \"webdfs_hashed\"",
        "    php = \"5.2\"",
        "    prefix = \"/dfs.php/\"",
        "ourOwn (line 9) is no setting that webdfs knows.",
        "tmpRoot (line 15): webdfs keeps uploads in progress in .webdfs/tmp",
        "data has 2 entries, and this is number 0.",
        "(--entry 1 --epoch 1)",
        "Not needed any more: errMsgs.",
    ] {
        assert!(words.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("usePathHashing"), "{text}");
    let old = read(&CONFIG.replace("'usePathHashing' => true,", "")).unwrap().to_toml(Path::new("c.php"));
    assert!(old.replace("\n# ", " ").contains("/pets/cat.jpg was the file petscat.jpg"), "{old}");
    let plain = read(&CONFIG.replace("'usePathHashing' => true", "'usePathHashing' => 0")).unwrap();
    assert!(plain.to_toml(Path::new("c.php")).contains("#     layout = \"path\"\n"));
    let evil = CONFIG.replace("ourOwn", "a\\nepoch = 7\nepoch = 8");
    assert!(parse_map(&read(&evil).unwrap().to_toml(Path::new("a\nb = 1")), Path::new("c.toml")).is_ok());
}

#[test]
fn an_older_state_is_taken_on_demand() {
    let wanted = Wanted { entry: 1, epoch: 4, php: PhpVersion::V7_1 };
    let original = Original::read(CONFIG.as_bytes(), Path::new("c.php"), wanted).unwrap();
    assert_eq!((original.spec.epoch, original.spec.replicas, original.spec.write_quorum), (4, 1, 1));
    assert_eq!(original.spec.placement, PlacementSpec::WebdfsRushP(PhpVersion::V7_1));
    let error = Original::read(CONFIG.as_bytes(), Path::new("c.php"), Wanted { entry: 2, ..wanted });
    assert!(error.unwrap_err().to_string().starts_with("c.php:10: 'data' has 2 entries"));
}

#[test]
fn nodes_get_names_that_tell_them_apart() {
    let named = |urls: &[&str]| -> Vec<String> {
        let nodes: String = urls.iter().map(|url| format!("array('proxyUrl' => '{url}'),")).collect();
        let text = format!(
            "<?php return array('data' => array(array('locatorClassName' => 'RUSHr', 'replicationDegree' => 1,
            'clusters' => array(array('weight' => 1, 'nodes' => array({nodes}))))));"
        );
        let spec = read(&text).unwrap().spec;
        spec.subclusters[0].nodes.iter().map(|node| format!("{} {}", node.name, node.url)).collect()
    };
    assert_eq!(named(&["http://A/d", "http://b/d"]), ["a http://a/_webdfs", "b http://b/_webdfs"]);
    assert_eq!(
        named(&["http://h:81/d", "http://h:82/d"]),
        ["h-81 http://h:81/_webdfs", "h-82 http://h:82/_webdfs"]
    );
    assert_eq!(
        named(&["http://h/a/dfs.php", "http://h/b/dfs.php"]),
        ["h-80-a-dfs.php http://h/a/_webdfs", "h-80-b-dfs.php http://h/b/_webdfs"]
    );
    assert_eq!(named(&["http://[::1]/d"]), ["1 http://[::1]/_webdfs"]);
    let long = format!("http://{}.example/d", "x".repeat(80));
    let other = format!("http://{}.example:81/d", "x".repeat(80));
    assert!(named(&[&long, &other]).iter().all(|node| node.starts_with("node")));
    assert!("node1".parse::<NodeName>().is_ok());
}

#[test]
fn what_cannot_be_taken_over_is_refused_with_its_line() {
    let refused = [
        (
            "'WebDFS_DataLocator_RUSHr'",
            "'WebDFS_DataLocator_RUSHps'",
            12,
            "found some files on the wrong node",
        ),
        ("'WebDFS_DataLocator_RUSHr'", "'Our_Own'", 12, "the locator Our_Own is unknown"),
        ("'WebDFS_DataLocator_RUSHr'", "CLASS_NAME", 12, "is the constant CLASS_NAME; write it out"),
        ("'replicationDegree' => 2,", "", 11, "'replicationDegree' is missing here"),
        ("'replicationDegree' => 2", "'replicationDegree' => 1.5", 16, "whole number"),
        ("'replicationDegree' => 2", "'replicationDegree' => count($x)", 16, "$x has no value"),
        ("'replicationDegree' => 2", "'replicationDegree' => f(1)", 16, "what f() returns"),
        ("'replicationDegree' => 2", "'replicationDegree' => 4", 16, "only 3 of the nodes"),
        ("'weight' => 1,", "", 18, "'weight' is missing here"),
        ("'weight' => 1,", "'weight' => null,", 19, "'weight' is null"),
        ("'weight' => 1,", "'weight' => -1,", 18, "weight is -1"),
        ("http://10.0.0.1:80/dfs.php", "10.0.0.1", 21, "'proxyUrl'"),
        ("array('proxyUrl' => 'http://10.0.0.2:80/dfs.php')", "2", 22, "a node is a number"),
        ("http://10.0.0.2:80/dfs.php'),", "http://10.0.0.1:80/dfs.php'),", 22, "is that of node"),
        ("array('proxyUrl' => 'http://10.0.0.2:80/dfs.php')", "array()", 22, "'proxyUrl' is missing here"),
        ("'data' => array(", "'dat' => array(", 4, "'data' is missing"),
        ("'data' => array(", "'data' => array(), 'x' => array(", 10, "has 0 entries"),
        ("'data' => array(", "'data' => 7, 'x' => array(", 10, "'data' is a number; it is an array"),
    ];
    for (from, to, line, expected) in refused {
        assert_refused(from, to, line, expected);
    }
}

/// The example that comes with release 0.11 has a parenthesis in the wrong place, and so may files made from it.
#[test]
fn a_static_url_beside_its_node_is_found() {
    let from = "array('proxyUrl' => 'http://10.0.0.2:80/dfs.php'),\n";
    let to = "array('proxyUrl' => 'http://10.0.0.2:80/dfs.php'),\n 'staticUrl' => 'http://10.0.0.2:80'\n";
    assert_refused(from, to, 23, "'staticUrl' stands beside the entries of 'nodes'");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_with_a_line() {
    let whole = CONFIG.trim_end().len();
    for end in 0..whole {
        let error = read(&CONFIG[..end]).expect_err("cut off");
        let line = error.strip_prefix("conf/cluster_config.php:").and_then(|rest| rest.split(':').next());
        let line: usize = line.unwrap().parse().unwrap();
        assert!((1..=CONFIG.lines().count()).contains(&line), "{end}: {error}");
    }
    assert!(read(&CONFIG[..whole]).is_ok());
}

#[test]
fn bytes_that_nobody_chose_never_panic() {
    for byte in [0, b'\'', b'"', b'\\', b'$', b'(', b')', b'[', b'=', b'-', b'.', b'9', 0xff] {
        for at in 0..CONFIG.len() {
            let mut text = CONFIG.as_bytes().to_vec();
            text[at] = byte;
            // Without the check of the map, which takes much longer and is tested elsewhere.
            let _ = returned(&text).and_then(|root| take_over(&root, WANTED));
            text.remove(at);
            let _ = returned(&text).and_then(|root| take_over(&root, WANTED));
        }
    }
}
