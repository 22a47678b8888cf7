//! What RUSH_T needs of a map besides its [`SlotTable`]: the tree whose leaves are the sub-clusters (Honicky &
//! Miller, "Replication Under Scalable Hashing", IPDPS 2004, section 3.3).
//!
//! The tree is binary and implicit, with labels that never change as it grows, those of CRUSH's tree buckets:
//! sub-cluster i is the leaf labelled 2i + 1, and a label's trailing zero bits are the height it stands at; so the
//! inner node over two leaves is labelled with the even number between them, and a new root never touches what is
//! below it. Lookups take [`LEVELS`] of its levels at a time: the nodes kept are those whose height is a multiple
//! of that, and at each of them one of up to [`FANOUT`] subtrees is chosen by its weight.
//!
//! Why not one level at a time, by a draw at each inner node: what moves between two subtrees then moves from and
//! onto all their leaves instead of the one that changed, at every level. Moved replicas against the optimum, as
//! the mean over growing from 2 to 32 equal sub-clusters, and over draining any one of 3 to 32: the plain binary
//! tree 1.74 and 2.07; of all binary shapes the list, newest first, is best at draining, with 1.64. One choice
//! among many subtrees moves nothing between those that do not change. Three levels at a time: 1.41 and 1.42; four:
//! 1.28 and 1.20; five: 1.00 and 1.00 up to 32. At 1,000 sub-clusters: one level 4.2 and 5.0, three 3.0 and 3.1,
//! four 2.5 and 2.6, five 1.8 and 1.9; there, lookups with three and four take the same time, with five a third
//! more.
//!
//! Arithmetic on plain data. Frozen: files lie on disk by these numbers.

use super::slots::{SlotRow, SlotTable};
use super::spec::NODES_MAX;

/// How many levels of the binary tree are one step of a lookup.
pub const LEVELS: u32 = 4;

/// The most subtrees a node has.
pub const FANOUT: usize = 1 << LEVELS;

/// The tree over the sub-clusters of weight above 0. Nodes with a single subtree of weight above 0 are left out:
/// there is nothing to choose at them.
#[derive(Clone, Debug)]
pub struct SubClusterTree {
    /// How many leaves: as many as the slot table has rows.
    leaves: u32,
    /// Below [`SubClusterTree::leaves`] a leaf, from there on a node.
    root: u32,
    nodes: Vec<TreeNode>,
    branches: Vec<Branch>,
    /// `extents[i]` belongs to `branches[i]`; apart from them because only a trace reads it.
    extents: Vec<Extent>,
}

/// A node. Its subtrees are numbered from 0, oldest first, without those of weight 0 after the last and with those
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// The label of the binary tree's node over its subtrees 0 and 1; labels are below 2^18.
    pub first_label: u32,
    /// How much larger the label over the next two subtrees is, each time.
    pub label_step: u32,
    /// How many subtrees from the first on weigh the same: at least 1. All, in a cluster that grew by equal steps,
    /// but on the way to the newest.
    pub even: u32,
    first_branch: u32,
    end_branch: u32,
}

/// The way to one subtree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Branch {
    /// 1 divided by the weight of the subtree; infinite for weight 0.
    pub per_weight: f64,
    /// What it leads to, for [`SubClusterTree::node`]; means nothing for weight 0.
    pub target: u32,
}

/// What a subtree holds, for those who explain a choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// The position of its oldest sub-cluster of weight above 0 among all of the map.
    pub oldest: u32,
    /// That of its newest.
    pub newest: u32,
    /// The sum of their weights. Leaves are m times w; a node's subtrees are summed oldest first.
    pub weight: f64,
}

impl SubClusterTree {
    /// The tree over the table's rows.
    ///
    /// # Panics
    /// If there are more sub-clusters, those of weight 0 included, than the [`NODES_MAX`] that a map can have: what
    /// labels are made of has no room for more.
    pub fn new(slots: &SlotTable) -> Self {
        let last = slots.rows().last().map_or(0, |row| row.subcluster as usize);
        assert!(last < NODES_MAX, "sub-cluster {last}, from 0, is one more than a map can have");
        let mut tree = Self {
            leaves: slots.rows().len() as u32, // not more than there are nodes, which a u32 counts
            root: 0,
            nodes: Vec::new(),
            branches: Vec::new(),
            extents: Vec::new(),
        };
        let mut level: Vec<Subtree> = (0..).zip(slots.rows()).map(|(i, row)| Subtree::leaf(i, row)).collect();
        let mut height = 0;
        while level.len() > 1 {
            let same_parent = |a: &Subtree, b: &Subtree| a.position >> LEVELS == b.position >> LEVELS;
            level = level.chunk_by(same_parent).map(|subtrees| tree.join(subtrees, height)).collect();
            height += LEVELS;
        }
        tree.root = level.first().expect("a table has at least one row").target;
        tree
    }

