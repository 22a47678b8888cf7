//! Maps that come from elsewhere: from another node, or from somebody who says so; and maps of nodes that are not there.

use webdfs::config::{MapText, Secrets};
use webdfs::peer::message::{ADOPT, MapsBody, Operation};
use webdfs::peer::sign::Signer;

use super::common::signed::{Seal, signed, signed_by};
use super::common::wait_until;
use super::*;

fn offer(maps: &[String]) -> Vec<u8> {
    let maps = maps.iter().map(|toml| MapText { toml: toml.clone(), crush: None }).collect();
    serde_json::to_vec(&MapsBody { maps }).unwrap()
}

#[test]
fn maps_that_another_node_sends_are_checked_before_anything_changes() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let good = map(&cluster, 2, (3, 3), &[FIRST]);
    let own = fs::read_to_string(cluster.config(0).parent().unwrap().join("../cluster.toml")).unwrap();
    let stranger = "epoch = 9\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\n[[subcluster.node]]\nname = \"x\"\nurl = \"http://127.0.0.1:1\"\n";
    for (body, status, reason) in [
        (b"{}".to_vec(), 400, "missing field"),
        (b"{\"maps\":[{\"toml\":7}]}".to_vec(), 400, "invalid type"),
        (offer(&["epoch = [".into()]), 409, "a map from node img2:1"),
        (offer(&[good.clone(), "epoch = 1".into()]), 409, "replicas"),
        (offer(&[good.replace("img3", "img2")]), 409, "listed twice"),
        (offer(&[map(&cluster, 1, (3, 3), &[FIRST])]), 409, "two different maps have epoch 1"),
        (offer(&[]), 200, ""),
        (offer(&[own]), 200, ""),
    ] {
        let answer = signed(&cluster, 0, &Operation::Adopt, &body, Seal::default()).send(cluster.address(0));
        assert_eq!(answer.status, status, "{reason}: {answer}");
        assert!(answer.text().contains(reason), "{reason}: {answer}");
        assert_eq!(epochs(&cluster, 0), [1], "{reason}");
    }
    // It is in none of them, but in the one before: it is told, and goes on until it is empty.
    let answer = signed(&cluster, 0, &Operation::Adopt, &offer(&[stranger.into()]), Seal::default());
    answer.send(cluster.address(0)).expect(200);
    assert_eq!(epochs(&cluster, 0), [1, 9]);
}

#[test]
fn a_map_that_is_signed_with_another_secret_or_by_nobody_is_refused_and_nothing_is_said_of_the_own() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let body = offer(&[map(&cluster, 2, (3, 3), &[FIRST])]);
    let forger = Signer::new(&Secrets::parse(b"another secret of another cluster").unwrap());
    let forged = signed_by(&forger, &cluster, 0, &Operation::Adopt, &body, Seal::default());
    let asked = signed_by(&forger, &cluster, 0, &Operation::Maps, b"null", Seal::default());
    let unsigned = Call::new("POST", &format!("/_webdfs/v1/{ADOPT}")).body(body);
    for call in [forged, asked, unsigned] {
        let answer = call.send(cluster.address(0));
        assert_eq!((answer.status, answer.text().trim()), (403, "not a node of this cluster"), "{answer}");
    }
    assert_eq!(epochs(&cluster, 0), [1]);
}

#[test]
fn a_node_of_the_map_that_does_not_exist_is_named_and_waited_for_until_it_is_given_up() {
    let cluster = Cluster::start(Front::Nginx, three_of_six());
    cluster.put(0, "/a.jpg", "a").expect(201);
    let next = map(&cluster, 2, (3, 2), &[FIRST, ("second", 1.0, &[(3, "")])]);
    let (done, said) = apply(&cluster, 0, &next, &[]);
    assert!(done && said.contains("in force on 3 of 4 nodes"), "{said}");
    assert!(said.contains(&cluster.name(3)), "{said}");
    for number in 0..20 {
        cluster.put(number % 3, &format!("/{number}.jpg"), "x").expect(201);
        cluster.get(number % 3, "/a.jpg").expect(200);
    }
    let status = map_status(&cluster, 1);
    let problem = status["each"][3]["problem"].as_str().unwrap();
    assert!(problem.contains("img4 does not answer"), "{status}");
    assert_eq!((&status["unsettled"], &status["settlers"]), (&serde_json::json!([1]), &4.into()), "{status}");
    let given_up = map(&cluster, 3, (3, 2), &[FIRST, ("second", 1.0, &[(3, "state = \"lost\"")])]);
    applied(&cluster, 2, &given_up);
    wait_until_settled(&cluster, &[0, 1, 2], 3);
    wait_until("every file has three copies", || {
        (0..20).all(|number| holders(&cluster, 3, &format!("/{number}.jpg")) == [0, 1, 2])
    });
}

#[test]
fn a_next_map_that_comes_without_the_one_before_it_takes_nothing_from_the_nodes_that_work_by_that() {
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    for number in 0..10 {
        cluster.put(number % 3, &format!("/{number}.jpg"), "x").expect(201);
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    let alone = offer(std::slice::from_ref(&next));
    signed(&cluster, 0, &Operation::Adopt, &alone, Seal::default()).send(cluster.address(0)).expect(200);
    // A map before the present one that had been settled without this node would have listed it as lost.
    wait_until("all have both", || (0..3).all(|node| epochs(&cluster, node) == [1, 2]));
    (3..6).for_each(|node| add(&cluster, node, &next));
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    for number in 0..10 {
        assert_eq!(cluster.get(number % 6, &format!("/{number}.jpg")).expect(200).body, b"x");
    }
    assert!((0..3).all(|node| !cluster.root(node).join(".webdfs/quarantine/returned").exists()));
}

#[test]
fn a_map_is_applied_by_a_node_that_knows_of_none_in_force_as_by_any_other() {
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    for number in 0..20 {
        cluster.put(number % 3, &format!("/{number}.jpg"), "x").expect(201);
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    (3..6).for_each(|node| add(&cluster, node, &next));
    wait_until_they_wait(&cluster);
    // Too few of those who might know are there.
    (0..3).for_each(|node| cluster.kill(node));
    let (done, said) = apply(&cluster, 4, &next, &[]);
    assert!(!done && said.contains("img1 does not answer"), "{said}");
    assert!((3..6).all(|node| epochs(&cluster, node).is_empty()), "{said}");
    (0..3).for_each(|node| cluster.restart(node));
    (0..3).for_each(|node| cluster.wait_until_ready(node));

    // A new node, which has been started with the map.
    let (done, said) = apply(&cluster, 4, &map(&cluster, 2, (2, 2), &[FIRST, SECOND]), &[]);
    assert!(done || said.contains("OBJECTION"), "what speaks against it is looked for: {said}");
    assert!(!done, "fewer replicas: {said}");
    applied(&cluster, 4, &next);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    // And one that has lost its disk, on which the map after that one lies already.
    cluster.kill(1);
    fs::remove_dir_all(cluster.root(1)).unwrap();
    fs::create_dir(cluster.root(1)).unwrap();
    let out = [("first", 1.0, &[(0, ""), (1, ""), (2, "state = \"out\"")][..]), SECOND];
    let third = map(&cluster, 3, (3, 2), &out);
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), &third).unwrap();
    applied(&cluster, 1, &third);
    cluster.restart(1);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 3);
    for number in 0..20 {
        assert_eq!(cluster.get(number % 6, &format!("/{number}.jpg")).expect(200).body, b"x");
    }
    assert!(
        [0, 2, 3, 4, 5].iter().all(|node| !cluster.root(*node).join(".webdfs/quarantine/returned").exists())
    );
}
