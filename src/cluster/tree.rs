//! What RUSH_T needs of a map besides its [`SlotTable`]: the tree whose leaves are the sub-clusters (Honicky & Miller,
//! "Replication Under Scalable Hashing", IPDPS 2004, section 3.3).
//!
//! The tree is binary and implicit, with labels that never change as it grows, those of CRUSH's tree buckets:
//! sub-cluster i is the leaf labelled 2i + 1, and a label's trailing zero bits are the height it stands at; so the
//! inner node over two leaves is labelled with the even number between them, and a new root never touches what is
//! below it. Lookups take [`LEVELS`] of its levels at a time: the nodes kept are those whose height is a multiple of
//! that, and at each of them one of up to [`FANOUT`] is chosen by the weights below.
//!
//! Why not one level at a time: as the mean over growing from 2 to 32 equal sub-clusters, the plain binary tree moves
//! 1.74 times the optimum, and as the mean over draining any one of 3 to 32, 2.07 times. No other binary shape
//! drains with less than 1.64, which is the list's figure. What moves between two subtrees moves onto and from all of
//! their leaves instead of the one that changed, and each level adds that. Four levels at a time make it 1.28 and
//! 1.20; three 1.41 and 1.42; five 1.00 and 1.00 up to 32, and 1.8 at 1,000 where four have 2.5, for nearly twice as
//! many draws.
//!
//! Arithmetic on plain data. Frozen: files lie on disk by these numbers.

use super::slots::{SlotRow, SlotTable};

/// How many levels of the binary tree are one step of a lookup.
pub const LEVELS: u32 = 4;

/// The most subtrees a node has.
pub const FANOUT: usize = 1 << LEVELS;

/// The tree over the sub-clusters of weight above 0. Subtrees of weight 0 are left out, and so are nodes with a
/// single subtree, which there is nothing to choose at.
#[derive(Clone, Debug)]
pub struct SubClusterTree {
    /// How many leaves: as many as the slot table has rows.
    leaves: u32,
    /// Below [`SubClusterTree::leaves`] a leaf, from there on a node.
    root: u32,
    nodes: Vec<TreeNode>,
    runs: Vec<Run>,
    branches: Vec<Branch>,
    /// `extents[i]` belongs to `branches[i]`; apart from them because only a trace reads it.
    extents: Vec<Extent>,
}

/// Where a lookup stands in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At a leaf: the position of a sub-cluster in [`SlotTable::rows`].
    Leaf(usize),
    /// At the node of that number.
    Node(TreeNode),
}

/// A node: its subtrees as a range of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeNode {
    first_run: u32,
    end_run: u32,
}

/// Subtrees of one node that are neighbours and weigh the same, so that their draws can be compared as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    first_branch: u32,
    end_branch: u32,
    /// 1 divided by the weight of each of its subtrees.
    pub per_weight: f64,
}

