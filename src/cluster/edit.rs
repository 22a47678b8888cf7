//! Changes of a map that have names of their own: each makes of a map the next one, of the epoch that follows. Whether a
//! change is wise is not judged here, only whether it can be made.

use super::error::MapError;
use super::name::{NodeName, SubClusterName};
use super::spec::{MapSpec, NodeState, SubClusterSpec};
use super::{ClusterMap, CrushSource, PlacementSpec};

/// What to change.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Another state for a node.
    State(NodeName, NodeState),
    /// A sub-cluster more, behind the others.
    AddSubCluster(SubClusterSpec),
    /// Another weight for the nodes of a sub-cluster; 0 drains it.
    Weight(SubClusterName, f64),
}

/// Why a map cannot be changed like that; it stays as it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EditError {
    /// There is no such node.
    #[error("there is no node {node} in the map of epoch {epoch}; its nodes are {known}")]
    UnknownNode {
        /// What was asked for.
        node: NodeName,
        /// The epoch of the map.
        epoch: u64,
        /// Some of the nodes there are.
        known: String,
    },
    /// There is no such sub-cluster.
    #[error("there is no sub-cluster {subcluster} in the map of epoch {epoch}; its sub-clusters are {known}")]
    UnknownSubCluster {
        /// What was asked for.
        subcluster: SubClusterName,
        /// The epoch of the map.
        epoch: u64,
        /// Some of those there are.
        known: String,
    },
    /// The node has that state.
    #[error("node {node} is {} already", state_in_words(*.state))]
    StateAlready {
        /// The node.
        node: NodeName,
        /// Its state.
        state: NodeState,
    },
    /// The sub-cluster has that weight.
    #[error("sub-cluster {0} has the weight {1} already")]
    WeightAlready(SubClusterName, f64),
    /// There can be no more maps.
    #[error("the map has the last epoch there is, {0}")]
    LastEpoch(u64),
    /// The weights are those of a CRUSH map.
    #[error(
        "the weights are those of the CRUSH map, which webdfs does not edit: change it there, and give the map that \
         names it the next epoch, {0}"
    )]
    WeightOfCrushMap(u64),
    /// The nodes must be devices of a CRUSH map.
    #[error(
        "nodes are placed by a CRUSH map, which webdfs does not edit: add them there, and give the map that names it the \
         next epoch, {0}"
    )]
    NodesOfCrushMap(u64),
    /// The map would be refused.
    #[error("the map would be refused")]
    Map(#[source] Box<MapError>),
}

/// How many names an error lists.
const NAMES_SHOWN: usize = 20;

impl ClusterMap {
    /// The next map: this one, changed.
    ///
    /// # Errors
    /// When there is nothing to change of that name, it is so already, or no such map is accepted.
    pub fn edited(&self, edit: Edit) -> Result<ClusterMap, EditError> {
        let next = self.epoch().next().ok_or(EditError::LastEpoch(self.epoch().get()))?;
        let mut spec = MapSpec { epoch: next.get(), ..self.to_spec() };
        let by_crush_map = matches!(spec.placement, PlacementSpec::Crush(CrushSource::Map { .. }));
        match edit {
            Edit::State(node, state) => self.set_state(&mut spec, node, state)?,
            Edit::AddSubCluster(_) if by_crush_map => return Err(EditError::NodesOfCrushMap(next.get())),
            Edit::AddSubCluster(subcluster) => spec.subclusters.push(subcluster),
            Edit::Weight(..) if by_crush_map => return Err(EditError::WeightOfCrushMap(next.get())),
            Edit::Weight(subcluster, weight) => self.set_weight(&mut spec, subcluster, weight)?,
        }
        ClusterMap::new(spec).map_err(|error| EditError::Map(Box::new(error)))
    }

    fn set_state(&self, spec: &mut MapSpec, name: NodeName, state: NodeState) -> Result<(), EditError> {
        match spec.node_mut(name.as_str()) {
            Some(node) if node.state == state => Err(EditError::StateAlready { node: name, state }),
            Some(node) => {
                node.state = state;
                Ok(())
            }
            None => {
                let known = some_of(self.nodes().iter().map(|node| node.name().as_str()));
                Err(EditError::UnknownNode { node: name, epoch: self.epoch().get(), known })
            }
        }
    }

    fn set_weight(&self, spec: &mut MapSpec, name: SubClusterName, weight: f64) -> Result<(), EditError> {
        match spec.subclusters.iter_mut().find(|subcluster| subcluster.name == name.as_str()) {
            Some(subcluster) if subcluster.weight == weight => Err(EditError::WeightAlready(name, weight)),
            Some(subcluster) => {
                subcluster.weight = weight;
                Ok(())
            }
            None => {
                let known = some_of(self.subclusters().iter().map(|subcluster| subcluster.name().as_str()));
                Err(EditError::UnknownSubCluster { subcluster: name, epoch: self.epoch().get(), known })
            }
        }
    }
}

