//! The rules of each algorithm, for people who see its steps for the first time.

use crate::cluster::PlacementKind;

/// The rules of an algorithm, in as few words as it takes to follow its steps.
pub fn rules(kind: PlacementKind) -> &'static str {
    match kind {
        PlacementKind::RushR => {
            "The sub-clusters are asked from the newest to the oldest, until every replica has its node. Each makes one \
             draw, a number from 0 to 1, for every replica that has none yet. A draw below its share of the weight, its \
             own compared with that of itself and all older ones, gives it a replica; each draw uses up a node, so the \
             share changes a little from draw to draw. The oldest takes what is left."
        }
        PlacementKind::RushP => {
            "The sub-clusters are asked from the newest to the oldest, until every replica has its node. Each makes one \
             draw, which is turned into another number from 0 to 1 for every replica. Where that is below its share of \
             the weight, its own compared with that of itself and all older ones, it receives the replica. The oldest \
             takes what is left."
        }
        PlacementKind::RushT => {
            "The sub-clusters are the leaves of a tree. Each replica goes down from the top: wherever the tree branches, \
             each branch waits for a time that is drawn, the shorter the more its sub-clusters weigh, and the replica \
             goes where the wait is shortest. In its sub-cluster it takes a node of its own."
        }
        PlacementKind::WebdfsRushR => {
            "As the original webDFS does it: the sub-clusters are asked from the newest to the oldest, until every \
             replica has its node. Each makes one draw, a number from 0 to 1, for every replica that has none yet, and \
             receives one for each draw that is no more than its share of the weight; each draw uses up a node, so the \
             share changes a little from draw to draw. The oldest takes what is left."
        }
        PlacementKind::WebdfsRushP => {
            "As the original webDFS does it: each replica is looked for on its own. The sub-clusters are asked from the \
             newest to the oldest, and the first whose draw is below its share of the weight, its own compared with that \
             of itself and all older ones, receives it."
        }
        PlacementKind::Crush => {
            "From the top of a hierarchy, such as racks, hosts and nodes, each part chooses one of its own parts, those \
             that weigh more with a greater chance, down to a node. Draws have numbers: the same number leads the same \
             way for this file. Where a draw leads to what was found before, or to a failure domain that was, another \
             one is tried, until every replica has its node."
        }
    }
}
