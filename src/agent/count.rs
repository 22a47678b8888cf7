//! Counting what a map that is not in force would move from here (`webdfs map plan`): a walk over the root in the
//! background, at half the speed that the disk has, in memory for one number per node. Nothing of it outlives the process,
//! and it ends when nobody asks for it any more.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Agent;
use crate::chain::chain;
use crate::cluster::{ClusterMap, Fingerprint, NodeIndex, NodeState, View};
use crate::control::{Amount, Counts, PlanOrder, Planned};
use crate::name::Exclude;
use crate::placement::{ObjectKey, locate};
use crate::resolve::mover;
use crate::store::{Space, Store, StoreError};

/// A count of which nobody has asked for so long ends.
const PATIENCE: Duration = Duration::from_secs(20);
/// Keys between two rests.
const KEYS_AT_ONCE: u64 = 256;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(200);

/// The count that runs in this process, or ran last. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Counting(Arc<Mutex<Option<Count>>>);

/// A count: of what, and how far.
#[derive(Debug)]
struct Count {
    /// The map that is planned, the one in force, and the older ones.
    about: [Fingerprint; 3],
    asked: Instant,
    /// Those who have asked for it while it ran.
    askers: HashSet<u64>,
    shared: Arc<Shared>,
}

/// What the counting thread and those who ask have in common.
#[derive(Debug, Default)]
struct Shared {
    done: AtomicU64,
    is_over: AtomicBool,
    result: Mutex<Option<Result<Counts, String>>>,
}

impl Count {
    fn is_wanted(&self) -> bool {
        self.asked.elapsed() < PATIENCE
    }

    fn runs(&self) -> bool {
        self.shared.result.lock().expect("no holder panics").is_none()
    }
}

impl Agent {
    /// Begins to count, or tells how far that is.
    pub(super) fn plan(&self, order: PlanOrder) -> Planned {
        let about = [order.map, self.map.fingerprint(), self.map.older_fingerprint()];
        let of = self.store.agent_record().counted.map(|counted| counted.objects);
        let start = Planned {
            epoch: self.map.epoch_in_force(),
            in_force: self.map.fingerprint(),
            of,
            ..Planned::default()
        };
        let mut counting = self.counting.0.lock().expect("no holder panics");
        let is_for_asker = |count: &&mut Count| {
            count.about == about && count.is_wanted() && (count.runs() || count.askers.contains(&order.token))
        };
        if let Some(count) = counting.as_mut().filter(is_for_asker) {
            count.asked = Instant::now();
            count.askers.insert(order.token);
            let result = count.shared.result.lock().expect("no holder panics").clone();
            let done = count.shared.done.load(Relaxed);
            return match result {
                Some(Ok(counts)) => Planned { done, counts: Some(counts), ..start },
                Some(Err(problem)) => Planned { done, problem: Some(problem), ..start },
                None => Planned { done, ..start },
            };
        }
        if counting
            .as_ref()
            .is_some_and(|count| count.about[0] != order.map && count.is_wanted() && count.runs())
        {
            let problem = "it counts what another map would move; ask again when that is over";
            return Planned { problem: Some(problem.to_owned()), ..start };
        }
        let Some(text) = order.text else { return Planned { needs_map: true, ..start } };
        let view = match text.parse("the map to be planned".as_ref()) {
            Ok(map) if map.fingerprint() == order.map => self.planned_view(map),
            Ok(_) => Err("the map is not the one that it is said to be".to_owned()),
            Err(error) => Err(chain(&error)),
        };
        let view = match view {
            Ok(view) => view,
            Err(problem) => return Planned { problem: Some(problem), ..start },
        };
        let shared = Arc::new(Shared::default());
        let (asked, askers) = (Instant::now(), HashSet::from([order.token]));
        let count = Count { about, asked, askers, shared: Arc::clone(&shared) };
        if let Some(before) = counting.replace(count) {
            before.shared.is_over.store(true, Relaxed);
        }
        self.begin_to_count(view, shared);
        start
    }