/// The way to one subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The label of the subtree: below 2^18.
    pub label: u32,
    /// What it leads to, for [`SubClusterTree::standing`].
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
    pub fn new(slots: &SlotTable) -> Self {
        let mut tree = Self {
            leaves: slots.rows().len() as u32, // not more than there are nodes, which a u32 counts
            root: 0,
            nodes: Vec::new(),
            runs: Vec::new(),
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
        let position = subtrees[0].position >> LEVELS;
        if let [only] = subtrees {
            return Subtree { position, ..*only };
        }
        let first_run = self.runs.len() as u32;
        for run in subtrees.chunk_by(|a, b| a.extent.weight == b.extent.weight) {
            let first_branch = self.branches.len() as u32;
            for subtree in run {
                let label = (2 * subtree.position + 1) << height;
                self.branches.push(Branch { label, target: subtree.target });
                self.extents.push(subtree.extent);
            }
            let end_branch = self.branches.len() as u32;
            self.runs.push(Run { first_branch, end_branch, per_weight: 1.0 / run[0].extent.weight });
        }
        self.nodes.push(TreeNode { first_run, end_run: self.runs.len() as u32 });
        let weight = subtrees.iter().fold(0.0, |sum, subtree| sum + subtree.extent.weight);
        let (oldest, newest) = (subtrees[0].extent.oldest, subtrees[subtrees.len() - 1].extent.newest);
        let target = self.leaves + self.nodes.len() as u32 - 1;
        Subtree { position, target, extent: Extent { oldest, newest, weight } }
    }

    /// The number that a lookup starts from.
    #[inline]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// What the number of a subtree stands for.
    ///
    /// # Panics
    /// If `target` is from another, larger tree.
    #[inline]
    pub fn standing(&self, target: u32) -> Standing {
        match target.checked_sub(self.leaves) {
            None => Standing::Leaf(target as usize),
            Some(node) => Standing::Node(self.nodes[node as usize]),
        }
    }

    /// The subtrees of a node of this tree, oldest first, in runs of equal weight: at least two subtrees in all.
    #[inline]
    pub fn runs(&self, node: TreeNode) -> &[Run] {
        &self.runs[node.first_run as usize..node.end_run as usize]
    }

    /// The subtrees of a run of this tree: at least one.
    #[inline]
    pub fn branches(&self, run: &Run) -> &[Branch] {
        &self.branches[run.first_branch as usize..run.end_branch as usize]
    }

    /// What [`SubClusterTree::branches`] of the same run hold.
    pub fn extents(&self, run: &Run) -> &[Extent] {
        &self.extents[run.first_branch as usize..run.end_branch as usize]
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

    /// Labels of the subtrees of a node.
    fn labels(tree: &SubClusterTree, target: u32) -> Vec<u32> {
        let Standing::Node(node) = tree.standing(target) else { panic!("{target} is a leaf") };
        tree.runs(node).iter().flat_map(|run| tree.branches(run)).map(|branch| branch.label).collect()
    }

    #[test]
    fn one_sub_cluster_is_a_leaf_without_a_node() {
        let tree = tree(&[(3, 0.0), (5, 1.0), (3, 0.0)]);
        assert_eq!(tree.standing(tree.root()), Standing::Leaf(0));
        assert!(tree.nodes.is_empty());
    }

    #[test]
    fn sub_clusters_are_the_odd_labels_and_those_of_weight_0_keep_theirs() {
        let tree = tree(&[(5, 1.0), (3, 0.0), (5, 1.0), (2, 2.5), (1, 7.0)]);
        assert_eq!(labels(&tree, tree.root()), [1, 5, 7, 9]);
        let Standing::Node(root) = tree.standing(tree.root()) else { panic!("the root is a leaf") };
        let lengths: Vec<_> = tree.runs(root).iter().map(|run| tree.branches(run).len()).collect();
        assert_eq!(lengths, [3, 1], "5 * 1.0 and 2 * 2.5 weigh the same");
        assert_eq!(tree.runs(root)[1].per_weight, 1.0 / 7.0);
        assert_eq!(tree.extents(&tree.runs(root)[0])[2], Extent { oldest: 3, newest: 3, weight: 5.0 });
    }

    #[test]
    fn a_higher_root_changes_no_label_below_it() {
        let full = tree(&[(3, 1.0); FANOUT]);
        let odd: Vec<u32> = (0..FANOUT as u32).map(|i| 2 * i + 1).collect();
        assert_eq!(labels(&full, full.root()), odd);
        let higher = tree(&[(3, 1.0); FANOUT + 1]);
        let [old, new] = labels(&higher, higher.root())[..] else { panic!("the root has two subtrees") };
        // The binary tree of 16 leaves has the root 16; that over leaves 16 to 31 is 48.
        assert_eq!((old, new), (16, 48));
        assert_eq!(labels(&higher, higher.leaves), odd);
        // A subtree of one leaf has no node, but the label of its place.
        let Standing::Node(root) = higher.standing(higher.root()) else { panic!("the root is a leaf") };
        let last = higher.runs(root).last().unwrap();
        assert_eq!(higher.standing(higher.branches(last)[0].target), Standing::Leaf(FANOUT));
    }

    #[test]
    fn a_node_weighs_what_is_below_it() {
        let groups: Vec<_> = (0..1_000).map(|i| (1 + i % 3, f64::from(i % 7) / 4.0)).collect();
        let tree = tree(&groups);
        let Standing::Node(root) = tree.standing(tree.root()) else { panic!("the root is a leaf") };
        let extents: Vec<_> = tree.runs(root).iter().flat_map(|run| tree.extents(run)).collect();
        let weight: f64 = extents.iter().map(|extent| extent.weight).sum();
        assert_eq!(weight, groups.iter().map(|group| f64::from(group.0) * group.1).sum::<f64>());
        let ranges: Vec<_> = extents.iter().map(|extent| (extent.oldest, extent.newest)).collect();
        assert_eq!(ranges, [(1, 255), (256, 511), (512, 767), (768, 999)]);
    }
}
