//! Whether the nodes hold of a file what they should: from what each of them said to one verdict.  Pure.
//!
//! The truth is the highest copy or tombstone that a node holds which is or was an owner, in the order in which copies
//! supersede each other. Every owner should hold just that, and nobody else a file.

use std::fmt;

use serde::Serialize;

use crate::cluster::{Epoch, NodeName};
use crate::held::Held;
use crate::peer::message::HeldAnswer;

/// What a node has to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An owner under the current map, of this rank, counted from 1.
    Owner(usize),
    /// No owner now, but one under the map of this epoch, the newest such.
    Former(Epoch),
    /// Marked out in the current map.
    Out,
    /// Marked lost in the current map.
    Lost,
    /// Never an owner under any of the maps.
    Stranger,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Owner(rank) => write!(f, "owner {rank}"),
            Role::Former(epoch) => write!(f, "owner under epoch {epoch}"),
            Role::Out => f.write_str("out of service"),
            Role::Lost => f.write_str("lost"),
            Role::Stranger => f.write_str("no owner"),
        }
    }
}

/// What a node said.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) node: NodeName,
    pub(super) role: Role,
    /// What it holds, or why it could not be asked.
    pub(super) said: Result<HeldAnswer, String>,
}

/// Whether all is as it should be, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) healthy: bool,
    /// The whole in a sentence.
    pub(super) verdict: String,
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
    /// What an operator may want to know, and what is not wrong.
    pub(super) notes: Vec<String>,
}

/// What one answer adds to the verdict.
enum Finding {
    Fine,
    Wrong(String),
    Note(String),
}

/// Judges the answers of all nodes.
pub(super) fn judge(answers: &[Answer]) -> Verdict {
    let truth = truth(answers);
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    for answer in answers {
        match find(answer, &truth) {
            Finding::Fine => {}
            Finding::Wrong(words) => wrong.push(words),
            Finding::Note(words) => notes.push(words),
        }
    }
    let owners = answers.iter().filter(|answer| matches!(answer.role, Role::Owner(_))).count();
    let (one_or_all, hold) = if owners == 1 {
        ("the one owner".to_owned(), "holds")
    } else {
        (format!("all {owners} owners"), "hold")
    };
    let verdict = match truth {
        _ if !wrong.is_empty() => "not as it should be".to_owned(),
        Held::Copy(_) => format!("as it should be: {one_or_all} {hold} the same version"),
        Held::Tombstone { .. } => format!("as it should be: deleted, and {one_or_all} {hold} the tombstone"),
        Held::Nothing => "as it should be: there is no such file, nor a tombstone of one".to_owned(),
    };
    Verdict { healthy: wrong.is_empty(), verdict, wrong, notes }
}

/// The highest that an owner, or one that was, holds. A stray copy is never offered to the owners, so it does not
/// count, and neither does what a lost node holds.
fn truth(answers: &[Answer]) -> Held {
    let may_know = answers.iter().filter(|answer| !matches!(answer.role, Role::Stranger | Role::Lost));
    let held = may_know.filter_map(|answer| answer.said.as_ref().ok()).map(|said| said.held);
    held.fold(Held::Nothing, |highest, held| if held.supersedes(&highest).is_gt() { held } else { highest })
}

fn find(answer: &Answer, truth: &Held) -> Finding {
    let who = format!("{}, {},", answer.node, answer.role);
    match (&answer.said, answer.role) {
        (Err(reason), Role::Owner(_)) => {
            Finding::Wrong(format!("{who} cannot say what it holds: it {reason}"))
        }
        // Nobody expects anything of it.
        (Err(_), Role::Lost) => Finding::Fine,
        (Err(reason), _) => Finding::Note(format!("{who} cannot say whether it holds anything: it {reason}")),
        (Ok(said), Role::Owner(_)) => of_owner(&who, said, truth),
        (Ok(said), Role::Stranger) => of_stranger(&who, &said.held, truth),
        (Ok(said), Role::Lost) => of_lost(&who, &said.held),
        (Ok(said), Role::Former(_) | Role::Out) => of_former(&who, &said.held, truth),
    }
}