    /// The maps as they would be.
    fn planned_view(&self, new: ClusterMap) -> Result<View, String> {
        let in_force = (!self.map.is_proposal()).then(|| Arc::clone(self.map.current()));
        let older = self.map.older().iter().map(|older| Arc::clone(older.map())).chain(in_force);
        let older = older.filter(|map| map.fingerprint() != new.fingerprint()).collect();
        View::new(self.name(), Arc::new(new), older).map_err(|error| error.to_string())
    }

    fn begin_to_count(&self, view: View, shared: Arc<Shared>) {
        let (store, exclude, walks) = (Arc::clone(&self.store), self.exclude.clone(), self.walks.clone());
        let (counting, throttle) = (self.counting.clone(), self.throttle.clone());
        std::thread::spawn(move || {
            let is_wanted = || {
                let counting = counting.0.lock().expect("no holder panics");
                counting
                    .as_ref()
                    .is_some_and(|count| Arc::ptr_eq(&count.shared, &shared) && count.is_wanted())
            };
            let stopped = || shared.is_over.load(Relaxed) || walks.has_stopped();
            let pause = |done: u64, begun: &mut Instant| {
                shared.done.store(done, Relaxed);
                if !is_wanted() {
                    shared.is_over.store(true, Relaxed);
                }
                std::thread::sleep(begun.elapsed().min(REST_MAX));
                *begun = Instant::now();
            };
            let counts = count(&view, &store, &exclude, &stopped, pause);
            let result = match counts {
                Ok(_) if stopped() => Err("it was not asked any more".to_owned()),
                Ok(counts) => {
                    let rate = throttle.background().bytes_per_second;
                    Ok(Counts { bytes_per_second: rate.map(NonZeroU64::get), ..counts })
                }
                Err(error) => Err(chain(&error)),
            };
            *shared.result.lock().expect("no holder panics") = Some(result);
        });
    }
}

/// Counts the copies of a root under the maps that would be in force. `pause` is called now and then, with how many there
/// were so far.
fn count(
    view: &View,
    store: &Store,
    exclude: &Exclude,
    stopped: &dyn Fn() -> bool,
    mut pause: impl FnMut(u64, &mut Instant),
) -> Result<Counts, StoreError> {
    let own = view.own();
    let mut brings = vec![Amount::default(); view.nodes().len()];
    let (mut counts, mut begun, mut nameless) = (Counts::default(), Instant::now(), 0);
    let walked = store.walk_with_nameless(exclude, stopped, &mut || nameless += 1, &mut |found| {
        let Some(copy) = found.held.copy() else { return Ok(()) };
        let one = Amount::one(copy.size);
        counts.holds += one;
        if counts.holds.objects % KEYS_AT_ONCE == 0 {
            pause(counts.holds.objects, &mut begun);
        }
        let key = ObjectKey::of(found.name.as_bytes());
        let owners = locate(view.current(), key);
        if first_owner(view, key) == Some(own) {
            counts.first += one;
        }
        if !owners.contains(&own) {
            counts.leaving += one;
        }
        for owner in owners.iter().filter(|owner| **owner != own) {
            if mover(view, &found.name, *owner, |_| true) == Some(own) {
                brings[owner.get()] += one;
            }
        }
        Ok(())
    });
    counts.unread = walked?.count();
    let named = view.indexed().map(|(node, entry)| (entry.name().clone(), brings[node.get()]));
    counts.brings = named.filter(|(_, amount)| amount.objects > 0).collect();
    counts.nameless = nameless;
    let Space { free, capacity } = store.space()?;
    (counts.free, counts.total) = (free, capacity);
    Ok(counts)
}

/// The first of the nodes that own an object before the change and are not lost.
fn first_owner(view: &View, key: ObjectKey) -> Option<NodeIndex> {
    let is_there = |node: &NodeIndex| view.node(*node).state() != NodeState::Lost;
    match view.older().first() {
        Some(oldest) => locate(oldest.map(), key).iter().map(|node| oldest.place(*node)).find(is_there),
        None => locate(view.current(), key).iter().copied().find(is_there),
    }
}
