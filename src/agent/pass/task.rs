//! When passes are held.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};

use super::{Order, Report};
use crate::agent::Agent;
use crate::agent::tasks::{self, Occasion, Task, Unfinished};
use crate::cluster::NodeIndex;
use crate::control::Answer;
use crate::peer::message::Hello;
use crate::store::StoreError;
use crate::store::inventory::BUCKETS;

/// How old an inventory may be when a pass was merely due, so that nodes whose passes are due at about the same time share
/// their walks.
const DUE_MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// A pass that was due and could not be finished is held again after this time, or as soon as a node answers that did not:
/// each costs a walk over the roots of all nodes, and a node may be down for days.
const REST: Duration = Duration::from_secs(60 * 60);
/// How long another process waits for a walk before it is told that it goes on: less than another node waits for an
/// answer.
const WALK_PATIENCE: Duration = Duration::from_secs(3);

/// The full pass of one root.
#[derive(Debug)]
pub struct Reconcile {
    agent: Agent,
    /// The last pass that was not finished.
    unfinished: Mutex<Option<Attempt>>,
}

/// A pass that was not finished.
#[derive(Debug)]
struct Attempt {
    ended: Instant,
    /// Who did not answer.
    silent: BTreeSet<NodeIndex>,
    /// What was wrong, in words.
    problem: String,
}

impl Task for Reconcile {
    fn run(&self, occasion: Occasion, shown: tasks::Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        Box::pin(async move {
            let silent = self.silent().await;
            if occasion == Occasion::Due
                && let Some(problem) = self.would_be_in_vain(&silent)
            {
                return Err(Unfinished(problem));
            }
            let report = self.hold(occasion, &shown).await.map_err(|error| Unfinished(error.to_string()))?;
            log::info!("a pass is over: {report}");
            let result = if report.is_finished() { Ok(()) } else { Err(Unfinished(report.to_string())) };
            let problem = result.as_ref().err().map(ToString::to_string);
            let unfinished = problem.map(|problem| {
                let names =
                    self.agent.map.indexed().filter(|(_, node)| report.unanswered.contains_key(node.name()));
                Attempt { ended: Instant::now(), silent: names.map(|(node, _)| node).collect(), problem }
            });
            *self.unfinished.lock().expect("no holder panics") = unfinished;
            result
        })
    }
}

impl Reconcile {
    /// The pass of this agent's root.
    pub fn of(agent: Agent) -> Self {
        Self { agent, unfinished: Mutex::default() }
    }

    fn others(&self) -> impl Iterator<Item = NodeIndex> {
        let nodes = self.agent.map.indexed().map(|(node, _)| node);
        nodes.filter(|node| *node != self.agent.own)
    }

    /// The nodes that do not answer now.
    async fn silent(&self) -> BTreeSet<NodeIndex> {
        let agent = &self.agent;
        let greeted = join_all(self.others().map(|node| async move {
            (node, agent.peers.hello(&agent.map, node, Hello { stamp: None }).await.is_err())
        }));
        greeted.await.into_iter().filter(|(_, silent)| *silent).map(|(node, _)| node).collect()
    }

    /// Whether another pass would end as the last one did, since nobody has come back; and how that one ended.
    fn would_be_in_vain(&self, silent: &BTreeSet<NodeIndex>) -> Option<String> {
        let unfinished = self.unfinished.lock().expect("no holder panics");
        let last = unfinished
            .as_ref()
            .filter(|last| last.ended.elapsed() < REST.min(self.agent.settings.pass_every))?;
        last.silent.is_subset(silent).then(|| last.problem.clone())
    }

    async fn hold(&self, occasion: Occasion, shown: &tasks::Report) -> Result<Report, StoreError> {
        let max_age = if occasion == Occasion::Due { DUE_MAX_AGE } else { Duration::ZERO };
        shown.doing("walking over the roots");
        let progress = |buckets: usize, keys: u64| {
            shown.doing("comparing");
            shown.set(keys * buckets as u64 / BUCKETS as u64, Some(keys));
        };
        self.agent.pass(&Order { peers: self.others().collect(), max_age }, &progress).await
    }
}

impl Agent {
    /// Walks over the root for another process of it, unless that has begun within the last `max_age`.
    pub(in crate::agent) async fn walk_for(&self, max_age: Duration) -> Answer {
        // It may turn out to be an older copy, and nothing of it is to be fetched from here until that is known.
        if !self.may_replay(self.own, &self.standing) {
            return Answer::Refused("no other node has said yet that this root is the one it knows".into());
        }
        let now = Instant::now();
        let not_before = now.checked_sub(max_age).unwrap_or(now);
        let walk = self.walks.since(not_before, &self.store, &self.exclude);
        match tokio::time::timeout(WALK_PATIENCE, walk).await {
            Ok(Ok(_)) => Answer::Ready(true),
            Ok(Err(error)) => Answer::Refused(error.to_string()),
            Err(_elapsed) => Answer::Ready(false),
        }
    }
}
