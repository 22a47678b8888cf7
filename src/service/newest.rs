//! `read = "quorum"` (design section 6): the newest copy of an object, by the word of so many complete owners that every
//! acknowledged write is among what they hold.
//!
//! Nothing that was found earlier is believed; requests at the same time share what is looked for after the last of them
//! has come. What an owner with an incomplete root holds does not count towards the number, but may be the newest all the
//! same. Owners that turn out to hold something older are marked, for the background work to bring them up to date.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Service;
use super::get::own_replica;
use super::look_up::{Found, Wanted};
use super::shared::Shared;
use super::upload::newest;
use crate::cluster::{NodeIndex, View};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::client::ObjectReply;
use crate::peer::envelope::copy_in;
use crate::peer::message::HeldAnswer;
use crate::quorum::read_quorum;
use crate::resolve::Route;
use crate::store::Replica;

/// When nobody has answered for this long, the next owner is asked as well.
const HEDGE: Duration = Duration::from_millis(100);
/// How often the owners are compared when what the newest one held is gone by the time it is asked for: replaced or
/// deleted meanwhile, or its node died.
const ROUNDS: usize = 3;

/// Where an object is.
pub(super) enum Place {
    /// On this node.
    Here(Replica),
    /// On another, or nowhere.
    Elsewhere(Found),
}

/// Comparisons in flight.
///
/// Whoever takes the outcome of another's comparison sees every write that was acknowledged before he asked, as if he had
/// compared himself: [`Shared`] gives him the outcome of none but one that begins, with its first question to an owner,
/// after he has asked; it asks the owners by his very view, and nothing in it depends on who asks. So it meets the
/// quorum of each such write as his own would. What is fetched by it afterwards is never older than it says.
pub(super) type Comparisons = Shared<Question, Option<Arc<Compared>>>;

/// What is asked: where the newest copy of a name is, under one view of the maps.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Kept as long as somebody asks, so that no other view comes to have its address.
    map: Arc<View>,
    name: ObjectName,
}

impl PartialEq for Question {
    /// Indexes of nodes, owners and former owners are those of one view: two of one epoch may know of different older maps.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map) && self.name == other.name
    }
}

impl Eq for Question {}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.map).hash(state);
        self.name.hash(state);
    }
}

/// What the owners that answered hold.
#[derive(Debug)]
pub(super) struct Compared {
    answers: Vec<(NodeIndex, HeldAnswer)>,
    /// The owners under the current map.
    owners: Vec<NodeIndex>,
    /// The newest of it.
    newest: Held,
}

/// Finds the newest copy, on this node if it has it.
pub(super) async fn find(
    service: &Arc<Service>,
    map: &Arc<View>,
    name: &ObjectName,
    route: &Route,
    wanted: Wanted<'_>,
) -> Place {
    let question = Question { map: Arc::clone(map), name: name.clone() };
    for _ in 0..ROUNDS {
        let look = async {
            // It may have changed while this one waited for another's comparison: what its owners held may be gone to others.
            if !service.is_in_force(map) {
                return None;
            }
            let compared = compare(service, map, name, route).await?;
            compared.heal(service, map, name);
            Some(Arc::new(compared))
        };
        let Some(compared) = service.comparisons.find(&question, look).await else { break };
        let Held::Copy(copy) = compared.newest else { return Place::Elsewhere(Found::Missing) };
        if let Some(place) = fetch(service, map, name, &compared, copy, wanted).await {
            return place;
        }
    }
    Place::Elsewhere(Found::Unknown)
}

