//! Text maps that are read, and those that are refused: with which line and reason.

use super::*;
use crate::cluster::crush::{BucketKind, Choice, Order, Step, StrawCalculation, Tunables};

/// A map with everything that `crushtool -d` prints, with a class in two copies.
const MAP: &str = "\
# begin crush map
tunable choose_local_tries 0
tunable choose_local_fallback_tries 0
tunable choose_total_tries 50
tunable chooseleaf_descend_once 1
tunable chooseleaf_vary_r 1
tunable chooseleaf_stable 1
tunable straw_calc_version 1
tunable allowed_bucket_algs 54

# devices
device 0 img1 class ssd
device 1 img2 class hdd
device 2 img3 class ssd
device 4 img5

# types
type 0 osd
type 1 host
type 11 root

# buckets
host h1 {
\tid -3\t\t# do not change unnecessarily
\tid -4 class ssd\t\t# do not change unnecessarily
\t# weight 3.000
\talg straw2
\thash 0\t# rjenkins1
\titem img1 weight 1.000
\titem img2 weight 2.000
}
host h2 {
\tid -5
\tid -6 class ssd
\talg tree\t# do not change pos for existing items unnecessarily
\thash 0
\titem img5 weight 0.500 pos 1
\titem img3 weight 0.100 pos 0
}
root default {
\tid -1
\tid -2 class ssd
\talg list
\thash 0
\titem h1 weight 3.000
\titem h2 weight 0.600
}

# rules
rule spread {
\tid 0
\ttype replicated
\tmin_size 1
\tmax_size 10
\tstep take default
\tstep chooseleaf firstn 0 type host
\tstep emit
}
rule parts {
\truleset 7
\ttype erasure
\tstep set_choose_tries 100
\tstep set_chooseleaf_tries 5
\tstep set_choose_local_tries 1
\tstep set_choose_local_fallback_tries 2
\tstep set_chooseleaf_vary_r 3
\tstep set_chooseleaf_stable 0
\tstep take default class ssd
\tstep choose indep -1 type osd
\tstep emit
}

# end crush map
";

/// The map with one part replaced.
fn with(part: &str, by: &str) -> String {
    assert_eq!(MAP.matches(part).count(), 1, "{part:?} is in the map once");
    MAP.replace(part, by)
}

/// The line that `part` begins on.
fn line_of(text: &str, part: &str) -> usize {
    text[..text.find(part).unwrap_or_else(|| panic!("{part:?} is in the map"))].lines().count().max(1)
        + usize::from(text[..text.find(part).unwrap()].ends_with('\n'))
}

/// Reads a map in which `by` stands in place of `part`, and checks that it is refused on the line of `at` with
/// a reason that contains `reason`.
#[track_caller]
fn refuses(part: &str, by: &str, at: &str, reason: &str) {
    let text = with(part, by);
    let error = CrushMap::from_text(&text).expect_err("it is wrong");
    assert!(error.to_string().contains(reason), "{error}");
    assert_eq!(error.line, line_of(&text, at), "{error}");
}

#[test]
fn a_map_is_read_with_all_its_parts() {
    let map = CrushMap::from_text(MAP).unwrap();
    assert_eq!(*map.tunables(), Tunables::JEWEL);
    let devices: Vec<_> = map.devices().iter().map(|d| (d.id(), d.name(), d.class())).collect();
    let expected =
        [(0, "img1", Some("ssd")), (1, "img2", Some("hdd")), (2, "img3", Some("ssd")), (4, "img5", None)];
    assert_eq!(devices, expected);
    assert_eq!(map.type_named("root"), Some(11));
    let tree = map.bucket(-5).unwrap();
    assert_eq!((tree.name(), tree.kind(), tree.type_id()), ("h2", BucketKind::Tree, 1));
    assert_eq!((tree.items(), tree.weights()), (&[2, 4][..], &[6_553, 32_768][..]));
    assert_eq!(map.bucket(-1).unwrap().weights(), [196_608, 39_321]);

    let choice = |leaf, order, count, type_id| Step::Choose(Choice { leaf, order, count, type_id });
    let spread = map.rule_named("spread").unwrap();
    assert_eq!(spread.steps(), [Step::Take(-1), choice(true, Order::Firstn, 0, 1), Step::Emit]);
    let expected = [
        Step::SetChooseTries(100),
        Step::SetChooseleafTries(5),
        Step::SetChooseLocalTries(1),
        Step::SetChooseLocalFallbackTries(2),
        Step::SetChooseleafVaryR(3),
        Step::SetChooseleafStable(false),
        Step::Take(-2),
        choice(false, Order::Indep, -1, 0),
        Step::Emit,
    ];
    assert_eq!(map.rule(7).unwrap().steps(), expected);
}

#[test]
fn a_map_that_is_printed_is_read_as_it_was() {
    let spec = parse_text(MAP).unwrap().spec;
    assert_eq!(parse_text(&print_text(&spec)).unwrap().spec, spec);
    // In a specification a bucket may stand before those in it; in a text it may not.
    let mut reversed = parse_text(&with(" class ssd\n\tstep choose", "\n\tstep choose")).unwrap().spec;
    let buckets = reversed.buckets.clone();
    reversed.buckets.reverse();
    reversed.buckets.rotate_right(1);
    assert_eq!(parse_text(&print_text(&reversed)).unwrap().spec.buckets, buckets);
}

