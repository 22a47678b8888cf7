//! What a change of the map moves is said before it is made, and nothing travels twice.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use common::{Cluster, Front, Options, noise, wait_until};
use serde_json::Value;

/// A node of a map, and more of its lines.
type Listed<'a> = (usize, &'a str);

/// A map of these sub-clusters: the weight and the nodes of each.
fn map(cluster: &Cluster, epoch: u64, groups: &[(f64, &[Listed<'_>])]) -> String {
    const NAMES: [&str; 4] = ["s0", "s1", "s2", "s3"];
    let groups: Vec<_> =
        groups.iter().zip(NAMES).map(|((weight, nodes), name)| (name, *weight, *nodes)).collect();
    common::map(cluster, epoch, (cluster.options.replicas, cluster.options.write_quorum), &groups)
}

/// `webdfs map ...` with a new map, on a node.
fn command(cluster: &Cluster, node: usize, what: &str, toml: &str, more: &[&str]) -> Output {
    let file = cluster.config(node).with_file_name("next.toml");
    fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["map", what]).arg(&file).arg("--config").arg(cluster.config(node)).args(more);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// `webdfs status --json` of a node.
fn status(cluster: &Cluster, node: usize) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.args(["status", "--json", "--config"]).arg(cluster.config(node)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the nodes have carried since they started, in all: copies, their bytes, and those of them in vain.
fn carried(cluster: &Cluster, nodes: &[usize]) -> [u64; 3] {
    let mut all = [0; 3];
    for node in nodes {
        let carried = &status(cluster, *node)["carried"];
        let of = |what: &str| carried[what].as_u64().unwrap();
        all[0] += of("sent") + of("fetched");
        all[1] += of("sent_bytes") + of("fetched_bytes");
        all[2] += of("in_vain");
    }
    all
}

fn wait_until_settled(cluster: &Cluster, nodes: &[usize]) {
    wait_until("the map is settled", || {
        nodes.iter().all(|node| webdfs::store::remembered_maps(&cluster.root(*node)).unwrap().len() == 1)
    });
}

const FILES: usize = 400;

/// Three nodes that hold two copies of each of some files, and a fourth that is not there yet.
fn three_of_four() -> Cluster {
    let options = Options {
        nodes: 4,
        members: Some(3),
        absent: &[3],
        replicas: 2,
        agent: "bytes_per_second = \"8MiB\"",
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Embedded, options);
    for number in 0..FILES {
        let stored =
            cluster.put(number % 3, &format!("/plan/{number}.jpg"), noise(number as u64, 20_000 + number));
        assert_eq!(stored.expect(201).header("webdfs-replicas"), Some("2/2"));
    }
    cluster
}

/// Adds the fourth node.
fn grown(cluster: &Cluster) -> String {
    map(cluster, 2, &[(1.0, &[(0, ""), (1, ""), (2, "")]), (1.0, &[(3, "")])])
}

/// The plan of a map, as JSON.
#[track_caller]
fn plan(cluster: &Cluster, toml: &str) -> Value {
    let output = command(cluster, 0, "plan", toml, &["--json"]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Applies a map, and waits until the files have moved: what travelled meanwhile.
fn move_files(cluster: &Cluster, toml: &str, before: [u64; 3]) -> [u64; 3] {
    let output = command(cluster, 0, "apply", toml, &[]);
    assert!(output.status.success(), "{}", said(&output));
    wait_until_settled(cluster, &[0, 1, 2, 3]);
    let after = carried(cluster, &[0, 1, 2, 3]);
    [0, 1, 2].map(|one| after[one] - before[one])
}

/// The sum of a figure over the pairs of a plan that `is` holds for.
fn sum(plan: &Value, what: &str, is: impl Fn(&Value) -> bool) -> u64 {
    plan["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| is(pair))
        .map(|pair| pair[what].as_u64().unwrap())
        .sum()
}

#[test]
fn a_plan_says_what_travels_then_and_nothing_travels_twice() {
    let cluster = three_of_four();
    let next = grown(&cluster);
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), &next).unwrap();
    cluster.add(3);
    wait_until("it joins", || cluster.log(3).contains("is not in force yet"));
    let growth = plan(&cluster, &next);
    let drawing = cluster.config(0).with_file_name("plan.svg");
    let told = command(&cluster, 0, "plan", &next, &["--svg", drawing.to_str().unwrap()]);
    assert!(said(&told).contains("| img1 | img4 |"), "{}", said(&told));
    let drawing = fs::read_to_string(drawing).unwrap();
    let drawing = roxmltree::Document::parse(&drawing).unwrap();
    let flows = drawing.descendants().filter(|node| node.has_tag_name("path")).count();
    assert_eq!(flows, growth["pairs"].as_array().unwrap().len());
    let moved = move_files(&cluster, &next, [0; 3]);
    let figures =
        |plan: &Value| [&plan["moves"]["objects"], &plan["moves"]["bytes"]].map(|of| of.as_u64().unwrap());
    assert_eq!((moved[..2].to_vec(), moved[2]), (figures(&growth).to_vec(), 0), "{growth:#}");
    assert_eq!(growth["objects"]["objects"], FILES, "each object once");
    assert_eq!(sum(&growth, "objects", |pair| pair["to"] == "img4"), moved[0]);
    // As each node says of itself.
    for node in 0..3 {
        let of = |figure: &str| status(&cluster, node)["carried"][figure].as_u64().unwrap();
        let name = cluster.name(node);
        assert_eq!(of("sent"), sum(&growth, "objects", |pair| pair["from"] == name.as_str()), "{name}");
        assert_eq!(of("fetched"), 0);
    }
    let held = |plan: &Value, which: &str| -> Vec<u64> {
        plan["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node[which]["objects"].as_u64().unwrap())
            .collect()
    };
    let out = map(&cluster, 3, &[(1.0, &[(0, ""), (1, "state = \"out\""), (2, "")]), (1.0, &[(3, "")])]);
    let drain = plan(&cluster, &out);
    assert_eq!(held(&growth, "after"), held(&drain, "before"));
    let moved = move_files(&cluster, &out, carried(&cluster, &[0, 1, 2, 3]));
    assert_eq!((moved[..2].to_vec(), moved[2]), (figures(&drain).to_vec(), 0), "{drain:#}");
    assert_eq!(sum(&drain, "objects", |pair| pair["from"] == "img2"), moved[0], "from the node that goes");
    assert_eq!(held(&drain, "after")[1], 0);
    let history = webdfs(&["map", "history", "--json"], &cluster, 3);
    let history: Value = serde_json::from_slice(&history.stdout).unwrap();
    let lines: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!(
        lines.iter().map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 3],
        "it joined by the second"
    );
    let told = said(&webdfs(&["map", "history"], &cluster, 0));
    assert!(told.contains("sub-cluster s1 is added: 1 node of weight 1"), "{told}");
    assert!(told.contains("img2 goes out of service") && !told.contains("not yet"), "{told}");
}

/// A command, on a node.
fn webdfs(arguments: &[&str], cluster: &Cluster, node: usize) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(arguments).arg("--config").arg(cluster.config(node)).output().unwrap()
}

#[test]
fn a_node_that_does_not_answer_is_named_and_left_out_of_the_plan() {
    let cluster = three_of_four();
    let out = map(&cluster, 2, &[(1.0, &[(0, ""), (1, "state = \"out\""), (2, "")]), (1.0, &[(3, "")])]);
    cluster.kill(2);
    let output = command(&cluster, 0, "plan", &out, &[]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("WARNING img3 has not counted: "), "{told}");
    assert!(told.contains("WARNING img4 has not counted: "), "it is not there yet: {told}");
    assert!(told.contains("webdfs: 1 node is left out: start them, or be content with --partial"), "{told}");
    let output = command(&cluster, 0, "plan", &out, &["--partial", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["missing"], &plan["nodes"][2]["before"]), (&1.into(), &Value::Null));
    let same = command(&cluster, 0, "plan", &map(&cluster, 1, &[(1.0, &[(0, ""), (1, "")])]), &["--partial"]);
    assert!(said(&same).contains("OBJECTION epoch"), "{}", said(&same));
    let cut = command(&cluster, 0, "plan", "epoch = 2\nreplicas =", &[]);
    assert!(said(&cut).contains("next.toml") && cut.status.code() == Some(1), "{}", said(&cut));
}

#[test]
fn a_map_is_applied_and_waited_for_and_who_is_tired_of_it_leaves_the_change_running() {
    let cluster = three_of_four();
    let next = grown(&cluster);
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), &next).unwrap();
    let file = cluster.config(0).with_file_name("next.toml");
    fs::write(&file, &next).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["map", "apply", "--wait"]).arg(&file).arg("--config").arg(cluster.config(0));
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_in_force = |node| webdfs::store::remembered_maps(&cluster.root(node)).unwrap().len() == 2;
    wait_until("the map is in force", || (0..3).all(is_in_force));
    // Its last node is not there: the wait has no end.
    let mut line = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("nodes have finished"), "{line}");
    let pid = rustix::process::Pid::from_raw(waiting.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("the map is in force, and files go on moving: webdfs map status"),
        "{}",
        said(&output)
    );
    assert!((0..3).all(is_in_force));
    cluster.add(3);
    let output = webdfs(&["map", "apply", "--wait", file.to_str().unwrap()], &cluster, 1);
    assert!(output.status.success() && said(&output).contains("settled: no older map"), "{}", said(&output));
    wait_until_settled(&cluster, &[0, 1, 2, 3]);
    // A change that is made and applied at once.
    let output = webdfs(&["node", "out", "img1", "--apply", "--wait"], &cluster, 2);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("epoch 3 is in force on 4 of 4 nodes"), "{}", said(&output));
    assert!((0..FILES).all(|number| !cluster.has_file(0, &format!("/plan/{number}.jpg"))));
    assert_eq!(
        webdfs(&["node", "in", "img1", "--wait"], &cluster, 2).status.code(),
        Some(2),
        "nothing is applied"
    );
    let output = webdfs(&["subcluster", "weight", "s1", "2", "--apply"], &cluster, 2);
    assert!(said(&output).contains("epoch 4 is in force on 4 of 4 nodes"), "{}", said(&output));
}