    /// Puts a node over these subtrees of the same parent, whose labels have `height` trailing zero bits.
    fn join(&mut self, subtrees: &[Subtree], height: u32) -> Subtree {
        let (first, last) = (subtrees[0], subtrees[subtrees.len() - 1]);
        let position = first.position >> LEVELS;
        if subtrees.len() == 1 {
            return Subtree { position, ..first };
        }
        let first_branch = self.branches.len() as u32;
        let mut weight = 0.0;
        let mut present = subtrees.iter().peekable();
        for place in position << LEVELS..=last.position {
            let none = Extent { oldest: 0, newest: 0, weight: 0.0 };
            let (extent, target) = match present.next_if(|subtree| subtree.position == place) {
                Some(subtree) => (subtree.extent, subtree.target),
                None => (none, 0),
            };
            weight += extent.weight;
            self.branches.push(Branch { per_weight: 1.0 / extent.weight, target });
            self.extents.push(extent);
        }
        let extents = &self.extents[first_branch as usize..];
        let even = extents.iter().take_while(|extent| extent.weight == extents[0].weight).count() as u32;
        self.nodes.push(TreeNode {
            first_label: ((position << LEVELS) + 1) << (height + 1),
            label_step: 4 << height,
            even,
            first_branch,
            end_branch: self.branches.len() as u32,
        });
        let target = self.leaves + self.nodes.len() as u32 - 1;
        let extent = Extent { oldest: first.extent.oldest, newest: last.extent.newest, weight };
        Subtree { position, target, extent }
    }

    /// The number that a lookup starts from.
    #[inline]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// The node that a number stands for; none for a leaf, whose number is a position in [`SlotTable::rows`].
    ///
    /// # Panics
    /// If `target` is from another, larger tree.
    #[inline]
    pub fn node(&self, target: u32) -> Option<&TreeNode> {
        target.checked_sub(self.leaves).map(|node| &self.nodes[node as usize])
    }

    /// The ways to the subtrees of a node of this tree: from 2 to [`FANOUT`].
    #[inline]
    pub fn branches(&self, node: &TreeNode) -> &[Branch] {
        &self.branches[node.first_branch as usize..node.end_branch as usize]
    }

    /// What the subtrees of a node of this tree hold; as long as [`SubClusterTree::branches`].
    pub fn extents(&self, node: &TreeNode) -> &[Extent] {
        &self.extents[node.first_branch as usize..node.end_branch as usize]
    }
}

impl TreeNode {
    /// The label of the binary tree's node over that subtree and its neighbour.
    pub fn label_over(&self, branch: usize) -> u32 {
        self.first_label + self.label_step * (branch as u32 / 2)
    }
}

/// A subtree while the tree is being built.
#[derive(Clone, Copy)]
struct Subtree {
    /// Its place among the nodes of its height, those of weight 0 included: its label without the trailing zeros is
    /// twice this and 1.
    position: u32,
    target: u32,
    extent: Extent,
}

