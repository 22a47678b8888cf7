//! The placements of the original webDFS: a look into the table that [`WebdfsTable`] is; or, where someone listens, the
//! original's own steps, which lead to the same nodes. The steps are in [`crate::php`].

use super::{Event, ObjectKey, Replicas, Trace};
use crate::cluster::{NodeIndex, WebdfsTable};
use crate::php::{Seed, Steps};

/// The owners of the object of that key.
#[inline]
pub(super) fn locate<T: Trace>(table: &WebdfsTable, key: ObjectKey, trace: &mut T) -> Replicas {
    let seed = Seed::of_crc32(key.number());
    let mut found = Replicas::new();
    if T::LISTENS {
        trace.note(|| Event::Seed { seed: u32::from(seed.get()) });
        table.walk(seed, &mut Listener { found: &mut found, trace });
    } else {
        table.owners(seed).for_each(|node| found.push(node));
    }
    found
}

/// Passes the steps on.
struct Listener<'a, T> {
    found: &'a mut Replicas,
    trace: &'a mut T,
}

impl<T: Trace> Steps for Listener<'_, T> {
    const LISTENS: bool = T::LISTENS;

    fn draw(&mut self, subcluster: u32, replica: u32, draw: f64, chance: f64, hit: bool) {
        self.trace.note(|| Event::Draw { subcluster, replica, draw, chance, hit });
    }

    fn take(&mut self, subcluster: u32, count: u32, forced: u32) {
        self.trace.note(|| Event::Take { subcluster, count, forced });
    }

    fn pick(&mut self, subcluster: u32, node: u32) {
        let node = NodeIndex::new(node);
        self.found.push(node);
        self.trace.note(|| Event::Pick { subcluster, node });
    }
}
