//! Histories and disks that the checker must accept, and those that it must not.

use std::collections::BTreeSet;

use super::checker::{Disks, REMEMBERED, Replica, Settled, Violation, check};
use super::history::{Action, Content, Op, OpId, Outcome};

/// Node 3 owns nothing of key 0.
const OWNERS: [usize; 3] = [0, 1, 2];

/// An operation on key 0 that was asked for at `times.0` and answered at `times.1`.
fn op(id: OpId, action: Action, times: (u64, u64), outcome: Outcome) -> Op {
    Op { id, key: 0, action, node: 0, clock_off: false, invoked: times.0, answered: times.1, outcome }
}

fn put(id: OpId, times: (u64, u64), status: u16) -> Op {
    op(id, Action::Put, times, Outcome::Status(status))
}

fn delete(id: OpId, times: (u64, u64), status: u16) -> Op {
    op(id, Action::Delete, times, Outcome::Status(status))
}

fn get(id: OpId, times: (u64, u64), found: OpId) -> Op {
    op(id, Action::Get, times, Outcome::Found(Content::Of(found)))
}

fn replica(id: OpId) -> Replica {
    let mtime = i128::from(id);
    Replica { place: format!("replica of {id}"), key: Some(0), mtime, content: Content::Of(id), sound: true }
}

/// What nodes 0, 1, 2 and 3 hold.
fn disks(held: [Option<Replica>; 4]) -> Disks {
    Disks {
        replicas: held.into_iter().map(|held| held.into_iter().collect()).collect(),
        left_over: vec![0; 4],
        ..Disks::default()
    }
}

fn everywhere(held: Option<Replica>) -> Disks {
    disks([held.clone(), held.clone(), held, None])
}

fn judge(ops: &[Op], disks: &Disks) -> Vec<Violation> {
    check(&mut Settled::default(), ops, disks, &[OWNERS.to_vec()])
}

/// The same after a round that settled write 1.
fn judge_later(ops: &[Op], disks: &Disks) -> Vec<Violation> {
    let mut settled = Settled::default();
    let first =
        check(&mut settled, &[put(1, (1, 2), 201)], &everywhere(Some(replica(1))), &[OWNERS.to_vec()]);
    assert_eq!(first, []);
    check(&mut settled, ops, disks, &[OWNERS.to_vec()])
}

#[test]
fn what_was_acknowledged_last_is_accepted() {
    assert_eq!(judge(&[], &everywhere(None)), []);
    assert_eq!(judge(&[put(1, (1, 2), 201), put(2, (3, 4), 204)], &everywhere(Some(replica(2)))), []);
    assert_eq!(judge(&[put(1, (1, 2), 201), delete(2, (3, 4), 204)], &everywhere(None)), []);
    assert_eq!(judge(&[delete(1, (1, 2), 204), put(2, (3, 4), 201)], &everywhere(Some(replica(2)))), []);
    assert_eq!(judge_later(&[], &everywhere(Some(replica(1)))), []);
    assert_eq!(judge_later(&[delete(2, (5, 6), 204)], &everywhere(None)), []);
}

#[test]
fn of_two_writes_at_once_either_may_win() {
    let ops = [put(1, (1, 4), 201), put(2, (3, 5), 204), delete(3, (2, 6), 204)];
    for held in [Some(replica(1)), Some(replica(2)), None] {
        assert_eq!(judge(&ops, &everywhere(held)), []);
    }
}

#[test]
fn a_write_of_unknown_outcome_may_be_there_or_not_and_may_come_late() {
    let unknown = op(2, Action::Put, (3, 4), Outcome::Unknown);
    for (last, held) in [(201, 1), (201, 2), (504, 2)] {
        assert_eq!(judge(&[put(1, (6, 7), last), unknown.clone()], &everywhere(Some(replica(held)))), []);
    }
    assert_eq!(judge(&[unknown], &everywhere(None)), []);
    let deletion = op(2, Action::Delete, (3, 4), Outcome::Unknown);
    assert_eq!(judge(&[put(1, (1, 2), 201), deletion], &everywhere(None)), []);
}

