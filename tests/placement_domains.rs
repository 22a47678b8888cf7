//! What placement by CRUSH promises, over generated locations and generated CRUSH maps: distinct usable nodes in
//! different failure domains for every key, and a node marked out moves its own objects only.

mod placement_support;

use std::collections::BTreeSet;

use placement_support::crush::{Places, Stand, domain, on_devices, on_text_map};
use placement_support::owners;
use proptest::prelude::*;
use webdfs::cluster::crush::{
    BucketKind, BucketSpec, Choice, CrushSpec, DeviceSpec, ItemSpec, Order, RuleSpec, Step, Tunables,
    TypeSpec, WEIGHT_ONE,
};
use webdfs::cluster::{ClusterMap, FailureDomain, Level, NodeState, REPLICAS_MAX};

/// Up to 12 sub-clusters of up to 6 nodes, in up to 24 hosts in up to 6 racks, of which the locations name none, some
/// or all; some of weight 0, some out, and replicas that fit.
fn any_places() -> impl Strategy<Value = Places> {
    let weight = prop_oneof![4 => Just(1.0), 1 => Just(0.0), 1 => Just(0.001), 2 => 0.001..800.0f64];
    let groups = prop::collection::vec((weight, prop::collection::vec(0..24u32, 1..=6)), 1..=12);
    let levels = prop::sample::subsequence(vec![Level::Rack, Level::Host], 0..=2);
    let pick = any::<prop::sample::Index>();
    (groups, levels, pick, 1..=6u32, 1..=REPLICAS_MAX, out()).prop_filter_map(
        "a domain that can be used",
        |(groups, levels, pick, racks, replicas, is_out)| {
            let mut domains = vec![FailureDomain::Node];
            domains.extend(levels.iter().map(|level| FailureDomain::Level(*level)));
            let place = |level: &Level, host: u32| match level {
                Level::Rack => (*level, host % racks),
                _ => (*level, host),
            };
            let stands = groups.iter().enumerate().flat_map(|(subcluster, (_, hosts))| {
                let places = |host: &u32| levels.iter().map(|level| place(level, *host)).collect();
                hosts.iter().map(move |host| Stand { subcluster, places: places(host) }).collect::<Vec<_>>()
            });
            let nodes: Vec<Stand> = stands.collect();
            let mut made = Places {
                domain: domains[pick.index(domains.len())],
                replicas,
                weights: groups.iter().map(|(weight, _)| *weight).collect(),
                out: (0..nodes.len()).filter(|node| is_out.says(*node)).collect(),
                nodes,
            };
            made.replicas = replicas.min(made.usable_domains());
            (made.replicas > 0).then_some(made)
        },
    )
}

/// Which nodes are out: by hash, so that a smaller case keeps the choice.
#[derive(Clone, Copy, Debug)]
struct Out {
    share: f64,
    seed: u64,
}

impl Out {
    fn says(self, node: usize) -> bool {
        let hash = (node as u64 ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> 40) as f64 / (1u64 << 24) as f64) < self.share
    }
}

fn out() -> impl Strategy<Value = Out> {
    (0.0..0.8f64, any::<u64>()).prop_map(|(share, seed)| Out { share, seed })
}

/// A CRUSH map over the devices `n0`, `n1`..., as many as `nodes`.
#[derive(Clone, Debug)]
struct Hierarchy {
    spec: CrushSpec,
    nodes: usize,
}

const TYPES: [&str; 4] = ["osd", "host", "rack", "root"];

/// The choose steps of rules: whether `chooseleaf`, how many, of which type.
const RULES: [&[(bool, i32, u32)]; 6] = [
    &[(true, 0, 1)],
    &[(true, 0, 2)],
    &[(false, 0, 0)],
    &[(false, 0, 2), (true, 1, 1)],
    &[(false, 2, 2), (true, 2, 1)],
    &[(false, 0, 1), (false, 2, 0)],
];

/// Up to 5 racks of up to 4 hosts of up to 4 devices, some empty, in buckets of all kinds, with tunables and rules of
/// many kinds.
fn any_hierarchy() -> impl Strategy<Value = Hierarchy> {
    let kind = || prop::sample::select(BucketKind::ALL.to_vec());
    let weight = prop_oneof![3 => Just(WEIGHT_ONE), 1 => Just(0u32), 1 => 1..WEIGHT_ONE * 10];
    let host = (kind(), prop::collection::vec(weight, 0..=4));
    let rack = (kind(), prop::collection::vec(host, 0..=4));
    let tunables = prop_oneof![
        3 => Just(Tunables::JEWEL),
        1 => Just(Tunables::LEGACY),
        1 => Just(Tunables { choose_total_tries: 1, ..Tunables::JEWEL }),
    ];
    let rule = (0..RULES.len(), prop_oneof![Just(Order::Firstn), Just(Order::Indep)], 0..8u32);
    (prop::collection::vec(rack, 1..=5), kind(), tunables, rule).prop_map(build)
}

