//! The same answers everywhere: one set of requests and what each must be answered with, run through every web server,
//! on replicas of the node that is asked and on those of others, found by the web server itself and left to webdfs.
//!
//! What is expected is written from RFC 9110, RFC 9112, RFC 4918 and the design, never recorded from a run. Where a
//! server cannot answer so, the case says it beside the fact that explains it (`answers/facts.rs`).

mod common;

mod answers {
    /// One request, what stands before it, and what must come of it.
    pub mod case;
    /// If-Match and the like, on every method.
    pub mod conditionals;
    /// What is stored after a case, and that nothing else is.
    pub mod disks;
    /// What is refused, and what never leaves a node.
    pub mod errors;
    /// Where a server cannot answer as the others, and why.
    pub mod facts;
    /// Whether an answer is the one that a case expects.
    pub mod judge;
    /// The ways through which the set runs.
    pub mod lane;
    /// Every method, known or not.
    pub mod methods;
    /// Names of any bytes and any length, and the types they have.
    pub mod names;
    /// Range and If-Range.
    pub mod ranges;
    /// Runs the set through one lane.
    pub mod run;
    /// What is sent of a case, byte by byte.
    pub mod send;
    /// How a target becomes a name.
    pub mod targets;
    /// Bodies of every size, however they are sent, whole or not.
    pub mod uploads;
    /// ETag and Last-Modified, on every node and in every delivery.
    pub mod validators;
}

use std::collections::{BTreeMap, BTreeSet};

use answers::case::Case;
use answers::{facts, lane, run};

/// The whole set.
fn set() -> Vec<Case> {
    use answers::{conditionals, errors, methods, names, ranges, targets, uploads};
    [
        methods::cases(),
        targets::cases(),
        ranges::cases(),
        conditionals::cases(),
        uploads::cases(),
        errors::cases(),
        names::cases(),
    ]
    .concat()
}

/// A test for each lane: the set, and the validators.
macro_rules! lanes {
    ($($name:ident),+ $(,)?) => {
        mod the_set_is_answered_alike_by {
            $(#[test] fn $name() { super::run::run(&super::set(), &super::lane::$name()); })+
        }
        mod validators_are_those_of_the_file_by {
            $(#[test] fn $name() { super::answers::validators::check(&super::lane::$name()); })+
        }
        fn every_lane() -> Vec<lane::Lane> {
            vec![$(lane::$name()),+]
        }
    };
}

lanes!(
    nginx,
    nginx_responder,
    nginx_handing_over,
    nginx_proxying,
    apache_fcgid,
    apache_fcgid_responder,
    apache_proxy,
    apache_proxy_responder,
    apache_proxy_handing_over,
    lighttpd,
    lighttpd_responder,
    lighttpd_handing_over,
    lighttpd_spawned,
    haproxy,
    caddy,
    caddy_responder,
    embedded,
);

#[test]
fn the_set_is_large_and_no_name_stands_for_two_cases() {
    let set = set();
    let names: BTreeSet<_> = set.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), set.len(), "two cases bear one name");
    assert!(set.len() >= 200, "{} cases", set.len());
}

#[test]
fn the_exceptions_are_few_and_none_is_idle() {
    let (set, lanes) = (set(), every_lane());
    let mut of_fact: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in &set {
        for except in &case.except {
            of_fact.entry(except.fact.text).or_default().push(case.name);
            // That it is also needed is checked where the case runs.
            let applies =
                |lane: &lane::Lane| lane.places().iter().any(|place| except.fact.holds(lane, *place));
            assert!(
                lanes.iter().any(applies),
                "{}: nothing runs where this holds: {}",
                case.name,
                except.fact.text
            );
        }
    }
    println!("{} cases, {} facts about servers:", set.len(), of_fact.len());
    for (fact, cases) in &of_fact {
        println!("{:4} {fact}: {}", cases.len(), cases.join("; "));
    }
    let exceptions: usize = of_fact.values().map(Vec::len).sum();
    assert!(of_fact.len() <= facts::FACTS_MAX, "{} facts", of_fact.len());
    assert!(exceptions <= facts::EXCEPTIONS_MAX, "{exceptions} exceptions");
}
