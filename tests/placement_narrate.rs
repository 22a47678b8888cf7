//! What the words about a lookup promise, over generated maps: they name the owners, and no other node for them.

mod placement_support;

use placement_support::Layout;
use proptest::prelude::*;
use webdfs::cluster::{ClusterMap, PlacementSpec, REPLICAS_MAX};
use webdfs::placement::narrate::{About, Section, Values, lines, narrate};
use webdfs::placement::{Event, ObjectKey, locate, locate_traced};

/// Up to 30 sub-clusters, some of weight 0 or nearly so, every seventh node out, and replicas that fit.
fn any_layout() -> impl Strategy<Value = Layout> {
    let weight = prop_oneof![4 => Just(1.0), 1 => Just(0.0), 1 => Just(0.001), 2 => 0.001..100.0f64];
    let groups = prop::collection::vec((1..=8u32, weight), 1..=30);
    let placement =
        prop_oneof![Just(PlacementSpec::RushR), Just(PlacementSpec::RushP), Just(PlacementSpec::RushT)];
    (groups, 1..=REPLICAS_MAX, any::<bool>(), placement).prop_filter_map(
        "a node of weight above 0",
        |(mut groups, replicas, some_out, placement)| {
            if placement != PlacementSpec::RushR {
                groups.iter_mut().for_each(|group| group.0 += replicas as u32);
            }
            let layout = Layout::new(&groups, 1);
            let out: Vec<usize> = (0..layout.servers()).filter(|node| some_out && node % 7 == 3).collect();
            let weights = layout.weights();
            let usable =
                (0..weights.len()).filter(|node| weights[*node] > 0.0 && !out.contains(node)).count();
            (usable > 0)
                .then(|| Layout::new(&groups, replicas.min(usable)).with_out(&out).placed_by(&placement))
        },
    )
}

fn told(map: &ClusterMap, key: ObjectKey) -> Vec<Section> {
    let mut events: Vec<Event> = Vec::new();
    locate_traced(map, key, &mut events);
    narrate(map, &events)
}

/// The owners that the steps name: those picked, in order, but for the ones that are replaced.
fn owners_told(sections: &[Section]) -> Vec<String> {
    let mut owners: Vec<String> = Vec::new();
    for step in sections.iter().flat_map(|section| &section.steps) {
        match &step.values {
            Values::Pick { replica, node, .. } => {
                assert!(step.words.contains(node.as_str()), "{}", step.words);
                let replica = *replica as usize;
                owners.resize(owners.len().max(replica + 1), String::new());
                owners[replica] = node.clone();
            }
            Values::Substitute { owner, out, node, .. } => {
                assert_eq!(out.as_ref(), Some(&owners[owner - 1]), "{}", step.words);
                assert!(
                    step.words.ends_with(&format!("gives {node}"))
                        || step.words.contains(&format!("{node}, "))
                );
                owners[owner - 1] = node.clone();
            }
            Values::Seed { .. } | Values::Draw { .. } | Values::Take { .. } | Values::Branching { .. } => {}
            other => panic!("{other:?} is no step of RUSH"),
        }
    }
    owners
}

proptest! {
    #![proptest_config(placement_support::cases(200))]

    #[test]
    fn the_owners_that_the_words_name_are_those_of_a_lookup(
        layout in any_layout(),
        keys in prop::collection::vec(any::<u32>(), 10),
    ) {
        let map = layout.map();
        for key in keys.into_iter().map(ObjectKey::from_number) {
            let found: Vec<_> =
                locate(&map, key).iter().map(|owner| map.node(*owner).name().to_string()).collect();
            prop_assert_eq!(owners_told(&told(&map, key)), found);
        }
    }

    #[test]
    fn what_is_received_adds_up_to_the_replicas_and_agrees_with_the_draws(
        layout in any_layout(),
        key in any::<u32>(),
    ) {
        let map = layout.map();
        let mut received = 0;
        for section in told(&map, ObjectKey::from_number(key)) {
            prop_assert!(!section.steps.is_empty() && !section.heading.is_empty());
            let (mut picked, mut taken) = (0, 0);
            for step in &section.steps {
                match &step.values {
                    Values::Draw { draw, chance, hit, .. } => {
                        prop_assert!((0.0..=1.0).contains(chance) && (0.0..1.0).contains(draw));
                        // Beyond its last node a sub-cluster's draws mean nothing.
                        let counts = !step.words.contains("does not count");
                        prop_assert!(!counts || *hit == (draw < chance), "{}", step.words);
                    }
                    Values::Pick { .. } => picked += 1,
                    Values::Take { count, .. } => taken += *count as usize,
                    Values::Seed { .. } | Values::Branching { .. } | Values::Substitute { .. } => {}
            other => panic!("{other:?} is no step of RUSH"),
                }
            }
            prop_assert!(taken == picked || layout.placement != PlacementSpec::RushR);
            received += picked;
            let is_quiet = section.is_quiet();
            prop_assert_eq!(is_quiet, picked == 0 && section.about != About::Substitutes, "{:?}", section);
            let several = lines(&[section.clone(), section.clone(), section], false);
            prop_assert!(!is_quiet || several.len() == 1 && several[0].starts_with("3 sub-clusters from s"));
        }
        prop_assert_eq!(received, layout.replicas);
    }
}