#[test]
fn a_lost_write_is_found() {
    let lost = |write, found| vec![Violation::LostWrite { key: 0, write, found }];
    assert_eq!(judge(&[put(1, (1, 2), 201)], &everywhere(None)), lost(1, None));
    assert_eq!(
        judge(&[put(1, (1, 2), 201), put(2, (3, 4), 204)], &everywhere(Some(replica(1)))),
        lost(2, Some(1))
    );
    assert_eq!(judge(&[delete(1, (1, 2), 204), put(2, (3, 4), 201)], &everywhere(None)), lost(2, None));
    assert_eq!(judge_later(&[], &everywhere(None)), lost(1, None));
    assert_eq!(judge_later(&[put(2, (5, 6), 204)], &everywhere(Some(replica(1)))), lost(2, Some(1)));
}

#[test]
fn a_refused_deletion_explains_nothing() {
    for status in [400, 412, 404, 503, 507] {
        let found = judge(&[put(1, (1, 2), 201), delete(2, (3, 4), status)], &everywhere(None));
        assert!(found.contains(&Violation::LostWrite { key: 0, write: 1, found: None }), "{found:?}");
    }
}

#[test]
fn a_deletion_that_is_undone_is_found() {
    let undone = vec![Violation::UndoneDelete { key: 0, delete: 2, found: 1 }];
    assert_eq!(judge(&[put(1, (1, 2), 201), delete(2, (3, 4), 204)], &everywhere(Some(replica(1)))), undone);
    assert_eq!(judge_later(&[delete(2, (3, 4), 204)], &everywhere(Some(replica(1)))), undone);
    // On one owner of three, too.
    let one = disks([None, Some(replica(1)), None, None]);
    let found = judge(&[put(1, (1, 2), 201), delete(2, (3, 4), 204)], &one);
    assert!(found.contains(&undone[0]), "{found:?}");
}

#[test]
fn what_was_settled_does_not_change_by_itself() {
    let mut settled = Settled::default();
    let owners = [OWNERS.to_vec()];
    let ops = [put(1, (1, 2), 201), put(2, (3, 4), 204), op(3, Action::Put, (3, 4), Outcome::Unknown)];
    assert_eq!(check(&mut settled, &ops, &everywhere(Some(replica(2))), &owners), []);
    for older in [1, 3] {
        let found = check(&mut settled.clone(), &[], &everywhere(Some(replica(older))), &owners);
        assert_eq!(found, [Violation::Unsettled { key: 0, settled: Some(2), found: Some(older) }]);
    }
}

#[test]
fn owners_that_do_not_agree_are_found() {
    let ops = [put(1, (1, 2), 201), op(2, Action::Put, (1, 4), Outcome::Unknown)];
    let other_time = Replica { mtime: 99, ..replica(1) };
    for second in [Some(replica(2)), Some(other_time), None] {
        let found = judge(&ops, &disks([Some(replica(1)), second, Some(replica(1)), None]));
        assert!(found.iter().any(|violation| matches!(violation, Violation::Divergent { .. })), "{found:?}");
    }
}

#[test]
fn a_refused_write_is_found_on_a_disk_and_in_an_answer() {
    for status in [400, 403, 412, 503, 507] {
        let found = judge(&[put(1, (1, 2), status)], &everywhere(Some(replica(1))));
        assert!(
            found.iter().any(|violation| matches!(violation, Violation::VisibleRefusal { .. })),
            "{found:?}"
        );
        let found = judge(&[put(1, (1, 2), status), get(2, (3, 4), 1)], &everywhere(None));
        assert!(matches!(&found[..], [Violation::VisibleRefusal { write: 1, .. }]), "{found:?}");
    }
}

