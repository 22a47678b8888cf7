//! What is done to a store before it crashes.

use super::oracle::Action;
use crate::store_support::{at, name};

/// A name, what is on the disk, and what is then done.
pub struct Scenario {
    pub title: &'static str,
    pub settled: Vec<Action>,
    pub steps: Vec<Action>,
}

pub fn put(text: impl AsRef<[u8]>, seconds: u64, bytes: &str) -> Action {
    Action::Put(name(text), at(seconds), bytes.into())
}

pub fn delete(text: impl AsRef<[u8]>, seconds: u64) -> Action {
    Action::Delete(name(text), at(seconds))
}

pub fn all() -> Vec<Scenario> {
    let long = || format!("shop/{}", "x".repeat(300));
    let other = || put("shop/other.jpg", 1, "another key");
    let mut scenarios = vec![
        scenario("a new root", &[], &[put("cat.jpg", 10, "meow"), Action::Complete, delete("cat.jpg", 11)]),
        scenario("a new object", &[other()], &[put("cat.jpg", 10, "meow")]),
        scenario("an empty object", &[other()], &[put("cat.jpg", 10, "")]),
        scenario(
            "an object that is synced as it comes in",
            &[put("cat.jpg", 1, "miaou")],
            &[put("cat.jpg", 10, &"meow".repeat(300_000))],
        ),
        scenario("an object replaced", &[put("cat.jpg", 1, "miaou")], &[put("cat.jpg", 10, "meow")]),
        scenario(
            "new folders",
            &[other()],
            &[put("a/b/c/d.jpg", 10, "deep"), put("a/b/e.jpg", 11, "beside")],
        ),
        scenario(
            "an object over its tombstone",
            &[put("a/cat.jpg", 1, "miaou"), delete("a/cat.jpg", 2)],
            &[put("a/cat.jpg", 10, "meow")],
        ),
        scenario("a deletion", &[put("a/b/cat.jpg", 1, "miaou"), other()], &[delete("a/b/cat.jpg", 10)]),
        scenario("a deletion of nothing", &[other()], &[delete("a/cat.jpg", 10), delete("a/cat.jpg", 12)]),
        scenario(
            "an escaped name deleted and written again",
            &[put(long(), 1, "long"), other()],
            &[delete(long(), 10), put(long(), 11, "longer")],
        ),
        scenario("a segment of 300 bytes", &[other()], &[put(long(), 10, "long"), put(long(), 11, "longer")]),
        scenario(
            "an object below another",
            &[put("a", 1, "file")],
            &[put("a/b", 10, "below"), delete("a", 11), put("a/b", 12, "in place")],
        ),
        scenario(
            "an object above another",
            &[put("a/b", 1, "below")],
            &[put("a", 10, "file"), delete("a/b", 11), put("a", 12, "in place")],
        ),
        scenario(
            "older versions and repeats",
            &[put("cat.jpg", 5, "meow")],
            &[
                put("cat.jpg", 4, "late"),
                delete("cat.jpg", 3),
                put("cat.jpg", 5, "meow"),
                delete("cat.jpg", 5),
                put("cat.jpg", 5, "meow"),
                delete("cat.jpg", 5),
            ],
        ),
        scenario(
            "an upload without a commit",
            &[other()],
            &[Action::Prepare(name("cat.jpg"), b"half".into()), put("cat.jpg", 10, "meow")],
        ),
    ];
    let together = |copies: &[(&str, u64, &str)]| {
        let copies = copies.iter().map(|(text, seconds, bytes)| (name(text), at(*seconds), (*bytes).into()));
        Action::Together(copies.collect())
    };
    let long_name = long();
    scenarios.push(scenario(
        "several copies of another node at once",
        &[
            put("cat.jpg", 1, "miaou"),
            put("a/old.jpg", 5, "newer"),
            put("gone.jpg", 1, "x"),
            delete("gone.jpg", 2),
        ],
        &[
            together(&[
                ("cat.jpg", 10, "meow"),
                ("a/old.jpg", 4, "older"),
                ("new/folder/dog.jpg", 10, "woof"),
                ("gone.jpg", 10, "back"),
                (&long_name, 10, "escaped"),
            ]),
            delete("cat.jpg", 11),
        ],
    ));
    scenarios.push(scenario(
        "a folder emptied and filled again",
        &[put("a/b/c", 1, "one")],
        &[delete("a/b/c", 10), put("a/b/d", 11, "two"), delete("a/b/d", 12), put("a/b/c", 13, "three")],
    ));
    scenarios
}

/// Two names that have one path where the original webDFS's path hashing lays out the root.
pub fn of_one_path() -> Vec<Scenario> {
    let (first, second) = ("a/b/c.jpg", "ab/c.jpg");
    vec![
        scenario(
            "the second of two names of one path",
            &[put(first, 1, "first")],
            &[put(second, 10, "second"), put(first, 11, "first again"), put(second, 12, "second again")],
        ),
        scenario(
            "a path that changes hands",
            &[put(first, 1, "first"), put(second, 2, "second")],
            &[delete(first, 10), put(second, 11, "in place"), put(first, 12, "beside"), delete(second, 13)],
        ),
    ]
}

fn scenario(title: &'static str, settled: &[Action], steps: &[Action]) -> Scenario {
    Scenario { title, settled: settled.to_vec(), steps: steps.to_vec() }
}
