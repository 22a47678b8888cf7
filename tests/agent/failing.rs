use crate::commands::status;
use crate::common::{Cluster, Front, Options, wait_until};

/// Lines of a node's log that warn of its passes, and those that say the same again for who wants to know everything.
fn lines(cluster: &Cluster, with: &str) -> Vec<String> {
    cluster.log(0).lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
}

#[test]
fn while_passes_fail_because_nodes_are_down_the_log_says_so_once_for_each_change() {
    let options = Options { agent: "pass_every = \"1s\"", ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let warned = || lines(&cluster, "WARN  webdfs::agent::tasks] reconcile: ");
    let repeated = || lines(&cluster, "reconcile, as before: ").len();
    let finished = || lines(&cluster, "a pass is over: ").len();
    wait_until("a pass is finished", || finished() > 0);
    let before = warned().len();
    cluster.kill(2);
    wait_until("three more passes failed", || {
        warned().len() > before && lines(&cluster, "reconcile, as before: ").last().is_some() && {
            let about = |line: &&String| line.contains("img3");
            lines(&cluster, "reconcile, as before: ").iter().filter(about).count() >= 3
        }
    });
    assert_eq!(warned().len(), before + 1, "{:#?}", warned());
    assert!(warned()[before].contains("node img3"), "{:#?}", warned());

    cluster.kill(1);
    wait_until("another one is missing", || warned().len() > before + 1);
    let repeats = repeated();
    wait_until("three more passes failed", || repeated() >= repeats + 3);
    assert_eq!(warned().len(), before + 2, "{:#?}", warned());
    assert!(warned()[before + 1].contains("node img2") && warned()[before + 1].contains("node img3"));

    for node in [1, 2] {
        cluster.restart(node);
        cluster.wait_until_ready(node);
    }
    wait_until("it is told that all is well", || !lines(&cluster, "reconcile is finished again").is_empty());
    // One may have come back before the other.
    assert!(warned().len() <= before + 4, "{:#?}", warned());
}

#[test]
fn a_pass_that_failed_is_held_again_when_the_node_is_back() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    for node in [0, 2] {
        cluster.kill(node);
    }
    // Due at once, and not again for hours.
    std::fs::write(cluster.root(0).join(".webdfs/agent.toml"), "").unwrap();
    cluster.restart(0);
    wait_until("its pass has failed", || status(&cluster, 0)["reconcile"]["now"]["state"] == "failed");
    assert_eq!(status(&cluster, 0)["reconcile"]["finished"], serde_json::Value::Null);
    cluster.restart(2);
    wait_until("its pass is finished", || status(&cluster, 0)["reconcile"]["finished"].is_u64());
}