#[test]
fn damaged_misplaced_and_foreign_files_are_found() {
    let ops = [put(1, (1, 2), 201)];
    let rotten = Replica { sound: false, ..replica(1) };
    let found = judge(&ops, &disks([Some(rotten), Some(replica(1)), Some(replica(1)), None]));
    assert_eq!(found, [Violation::WrongChecksum { place: "replica of 1".into() }]);
    let all = Some(replica(1));
    let found = judge(&ops, &disks([all.clone(), all.clone(), all.clone(), all]));
    assert_eq!(found, [Violation::Stray { place: "replica of 1".into() }]);
    let foreign = Replica { content: Content::Foreign("half".into()), ..replica(1) };
    let found = judge(&ops, &everywhere(Some(foreign)));
    assert_eq!(found.len(), 3, "{found:?}");
    let nameless = Replica { key: None, ..replica(1) };
    assert!(!judge(&[], &disks([None, None, None, Some(nameless)])).is_empty());
}

#[test]
fn uploads_that_are_left_over_are_found() {
    let disks = Disks { left_over: vec![0, 2, 0, 0], ..everywhere(None) };
    assert_eq!(judge(&[], &disks), [Violation::LeftOver { node: 1, count: 2 }]);
}

#[test]
fn an_answer_that_nothing_explains_is_found() {
    let here = everywhere(Some(replica(1)));
    let missing = |id, times| op(id, Action::Get, times, Outcome::Status(404));
    let is_wrong = |found: &[Violation]| matches!(found, [Violation::WrongAnswer { .. }]);
    let later = 3 + REMEMBERED;
    assert!(is_wrong(&judge(&[put(1, (1, 2), 201), missing(2, (later, later + 1))], &here)));
    assert_eq!(judge(&[put(1, (1, 2), 201), missing(2, (3, 4))], &here), [], "a look-up is remembered");
    let deleted = delete(2, (3, 4), 404);
    assert!(is_wrong(&judge(&[put(1, (1, 2), 201), deleted], &here)), "a deletion remembers nothing");
    assert!(is_wrong(&judge_later(&[missing(2, (3, 4))], &here)));
    assert!(is_wrong(&judge(&[get(2, (1, 2), 1), put(1, (3, 4), 201)], &here)), "before it was written");
    assert!(is_wrong(&judge_later(&[get(2, (3, 4), 7)], &here)), "of another key");
    let half = op(2, Action::Get, (3, 4), Outcome::Found(Content::Foreign("half".into())));
    assert!(is_wrong(&judge_later(std::slice::from_ref(&half), &here)));
    let rotted = Disks { have_rotted: true, ..here.clone() };
    assert_eq!(judge_later(&[half], &rotted), []);
    assert!(is_wrong(&judge_later(&[get(2, (3, 4), 7)], &rotted)), "no rot makes another write of it");
    // Node 0, through which all is read here, had a root from before the last healing.
    let older = Disks { returned: Some(0), ..here.clone() };
    assert_eq!(judge_later(&[get(2, (3, 4), 7)], &older), []);
    let other = Disks { returned: Some(1), ..here.clone() };
    assert!(is_wrong(&judge_later(&[get(2, (3, 4), 7)], &other)));
    let owned = Disks { handed_on: BTreeSet::from([0]), ..other };
    assert_eq!(judge_later(&[get(2, (3, 4), 7)], &owned), []);
    assert!(!judge_later(&[put(7, (1, 2), 503), get(2, (3, 4), 7)], &older).is_empty(), "it was refused");
    let gone = delete(3, (3, 4), 404);
    assert!(is_wrong(&judge_later(&[gone], &here)), "there was something to delete");

    assert_eq!(judge(&[put(1, (1, 4), 201), missing(2, (3, 5))], &here), [], "at the same time");
    assert_eq!(judge_later(&[get(2, (3, 4), 1), put(3, (1, 2), 504)], &here), [], "not yet everywhere");
    let deleted = [delete(2, (3, 4), 204), missing(3, (5, 6))];
    assert_eq!(judge_later(&deleted, &everywhere(None)), []);
}