impl Subtree {
    fn leaf(target: u32, row: &SlotRow) -> Self {
        let (position, weight) = (row.subcluster, row.weight_own);
        Self { position, target, extent: Extent { oldest: position, newest: position, weight } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::SlotGroup;

    fn tree(groups: &[(u32, f64)]) -> SubClusterTree {
        let groups: Vec<_> = groups.iter().map(|&(servers, weight)| SlotGroup { servers, weight }).collect();
        SubClusterTree::new(&SlotTable::new(&groups, 1).unwrap())
    }

    fn node(tree: &SubClusterTree, target: u32) -> TreeNode {
        *tree.node(target).expect("a node")
    }

    fn labels(tree: &SubClusterTree, target: u32) -> Vec<u32> {
        let node = node(tree, target);
        (0..tree.branches(&node).len()).map(|branch| node.label_over(branch)).collect()
    }

    #[test]
    fn one_sub_cluster_is_a_leaf_without_a_node() {
        let tree = tree(&[(3, 0.0), (5, 1.0), (3, 0.0)]);
        assert_eq!((tree.root(), tree.node(tree.root())), (0, None));
        assert!(tree.nodes.is_empty());
    }

    #[test]
    fn sub_clusters_are_the_odd_labels_and_those_of_weight_0_keep_theirs() {
        let tree = tree(&[(3, 0.0), (5, 1.0), (2, 2.5), (3, 0.0), (1, 8.0), (3, 0.0)]);
        assert_eq!(labels(&tree, tree.root()), [2, 2, 6, 6, 10]);
        let root = node(&tree, tree.root());
        let branches: Vec<_> = tree.branches(&root).iter().map(|way| (way.per_weight, way.target)).collect();
        let none = (f64::INFINITY, 0);
        assert_eq!(branches, [none, (1.0 / 5.0, 0), (1.0 / 5.0, 1), none, (1.0 / 8.0, 2)]);
        assert_eq!(tree.extents(&root)[2], Extent { oldest: 2, newest: 2, weight: 5.0 });
    }

    #[test]
    fn a_node_knows_how_many_of_its_oldest_subtrees_weigh_the_same() {
        let even = |groups| {
            let tree = tree(groups);
            node(&tree, tree.root()).even
        };
        assert_eq!(even(&[(5, 1.0), (2, 2.5), (5, 1.0), (5, 0.0)]), 3);
        assert_eq!(even(&[(5, 1.0), (5, 1.0), (4, 1.0), (5, 1.0)]), 2);
        assert_eq!(even(&[(5, 1.0), (5, 0.0), (5, 1.0)]), 1);
        assert_eq!(even(&[(5, 0.0), (3, 0.0), (5, 1.0), (5, 1.0)]), 2);
        assert_eq!(even(&[(3, 1.0); FANOUT + 5]), 1);
        assert_eq!(even(&[(3, 1.0); FANOUT * 3]), 3);
    }

    #[test]
    fn a_higher_root_changes_no_label_below_it() {
        let full = tree(&[(3, 1.0); FANOUT]);
        let lowest: Vec<u32> = (0..FANOUT as u32).map(|leaf| leaf / 2 * 4 + 2).collect();
        assert_eq!(labels(&full, full.root()), lowest);
        let higher = tree(&[(3, 1.0); FANOUT + 1]);
        // In the binary tree the root over leaves 0 to 31 is 32.
        assert_eq!(labels(&higher, higher.root()), [32, 32]);
        let branches = tree_targets(&higher, higher.root());
        assert_eq!(labels(&higher, branches[0]), lowest);
        // A subtree of one leaf has no node.
        assert_eq!((branches[1], higher.node(branches[1])), (FANOUT as u32, None));
    }

    fn tree_targets(tree: &SubClusterTree, target: u32) -> Vec<u32> {
        tree.branches(&node(tree, target)).iter().map(|branch| branch.target).collect()
    }

    #[test]
    fn the_newest_of_as_many_sub_clusters_as_a_map_can_have_has_a_label_within_the_bounds() {
        let largest = tree(&[(1, 1.0); NODES_MAX]);
        let mut target = largest.root();
        let mut newest: Vec<u32> = Vec::new();
        while largest.node(target).is_some() {
            newest.extend(labels(&largest, target).last());
            target = tree_targets(&largest, target)[FANOUT - 1];
        }
        assert_eq!(newest, [0x1_e000, 0x1_fe00, 0x1_ffe0, 0x1_fffe]);
        assert_eq!(target as usize, NODES_MAX - 1);
    }

    #[test]
    #[should_panic(expected = "one more than a map can have")]
    fn more_sub_clusters_than_a_map_can_have_are_not_labelled() {
        tree(&[(1, 1.0); NODES_MAX + 1]);
    }

    #[test]
    fn a_node_weighs_what_is_below_it() {
        let groups: Vec<_> = (0..1_000).map(|i| (1 + i % 3, f64::from(i % 7) / 4.0)).collect();
        let tree = tree(&groups);
        let extents = tree.extents(&node(&tree, tree.root()));
        let weight: f64 = extents.iter().map(|extent| extent.weight).sum();
        assert_eq!(weight, groups.iter().map(|group| f64::from(group.0) * group.1).sum::<f64>());
        let ranges: Vec<_> = extents.iter().map(|extent| (extent.oldest, extent.newest)).collect();
        assert_eq!(ranges, [(1, 255), (256, 510), (512, 767), (768, 999)]);
    }
}
