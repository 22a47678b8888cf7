//! Which of the nodes that gossip takes for down are down: those that do not answer a question either, so that a firewall which
//! holds back datagrams alone puts nobody aside.  The caller brings the time.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::cluster::{NodeIndex, NodeName, View};
use crate::gossip::Members;

/// A node that is taken for down is asked again after this time.
const AGAIN: Duration = Duration::from_secs(10);

/// The nodes that gossip takes for down, and how they answer.
#[derive(Debug, Default)]
pub(super) struct Doubts(HashMap<NodeIndex, Doubt>);

#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Whether it left the last question unanswered; none: the first is on its way.
    silent: Option<bool>,
    /// When it was asked last; none: never.
    asked: Option<Instant>,
    is_asked_now: bool,
}

impl Doubts {
    /// Nodes that were known to be down before.
    pub fn of(view: &View, down: &BTreeSet<NodeName>) -> Self {
        let doubt = Doubt { silent: Some(true), asked: None, is_asked_now: false };
        Self(down.iter().filter_map(|name| view.index_of(name)).map(|node| (node, doubt)).collect())
    }

    /// Takes in what gossip knows now; whom to ask whether it is there. Each of them must be [noted](Self::note).
    pub fn whom_to_ask(&mut self, view: &View, members: &Members, now: Instant) -> Vec<NodeIndex> {
        let is_down = |node: &NodeIndex| members.is_down(view.node(*node).name());
        self.0.retain(|node, doubt| is_down(node) || doubt.is_asked_now);
        let is_due = |doubt: &Doubt| {
            !doubt.is_asked_now && doubt.asked.is_none_or(|at| now.saturating_duration_since(at) >= AGAIN)
        };
        let mut due = Vec::new();
        for node in view.others().filter(is_down) {
            let new = Doubt { silent: None, asked: None, is_asked_now: false };
            let doubt = self.0.entry(node).or_insert(new);
            if is_due(doubt) {
                (doubt.asked, doubt.is_asked_now) = (Some(now), true);
                due.push(node);
            }
        }
        due
    }

    /// A node that was asked has answered, or has not. Whether it has for the first time since it is taken for down.
    pub fn note(&mut self, node: NodeIndex, answered: bool) -> bool {
        let Some(doubt) = self.0.get_mut(&node) else { return false };
        let is_news = answered && doubt.silent != Some(false);
        (doubt.silent, doubt.is_asked_now) = (Some(!answered), false);
        is_news
    }

    /// The nodes that are down: neither gossip nor an answer comes from them.
    pub fn down(&self, view: &View, members: &Members) -> BTreeSet<NodeName> {
        let silent = self.0.iter().filter(|(_, doubt)| doubt.silent == Some(true));
        let names = silent.map(|(node, _)| view.node(*node).name());
        names.filter(|name| members.is_down(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A view of three nodes, of which this is the first; and what gossip knows when those that are `down` are.
    fn setting(down: &[&str]) -> (View, Members) {
        let toml = "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\n".to_owned()
            + &["img1", "img2", "img3"]
                .map(|name| format!("[[subcluster.node]]\nname = \"{name}\"\nurl = \"http://{name}\"\n"))
                .concat();
        let map = crate::config::parse_map(&toml, std::path::Path::new("cluster.toml")).unwrap();
        let view = View::new(&"img1".parse().unwrap(), std::sync::Arc::new(map), Vec::new()).unwrap();
        (view, Members::with_down(down))
    }

    #[test]
    fn a_node_is_down_once_it_has_not_answered_either_and_until_it_is_heard_again() {
        let ((view, members), now) = (setting(&["img2"]), Instant::now());
        let node = view.index_of(&"img2".parse().unwrap()).unwrap();
        let mut doubts = Doubts::default();
        assert_eq!(doubts.whom_to_ask(&view, &members, now), [node]);
        assert_eq!(doubts.down(&view, &members), BTreeSet::new(), "it is asked");
        assert!(!doubts.note(node, false));
        assert_eq!(doubts.down(&view, &members), BTreeSet::from(["img2".parse().unwrap()]));
        assert_eq!(doubts.whom_to_ask(&view, &members, now), []);
        assert_eq!(doubts.whom_to_ask(&view, &members, now + AGAIN), [node]);
        assert_eq!(doubts.down(&view, &members).len(), 1, "until it answers");
        assert!(doubts.note(node, true), "that is news");
        assert_eq!(doubts.down(&view, &members), BTreeSet::new());
        assert_eq!(doubts.whom_to_ask(&view, &members, now + 2 * AGAIN), [node]);
        assert!(!doubts.note(node, true), "and this is none");
        doubts.note(node, false);
        let (_, heard) = setting(&[]);
        assert_eq!(doubts.down(&view, &heard), BTreeSet::new());
        assert_eq!(doubts.whom_to_ask(&view, &heard, now), []);
    }

    #[test]
    fn what_was_known_before_stays_known_while_it_is_asked_anew() {
        let ((view, members), now) = (setting(&["img2", "img3"]), Instant::now());
        let before = BTreeSet::from(["img3", "gone"].map(|name| name.parse().unwrap()));
        let mut doubts = Doubts::of(&view, &before);
        assert_eq!(doubts.whom_to_ask(&view, &members, now).len(), 2);
        assert_eq!(doubts.down(&view, &members), BTreeSet::from(["img3".parse().unwrap()]));
    }
}