type HostParts = (BucketKind, Vec<u32>);
type RackParts = (BucketKind, Vec<HostParts>);

fn build(
    (racks, kind, tunables, (rule, order, odd)): (Vec<RackParts>, BucketKind, Tunables, (usize, Order, u32)),
) -> Hierarchy {
    let mut spec = CrushSpec { tunables, ..CrushSpec::default() };
    spec.types = (0..).zip(TYPES).map(|(id, name)| TypeSpec { id, name: name.to_owned() }).collect();
    let mut racks_found = Vec::new();
    for (rack_kind, hosts) in racks {
        let mut hosts_found = Vec::new();
        for (host_kind, weights) in hosts {
            let mut items = Vec::new();
            for weight in weights {
                let number = spec.devices.len() as i32;
                // Neither in the order of the nodes nor without gaps.
                let id = 3 * (number ^ 1) + 1;
                spec.devices.push(DeviceSpec { id, name: format!("n{number}"), class: None });
                items.push(ItemSpec { id, weight });
            }
            hosts_found.push(add_bucket(&mut spec, 1, host_kind, items));
        }
        racks_found.push(add_bucket(&mut spec, 2, rack_kind, hosts_found));
    }
    let first_rack = racks_found[0].id;
    let root = add_bucket(&mut spec, 3, kind, racks_found).id;
    let choices = RULES[rule].iter().map(|&(leaf, count, type_id)| Choice { leaf, order, count, type_id });
    let mut steps: Vec<Step> = vec![Step::SetChooseleafTries(if odd < 3 { 5 } else { 0 })];
    // It looks twice, and may find a domain twice.
    if odd == 0 {
        let one = Choice { leaf: true, order, count: 1, type_id: 1 };
        steps.extend([Step::Take(first_rack), Step::Choose(one), Step::Emit]);
    }
    steps.push(Step::Take(root));
    steps.extend(choices.map(Step::Choose));
    steps.push(Step::Emit);
    spec.rules = vec![RuleSpec { id: 0, name: "rule".to_owned(), steps }];
    Hierarchy { nodes: spec.devices.len(), spec }
}

/// Adds a bucket and gives it as an item of the one above.
fn add_bucket(spec: &mut CrushSpec, type_id: u32, kind: BucketKind, mut items: Vec<ItemSpec>) -> ItemSpec {
    if kind == BucketKind::Uniform {
        let weight = items.first().map_or(0, |item| item.weight);
        items.iter_mut().for_each(|item| item.weight = weight);
    }
    let id = -1 - spec.buckets.len() as i32;
    let weight = items.iter().map(|item| item.weight).sum();
    let name = format!("b{}", -id);
    spec.buckets.push(BucketSpec { id, name, type_id, kind, items, shadow_class: None });
    ItemSpec { id, weight }
}

/// The map with the most replicas up to `replicas` that is accepted, if one is.
fn accepted(hierarchy: &Hierarchy, replicas: usize, out: &[usize]) -> Option<ClusterMap> {
    (1..=replicas).rev().find_map(|replicas| on_devices(&hierarchy.spec, replicas, out).ok())
}

/// What holds for every key under every map.
fn check_owners(map: &ClusterMap, key: u32) -> Result<Vec<usize>, TestCaseError> {
    let found = owners(map, key);
    prop_assert_eq!(found.len(), map.replicas());
    prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{:?}", found);
    let mut domains = BTreeSet::new();
    for owner in &found {
        prop_assert_eq!(map.nodes()[*owner].state(), NodeState::In);
        let domain = domain(map, *owner);
        prop_assert!(domain.is_some(), "node {} cannot hold a replica", owner);
        domains.insert(domain);
    }
    prop_assert_eq!(domains.len(), found.len(), "{:?} share a domain", found);
    prop_assert_eq!(&owners(map, key), &found);
    Ok(found)
}

/// What marking `node` out does to a key.
fn check_out(before: &[usize], after: &[usize], node: usize) -> Result<(), TestCaseError> {
    let [old, new] = [before, after].map(|owners| owners.iter().copied().collect::<BTreeSet<_>>());
    let lost: Vec<_> = old.difference(&new).copied().collect();
    let expected: &[usize] = if old.contains(&node) { &[node] } else { &[] };
    prop_assert_eq!(lost, expected, "{:?} became {:?}", before, after);
    Ok(())
}