fn of_owner(who: &str, said: &HeldAnswer, truth: &Held) -> Finding {
    let wrong = |words: &str| Finding::Wrong(format!("{who} {words}"));
    match (&said.held, truth) {
        (Held::Nothing, Held::Nothing) if !said.complete => {
            wrong("holds nothing, but its root is not complete yet, so that says little")
        }
        (held, truth) if same(held, truth) && said.complete => Finding::Fine,
        (held, truth) if same(held, truth) => {
            Finding::Note(format!("{who} has a root that is not complete yet: what it lacks counts nowhere"))
        }
        (Held::Nothing, Held::Tombstone { .. }) => wrong("lacks the tombstone"),
        (Held::Nothing, _) => wrong("lacks it"),
        (Held::Copy(_), Held::Tombstone { .. }) => wrong("still holds the deleted file"),
        (Held::Tombstone { .. }, Held::Copy(_)) => {
            wrong("lacks it, and holds the tombstone of an older file")
        }
        (held, truth) if held.version() == truth.version() => {
            wrong("holds other bytes under the same version")
        }
        (Held::Copy(_), _) => wrong("holds an older version"),
        (Held::Tombstone { .. }, _) => wrong("holds an older tombstone"),
    }
}

/// A node that was an owner, or is out: what it holds has yet to move, or to go.
fn of_former(who: &str, held: &Held, truth: &Held) -> Finding {
    match held {
        Held::Nothing | Held::Tombstone { .. } => Finding::Fine,
        Held::Copy(_) if same(held, truth) => Finding::Note(format!("{who} still holds it")),
        Held::Copy(_) => Finding::Wrong(format!("{who} still holds an older version")),
    }
}

/// A node that is lost, and answers nevertheless.
fn of_lost(who: &str, held: &Held) -> Finding {
    match held {
        Held::Nothing => Finding::Fine,
        Held::Copy(_) | Held::Tombstone { .. } => {
            Finding::Note(format!("{who} answers and holds something, which counts nowhere"))
        }
    }
}

fn of_stranger(who: &str, held: &Held, truth: &Held) -> Finding {
    match held {
        Held::Nothing => Finding::Fine,
        Held::Tombstone { .. } => Finding::Note(format!("{who} holds a tombstone")),
        Held::Copy(_) => {
            let age = match held.supersedes(truth) {
                _ if same(held, truth) => "of the same version",
                std::cmp::Ordering::Greater => "that is newer than what the owners hold",
                _ => "of an older version",
            };
            Finding::Wrong(format!("{who} holds a stray copy {age}"))
        }
    }
}

