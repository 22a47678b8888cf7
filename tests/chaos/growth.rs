//! Nodes that come and go with the map, and what must be so once all maps have settled.

use std::fs;

use crate::common::wait_until;

use super::checker::Violation;
use super::course::{Change, Course, SUBCLUSTERS};
use super::disk::files;
use super::machine::Machine;
use super::operator::{epochs, folder, run, write_change};
use super::schedule::{FIRST, NODES};

impl Machine {
    /// The nodes that run and are not given up.
    pub(super) fn in_use(&self) -> impl Iterator<Item = usize> {
        self.running.iter().copied().filter(|node| !self.lost.contains(node))
    }

    /// Waits until every node in use is complete.
    pub(super) fn wait_until_ready(&self) {
        self.in_use().for_each(|node| self.cluster.wait_until_ready(node));
    }

    /// Starts the nodes that the map of this round makes use of. Those that were never there have a map which names them and
    /// is not in force; they wait until one is that does.
    pub(super) fn begin_to_grow(&mut self, course: &Course) {
        let proposal = folder(&self.cluster).join("proposal.toml");
        for node in course.joining.iter().copied() {
            if !self.cluster.config(node).exists() {
                if !proposal.exists() {
                    let change =
                        Change::Add { subcluster: SUBCLUSTERS.len() - 1, nodes: (FIRST..NODES).collect() };
                    let teller = self.in_use().next().expect("a node runs");
                    write_change(&self.cluster, teller, &change, &proposal).expect("a map");
                    fs::copy(&proposal, folder(&self.cluster).join("cluster.toml")).expect("a copy");
                }
                self.cluster.configure(node);
            }
            self.start_node(node);
        }
        self.running = course.running();
    }

    /// Waits until no node needs an older map, and those that were given up have put away what they came back with.
    pub(super) fn wait_until_settled(&self) {
        let epoch = self.operator.lock().expect("no holder panics").epoch();
        wait_until(&format!("epoch {epoch} is settled"), || {
            self.in_use().all(|node| epochs(&self.cluster.root(node)) == [epoch])
        });
        wait_until("what lost nodes came back with is put away", || {
            self.lost.iter().all(|node| {
                let root = self.cluster.root(*node);
                files(&root).iter().all(|file| file.starts_with(root.join(".webdfs")))
            })
        });
    }

    /// What is wrong with nodes that are to be empty. Those that are switched off are, if they say that they are empty; and
    /// who owns what is known anew.
    pub(super) fn ends_of_growth(&mut self, course: &Course) -> Vec<Violation> {
        let teller = self.in_use().next().expect("a node runs");
        self.owners = self.cluster.owners_by(teller, &self.paths);
        self.strays.set_owners(&self.owners);
        let idle = self.in_use().filter(|node| !course.after.owns(*node));
        let violations =
            idle.filter(|node| !self.says_that_it_is_empty(*node)).map(|node| Violation::NotEmpty { node });
        let violations = violations.collect();
        for node in &course.after.off {
            self.cluster.kill(*node);
        }
        self.running.retain(|node| !course.after.off.contains(node));
        violations
    }

    fn says_that_it_is_empty(&self, node: usize) -> bool {
        let said = run(&self.cluster, node, &["map", "status"], &[]).expect("it runs");
        let name = self.cluster.name(node);
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(&name));
        let is_empty = line.is_some_and(|line| line.ends_with(", empty"));
        if !is_empty {
            eprintln!("  {name} does not say that it is empty:\n{said}");
        }
        is_empty
    }
}
