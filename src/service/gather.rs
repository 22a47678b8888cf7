//! The second phase of every write: orders go to several nodes at once, the client hears when enough have obeyed,
//! and the stragglers are waited for in the background.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Service;
use crate::cluster::{NodeIndex, View};
use crate::name::ObjectName;
use crate::quorum::{Decision, Tally};

/// How long the client waits for the other owners once enough have obeyed.
const GRACE: Duration = Duration::from_millis(250);

/// How many owners had obeyed when the client was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obeyed {
    /// Their number.
    pub count: usize,
    /// Whether that is enough.
    pub enough: bool,
}

/// A node, and the order to it on its way: whether it obeyed.
pub(super) type Order = (NodeIndex, BoxFuture<'static, bool>);

/// Carries out `orders`, whether or not the client waits for the outcome. Owners that did not obey are afterwards
/// marked dirty on those that did.
pub(super) async fn gather(
    service: &Arc<Service>,
    map: Arc<View>,
    name: &ObjectName,
    orders: Vec<Order>,
    needed: usize,
) -> Obeyed {
    let (reply, outcome) = oneshot::channel();
    let (unattended, service, name) = (service.unattended.clone(), Arc::clone(service), name.clone());
    unattended.spawn(async move {
        let is_down = |node| service.peers.is_down(&map, node);
        let obeyed = carry_out(orders, needed, is_down, reply).await;
        let missed: Vec<_> = obeyed
            .iter()
            .filter(|(_, obeyed)| !**obeyed)
            .map(|(node, _)| map.node(*node).name().clone())
            .collect();
        if missed.is_empty() {
            return;
        }
        for (&node, _) in obeyed.iter().filter(|(_, obeyed)| **obeyed) {
            service.tell_missed(&map, node, &name, missed.clone()).await;
        }
    });
    outcome.await.unwrap_or(Obeyed { count: 0, enough: false })
}

/// Nodes that are down may obey, but are not waited for once enough others have.
async fn carry_out(
    orders: Vec<Order>,
    needed: usize,
    is_down: impl Fn(NodeIndex) -> bool,
    reply: oneshot::Sender<Obeyed>,
) -> HashMap<NodeIndex, bool> {
    let mut tally = Tally::new(orders.len(), needed);
    let mut awaited: HashSet<_> = orders.iter().map(|(node, _)| *node).collect();
    awaited.retain(|node| !is_down(*node));
    let mut orders: FuturesUnordered<_> =
        orders.into_iter().map(|(node, obeyed)| async move { (node, obeyed.await) }).collect();
    let mut obeyed = HashMap::new();
    let mut reply = Some(reply);
    let mut deadline: Option<Instant> = None;
    loop {
        let due = async {
            match deadline.filter(|_| reply.is_some()) {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let answered = tokio::select! {
            answer = orders.next() => answer,
            () = due => {
                send(&mut reply, tally);
                continue;
            }
        };
        let Some((node, did)) = answered else { break };
        obeyed.insert(node, did);
        awaited.remove(&node);
        tally.count(did);
        match tally.decision() {
            Decision::Failed => {}
            Decision::Reached if !awaited.is_empty() => {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            Decision::Reached => send(&mut reply, tally),
            Decision::Pending => {}
        }
    }
    send(&mut reply, tally);
    obeyed
}

fn send(reply: &mut Option<oneshot::Sender<Obeyed>>, tally: Tally) {
    if let Some(reply) = reply.take() {
        // A client that has gone away hears nothing; the orders were carried out all the same.
        let _ = reply.send(Obeyed { count: tally.yes(), enough: tally.decision() == Decision::Reached });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u32) -> NodeIndex {
        NodeIndex::new(index)
    }

    fn answer(index: u32, obeyed: bool, after: u64) -> Order {
        let obeys = async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            obeyed
        };
        (node(index), Box::pin(obeys))
    }

    async fn run(orders: Vec<Order>, needed: usize) -> (Obeyed, Duration, HashMap<NodeIndex, bool>) {
        run_with(orders, needed, &[]).await
    }

    async fn run_with(
        orders: Vec<Order>,
        needed: usize,
        down: &'static [u32],
    ) -> (Obeyed, Duration, HashMap<NodeIndex, bool>) {
        let (reply, outcome) = oneshot::channel();
        let begun = Instant::now();
        let task = tokio::spawn(carry_out(orders, needed, |node| down.contains(&(node.get() as u32)), reply));
        let obeyed = outcome.await.unwrap();
        (obeyed, begun.elapsed(), task.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_hears_when_everybody_has_answered() {
        let (obeyed, after, _) =
            run(vec![answer(0, true, 1), answer(1, true, 2), answer(2, true, 9)], 2).await;
        assert_eq!((obeyed, after.as_millis()), (Obeyed { count: 3, enough: true }, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_straggler_delays_the_client_a_quarter_second_and_is_still_waited_for() {
        let orders = vec![answer(0, true, 1), answer(1, true, 2), answer(2, false, 3000)];
        let (obeyed, after, all) = run(orders, 2).await;
        assert_eq!((obeyed, after.as_millis()), (Obeyed { count: 2, enough: true }, 252));
        assert_eq!(all.get(&node(2)), Some(&false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_down_is_waited_for_only_where_the_others_are_too_few() {
        let orders = || vec![answer(0, true, 1), answer(1, true, 2), answer(2, true, 3000)];
        let (obeyed, after, all) = run_with(orders(), 2, &[2]).await;
        assert_eq!((obeyed, after.as_millis()), (Obeyed { count: 2, enough: true }, 2));
        assert_eq!(all.get(&node(2)), Some(&true), "it is told all the same");
        let (obeyed, after, _) = run_with(orders(), 3, &[2]).await;
        assert_eq!((obeyed, after.as_millis()), (Obeyed { count: 3, enough: true }, 3000));
    }

    #[tokio::test(start_paused = true)]
    async fn too_few_is_said_only_once_everybody_has_answered() {
        let orders = vec![answer(0, true, 1), answer(1, false, 2), answer(2, false, 30)];
        let (obeyed, after, _) = run(orders, 2).await;
        assert_eq!((obeyed, after.as_millis()), (Obeyed { count: 1, enough: false }, 30));
    }
}