/// Names, as many as are of use.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let shown = names.take(NAMES_SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn state_in_words(state: NodeState) -> &'static str {
    match state {
        NodeState::In => "in service",
        NodeState::Out => "out",
        NodeState::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Epoch, NodeSpec, Place};

    fn node(name: &str) -> NodeSpec {
        NodeSpec {
            name: name.to_owned(),
            url: format!("http://{name}"),
            public_url: None,
            state: NodeState::In,
            location: Default::default(),
        }
    }

    fn subcluster(name: &str, nodes: &[&str]) -> SubClusterSpec {
        let nodes = nodes.iter().map(|name| node(name)).collect();
        SubClusterSpec { name: name.to_owned(), weight: 1.0, nodes }
    }

    fn map() -> ClusterMap {
        let spec = MapSpec {
            epoch: 7,
            replicas: 2,
            write_quorum: 2,
            placement: PlacementSpec::RushR,
            subclusters: vec![subcluster("s0", &["a", "b"]), subcluster("s1", &["c"])],
        };
        ClusterMap::new(spec).unwrap()
    }

    fn state(name: &str, state: NodeState) -> Edit {
        Edit::State(name.parse().unwrap(), state)
    }

    fn weight(name: &str, weight: f64) -> Edit {
        Edit::Weight(name.parse().unwrap(), weight)
    }

    /// All that two maps of the test differ in: the epoch, and what `change` does.
    #[track_caller]
    fn makes(map: &ClusterMap, edit: Edit, change: impl FnOnce(&mut MapSpec)) -> ClusterMap {
        let mut expected = map.to_spec();
        expected.epoch += 1;
        change(&mut expected);
        let edited = map.edited(edit).unwrap();
        assert_eq!(edited.to_spec(), expected);
        edited
    }

    #[track_caller]
    fn refuses(map: &ClusterMap, edit: Edit, text: &str) {
        let error = map.edited(edit).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn a_node_goes_out_is_lost_and_comes_back() {
        let out = makes(&map(), state("b", NodeState::Out), |spec| {
            spec.node_mut("b").unwrap().state = NodeState::Out;
        });
        let lost = makes(&out, state("b", NodeState::Lost), |spec| {
            spec.node_mut("b").unwrap().state = NodeState::Lost;
        });
        let back = makes(&lost, state("b", NodeState::In), |spec| {
            spec.node_mut("b").unwrap().state = NodeState::In;
        });
        assert_eq!(back.epoch().get(), 10);
        refuses(&back, state("b", NodeState::In), "node b is in service already");
        refuses(&out, state("b", NodeState::Out), "node b is out already");
        refuses(&lost, state("b", NodeState::Lost), "node b is lost already");
        refuses(
            &map(),
            state("x", NodeState::Out),
            "there is no node x in the map of epoch 7; its nodes are a, b, c",
        );
    }

    #[test]
    fn a_sub_cluster_is_added_behind_the_others_and_takes_a_weight() {
        let added = subcluster("s2", &["d", "e"]);
        let grown =
            makes(&map(), Edit::AddSubCluster(added.clone()), |spec| spec.subclusters.push(added.clone()));
        makes(&grown, weight("s2", 2.5), |spec| spec.subclusters[2].weight = 2.5);
        makes(&grown, weight("s0", 0.0), |spec| spec.subclusters[0].weight = 0.0);
        refuses(&grown, weight("s1", 1.0), "sub-cluster s1 has the weight 1 already");
        refuses(
            &grown,
            weight("s3", 1.0),
            "no sub-cluster s3 in the map of epoch 8; its sub-clusters are s0, s1, s2",
        );
    }

    #[test]
    fn a_map_that_would_be_refused_is_not_made() {
        let source = |edit| match map().edited(edit) {
            Err(EditError::Map(error)) => *error,
            other => panic!("{other:?}"),
        };
        let twice = source(Edit::AddSubCluster(subcluster("s2", &["d", "a"])));
        assert_eq!(
            twice.to_string(),
            "node a is listed twice, first in sub-cluster 1; a name belongs to one node"
        );
        assert_eq!(source(Edit::AddSubCluster(subcluster("s1", &["d"]))).place(), Place::SubCluster(2));
        assert!(matches!(source(weight("s0", -1.0)), MapError::Weight { .. }));
        assert!(matches!(source(weight("s0", f64::NAN)), MapError::Weight { .. }));
        assert!(matches!(source(weight("s0", 0.0)), MapError::TooFewUsable { usable: 1, .. }));
        let out = map().edited(state("a", NodeState::Out)).unwrap();
        let error = out.edited(state("b", NodeState::Lost)).unwrap_err();
        assert!(matches!(error, EditError::Map(_)), "{error}");
    }

    #[test]
    fn the_last_epoch_has_no_next() {
        let last = ClusterMap::new(MapSpec { epoch: Epoch::MAX, ..map().to_spec() }).unwrap();
        refuses(&last, state("a", NodeState::Out), "the last epoch there is, 9223372036854775807");
    }

    #[test]
    fn what_a_crush_map_says_is_not_edited_here() {
        let text = "device 0 a\ndevice 1 b\ndevice 2 c\ntype 0 osd\ntype 1 root\nroot top {\nid -1\nalg straw2\n\
                    item a weight 1\nitem b weight 1\nitem c weight 1\n}\nrule r {\nid 0\ntype replicated\n\
                    step take top\nstep choose firstn 0 type osd\nstep emit\n}\n";
        let crush = Box::new(crate::cluster::crush::parse_text(text).unwrap().spec);
        let placement = PlacementSpec::Crush(CrushSource::Map { map: crush, rule: None });
        let map = ClusterMap::new(MapSpec { placement, ..map().to_spec() }).unwrap();
        makes(&map, state("b", NodeState::Out), |spec| {
            spec.node_mut("b").unwrap().state = NodeState::Out;
        });
        refuses(&map, weight("s0", 2.0), "the next epoch, 8");
        refuses(&map, Edit::AddSubCluster(subcluster("s2", &["d"])), "add them there");
    }
}
