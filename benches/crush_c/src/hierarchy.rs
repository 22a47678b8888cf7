//! Three levels of straw2 buckets under jewel's tunables: racks of hosts of one device each, all of weight 1.

use std::ffi::c_int;
use std::ptr;

use crush_sys as c;

/// Weight 1, as CRUSH counts weights.
const ONE: u32 = 0x1_0000;

/// What buckets hold, as the rule names them; devices are 0.
const HOST: c_int = 1;
const RACK: c_int = 2;
const ROOT: c_int = 3;

/// A map of the C code, with a rule that puts every replica into a rack of its own.
pub struct Hierarchy {
    /// From `crush_create`, not freed before this is dropped, and finalized.
    map: *mut c::crush_map,
    rule: c_int,
    /// What `crush_do_rule` works in: as long as the map asks for, aligned to words, initialized for it. Straw2
    /// buckets leave it as it is, so one initialization is enough.
    workspace: Vec<u64>,
    /// One for each device: none is to be passed over.
    reweights: Vec<u32>,
    replicas: usize,
}

impl Hierarchy {
    /// `racks` racks of `hosts` hosts each, for lookups of `replicas`.
    ///
    /// # Panics
    /// If the C code refuses, or there are more devices than it can count.
    pub fn new(racks: usize, hosts: usize, replicas: usize) -> Self {
        let devices = c_int::try_from(racks * hosts).expect("fewer devices");
        // SAFETY: the calls come in the order that builder.h asks for. Items and weights are as long as said, and
        // copied; buckets and the rule belong to the map from the moment they are added.
        unsafe {
            let map = c::crush_create();
            assert!(!map.is_null(), "crush_create");
            c::set_optimal_crush_map(map); // the tunables of jewel
            let mut rack_ids = Vec::new();
            for rack in 0..racks {
                let devices = (0..hosts).map(|host| (rack * hosts + host) as c_int);
                let mut host_ids: Vec<_> =
                    devices.map(|device| add_bucket(map, HOST, &mut [device], ONE)).collect();
                rack_ids.push(add_bucket(map, RACK, &mut host_ids, ONE));
            }
            let root = add_bucket(map, ROOT, &mut rack_ids, hosts as u32 * ONE);
            let rule = add_rule(map, root);
            c::crush_finalize(map);
            // What crush_work_size of mapper.h computes, in words.
            let bytes = (*map).working_size + replicas * 3 * size_of::<u32>();
            let mut workspace = vec![0u64; bytes.div_ceil(size_of::<u64>())];
            c::crush_init_workspace(map, workspace.as_mut_ptr().cast());
            Self { map, rule, workspace, reweights: vec![ONE; devices as usize], replicas }
        }
    }

    /// Finds the devices of `x`, and says how many it found.
    ///
    /// # Panics
    /// If `found` has no room for the replicas.
    pub fn locate(&mut self, x: u32, found: &mut [i32]) -> usize {
        assert!(found.len() >= self.replicas, "no room for the replicas");
        // SAFETY: the map is finalized, the workspace was made for it and for that many replicas, which `found` has
        // room for, and `reweights` is as long as said.
        let count = unsafe {
            c::crush_do_rule(
                self.map,
                self.rule,
                x as c_int,
                found.as_mut_ptr(),
                self.replicas as c_int,
                self.reweights.as_ptr(),
                self.reweights.len() as c_int,
                self.workspace.as_mut_ptr().cast(),
                ptr::null(),
            )
        };
        count as usize
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        // SAFETY: the map is ours, and nothing uses it from here on.
        unsafe { c::crush_destroy(self.map) }
    }
}

/// Adds a straw2 bucket of items of one weight, and returns its id.
///
/// # Safety
/// `map` is from `crush_create` and not yet destroyed.
unsafe fn add_bucket(map: *mut c::crush_map, kind: c_int, items: &mut [c_int], weight: u32) -> c_int {
    let (straw2, hash) = (c::crush_algorithm_CRUSH_BUCKET_STRAW2 as c_int, c::CRUSH_HASH_RJENKINS1 as c_int);
    let mut weights = vec![weight as c_int; items.len()];
    let mut id = 0;
    // SAFETY: as the caller says; both lists are as long as said.
    unsafe {
        let size = items.len() as c_int;
        let bucket =
            c::crush_make_bucket(map, straw2, hash, kind, size, items.as_mut_ptr(), weights.as_mut_ptr());
        assert!(!bucket.is_null(), "crush_make_bucket");
        assert_eq!(c::crush_add_bucket(map, 0, bucket, &mut id), 0, "crush_add_bucket");
    }
    id
}

/// Adds the rule: from `root`, devices in racks of their own. Returns its number.
///
/// # Safety
/// `map` is from `crush_create` and not yet destroyed.
unsafe fn add_rule(map: *mut c::crush_map, root: c_int) -> c_int {
    let steps = [
        (c::crush_opcodes_CRUSH_RULE_TAKE, root, 0),
        (c::crush_opcodes_CRUSH_RULE_CHOOSELEAF_FIRSTN, 0, RACK),
        (c::crush_opcodes_CRUSH_RULE_EMIT, 0, 0),
    ];
    // SAFETY: as the caller says; the rule has room for the steps.
    unsafe {
        let rule = c::crush_make_rule(steps.len() as c_int, 0, 1, 1, 10);
        assert!(!rule.is_null(), "crush_make_rule");
        for (place, (operation, first, second)) in (0..).zip(steps) {
            c::crush_rule_set_step(rule, place, operation as c_int, first, second);
        }
        let number = c::crush_add_rule(map, rule, -1);
        assert!(number >= 0, "crush_add_rule");
        number
    }
}
