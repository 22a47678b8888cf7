//! What is said of a change: nothing against those that are as they should be, and of each other what speaks against it.

/// Changes while older maps are not settled.
mod unsettled;

use proptest::prelude::*;

use super::*;
use crate::cluster::crush::parse_text;
use crate::cluster::{
    CrushSource, FailureDomain, Level, MapSpec, NodeSpec, NodeState, PlacementSpec, SubClusterSpec,
};
use crate::sim::testing::{fleet, map};

/// Three sub-clusters of four nodes.
fn start() -> MapSpec {
    fleet(3, &[(4, 1.0), (4, 1.0), (4, 2.0)])
}

/// The change of `before`, whose epoch is raised first.
fn change_of(before: &MapSpec, change: impl FnOnce(&mut MapSpec)) -> Change {
    let mut after = before.clone();
    after.epoch += 1;
    change(&mut after);
    Change::between(&map(before.clone()), &map(after))
}

fn words(change: &Change) -> Vec<&'static str> {
    change.objections.iter().map(|objection| objection.word().as_str()).collect()
}

fn texts(list: &[impl ToString]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// The one difference and the one objection, and its word.
#[track_caller]
fn refused(change: &Change, word: &str, text: &str) {
    assert_eq!(words(change), [word], "{:?}", texts(&change.objections));
    assert!(change.objections[0].to_string().contains(text), "{}", change.objections[0]);
}

fn added(mut spec: SubClusterSpec) -> SubClusterSpec {
    spec.name = "new".to_owned();
    for node in &mut spec.nodes {
        node.name += "-new";
        node.url += "-new";
    }
    spec
}

/// Says what a node is.
fn state(spec: &mut MapSpec, name: &str, state: NodeState) {
    spec.node_mut(name).expect("there is such a node").state = state;
}

/// Has another machine take over a node's slot.
fn replace(spec: &mut MapSpec, name: &str) {
    let node = spec.node_mut(name).expect("there is such a node");
    (node.name, node.url) = ("fresh".to_owned(), "http://fresh".to_owned());
}

#[test]
fn an_epoch_that_leaves_others_out_is_refused() {
    let change = change_of(&start(), |spec| spec.epoch += 1);
    refused(&change, "jump", "from 1 to 3");
    let change = change_of(&start(), |spec| spec.epoch = i64::MAX as u64);
    refused(&change, "jump", "give this one the epoch 2");
}

#[test]
fn changes_that_are_as_they_should_be_meet_no_objection() {
    type Edit = fn(&mut MapSpec);
    let changes: [(Edit, &[&str]); 11] = [
        (|_| (), &[]),
        (
            |spec| spec.subclusters.push(added(spec.subclusters[0].clone())),
            &["sub-cluster new is added: 4 nodes of weight 1"],
        ),
        (|spec| spec.subclusters[0].weight = 0.0, &["sub-cluster s0, of weight 1, is drained"]),
        (|spec| spec.subclusters[2].weight = 0.0, &["sub-cluster s2, of weight 2, is drained"]),
        (|spec| spec.subclusters[2].weight = 2.5, &["sub-cluster s2: weight goes from 2 to 2.5"]),
        (|spec| state(spec, "n5", NodeState::Out), &["n5 goes out of service"]),
        (|spec| state(spec, "n5", NodeState::Lost), &["n5 is lost"]),
        (
            |spec| {
                replace(spec, "n5");
            },
            &["fresh takes over the slot of n5"],
        ),
        (
            |spec| spec.node_mut("n5").expect("there is one").url = "http://elsewhere".to_owned(),
            &["n5: another url"],
        ),
        (|spec| spec.replicas = 4, &["replicas goes from 3 to 4"]),
        (|spec| spec.subclusters[1].name = "s1b".to_owned(), &["sub-cluster s1 is called s1b now"]),
    ];
    for (change, differences) in changes {
        let change = change_of(&start(), change);
        assert_eq!(texts(&change.differences), differences);
        assert_eq!(texts(&change.objections), [""; 0], "{differences:?}");
    }
    let mut out = start();
    state(&mut out, "n5", NodeState::Out);
    state(&mut out, "n6", NodeState::Lost);
    let back = change_of(&out, |spec| {
        state(spec, "n5", NodeState::In);
        state(spec, "n6", NodeState::In);
    });
    assert_eq!(texts(&back.differences), ["n5 and n6 are in service again"]);
    assert_eq!((words(&back), back.warnings.len()), (vec![], 2), "{:?}", texts(&back.warnings));
    assert!(back.warnings[1].to_string().starts_with("n6 was lost and is in service again"));
}

#[test]
fn an_epoch_that_does_not_rise_can_not_be_forced() {
    let change = change_of(&start(), |spec| spec.epoch = 1);
    refused(&change, "epoch", "the epoch must rise: this is the map of epoch 1");
    assert_eq!(change.unforced(&ObjectionWord::ALL).count(), 1);
    let mut late = start();
    late.epoch = 9;
    let change = change_of(&late, |spec| {
        spec.epoch = 8;
        spec.write_quorum = 2;
    });
    refused(&change, "epoch", "the epoch must rise, and goes from 9 to 8");
    assert_eq!("epoch".parse::<ObjectionWord>(), Err(UnknownWord { given: "epoch".to_owned() }));
}

#[test]
fn an_objection_does_not_count_once_its_word_is_named() {
    let change = change_of(&start(), |spec| spec.replicas = 2);
    refused(&change, "replicas", "replicas goes from 3 to 2");
    for (word, left) in [("replicas", 0), ("moves", 1)] {
        let word: ObjectionWord = word.parse().unwrap();
        assert_eq!(change.unforced(&[word]).count(), left);
    }
    let error = "all".parse::<ObjectionWord>().unwrap_err().to_string();
    assert!(
        error.ends_with("one of jump, subclusters, slots, dropped, replicas, copies, moves, space, nameless"),
        "{error}"
    );
}

#[test]
fn the_order_of_sub_clusters_must_stay() {
    let reordered = change_of(&start(), |spec| spec.subclusters.swap(0, 1));
    assert_eq!(words(&reordered), ["subclusters", "moves"]);
    assert!(reordered.objections[0].to_string().starts_with("s0, s1 are not in their position of before"));
    let inserted = change_of(&start(), |spec| spec.subclusters.insert(0, added(spec.subclusters[0].clone())));
    assert_eq!(words(&inserted)[0], "subclusters");
    let mut drained = start();
    drained.subclusters[0].weight = 0.0;
    let removed = change_of(&drained, |spec| drop(spec.subclusters.remove(0)));
    assert_eq!(words(&removed)[0], "subclusters", "{:?}", texts(&removed.objections));
    assert_eq!(texts(&removed.differences)[0], "sub-cluster s0 is removed, with its 4 nodes");
    let mut drained = start();
    drained.subclusters[2].weight = 0.0;
    let removed = change_of(&drained, |spec| drop(spec.subclusters.pop()));
    assert_eq!((words(&removed), removed.moves.moved), (vec![], 0), "the last one moves no other");
}

#[test]
fn nodes_must_stay_in_their_slots() {
    let swapped = change_of(&start(), |spec| spec.subclusters[1].nodes.swap(0, 2));
    assert_eq!(words(&swapped), ["slots", "moves"]);
    assert!(swapped.objections[0].to_string().starts_with("n4 and n6 are not in the slot of before"));
    let inserted = change_of(&start(), |spec| {
        let node = added(spec.subclusters[0].clone()).nodes.remove(0);
        spec.subclusters[1].nodes.insert(1, node);
    });
    assert_eq!(words(&inserted)[0], "slots");
    assert!(inserted.objections[0].to_string().starts_with("n5, n6 and n7 are not"));
    let reused = change_of(&start(), |spec| {
        spec.subclusters[2].nodes[3].name = "n11-old".to_owned();
        spec.subclusters[1].nodes[0].name = "n11".to_owned();
        spec.subclusters[1].nodes[0].url = "http://n11-at-home".to_owned();
    });
    assert_eq!(words(&reused)[0], "slots", "{:?}", texts(&reused.objections));
}

#[test]
fn a_node_that_comes_to_an_old_sub_cluster_is_warned_of() {
    let change = change_of(&start(), |spec| {
        let node = added(spec.subclusters[0].clone()).nodes.remove(0);
        spec.subclusters[1].nodes.push(node);
    });
    assert_eq!(texts(&change.differences), ["n0-new is added to sub-cluster s1"]);
    assert!(change.warnings.iter().any(|warning| matches!(warning, Warning::Resized { after: 5, .. })));
    assert!(!words(&change).contains(&"slots"), "{:?}", texts(&change.objections));
}

#[test]
fn a_node_that_holds_files_must_not_be_dropped() {
    let change = change_of(&start(), |spec| drop(spec.subclusters[2].nodes.pop()));
    assert_eq!(texts(&change.differences), ["n11 is removed"]);
    assert_eq!(words(&change)[0], "dropped");
    assert!(change.objections[0].to_string().starts_with("n11 holds files and is in the new map no more"));
    let change = change_of(&start(), |spec| drop(spec.subclusters.pop()));
    assert_eq!(words(&change), ["dropped"], "{:?}", texts(&change.objections));
    for gone in [NodeState::Out, NodeState::Lost] {
        let mut before = start();
        state(&mut before, "n11", gone);
        let change = change_of(&before, |spec| drop(spec.subclusters[2].nodes.pop()));
        assert!(!words(&change).contains(&"dropped"), "it holds nothing");
    }
    let replaced = change_of(&start(), |spec| replace(spec, "n11"));
    assert!(
        texts(&replaced.warnings)
            .iter()
            .any(|text| text.starts_with("n11 must run until the map is settled"))
    );
}

#[test]
fn a_machine_that_holds_files_must_not_go_on_under_another_name() {
    let renamed = |spec: &mut MapSpec| spec.subclusters[2].nodes[3].name = "fresh".to_owned();
    refused(&change_of(&start(), renamed), "dropped", "fresh has the url of n11, which holds files: ");
    let mut lost = start();
    state(&mut lost, "n11", NodeState::Lost);
    let change = change_of(&lost, |spec| {
        renamed(spec);
        state(spec, "fresh", NodeState::In);
    });
    assert_eq!(words(&change), [""; 0]);
}

#[test]
fn as_many_lost_nodes_as_replicas_may_hold_all_copies() {
    let lose = |count: usize| {
        change_of(&start(), |spec| {
            for number in 0..count {
                state(spec, &format!("n{number}"), NodeState::Lost);
            }
        })
    };
    assert_eq!(words(&lose(2)), [""; 0]);
    assert!(
        texts(&lose(2).warnings)
            .iter()
            .any(|text| text.starts_with("n0 and n1 are lost at once: of the files"))
    );
    refused(&lose(3), "copies", "n0, n1 and n2 are lost at once, as many as hold all 3 copies of a file: ");
    let Objection::Copies { share, .. } = lose(9).objections[0] else { panic!("all copies") };
    assert!(share > 0.1, "{share}");
    // Nodes that are out hold nothing under this map.
    let mut out = start();
    for number in 0..3 {
        state(&mut out, &format!("n{number}"), NodeState::Out);
    }
    let change = change_of(&out, |spec| (0..3).for_each(|n| state(spec, &format!("n{n}"), NodeState::Lost)));
    assert_eq!((words(&change), change.moves.moved), (vec![], 0));
}

#[test]
fn a_rack_may_be_lost_whole_where_racks_are_kept_apart() {
    let mut racks = start();
    racks.placement = PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack)));
    racks.subclusters.push(added(racks.subclusters[0].clone()));
    for (number, subcluster) in racks.subclusters.iter_mut().enumerate() {
        for node in &mut subcluster.nodes {
            node.location.insert("rack".to_owned(), format!("r{number}"));
        }
    }
    let lose = |subclusters: usize| {
        change_of(&racks, |spec| {
            let lost = spec.subclusters[..subclusters].iter_mut().flat_map(|one| &mut one.nodes);
            lost.for_each(|node| node.state = NodeState::Lost);
        })
    };
    assert_eq!(words(&lose(1)), [""; 0]);
    // What is numbered through must not be numbered anew.
    let inserted = change_of(&racks, |spec| {
        let mut node = added(spec.subclusters[1].clone()).nodes.remove(0);
        node.name += "er";
        node.url += "er";
        node.location.insert("rack".to_owned(), "r1".to_owned());
        spec.subclusters[1].nodes.push(node);
    });
    assert_eq!(words(&inserted)[0], "slots");
    assert!(inserted.objections[0].to_string().starts_with("n8, n9, n10, n11 and 4 more are not"));
}