#[test]
fn a_class_is_taken_from_a_copy_with_the_ids_of_the_text() {
    let map = CrushMap::from_text(MAP).unwrap();
    let copy = |id| {
        let bucket = map.bucket(id).unwrap();
        (bucket.name(), bucket.kind(), bucket.items().to_vec(), bucket.weights().to_vec())
    };
    assert_eq!(copy(-2), ("default~ssd", BucketKind::List, vec![-4, -6], vec![65_536, 6_553]));
    assert_eq!(copy(-4), ("h1~ssd", BucketKind::Straw2, vec![0], vec![65_536]));
    assert_eq!(copy(-6), ("h2~ssd", BucketKind::Tree, vec![2], vec![6_553]));
    assert_eq!(map.reachable(map.rule(7).unwrap()), [0, 2]);
    assert_eq!(map.reachable(map.rule(0).unwrap()), [0, 1, 2, 4]);
    assert_eq!((map.parent(0), map.parent(-4), map.parent(-3)), (Some(-3), Some(-2), Some(-1)));
    // No rule takes class hdd, so nothing is asked of its copy; one that is taken needs its id.
    refuses("\tid -6 class ssd\n", "", "host h2 {", "bucket h2 has no line \"id N class ssd\"");
    refuses("take default class ssd", "take default class hdd", "root default {", "class hdd");
    refuses("take default class ssd", "take img1 class ssd", "\tstep take img1", "img1 is a device");
    refuses("-6 class ssd", "-4 class ssd", "\tid -4 class ssd\n\talg tree", "the id -4 is used twice");
    refuses("-6 class ssd", "-3 class ssd", "\tid -3 class ssd", "the id -3 is used twice");
    refuses("-6 class ssd", "-6 class ssd\n\tid -7 class ssd", "\tid -7", "bucket h2 needs exactly one line");
}

#[test]
fn a_class_without_devices_leaves_its_buckets_empty() {
    let map = CrushMap::from_text(&with("device 2 img3 class ssd", "device 2 img3")).unwrap();
    let copy = map.bucket(-2).unwrap();
    assert_eq!((copy.items(), copy.weights()), (&[-4, -6][..], &[65_536, 0][..]));
    assert_eq!(map.bucket(-6).unwrap().size(), 0);
    assert_eq!(map.reachable(map.rule(7).unwrap()), [0]);
}

#[test]
fn without_tunables_a_map_has_the_oldest_ones() {
    let start = MAP.find("# devices").unwrap();
    let map = CrushMap::from_text(&MAP[start..]).unwrap();
    assert_eq!(*map.tunables(), Tunables::LEGACY);
    assert_eq!(map.tunables().straw_calc_version, StrawCalculation::Original);
    // The end of a line and spaces do not matter, nor does a comment.
    let words: Vec<&str> =
        MAP.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace()).collect();
    let dense = words.join(" ").replace(" { ", "{").replace(" } ", "}");
    assert!(CrushMap::from_text(&dense).is_ok());
}

#[test]
fn unknown_words_are_refused_where_they_stand() {
    let part = "tunable choose_total_tries 50";
    refuses(
        part,
        "tunable choose_totle_tries 50",
        "tunable choose_totle",
        "unknown tunable \"choose_totle_tries\"",
    );
    refuses("\nhost h2 {", "\nhots h2 {", "hots h2", "type \"hots\" is not declared above");
    refuses("item img3 weight", "item img9 weight", "\titem img9", "item \"img9\" is neither");
    refuses("item h2 weight", "item default weight", "\titem default", "item \"default\" is neither");
    refuses("\talg list", "\talg lsit", "\talg lsit", "unknown bucket algorithm \"lsit\"");
    refuses("\talg list\n\thash 0", "\talg list\n\thash 1", "\thash 1", "unknown hash \"1\"");
    refuses("\talg list", "\tkind list", "\tkind list", "expected id, alg, hash, item or }, found \"kind\"");
    refuses("\tmin_size 1", "\tminimum 1", "\tminimum 1", "expected id, type, min_size, max_size, step or }");
    refuses("\ttype erasure", "\ttype raided", "\ttype raided", "expected replicated or erasure");
    refuses("step set_choose_tries 100", "step sit", "\tstep sit", "expected a step, found \"sit\"");
    refuses("take default\n", "take nowhere\n", "\tstep take nowhere", "item \"nowhere\" is neither");
    refuses("firstn 0", "first 0", "\tstep chooseleaf", "expected firstn or indep, found \"first\"");
    refuses(
        "indep -1 type osd",
        "indep -1 type disk",
        "\tstep choose indep",
        "type \"disk\" is not declared",
    );
    refuses(
        "# end crush map",
        "choose_args 0 {\n}",
        "choose_args",
        "choose_args (weight sets) are not supported",
    );
    refuses("# end crush map", "device 9 late", "device 9", "device belongs before the buckets and rules");
    refuses("# end crush map", "} # late", "} # late", "expected the name of a type, found \"}\"");
}

