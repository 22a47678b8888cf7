//! Copies of the hierarchy for one device class, which `step take NAME class CLASS` takes: the same buckets, under
//! the ids that the text gives them (`id N class CLASS`), with the devices of that class alone.
//!
//! Items keep their order. A device keeps its weight; a bucket weighs what its copy's items weigh together, so one
//! without such devices stays as a bucket of weight 0, as `ceph osd crush tree --show-shadow` shows them (Ceph
//! documentation, "CRUSH maps", section "Device classes"). Placement goes by ids, so none is made up here.

use std::collections::{HashMap, HashSet};

use super::{Lines, TextError, TextFault};
use crate::cluster::crush::error::CrushFault;
use crate::cluster::crush::spec::{BucketSpec, CrushSpec, DEPTH_MAX, ItemSpec};

/// The ids of the copies, and those copies that were built.
#[derive(Default)]
pub(super) struct ShadowIds {
    /// By bucket name and class: the id, and its line.
    given: HashMap<(String, String), (i32, usize)>,
    used: HashSet<i32>,
    /// By the bucket's id and class: its copy, with its weight.
    built: HashMap<(i32, String), ItemSpec>,
    /// The positions of the buckets in the map by id, for so many of them.
    positions: HashMap<i32, usize>,
    positions_seen: usize,
    /// The classes of the devices by id, for so many of them.
    classes: HashMap<i32, String>,
    classes_seen: usize,
}

/// What a rule takes.
pub(super) struct Take<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    pub(super) item: i32,
    pub(super) class: &'a str,
}

/// Where the copies are added.
struct Target<'a> {
    spec: &'a mut CrushSpec,
    lines: &'a mut Lines,
}

impl ShadowIds {
    /// Notes the id of the copy of a bucket for a class.
    pub(super) fn add(&mut self, bucket: &str, class: &str, id: i32, line: usize) -> Result<(), TextError> {
        let refuse = |fault| Err(TextError { line, fault });
        if !self.used.insert(id) {
            return refuse(TextFault::Map(CrushFault::DuplicateId(id.into())));
        }
        match self.given.insert((bucket.to_owned(), class.to_owned()), (id, line)) {
            Some(_) => refuse(TextFault::One { owner: format!("bucket {bucket}"), line: "id ... class" }),
            None => Ok(()),
        }
    }

    /// The id of the copy of what is taken. The copy, and those of the buckets below, are added to the map if they
    /// are not there yet.
    pub(super) fn build(
        &mut self,
        take: Take<'_>,
        spec: &mut CrushSpec,
        lines: &mut Lines,
    ) -> Result<i32, TextError> {
        if take.item >= 0 {
            return Err(TextError { line: take.line, fault: TextFault::ClassOfDevice(take.name.to_owned()) });
        }
        if let Some(built) = self.built.get(&(take.item, take.class.to_owned())) {
            return Ok(built.id);
        }
        self.look_at(spec);
        let mut target = Target { spec, lines };
        Ok(self.copy(take.item, &take, &mut target, DEPTH_MAX)?.id)
    }

    /// Notes the buckets and devices that were added since the last time.
    fn look_at(&mut self, spec: &CrushSpec) {
        for (at, bucket) in spec.buckets.iter().enumerate().skip(self.positions_seen) {
            self.positions.insert(bucket.id, at);
        }
        self.positions_seen = spec.buckets.len();
        for device in &spec.devices[self.classes_seen..] {
            if let Some(class) = &device.class {
                self.classes.insert(device.id, class.clone());
            }
        }
        self.classes_seen = spec.devices.len();
    }

    /// The copy of a bucket, as an item, with at most `depth` levels.
    fn copy(
        &mut self,
        id: i32,
        take: &Take<'_>,
        target: &mut Target<'_>,
        depth: usize,
    ) -> Result<ItemSpec, TextError> {
        let key = (id, take.class.to_owned());
        if let Some(built) = self.built.get(&key) {
            return Ok(*built);
        }
        let at = *self.positions.get(&id).expect("an item's name is declared with its id");
        let (bucket, item_lines) = (target.spec.buckets[at].clone(), target.lines.buckets[at].1.clone());
        let refuse = |fault| TextError { line: target.lines.buckets[at].0, fault };
        // No more than an accepted map has, so that this ends and the stack is large enough.
        let depth = depth.checked_sub(1);
        let depth = depth.ok_or_else(|| refuse(TextFault::Map(CrushFault::TooDeep(bucket.name.clone()))))?;
        let missing = || TextFault::NoShadow { bucket: bucket.name.clone(), class: take.class.to_owned() };
        let given = self.given.get(&(bucket.name.clone(), take.class.to_owned()));
        let &(shadow_id, line) = given.ok_or_else(|| refuse(missing()))?;
        let (mut items, mut lines, mut weight) = (Vec::new(), Vec::new(), 0u32);
        for (item, line) in bucket.items.iter().zip(item_lines) {
            let item = match item.id {
                0.. if self.classes.get(&item.id).map(String::as_str) != Some(take.class) => continue,
                0.. => *item,
                _ => self.copy(item.id, take, target, depth)?,
            };
            let fault = TextFault::Map(CrushFault::WeightSum(bucket.name.clone()));
            weight = weight.checked_add(item.weight).ok_or(TextError { line, fault })?;
            items.push(item);
            lines.push(line);
        }
        target.lines.buckets.push((line, lines));
        target.spec.buckets.push(BucketSpec {
            id: shadow_id,
            name: format!("{}~{}", bucket.name, take.class),
            items,
            shadow_class: Some(take.class.to_owned()),
            ..bucket
        });
        let item = ItemSpec { id: shadow_id, weight };
        self.built.insert(key, item);
        Ok(item)
    }
}