#[test]
fn another_algorithm_moves_nearly_all() {
    let change = change_of(&start(), |spec| spec.placement = PlacementSpec::RushT);
    assert_eq!(texts(&change.differences), ["placement goes from rush_r to rush_t"]);
    assert_eq!(words(&change), ["moves"]);
    assert!(change.objections[0].to_string().ends_with("% of all copies move, and none has to"));
    assert_eq!(
        texts(&change.warnings),
        [
            "with write_quorum = 1 of 3 replicas, two writes of one file may not notice each other, and a deleted file can \
         come back after a failure",
            "placement goes from rush_r to rush_t: nearly all files move",
        ]
    );
}

#[test]
fn the_nodes_of_a_crush_map_are_known_by_their_devices() {
    let text = |devices: &[&str]| {
        let mut text = String::new();
        for (id, device) in devices.iter().enumerate() {
            text += &format!("device {id} {device}\n");
        }
        text += "type 0 osd\ntype 1 root\nroot top {\nid -1\nalg straw2\n";
        devices.iter().for_each(|device| text += &format!("item {device} weight 1\n"));
        text + "}\nrule r {\nid 0\ntype replicated\nstep take top\nstep choose firstn 0 type osd\nstep emit\n}\n"
    };
    let source = |devices: &[&str]| {
        let map = Box::new(parse_text(&text(devices)).unwrap().spec);
        PlacementSpec::Crush(CrushSource::Map { map, rule: None })
    };
    let mut before = fleet(2, &[(3, 1.0), (3, 1.0)]);
    before.placement = source(&["n0", "n1", "n2", "n3", "n4", "n5"]);
    // In which order the cluster map lists them is of no concern.
    let reordered = change_of(&before, |spec| spec.subclusters.swap(0, 1));
    assert_eq!((words(&reordered), reordered.moves.moved), (vec![], 0));
    assert_eq!(texts(&reordered.differences), ["another position in the list: s0, s1"]);
    let other = change_of(&before, |spec| spec.placement = source(&["n1", "n0", "n2", "n3", "n4", "n5"]));
    assert_eq!(words(&other), ["slots", "moves"]);
    assert_eq!(texts(&other.differences)[0], "crush goes by other settings, or by another CRUSH map");
    let replaced = change_of(&before, |spec| {
        spec.placement = source(&["n0", "n1", "fresh", "n3", "n4", "n5"]);
        replace(spec, "n2");
    });
    assert_eq!(words(&replaced), [""; 0]);
    assert!(texts(&replaced.differences).contains(&"fresh takes over the slot of n2".to_owned()));
}

