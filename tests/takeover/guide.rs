//! The first half of docs/takeover.md, with a cluster laid out as the original leaves one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::common::{Cluster, Front, Options, assert_missing, assert_stored, wait_until};
use super::{Original, RUSHP, RUSHR, Stored, on_disk};

/// The `cluster_config.php` that such a cluster of the original has.
fn config_php(original: Original, urls: &[String], clusters: &[(usize, f64)], replicas: usize) -> String {
    let mut urls = urls.iter();
    let mut text = String::from(
        "<?php\n/** a licence */\nreturn array(\n    'autoMove' => false,\n    'debug' => true,\n",
    );
    text += &format!(
        "    'thisProxyUrl' => '{}',\n    'usePathHashing' => {},\n",
        urls.as_slice()[0],
        original.hashed
    );
    text += &format!(
        "    'data' => array(array(\n        'locatorClassName' => 'WebDFS_DataLocator_{}',\n        'storageRoot' => \
         '/mnt/webdfs/data',\n        'tmpRoot' => '/mnt/webdfs/tmp',\n        'replicationDegree' => {replicas},\n        \
         'clusters' => array(\n",
        original.algorithm
    );
    for (nodes, weight) in clusters {
        text += &format!("            array('weight' => {weight}, 'nodes' => array( // nodes\n");
        for url in urls.by_ref().take(*nodes) {
            text += &format!("                array('proxyUrl' => '{url}', 'staticUrl' => '{url}'),\n");
        }
        text += "            )),\n";
    }
    text + "        ),\n    )),\n    'errMsgs' => array('putData' => \"ERROR: action: %s\"),\n);\n"
}

fn import_php(file: &Path, php: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["map", "import-php"]).arg(file).args(["--php", php]).args(more);
    command.output().unwrap()
}

/// The steps of the guide up to the first start; the files lie there already.
fn take_over(cluster: &Cluster, original: Original, php: &str) {
    let Options { nodes, replicas, subclusters, .. } = &cluster.options;
    let urls: Vec<String> =
        (0..*nodes).map(|node| format!("http://{}/dfs.php", cluster.address(node))).collect();
    let top = cluster.config(0).parent().unwrap().parent().unwrap().to_owned();
    let (old, new) = (top.join("cluster_config.php"), top.join("imported.toml"));
    fs::write(&old, config_php(original, &urls, subclusters, *replicas)).unwrap();
    let output = import_php(&old, php, &["--output", new.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Names are the owner's choice before the first start; the nodes' own lines come from the comments.
    let mut map = fs::read_to_string(&new).unwrap();
    for line in cluster.options.top.lines().chain(["prefix = \"/dfs.php/\""]) {
        assert!(map.contains(&format!("#     {line}\n")), "{line}\n{map}");
    }
    for node in 0..*nodes {
        let address = cluster.address(node);
        let given = format!("name = \"{}-{}\"\n", address.ip(), address.port());
        assert!(map.contains(&given), "{given}\n{map}");
        map = map.replace(&given, &format!("name = \"{}\"\n", cluster.name(node)));
    }
    fs::write(top.join("cluster.toml"), map).unwrap();
}

fn options(original: Original, top: &'static str, prepare: fn(&Cluster)) -> Options {
    Options { prefix: "/dfs.php/", ..original.options(top, "", prepare) }
}

/// Every file is found through every node at the URL it always had, and can be replaced and deleted.
fn is_served_at_its_urls(cluster: &Cluster, original: Original) {
    let before = on_disk(cluster);
    let all = original.stored();
    for stored in &all {
        let target = format!("/dfs.php{}", stored.target());
        assert_eq!(cluster.owners(&target), stored.nodes, "{target}");
        assert_stored(cluster, &target, &stored.bytes);
    }
    assert!(on_disk(cluster) == before, "files were changed, added or taken away");
    let target = format!("/dfs.php{}", all[1].target());
    cluster.put(0, &target, "new").expect(204);
    assert_stored(cluster, &target, b"new");
    for node in &all[1].nodes {
        let path = cluster.root(*node).join(&all[1].path);
        wait_until("each owner has it where the original would", || {
            fs::read(&path).is_ok_and(|bytes| bytes == b"new")
        });
    }
    cluster.delete(1, &target).expect(204);
    assert_missing(cluster, &target);
}

/// The names of files in hashed folders are known to nobody until they are written again, by a list of them.
fn gets_its_names(cluster: &Cluster, original: Original) {
    let all = &original.stored()[2..];
    let (list, lost) = (cluster.config(0).with_file_name("list"), &all[0]);
    let url = |stored: &Stored| format!("http://{}/dfs.php{}\n", cluster.address(1), stored.target());
    fs::write(&list, all.iter().map(url).collect::<String>()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    // The URLs have the prefix, and so have the names.
    command
        .arg("import")
        .arg(&list)
        .args(["--again", "--json", "--to"])
        .arg(format!("http://{}", cluster.address(0)));
    let output = command.output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["files"], &said["failed"]), (&all.len().into(), &0.into()), "{said}");
    for stored in all {
        assert_stored(cluster, &format!("/dfs.php{}", stored.target()), &stored.bytes);
        let held = |node: &usize| cluster.store(*node).held(&stored.name).unwrap();
        let first = held(&stored.nodes[0]);
        wait_until("all copies are one version", || stored.nodes.iter().all(|node| held(node) == first));
    }
    // Now a copy that is lost is noticed and brought back.
    let path = cluster.root(lost.nodes[1]).join(&lost.path);
    fs::remove_file(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["reconcile", "--once", "--config"]).arg(cluster.config(lost.nodes[0]));
    assert!(command.output().unwrap().status.success());
    assert!(fs::read(path).unwrap() == lost.bytes);
}

#[test]
fn a_cluster_of_rushr_with_hashed_paths_is_taken_over_by_the_guide() {
    const TOP: &str = "layout = \"webdfs_hashed\"\nphp = \"5.2\"";
    let prepare = |cluster: &Cluster| {
        RUSHR.lay_down(cluster);
        take_over(cluster, RUSHR, "5.2");
    };
    let cluster = Cluster::start(Front::Nginx, options(RUSHR, TOP, prepare));
    is_served_at_its_urls(&cluster, RUSHR);
    gets_its_names(&cluster, RUSHR);
}

#[test]
fn a_cluster_of_rushp_without_hashed_paths_is_taken_over_by_the_guide() {
    let prepare = |cluster: &Cluster| {
        RUSHP.lay_down(cluster);
        take_over(cluster, RUSHP, "7.1");
    };
    is_served_at_its_urls(
        &Cluster::start(Front::Embedded, options(RUSHP, "layout = \"path\"", prepare)),
        RUSHP,
    );
}

#[test]
fn a_map_that_is_there_is_never_overwritten_and_a_bad_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("cluster_config.php"), dir.path().join("cluster.toml"));
    let text =
        config_php(RUSHR, &["http://a/d", "http://b/d", "http://c/d"].map(str::to_owned), &[(3, 1.0)], 2);
    fs::write(&old, &text).unwrap();
    fs::write(&new, "mine").unwrap();
    let output = import_php(&old, "5.2", &["--output", new.to_str().unwrap()]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("cluster.toml: cannot be written"), "{errors}");
    assert_eq!(fs::read_to_string(&new).unwrap(), "mine");

    fs::write(&old, text.replace("'weight' => 1", "'weight' => rand(1, 2)")).unwrap();
    let output = import_php(&old, "5.2", &[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("cluster_config.php:14: 'weight' is what rand() returns"), "{errors}");
    assert!(output.stdout.is_empty());
}
