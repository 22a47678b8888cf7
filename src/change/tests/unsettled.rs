use super::*;

/// The objections to `new` where `older` is not settled, and `current` is in force.
fn unsettled(older: &MapSpec, current: impl FnOnce(&mut MapSpec), new: impl FnOnce(&mut MapSpec)) -> Change {
    let mut specs = [older.clone(), older.clone()];
    (specs[1].epoch, specs[0].epoch) = (older.epoch + 1, older.epoch);
    current(&mut specs[1]);
    let mut next = specs[1].clone();
    next.epoch += 1;
    new(&mut next);
    let [older, current] = specs.map(|spec| std::sync::Arc::new(map(spec)));
    let own = current.nodes()[0].name().clone();
    let view = View::new(&own, current, vec![older]).unwrap();
    Change::of_view(&view, &map(next))
}

#[test]
fn a_node_whose_files_have_not_all_moved_is_not_taken_out_of_the_list() {
    let out = |spec: &mut MapSpec| state(spec, "n11", NodeState::Out);
    let drop_it = |spec: &mut MapSpec| _ = spec.subclusters[2].nodes.pop();
    let change = unsettled(&start(), out, drop_it);
    assert!(
        texts(&change.objections)
            .iter()
            .any(|text| text.starts_with("n11 holds files and is in the new map no more"))
    );
    let mut settled = start();
    out(&mut settled);
    assert!(!words(&change_of(&settled, drop_it)).contains(&"dropped"), "once they have, it may be");
}

#[test]
fn a_name_that_is_out_of_use_does_not_come_back_for_another_machine_before_all_has_moved() {
    let rename = |to: &'static str, url: &'static str| {
        move |spec: &mut MapSpec| {
            let slot = &mut spec.subclusters[1].nodes[1];
            (slot.name, slot.url) = (to.to_owned(), url.to_owned());
        }
    };
    let replaced = rename("fresh", "http://fresh");
    let change = unsettled(&start(), replaced, rename("n5", "http://other"));
    assert!(words(&change).contains(&"slots"), "{:?}", texts(&change.objections));
    assert!(texts(&change.objections).iter().any(|text| text.starts_with("n5 comes back with another url")));
    let url = start().subclusters[1].nodes[1].url.clone();
    let taken = |spec: &mut MapSpec| spec.subclusters[1].nodes[2].url = url;
    let change = unsettled(&start(), replaced, taken);
    refused(&change, "dropped", "n6 has the url of n5, which holds files");
}

#[test]
fn nodes_that_are_lost_one_change_after_the_other_hold_last_copies_all_the_same() {
    let lose = |names: &'static [&'static str]| {
        move |spec: &mut MapSpec| names.iter().for_each(|name| state(spec, name, NodeState::Lost))
    };
    let change = unsettled(&start(), lose(&["n1", "n4"]), lose(&["n8"]));
    refused(&change, "copies", "n1, n4 and n8 are lost at once, as many as hold all 3 copies of a file");
    assert_eq!(words(&unsettled(&start(), lose(&["n1"]), lose(&["n4"]))), [""; 0]);
    let again = unsettled(&start(), lose(&["n1", "n4", "n8"]), |spec| spec.write_quorum = 3);
    assert_eq!(words(&again), [""; 0], "it was said of that change");
}
