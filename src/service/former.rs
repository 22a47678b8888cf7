//! Those that owned an object under older maps that are not settled, and do not any more (design sections 7 and 9): a write
//! must follow what they hold, and what they hold is superseded by it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Service;
use crate::cluster::{NodeIndex, View};
use crate::disk::on_thread;
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::message::HeldAnswer;
use crate::resolve::{FormerOwners, Route};
use crate::store::{Store, StoreError};
use crate::version::Version;

/// For how long after a map came into force nothing is removed from a node that owns it no more: the web server may have been
/// told to send it, and opens it only later.
pub const REMOVED_AFTER: Duration = Duration::from_secs(2);

/// What former owners hold.
#[derive(Debug, Default)]
pub(super) struct FormerAnswers {
    /// Those that answered, of those that are no owners now.
    pub answers: Vec<(NodeIndex, HeldAnswer)>,
    /// Those that were not asked because they are known to be down.
    left_out: Vec<NodeIndex>,
    former: Vec<FormerOwners>,
}

impl FormerAnswers {
    /// Whether so many owners under each older map have said what they hold, `now` being what those that are owners still
    /// have said, that no acknowledged write is missed.
    fn are_enough<'a>(&'a self, now: impl IntoIterator<Item = &'a (NodeIndex, HeldAnswer)>) -> bool {
        let all: Vec<_> = now.into_iter().chain(&self.answers).collect();
        self.former.iter().all(|former| {
            let counts = |node: &&NodeIndex| all.iter().any(|(of, said)| of == *node && said.counts());
            former.owners.iter().filter(counts).count() >= former.read_quorum
        })
    }

    /// What they hold.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.answers.iter().map(|(_, answer)| answer.held)
    }
}

impl Service {
    /// Asks the former owners of an object what they hold of it, at first without those known to be down. Those that do not
    /// answer are left out; `None` if that is because this node works by older maps than they do.
    pub(super) async fn ask_former(
        &self,
        map: &View,
        name: &ObjectName,
        route: &Route,
    ) -> Option<FormerAnswers> {
        if route.former.is_empty() {
            return Some(FormerAnswers::default());
        }
        let nodes = route.former_only(map.own()).into_iter();
        let is_down = |node: &NodeIndex| self.peers.is_down(map, *node);
        let (left_out, mut asked): (Vec<_>, Vec<_>) = nodes.partition(is_down);
        let suffice = |former: &FormerOwners| {
            former.owners.iter().filter(|node| !is_down(node)).count() >= former.read_quorum
        };
        let left_out = if route.former.iter().all(suffice) {
            left_out
        } else {
            asked.extend(left_out);
            Vec::new()
        };
        let answers = self.ask_those(map, name, asked).await?;
        Some(FormerAnswers { answers, left_out, former: route.former.clone() })
    }

    /// Enough of what former owners hold, if there is: where it is not, those that were left out are asked as well. `now` is as
    /// in [`FormerAnswers::are_enough`].
    pub(super) async fn enough_former(
        &self,
        map: &View,
        name: &ObjectName,
        former: Option<FormerAnswers>,
        now: &[(NodeIndex, HeldAnswer)],
    ) -> Option<FormerAnswers> {
        let mut former = former?;
        if !former.are_enough(now) {
            let left_out = std::mem::take(&mut former.left_out);
            former.answers.extend(self.ask_those(map, name, left_out).await?);
        }
        former.are_enough(now).then_some(former)
    }

    async fn ask_those(
        &self,
        map: &View,
        name: &ObjectName,
        nodes: Vec<NodeIndex>,
    ) -> Option<Vec<(NodeIndex, HeldAnswer)>> {
        let asked = join_all(nodes.iter().map(|node| self.ask(map, *node, name))).await;
        let mut answers = Vec::new();
        for (node, answer) in nodes.into_iter().zip(asked) {
            match answer {
                Ok(answer) => answers.push((node, answer)),
                Err(error) => log::warn!("what a former owner holds of {name} is not known: {error}"),
            }
        }
        self.is_in_force(map).then_some(answers)
    }

    /// Tells former owners, in the background, that what they hold below a version is superseded. One that is not told finds
    /// out in its next pass.
    pub(super) fn supersede(
        self: &Arc<Self>,
        map: &Arc<View>,
        name: &ObjectName,
        route: &Route,
        version: Version,
    ) {
        for node in route.former_only(map.own()) {
            let (service, map, name) = (Arc::clone(self), Arc::clone(map), name.clone());
            self.unattended.spawn(async move {
                if node == map.own() {
                    service.drop_superseded(name, version);
                } else if let Err(error) = service.peers.superseded(&map, node, &name, version).await {
                    log::debug!("{name} is not removed there yet: {error}");
                }
            });
        }
    }

    /// Removes, in the background, what this node holds of a name below a version, if it owns it no more. Its owners have
    /// something newer.
    pub(super) fn drop_superseded(self: &Arc<Self>, name: ObjectName, version: Version) {
        let service = Arc::clone(self);
        self.unattended.spawn(async move {
            tokio::time::sleep(REMOVED_AFTER.saturating_sub(service.maps.since().elapsed())).await;
            if Route::of(&service.map(), &name).own {
                return;
            }
            let store = Arc::clone(&service.store);
            on_thread(move || {
                if let Err(error) = remove_older(&store, &name, version) {
                    log::warn!("{name} is not removed yet: {error}");
                }
            })
            .await;
        });
    }
}

fn remove_older(store: &Store, name: &ObjectName, version: Version) -> Result<(), StoreError> {
    let held = store.held(name)?;
    let is_older = held.version().is_some_and(|held| held < version);
    if is_older && held.copy().is_some() && !held.is_by_hand() {
        store.unlink_confirmed(name, &held)?;
    }
    Ok(())
}