#[test]
fn files_whose_names_nobody_knows_speak_against_a_change() {
    let prepare = |cluster: &Cluster| {
        fs::create_dir_all(cluster.root(0).join("07/11")).unwrap();
        (0..3).for_each(|number| {
            fs::write(cluster.root(0).join(format!("07/11/{number}.jpg")), "old").unwrap()
        });
    };
    let options = Options {
        replicas: 2,
        top: "layout = \"webdfs_hashed\"\nphp = \"7.1\"",
        prepare,
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Embedded, options);
    let out = map(&cluster, 2, &[(1.0, &[(0, "state = \"out\""), (1, ""), (2, "")])]);
    let plan = command(&cluster, 1, "plan", &out, &[]);
    assert_eq!(plan.status.code(), Some(1), "{}", said(&plan));
    let objection = "OBJECTION nameless: img1 holds 3 files of the original webDFS whose names are not known";
    assert!(
        said(&plan).contains(objection) && said(&plan).contains("webdfs import LIST --again"),
        "{}",
        said(&plan)
    );
    wait_until("img1 has walked over its root", || status(&cluster, 0)["counted"]["nameless"] == 3);
    let apply = command(&cluster, 1, "apply", &out, &[]);
    assert!(!apply.status.success() && said(&apply).contains(objection), "{}", said(&apply));
    let apply = command(&cluster, 1, "apply", &out, &["--force", "nameless"]);
    assert!(apply.status.success(), "{}", said(&apply));
}

#[test]
fn what_a_node_was_to_bring_that_dies_is_brought_by_the_others() {
    let cluster = three_of_four();
    let next = grown(&cluster);
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), &next).unwrap();
    cluster.add(3);
    wait_until("it joins", || cluster.log(3).contains("is not in force yet"));
    assert!(command(&cluster, 0, "apply", &next, &[]).status.success());
    cluster.kill(1);
    let paths: Vec<_> = (0..FILES).map(|number| format!("/plan/{number}.jpg")).collect();
    let moved: Vec<_> =
        paths.iter().zip(cluster.owners_of(&paths)).filter(|(_, owners)| owners.contains(&3)).collect();
    wait_until("all that moves has come", || moved.iter().all(|(path, _)| cluster.has_file(3, path)));
    cluster.restart(1);
    wait_until_settled(&cluster, &[0, 1, 2, 3]);
    for (path, owners) in moved {
        let holders: Vec<_> = (0..4).filter(|node| cluster.has_file(*node, path)).collect();
        assert!(holders.len() == 2 && holders.iter().all(|node| owners.contains(node)), "{path} {holders:?}");
    }
}
