//! A lookup allocates nothing, whatever the algorithm, the size of the map and how many nodes are out.
//!
//! Here is no other test, because the allocator of a program is one for all of it.

mod placement_support;

use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::cell::Cell;

use placement_support::{Layout, image_keys};
use webdfs::cluster::{CrushSource, FailureDomain, Level, PlacementKind, PlacementSpec};
use webdfs::php::PhpVersion;
use webdfs::placement::{ObjectKey, locate};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The allocator of the system, counting what each thread asks it for.
struct Counting;

// SAFETY: everything is handed on to the allocator of the system as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: MemoryLayout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = run();
    (ALLOCATIONS.get() - before, result)
}

/// Maps that an algorithm is tried on. Every algorithm has a line here.
fn layouts(kind: PlacementKind) -> Vec<Layout> {
    match kind {
        PlacementKind::RushR => vec![
            Layout::equal(1, 10, 3),
            Layout::equal(1_000, 10, 3),
            Layout::equal(5, 20, 16),
            Layout::new(&[(1, 1.0), (2, 0.0), (1, 0.001), (3, 7.5)], 5),
            // Nearly everything out: substitutes are searched until all nodes have been gone through.
            Layout::equal(30, 10, 3).with_out(&(0..297).collect::<Vec<_>>()),
        ],
        PlacementKind::RushP => large_enough(PlacementSpec::RushP),
        PlacementKind::RushT => large_enough(PlacementSpec::RushT),
        PlacementKind::WebdfsRushR => original(PlacementSpec::WebdfsRushR(PhpVersion::V5_2)),
        PlacementKind::WebdfsRushP => original(PlacementSpec::WebdfsRushP(PhpVersion::V7_1)),
        PlacementKind::Crush => [FailureDomain::Node, FailureDomain::Level(Level::Rack)]
            .into_iter()
            .flat_map(|domain| {
                let placement = PlacementSpec::Crush(CrushSource::Locations(domain));
                let layouts = [
                    Layout::equal(10, 10, 3),
                    Layout::equal(1_000, 10, 3),
                    Layout::equal(20, 5, 16),
                    Layout::new(&[(1, 1.0), (2, 0.0), (1, 0.001), (3, 7.5)], 3),
                    Layout::equal(30, 10, 3).with_out(&(0..277).collect::<Vec<_>>()),
                ];
                layouts.map(|layout| layout.placed_by(&placement))
            })
            .collect(),
        other => panic!("{other} has no maps here"),
    }
}

/// The same for algorithms that need as many nodes as replicas in each sub-cluster of weight above 0.
fn large_enough(placement: PlacementSpec) -> Vec<Layout> {
    let layouts = [
        Layout::equal(1, 10, 3),
        Layout::equal(1_000, 10, 3),
        Layout::equal(5, 20, 16),
        Layout::new(&[(5, 1.0), (6, 0.001), (5, 7.5), (2, 0.0)], 5),
        Layout::equal(30, 10, 3).with_out(&(0..297).collect::<Vec<_>>()),
    ];
    layouts.map(|layout| layout.placed_by(&placement)).to_vec()
}

/// The same for the locators of the original, which are refused where they would repeat a node.
fn original(placement: PlacementSpec) -> Vec<Layout> {
    let layouts = [
        Layout::equal(1, 10, 3),
        Layout::equal(1_000, 10, 3),
        Layout::new(&[(5, 1.0), (6, 2.0), (7, 0.0)], 3),
        Layout::equal(30, 10, 3).with_out(&(0..297).collect::<Vec<_>>()),
    ];
    layouts.map(|layout| layout.placed_by(&placement)).to_vec()
}

#[test]
fn what_is_counted_is_what_is_allocated() {
    assert_eq!(allocations_of(|| ()).0, 0);
    assert_eq!(allocations_of(|| Box::new(1)).0, 1);
    assert_eq!(allocations_of(|| vec![0u8; 100]).0, 1, "zeroed memory is counted as well");
}

#[test]
fn a_lookup_allocates_nothing() {
    for &kind in PlacementKind::ALL {
        for layout in layouts(kind) {
            let map = layout.map();
            assert_eq!(map.algorithm().kind(), kind);
            let keys: Vec<_> = image_keys(2_000).map(ObjectKey::from_number).collect();
            let (allocations, found) =
                allocations_of(|| keys.iter().map(|key| locate(&map, *key).len()).sum::<usize>());
            assert_eq!(found, keys.len() * layout.replicas, "{kind}");
            assert_eq!(allocations, 0, "{kind}, {} nodes, {} replicas", layout.servers(), layout.replicas);
        }
    }
}