/// Whether two nodes hold the same, as far as they can tell: a file that was put there by hand has no checksum yet.
fn same(held: &Held, other: &Held) -> bool {
    match (held, other) {
        (Held::Copy(copy), Held::Copy(other)) => {
            let checksums = copy.crc32.zip(other.crc32);
            (copy.version, copy.size) == (other.version, other.size)
                && checksums.is_none_or(|(checksum, other)| checksum == other)
        }
        _ => held == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::CopyInfo;
    use crate::version::Version;

    fn copy(version: u64, crc32: Option<u32>) -> Held {
        Held::Copy(CopyInfo { version: Version::from_nanos(version), size: 5, crc32 })
    }

    fn file(version: u64) -> Held {
        copy(version, Some(7))
    }

    fn tombstone(version: u64) -> Held {
        Held::Tombstone { version: Version::from_nanos(version) }
    }

    /// The answers of img1, img2, ...
    fn judged(answers: &[(Role, Option<Held>)]) -> Verdict {
        let answer = |(number, (role, held)): (usize, &(Role, Option<Held>))| Answer {
            node: format!("img{}", number + 1).parse().unwrap(),
            role: *role,
            said: held.map(|held| HeldAnswer { held, complete: true }).ok_or_else(|| "is ill".to_owned()),
        };
        judge(&answers.iter().enumerate().map(answer).collect::<Vec<_>>())
    }

    fn owners(held: [Option<Held>; 3]) -> Verdict {
        let roles = [Role::Owner(1), Role::Owner(2), Role::Owner(3)];
        judged(&roles.into_iter().zip(held).collect::<Vec<_>>())
    }

    fn former() -> Role {
        Role::Former(Epoch::FIRST)
    }

    #[test]
    fn owners_that_hold_the_same_are_as_they_should_be() {
        let cases = [
            (file(3), "as it should be: all 3 owners hold the same version"),
            (tombstone(3), "as it should be: deleted, and all 3 owners hold the tombstone"),
            (Held::Nothing, "as it should be: there is no such file, nor a tombstone of one"),
        ];
        for (held, words) in cases {
            let verdict = owners([Some(held); 3]);
            let (wrong, notes) = (Vec::new(), Vec::new());
            assert_eq!(verdict, Verdict { healthy: true, verdict: words.to_owned(), wrong, notes });
        }
        assert_eq!(
            judged(&[(Role::Owner(1), Some(file(1)))]).verdict,
            "as it should be: the one owner holds the same version"
        );
    }

    #[test]
    fn an_owner_that_holds_something_else_is_named_with_what_is_wrong() {
        let truth_and_held = [
            (file(3), Some(Held::Nothing), "lacks it"),
            (file(3), Some(file(2)), "holds an older version"),
            (file(3), Some(tombstone(2)), "lacks it, and holds the tombstone of an older file"),
            (file(3), Some(copy(3, Some(6))), "holds other bytes under the same version"),
            (file(3), None, "cannot say what it holds: it is ill"),
            (tombstone(3), Some(Held::Nothing), "lacks the tombstone"),
            (tombstone(3), Some(file(2)), "still holds the deleted file"),
            (tombstone(3), Some(file(3)), "still holds the deleted file"),
            (tombstone(3), Some(tombstone(2)), "holds an older tombstone"),
            (Held::Nothing, None, "cannot say what it holds: it is ill"),
        ];
        for (truth, held, words) in truth_and_held {
            let verdict = owners([Some(truth), held, Some(truth)]);
            assert_eq!(verdict.wrong, [format!("img2, owner 2, {words}")]);
            assert_eq!((verdict.healthy, verdict.verdict.as_str()), (false, "not as it should be"));
        }
    }

    #[test]
    fn a_file_without_a_checksum_is_the_same_as_one_of_its_version_and_size() {
        assert!(owners([Some(copy(3, None)), Some(file(3)), Some(file(3))]).healthy);
        assert!(!owners([Some(copy(3, None)), Some(file(3)), Some(copy(3, Some(6)))]).healthy);
    }

    #[test]
    fn a_copy_that_no_owner_should_hold_is_a_stray() {
        let with = |held| judged(&[(Role::Owner(1), Some(file(3))), (Role::Stranger, held)]);
        assert!(with(Some(Held::Nothing)).healthy);
        for (held, words) in [
            (file(3), "of the same version"),
            (file(2), "of an older version"),
            (file(4), "that is newer than what the owners hold"),
        ] {
            assert_eq!(with(Some(held)).wrong, [format!("img2, no owner, holds a stray copy {words}")]);
        }
        assert!(with(Some(tombstone(9))).healthy, "a tombstone serves nothing");
        let silent = with(None);
        assert!(silent.healthy && silent.notes.len() == 1, "{silent:?}");
    }

    #[test]
    fn what_has_yet_to_move_is_noted_and_what_is_outdated_is_wrong() {
        for (role, name) in [(former(), "owner under epoch 1"), (Role::Out, "out of service")] {
            let with = |owner, held| judged(&[(Role::Owner(1), Some(owner)), (role, Some(held))]);
            assert_eq!(with(file(3), file(3)).notes, [format!("img2, {name}, still holds it")]);
            assert_eq!(with(file(3), file(2)).wrong, [format!("img2, {name}, still holds an older version")]);
            assert!(with(file(3), tombstone(2)).healthy);
            // It may be the only one that has it.
            assert_eq!(with(Held::Nothing, file(3)).wrong, ["img1, owner 1, lacks it"]);
            assert_eq!(with(file(3), tombstone(4)).wrong, ["img1, owner 1, still holds the deleted file"]);
        }
    }

    #[test]
    fn a_lost_node_counts_nowhere() {
        for held in [None, Some(Held::Nothing), Some(file(9)), Some(tombstone(9))] {
            let verdict = judged(&[(Role::Owner(1), Some(file(3))), (Role::Lost, held)]);
            assert!(verdict.healthy, "{verdict:?}");
            assert_eq!(
                verdict.notes.len(),
                usize::from(matches!(held, Some(Held::Copy(_) | Held::Tombstone { .. })))
            );
        }
    }

    #[test]
    fn nothing_on_an_incomplete_root_says_little() {
        let answer = |held| Answer {
            node: "img1".parse().unwrap(),
            role: Role::Owner(1),
            said: Ok(HeldAnswer { held, complete: false }),
        };
        let verdict = judge(&[answer(Held::Nothing)]);
        assert!(!verdict.healthy && verdict.wrong[0].contains("not complete"), "{verdict:?}");
        let verdict = judge(&[answer(file(3))]);
        assert!(verdict.healthy && verdict.notes[0].contains("not complete"), "{verdict:?}");
    }
}
