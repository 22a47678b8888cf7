//! What an operator has ordered of the background work holds for moves, too, and outlives changes of the map.

use serde_json::{Value, json};

use super::*;

/// A command on a node, and what it printed.
fn run(cluster: &Cluster, node: usize, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.args(args).arg("--config").arg(cluster.config(node)).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn status(cluster: &Cluster, node: usize) -> Value {
    serde_json::from_slice(&run(cluster, node, &["status", "--json"])).unwrap()
}

#[test]
fn while_the_background_work_is_paused_no_file_moves_under_a_new_map_until_it_is_resumed() {
    const FILES: usize = 30;
    const NODES: [usize; 6] = [0, 1, 2, 3, 4, 5];
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    let path = |number: usize| format!("/paused/{number}.jpg");
    for number in 0..FILES {
        cluster.put(number % 3, &path(number), noise(number as u64, 2000)).expect(201);
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    for node in 3..6 {
        add(&cluster, node, &next);
    }
    wait_until_they_wait(&cluster);
    for node in NODES {
        run(&cluster, node, &["agent", "pause"]);
        run(&cluster, node, &["agent", "rate", "300MiB"]);
        wait_until("what was begun is finished", || status(&cluster, node)["background"]["files"] == 0);
    }
    applied(&cluster, 0, &next);
    wait_until("each node's pass under the new map waits", || {
        NODES.iter().all(|node| {
            let now = status(&cluster, *node);
            (&now["epoch"], &now["reconcile"]["now"]["state"]) == (&json!(2), &json!("running"))
        })
    });
    // All that is asked for meanwhile is found where it was; whoever owns it now may keep what it serves.
    for number in 0..FILES {
        for node in NODES {
            let answer = cluster.get(node, &path(number));
            assert_eq!((answer.status, answer.body), (200, noise(number as u64, 2000)), "{number} at {node}");
        }
    }
    for number in 0..FILES {
        let holders = holders(&cluster, 6, &path(number));
        assert_eq!(holders[..3], [0, 1, 2], "{number}");
    }
    let ordered = json!({ "paused": true, "bytes_per_second": 300 << 20, "by_command": true, "files": 0 });
    for node in NODES {
        let now = status(&cluster, node);
        assert_eq!((&now["background"], &now["reconcile"]["now"]["done"]), (&ordered, &json!(0)), "{node}");
        assert_eq!(epochs(&cluster, node), [1, 2]);
    }

    NODES.iter().for_each(|node| _ = run(&cluster, *node, &["agent", "resume"]));
    wait_until_settled(&cluster, &NODES, 2);
    for number in 0..FILES {
        let mut owners = cluster.owners(&path(number));
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, &path(number)), owners, "{number}");
    }
    // That the older map is forgotten is a change, too.
    let ordered = json!({ "paused": false, "bytes_per_second": 300 << 20, "by_command": true, "files": 0 });
    wait_until("what was ordered still holds", || {
        NODES.iter().all(|node| status(&cluster, *node)["background"] == ordered)
    });
}

#[test]
fn while_files_move_a_client_is_sent_only_to_an_owner_that_had_the_file_before() {
    const FILES: usize = 120;
    let options = Options { deliver: "remote = \"redirect\"", ..three_of_six() };
    let cluster = Cluster::start(Front::Embedded, options);
    let path = |number: usize| format!("/sent/{number}.jpg");
    for number in 0..FILES {
        cluster.put(number % 3, &path(number), noise(number as u64, 200)).expect(201);
    }
    let public: Vec<_> =
        (0..6).map(|node| format!("public_url = \"http://{}\"", cluster.address(node))).collect();
    let nodes: Vec<_> = public.iter().enumerate().map(|(node, public)| (node, &**public)).collect();
    let next = map(&cluster, 2, (3, 2), &[("first", 1.0, &nodes[..3]), ("second", 1.0, &nodes[3..])]);
    for node in 3..6 {
        add(&cluster, node, &next);
    }
    wait_until_they_wait(&cluster);
    (0..6).for_each(|node| _ = run(&cluster, node, &["agent", "pause"]));
    applied(&cluster, 0, &next);
    wait_until("all work by the new map", || (0..6).all(|node| epochs(&cluster, node) == [1, 2]));
    let (mut sent, mut answered) = (0, 0);
    for number in 0..FILES {
        let owners = cluster.owners(&path(number));
        let had_it: Vec<_> = owners.iter().filter(|owner| **owner < 3).collect();
        let asked = (3..6).find(|node| !owners.contains(node));
        let Some(asked) = asked.or_else(|| (0..3).find(|node| !owners.contains(node) && had_it.is_empty()))
        else {
            continue;
        };
        let answer = cluster.get(asked, &path(number));
        if let Some(owner) = had_it.first() {
            let expected = format!("http://{}{}", cluster.address(**owner), path(number));
            assert_eq!((answer.status, answer.header("Location")), (307, Some(&*expected)), "{number}");
            sent += 1;
        } else {
            assert!(answer.expect(200).body == noise(number as u64, 200), "{number}");
            answered += 1;
        }
    }
    assert!(sent > 0 && answered > 0, "{sent} sent elsewhere, {answered} answered");
}