proptest! {
    #![proptest_config(placement_support::cases(200))]

    #[test]
    fn by_locations_the_owners_are_usable_nodes_in_different_domains(
        places in any_places(),
        keys in prop::collection::vec(any::<u32>(), 20),
    ) {
        let map = places.map();
        let weights = places.node_weights();
        for key in keys {
            let found = check_owners(&map, key)?;
            prop_assert!(found.iter().all(|node| weights[*node] > 0.0));
        }
    }

    #[test]
    fn by_locations_marking_a_node_out_moves_its_objects_only(
        places in any_places(),
        node in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u32>(), 50),
    ) {
        let node = node.index(places.nodes.len());
        let mut marked = places.clone();
        marked.out.push(node);
        prop_assume!(!places.out.contains(&node) && marked.usable_domains() >= places.replicas);
        let (before, after) = (places.map(), marked.map());
        for key in keys {
            check_out(&owners(&before, key), &owners(&after, key), node)?;
        }
    }

    #[test]
    fn by_a_crush_map_the_owners_are_usable_nodes_in_different_domains(
        hierarchy in any_hierarchy(),
        replicas in 1..=REPLICAS_MAX,
        out in out(),
        keys in prop::collection::vec(any::<u32>(), 20),
    ) {
        let out: Vec<usize> = (0..hierarchy.nodes).filter(|node| out.says(*node)).collect();
        let map = accepted(&hierarchy, replicas, &out);
        prop_assume!(map.is_some());
        let map = map.unwrap();
        for key in keys {
            let found = check_owners(&map, key)?;
            prop_assert!(found.iter().all(|node| weight_of(&hierarchy.spec, *node) > 0));
        }
    }

    #[test]
    fn by_a_crush_map_marking_a_node_out_moves_its_objects_only(
        hierarchy in any_hierarchy(),
        replicas in 1..=REPLICAS_MAX,
        out in out(),
        node in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u32>(), 50),
    ) {
        prop_assume!(hierarchy.nodes > 0);
        let node = node.index(hierarchy.nodes);
        let others = (0..hierarchy.nodes).filter(|other| *other != node && out.says(*other));
        let mut out: Vec<usize> = others.collect();
        out.push(node);
        let after = accepted(&hierarchy, replicas, &out);
        prop_assume!(after.is_some());
        let after = after.unwrap();
        out.pop();
        let before = on_devices(&hierarchy.spec, after.replicas(), &out).unwrap();
        for key in keys {
            check_out(&owners(&before, key), &owners(&after, key), node)?;
        }
    }
}

/// The weight of the device of a node in its host.
fn weight_of(spec: &CrushSpec, node: usize) -> u32 {
    let id = spec.devices[node].id;
    let mut items = spec.buckets.iter().flat_map(|bucket| &bucket.items);
    items.find(|item| item.id == id).map_or(0, |item| item.weight)
}

/// Six hosts with a device of either class, and a rule that takes the first replica from one class and the others from
/// the other.
fn two_classes() -> String {
    let mut text = String::new();
    for host in 0..6 {
        let (ssd, hdd) = (2 * host, 2 * host + 1);
        text += &format!("device {ssd} n{ssd} class ssd\ndevice {hdd} n{hdd} class hdd\n");
    }
    text += "type 0 osd\ntype 1 host\ntype 2 root\n";
    let mut items = String::new();
    for host in 0..6 {
        let (ssd, hdd) = (2 * host, 2 * host + 1);
        let [id, first, second] = [2, 12, 22].map(|base| -base - host);
        text += &format!("host h{host} {{\nid {id}\nid {first} class ssd\nid {second} class hdd\n");
        text += &format!("alg straw2\nhash 0\nitem n{ssd} weight 1.0\nitem n{hdd} weight 1.0\n}}\n");
        items += &format!("item h{host} weight 2.0\n");
    }
    text +=
        &format!("root top {{\nid -1\nid -11 class ssd\nid -21 class hdd\nalg straw2\nhash 0\n{items}}}\n");
    text +=
        "rule one {\nid 0\ntype replicated\nstep take top class ssd\nstep chooseleaf firstn 1 type host\n";
    text + "step emit\nstep take top class hdd\nstep chooseleaf firstn -1 type host\nstep emit\n}\n"
}

#[test]
fn two_parts_of_a_rule_never_put_replicas_in_one_failure_domain() {
    let map = on_text_map(&two_classes(), 3, &[]).unwrap();
    for key in 0..500 {
        let found = check_owners(&map, key).unwrap();
        assert_eq!(found[0] % 2, 0, "key {key}: {found:?} starts with another class");
    }
    for node in [0, 1, 7] {
        let marked = on_text_map(&two_classes(), 3, &[node]).unwrap();
        for key in 0..500 {
            check_out(&owners(&map, key), &check_owners(&marked, key).unwrap(), node).unwrap();
        }
    }
}
