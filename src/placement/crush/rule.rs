//! A rule, step by step: what is taken, chosen and emitted, and the tunables that steps set. FROZEN.

use super::{Mapping, Search, Settings};
use crate::cluster::REPLICAS_MAX;
use crate::cluster::crush::{Choice, CrushMap, Order, Rule, Step};
use crate::placement::{Event, Trace};

/// What `rule` finds in `map` for the input `x`, asked for `replicas` items (at most [`REPLICAS_MAX`]; more are cut off).
///
/// `reweight` holds for each device, by its id, the share of inputs for which it is in, times
/// [`WEIGHT_ONE`](crate::cluster::crush::WEIGHT_ONE); devices beyond its end are out. `rule` is one of the map's.
#[inline]
pub fn run<T: Trace>(
    map: &CrushMap,
    rule: &Rule,
    x: u32,
    replicas: usize,
    reweight: &[u32],
    trace: &mut T,
) -> Mapping {
    let replicas = replicas.min(REPLICAS_MAX);
    let settings = Settings::of(map.tunables());
    let mut search = Search { map, x, reweight, settings, trace };
    let (mut list, mut result) = (Mapping::EMPTY, Mapping::EMPTY);
    for step in rule.steps() {
        match *step {
            Step::Take(item) => {
                search.trace.note(|| Event::CrushTake { item });
                list = Mapping::EMPTY;
                list.push(item);
            }
            Step::Choose(choice) => list = search.step(&list, choice, replicas),
            Step::Emit => {
                let room = replicas - result.len();
                list.iter().take(room).for_each(|item| result.push(*item));
                list = Mapping::EMPTY;
            }
            _ => search.settings.set(step),
        }
    }
    result
}

impl<T: Trace> Search<'_, T> {
    /// What a `choose` or `chooseleaf` step makes of the list.
    #[inline]
    fn step(&mut self, list: &[i32], choice: Choice, replicas: usize) -> Mapping {
        let mut found = Mapping::EMPTY;
        // At most 16 are added to it.
        let count = if choice.count > 0 { choice.count } else { choice.count + replicas as i32 };
        let Some(count) = u32::try_from(count).ok().filter(|count| *count > 0) else {
            return found;
        };
        for bucket in list.iter().filter_map(|item| self.map.bucket(*item)) {
            let room = replicas - found.len();
            match choice.order {
                Order::Firstn => self.firstn(bucket, choice, count, room, &mut found),
                Order::Indep => self.indep(bucket, choice, count, room, &mut found),
            }
        }
        found
    }
}

impl Settings {
    /// Obeys a step that sets a tunable.
    fn set(&mut self, step: &Step) {
        match *step {
            Step::SetChooseTries(tries) if tries > 0 => self.tries = tries,
            Step::SetChooseleafTries(tries) if tries > 0 => self.leaf_tries = Some(tries),
            Step::SetChooseLocalTries(tries) => self.local_tries = tries,
            Step::SetChooseLocalFallbackTries(tries) => self.local_fallback_tries = tries,
            Step::SetChooseleafVaryR(vary_r) => self.vary_r = vary_r,
            Step::SetChooseleafStable(stable) => self.stable = stable,
            _ => (),
        }
    }
}
