//! The schedule keeps to its own rules.

use std::collections::BTreeSet;

use super::course::Change;
use super::schedule::*;

fn plan(seed: u64) -> Plan {
    Plan { seed, kinds: Kind::ALL.into(), steps: vec!["store.rename", "store.write"], round: 6000 }
}

#[test]
fn the_seed_decides_the_whole_schedule() {
    let rounds = |seed| (0..20).map(|number| plan(seed).round(number)).collect::<Vec<_>>();
    assert_eq!(rounds(7), rounds(7));
    assert_ne!(rounds(7), rounds(8));
    assert_ne!(rounds(7)[0].events, rounds(7)[1].events);
}

#[test]
fn every_kind_of_fault_happens_and_only_those_that_are_wanted() {
    let kinds = |plan: Plan| -> BTreeSet<Kind> {
        let rounds: Vec<_> = (0..100).map(|number| plan.round(number)).collect();
        let clocks = rounds.iter().flat_map(|round| round.clocks).any(|off| off != 0);
        let events = rounds.iter().flat_map(|round| &round.events).map(|event| event.fault.kind());
        events.chain(clocks.then_some(Kind::Clock)).collect()
    };
    assert_eq!(kinds(plan(1)), Kind::ALL.into());
    let few = BTreeSet::from([Kind::Cut, Kind::Die]);
    assert_eq!(kinds(Plan { kinds: few.clone(), ..plan(1) }), few);
    assert!(kinds(Plan { kinds: BTreeSet::new(), ..plan(1) }).is_empty());
}

#[test]
fn in_a_round_wipes_flips_older_copies_and_loss_befall_one_node_and_spare_the_owners_of_misplaced_copies() {
    for round in (0..200).map(|number| plan(3).round(number)) {
        let damaged = round.events.iter().filter_map(|event| match event.fault {
            Fault::Wipe { node }
            | Fault::Flip { node, .. }
            | Fault::Return { node, .. }
            | Fault::Map(Change::Lost { node }) => Some(node),
            Fault::Misplace { node, damaged, .. } => {
                assert_ne!(node, damaged, "{round}");
                Some(damaged)
            }
            _ => None,
        });
        assert!(damaged.collect::<BTreeSet<_>>().len() <= 1, "{round}");
    }
}

#[test]
fn an_older_copy_was_taken_before_an_earlier_round_and_is_put_back_once() {
    for round in (0..200).map(|number| plan(5).round(number)) {
        let ages = round.events.iter().filter_map(|event| match event.fault {
            Fault::Return { age, .. } => Some(age),
            _ => None,
        });
        let ages: Vec<_> = ages.collect();
        assert!(ages.len() <= 1 && ages.iter().all(|age| (1..=round.number).contains(age)), "{round}");
    }
}

#[test]
fn faults_that_undo_each_other_do_not_overlap_and_none_outlasts_its_round() {
    for round in (0..200).map(|number| plan(4).round(number)) {
        for (place, event) in round.events.iter().enumerate() {
            assert!(event.at <= event.until && event.until <= round.length, "{round}");
            for other in round.events[place + 1..].iter().filter(|other| other.at <= event.until) {
                assert!(!event.fault.excludes(&other.fault), "{round}");
            }
        }
        assert!(round.clocks.iter().all(|off| off.abs() <= CLOCK_OFF_MAX));
    }
}
