//! How a bucket chooses one of its items for an input x and an attempt r: the five kinds of
//! `tests/vectors/crush/README.md`, which states each as used here. FROZEN.

use super::hash::{draws, hash3, hash4};
use super::straw2;
use crate::cluster::crush::{Bucket, BucketKind, LANES};

/// The item that `bucket` chooses; none if it is empty, and none from a tree whose items all have weight 0.
#[inline]
pub(in crate::placement) fn choose(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    if let &[only] = bucket.items() {
        return Some(only); // whatever its weight, as all kinds would find
    }
    match bucket.kind() {
        BucketKind::Straw2 => straw2::choose(bucket, x, r),
        BucketKind::Straw => straw(bucket, x, r),
        BucketKind::Tree => tree(bucket, x, r),
        BucketKind::List => list(bucket, x, r),
        BucketKind::Uniform => permuted(bucket, x, r),
    }
}

/// The item at position r of a shuffle of the items that depends on x and the bucket: how uniform buckets choose,
/// and all others after many collisions.
///
/// The shuffle exchanges position p with position p + hash mod (size - p), for p from 0 up. Instead of doing that, which
/// would take memory, this follows backwards where the item that ends up at the position came from.
pub(super) fn permuted(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    let size = bucket.size();
    let position = r.checked_rem(size)?;
    let partner = |p: u32| p + hash3(x, bucket.id() as u32, p) % (size - p);
    // The last position has nothing left to be exchanged with; its partner is itself.
    let mut from = partner(position);
    for p in (0..position).rev() {
        if partner(p) == from {
            from = p;
        }
    }
    bucket.items().get(from as usize).copied()
}

/// From the last item to the first, each with the chance that is its share of the weight of itself and all before.
fn list(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    let (items, weights, sums) = (bucket.items(), bucket.weights(), bucket.sums());
    let id = bucket.id() as u32;
    for ((item, weight), sum) in items.iter().zip(weights).zip(sums).rev() {
        let draw = u64::from(hash4(x, *item as u32, r, id) & 0xffff);
        if (draw * u64::from(*sum)) >> 16 < u64::from(*weight) {
            return Some(*item);
        }
    }
    items.first().copied()
}

/// Down the tree, by the weights of the two sides.
fn tree(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    let nodes = bucket.tree_nodes();
    let mut label = nodes.len() >> 1;
    while label & 1 == 0 {
        let half = (label & label.wrapping_neg()) >> 1;
        let draw = u64::from(hash4(x, label as u32, r, bucket.id() as u32));
        let weight = u64::from(*nodes.get(label)?);
        // An empty bucket has no nodes, not even label 0.
        let left = label.checked_sub(half)?;
        let goes_left = (draw * weight) >> 32 < u64::from(*nodes.get(left)?);
        label = if goes_left { left } else { label + half };
    }
    // Where all weights are 0, this may be a leaf without an item.
    bucket.items().get(label >> 1).copied()
}

/// The longest straw, each of a length that was calculated from all weights.
fn straw(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    let (items, straws) = (bucket.items(), bucket.straws());
    let mut best: Option<(u64, usize)> = None;
    for ((group, (ids, _)), straws) in bucket.lanes().enumerate().zip(straws.chunks(LANES)) {
        for ((lane, draw), straw) in draws(x, ids, r).into_iter().enumerate().zip(straws) {
            let length = u64::from(draw) * u64::from(*straw);
            if best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, group * LANES + lane));
            }
        }
    }
    best.and_then(|(_, at)| items.get(at)).copied()
}