#[test]
fn a_text_that_ends_too_early_is_refused() {
    for end in [MAP.len() - 20, MAP.find("rule parts").unwrap() + 6, MAP.find("weight 0.600").unwrap()] {
        let error = CrushMap::from_text(&MAP[..end]).unwrap_err();
        assert!(matches!(error.fault, TextFault::End { .. }), "{error}");
        assert_eq!(error.line, MAP[..end].lines().count(), "{error}");
    }
    // Nothing at all is a map without rules.
    assert!(CrushMap::from_text("").unwrap().rules().is_empty());
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for weight in ["-1.000", "nan", "NaN", "inf", "65536", "1e30", "1.0.0", "-0.0", "x"] {
        refuses("img3 weight 0.100", &format!("img3 weight {weight}"), "\titem img3", "is no weight");
    }
    refuses("item h2 weight 0.600", "item h2", "}\n\n# rules", "expected weight, found \"}\"");
    refuses("device 4", "device -4", "device -4", "\"-4\" is no device id");
    refuses("device 4", "device 1048576", "device 1048576", "is no device id");
    refuses("device 4", "device 4.5", "device 4.5", "is no device id");
    refuses("device 4", "device +4", "device +4", "is no device id");
    refuses("\tid -5", "\tid 5", "\tid 5", "\"5\" is no bucket id");
    refuses("\tid -5", "\tid -3000000000", "\tid -3000000000", "is no bucket id");
    refuses("type 11", "type 65536", "type 65536", "is no type id");
    refuses("ruleset 7", "ruleset -7", "\truleset -7", "is no rule id");
    refuses("total_tries 50", "total_tries 1000", "tunable choose_total", "is no number of attempts");
    refuses("vary_r 1\n", "vary_r 33\n", "tunable chooseleaf_vary_r", "is no chooseleaf_vary_r");
    refuses(
        "descend_once 1",
        "descend_once 2",
        "tunable chooseleaf_descend",
        "must be a whole number from 0 to 1",
    );
    refuses(
        "set_choose_tries 100",
        "set_choose_tries -1",
        "\tstep set_choose_tries",
        "is no number of attempts",
    );
    refuses(
        "set_choose_tries 100",
        "set_choose_tries 1001",
        "\tstep set_choose_tries",
        "is no number of attempts",
    );
    refuses("firstn 0", "firstn 65", "\tstep chooseleaf", "is no number of items");
    refuses("max_size 10", "max_size many", "\tmax_size", "is no number of replicas");
}

#[test]
fn names_and_ids_that_are_used_twice_are_refused() {
    refuses("device 4 img5", "device 4 img5\ndevice 5 img5", "device 5", "the name img5 is used twice");
    refuses("device 4 img5", "device 4 img5\ndevice 4 img6", "device 4 img6", "the id 4 is used twice");
    refuses("type 11 root", "type 11 root\ntype 11 rack", "type 11 rack", "the id 11 is used twice");
    refuses("type 11 root", "type 11 root\ntype 12 root", "type 12", "the name root is used twice");
    refuses("\tid -5", "\tid -3", "host h2", "the id -3 is used twice");
    refuses("host h2", "host img2", "\titem h2 weight", "item \"h2\" is neither");
    refuses("rule parts", "rule spread", "rule spread {\n\truleset", "the name spread is used twice");
    refuses("ruleset 7", "ruleset 0", "rule parts", "the id 0 is used twice");
    refuses(
        "\titem h2",
        "\titem h1 weight 1.0\n\titem h2",
        "\titem h1 weight 1.0\n",
        "item h1 is in bucket default",
    );
    refuses("item img3", "item img2", "\titem img2 weight 0.100", "is in bucket h2 and in bucket h1");
}

#[test]
fn what_a_bucket_or_rule_lacks_or_has_twice_is_named() {
    refuses("\tid -5\n", "", "host h2", "bucket h2 needs exactly one line \"id\"");
    refuses("\tid -5\n", "\tid -5\n\tid -9\n", "host h2", "bucket h2 needs exactly one line \"id\"");
    refuses("\talg list\n", "", "root default", "bucket default needs exactly one line \"alg\"");
    refuses("\talg list\n", "\talg list\n\talg straw2\n", "root default", "exactly one line \"alg\"");
    refuses("\talg list\n", "\talg list\n\thash 0\n", "root default", "exactly one line \"hash\"");
    refuses("\truleset 7\n", "", "rule parts", "rule parts needs exactly one line \"id\"");
    refuses(
        "\truleset 7\n",
        "\truleset 7\n\tid 7\n",
        "rule parts",
        "rule parts needs exactly one line \"id\"",
    );
    refuses("\ttype erasure\n", "", "rule parts", "rule parts needs exactly one line \"type\"");
    refuses("pos 1", "pos 2", "host h2", "the positions of the items of bucket h2");
    refuses("pos 1", "pos 0", "host h2", "the positions of the items of bucket h2");
}