#[test]
fn names_are_listed_up_to_a_few() {
    let names =
        |count: usize| Names((0..count).map(|n| format!("n{n}").parse().unwrap()).collect()).to_string();
    assert_eq!([names(1), names(2), names(3)], ["n0", "n0 and n1", "n0, n1 and n2"]);
    assert_eq!([names(5), names(6)], ["n0, n1, n2, n3 and n4", "n0, n1, n2, n3 and 2 more"]);
}

/// Any small fleet, with few names, so that two of them share some.
fn any_fleet() -> impl Strategy<Value = MapSpec> {
    let placement = prop_oneof![
        Just(PlacementSpec::RushR),
        Just(PlacementSpec::RushT),
        Just(PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Node))),
    ];
    let state = prop_oneof![4 => Just(NodeState::In), 1 => Just(NodeState::Out), 1 => Just(NodeState::Lost)];
    let node = (0..12usize, 0..12usize, state, prop::option::weighted(0.1, Just("http://public".to_owned())));
    let weight = prop_oneof![1 => Just(0.0), 4 => Just(1.0), 1 => Just(2.0)];
    let subcluster = (0..5usize, weight, prop::collection::vec(node, 1..5));
    (placement, 1..3usize, prop::collection::vec(subcluster, 1..4)).prop_map(
        |(placement, replicas, parts)| {
            let subclusters = parts.into_iter().map(|(name, weight, nodes)| SubClusterSpec {
                name: format!("s{name}"),
                weight,
                nodes: nodes
                    .into_iter()
                    .map(|(name, url, state, public_url)| NodeSpec {
                        name: format!("n{name}"),
                        url: format!("http://n{url}"),
                        public_url,
                        state,
                        location: Default::default(),
                    })
                    .collect(),
            });
            MapSpec { epoch: 1, replicas, write_quorum: 1, placement, subclusters: subclusters.collect() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_differs_goes_unsaid(old in any_fleet(), other in any_fleet(), how in 0..6usize) {
        let mut new = old.clone();
        match how {
            0 => {}
            1 => new.subclusters.reverse(),
            2 => new.subclusters[0].nodes.reverse(),
            3 => new.subclusters.iter_mut().for_each(|one| one.name += "x"),
            4 => {
                let node = new.subclusters[0].nodes.pop().expect("there is one");
                new.subclusters.last_mut().expect("there is one").nodes.insert(0, node);
            }
            _ => new = other,
        }
        let (old, new) = (ClusterMap::new(old), ClusterMap::new(new));
        prop_assume!(old.is_ok() && new.is_ok());
        let (old, new) = (old.unwrap(), new.unwrap());
        let movement = Movement::measure(&old, &new, Objects { count: 100, seed: 0 }, &());
        let change = Change::of(&old, &new, &movement);
        prop_assert_eq!(change.differences.is_empty(), old.fingerprint() == new.fingerprint());
        prop_assert!(words(&change).contains(&"epoch"));
        for text in [texts(&change.differences), texts(&change.objections), texts(&change.warnings)].concat() {
            prop_assert!(!text.is_empty() && !text.contains('\n'));
        }
    }
}