/// Asks as many owners as needed what they hold, all at once, and the others for those that fail; `None` if too few
/// answer that count.
async fn compare(
    service: &Arc<Service>,
    map: &Arc<View>,
    name: &ObjectName,
    route: &Route,
) -> Option<Compared> {
    let needed = read_quorum(map.replicas(), map.write_quorum());
    let formers = service.ask_former(map, name, route).await?;
    let mut untried = route.own.then_some(map.own()).into_iter().chain(
        // Not before one of them is asked: the first may be one whose turn it is to be tried again.
        std::iter::once_with(|| service.peers.in_order(map, &route.others)).flatten(),
    );
    let mut left = usize::from(route.own) + route.others.len();
    let (mut asked, mut answers) = (FuturesUnordered::new(), Vec::new());
    let (mut counting, mut late) = (0, 0);
    while counting < needed {
        while counting + asked.len() < needed + late
            && let Some(node) = untried.next()
        {
            left -= 1;
            let (asking, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
            // Goes on when nobody waits for it any more, so that a node which never answers is known for that.
            asked.push(service.unattended.spawn(async move { (node, asking.ask(&map, node, &name).await) }));
        }
        let answered = tokio::select! {
            answered = asked.next() => answered?,
            () = tokio::time::sleep(HEDGE), if left > 0 => {
                late += 1;
                continue;
            }
        };
        match answered {
            Ok((node, Ok(answer))) => {
                counting += usize::from(answer.counts());
                answers.push((node, answer));
            }
            Ok((_, Err(error))) => log::debug!("{name}: {error}"),
            Err(error) => log::debug!("{name}: an owner was not asked: {error}"),
        }
    }
    let formers = service.enough_former(map, name, Some(formers), &answers).await?;
    answers.extend(formers.answers);
    let newest = newest(answers.iter().map(|(_, answer)| answer.held));
    Some(Compared { answers, newest, owners: route.owners(map.own()) })
}

/// The newest copy, or one that has superseded it since; `None` if no owner has it any more.
async fn fetch(
    service: &Arc<Service>,
    map: &Arc<View>,
    name: &ObjectName,
    compared: &Compared,
    copy: CopyInfo,
    wanted: Wanted<'_>,
) -> Option<Place> {
    let holders = compared.holders();
    if holders.contains(&map.own())
        && let Some(replica) = own_replica(service, name).await
        && replica.version >= copy.version
    {
        return Some(Place::Here(replica));
    }
    for node in holders.into_iter().filter(|node| *node != map.own()) {
        let headers = match wanted {
            Wanted::Copy(headers) => headers,
            Wanted::Head => {
                return Some(Place::Elsewhere(Found::Head { version: copy.version, size: copy.size }));
            }
        };
        match service.peers.object(map, node, name, headers).await {
            Ok(ObjectReply::Found(answer)) => {
                let theirs = copy_in(&answer.headers).map_or(Held::Nothing, Held::Copy);
                if theirs.supersedes(&compared.newest).is_ge() {
                    return Some(Place::Elsewhere(Found::Copy { node, answer }));
                }
            }
            Ok(ObjectReply::Lacks { .. }) => {}
            Err(error) => log::debug!("{name}: {error}"),
        }
    }
    None
}

impl Compared {
    /// Who holds the newest.
    fn holders(&self) -> Vec<NodeIndex> {
        let holds = |(node, answer): &(NodeIndex, HeldAnswer)| {
            answer.held.supersedes(&self.newest).is_eq().then_some(*node)
        };
        self.answers.iter().filter_map(holds).collect()
    }

    /// Has one that holds the newest, this node before others, remember who does not: it brings them up to date.
    fn heal(&self, service: &Arc<Service>, map: &Arc<View>, name: &ObjectName) {
        let holders = self.holders();
        let is_behind = |node: &NodeIndex| self.owners.contains(node) && !holders.contains(node);
        let behind = self.answers.iter().filter(|(node, _)| is_behind(node));
        let behind: Vec<_> = behind.map(|(node, _)| map.node(*node).name().clone()).collect();
        // Nobody is told of a file that was put there by hand before it has a version of its own.
        if behind.is_empty() || self.newest.is_by_hand() {
            return;
        }
        let Some(&holder) = holders.iter().find(|node| **node == map.own()).or(holders.first()) else {
            return;
        };
        let (telling, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
        service.unattended.spawn(async move { telling.tell_missed(&map, holder, &name, behind).await });
    }
}
