//! Files that were put into the root or edited there by hand: once they have come to rest they become copies like any
//! other, and the other owners are told. Those that belong to other nodes alone never become copies here: they stay what
//! they are until their owners have them, so that nothing takes them for strays in between.

use super::strays::Stray;
use super::{Pass, add};
use crate::agent::Agent;
use crate::clock;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::reconcile::Item;
use crate::resolve::Route;
use crate::store::{Settled, StoreError};

/// Files by hand that stay as they are, which is told once a pass: a docroot may be full of them.
#[derive(Debug, Default)]
pub(super) struct Unadopted {
    count: usize,
    /// One of them, and why.
    first: Option<String>,
}

impl Unadopted {
    fn add(&mut self, name: &ObjectName, error: &StoreError) {
        log::debug!("{name} was put here by hand and stays as it is: {error}");
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{name}: {error}"));
    }

    fn append(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    /// Tells of them, if there are any.
    pub(super) fn tell(&self) {
        if let Some(first) = &self.first {
            let count = self.count;
            log::warn!("{count} files that were put here by hand stay as they are, such as {first}");
        }
    }
}

impl Pass<'_> {
    /// Makes copies of files by hand, as far as this node owns them. They are sent by the marks that are made for the other
    /// owners, since the inventory knows them without a checksum. The others are returned, to be offered to their owners,
    /// as far as any of these is among `peers`.
    pub(super) async fn adopt(
        &self,
        mut by_hand: Vec<(ObjectName, Route)>,
        peers: &[NodeIndex],
    ) -> Vec<Stray> {
        let count = by_hand.len();
        by_hand.retain(|(_, route)| route.own || route.others.iter().any(|owner| peers.contains(owner)));
        add(&self.counts.strays, count - by_hand.len());
        if by_hand.is_empty() {
            return Vec::new();
        }
        let (mut foreign, mut failed) = (Vec::new(), Unadopted::default());
        for (name, route) in by_hand {
            self.agent.throttle.unpaused().await;
            let (agent, asked) = (self.agent.clone(), name.clone());
            match on_thread(move || adopt(&agent, &asked, route)).await {
                Ok(stray) => foreign.extend(stray),
                Err(error) => failed.add(&name, &error),
            }
        }
        add(&self.counts.unsettled, failed.count);
        self.unadopted.lock().expect("no holder panics").append(failed);
        foreign
    }
}

/// Settles one file. If it belongs elsewhere, it is returned.
fn adopt(agent: &Agent, name: &ObjectName, route: Route) -> Result<Option<Stray>, StoreError> {
    let pace = &mut agent.throttle.pace(|| agent.walks.has_stopped());
    let Some(found) = agent.store.read_by_hand(name, clock::now(), pace)? else { return Ok(None) };
    let item = Item { name: name.clone(), held: Held::Copy(found.copy) };
    // One that was only touched is a copy from elsewhere, as it was before.
    if !route.own && !found.is_unchanged() {
        return Ok(Some(Stray::by_hand(item, route.others, found)));
    }
    match agent.store.adopt_by_hand(name, &found)? {
        Settled::Adopted(_) | Settled::Restored(_) if route.own => {
            step(Step::ByHandAdopted);
            log::info!("{name} was put here by hand and is spread from now on");
            for node in &route.others {
                agent.store.mark_dirty(agent.map.node(*node).name(), name)?;
            }
            Ok(None)
        }
        Settled::Restored(_) => {
            let moves = route.was_owner(agent.map.own());
            Ok(Some(Stray::new(item, route.others, moves)))
        }
        _ => Ok(None),
    }
}
