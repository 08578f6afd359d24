//! The Merkle tree over the chunks, kept whole so that only touched paths are hashed again (section 6.1).

use sha2::{Digest as _, Sha256};

use super::shape::CHUNK_VALUES;
use crate::{ResultRoot, sha256};

/// Bytes of a full chunk.
const CHUNK_BYTES: usize = 16_384;
const _: () = assert!(CHUNK_VALUES == 4_096 && CHUNK_BYTES == 4_096 * 4);

/// `H(0x00 || the chunk's i32 values, little-endian)`.
pub fn leaf_hash(chunk: &[i32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    // One copy into little-endian order in the cache, then one large update: far cheaper than an update per value.
    let mut buffer = [0_u8; CHUNK_BYTES];
    for part in chunk.chunks(CHUNK_BYTES / 4) {
        let (places, _) = buffer.as_chunks_mut::<4>();
        for (place, value) in places.iter_mut().zip(part) {
            *place = value.to_le_bytes();
        }
        hasher.update(buffer.get(..part.len().saturating_mul(4)).unwrap_or_default());
    }
    hasher.finalize().into()
}

/// `H(0x01 || left || right)`.
fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[0x01], left, right])
}

/// A binary tree in heap order: node 1 is the root, node i has the children 2i and 2i + 1, leaf j is node `width + j`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    width: usize,
    nodes: Vec<[u8; 32]>,
}

impl Tree {
    /// Hashes everything. An empty list counts as one zero leaf; no shape has one.
    pub(super) fn new(leaves: impl ExactSizeIterator<Item = [u8; 32]>) -> Self {
        let width = leaves.len().max(1).next_power_of_two();
        let mut nodes = vec![[0; 32]; width.saturating_mul(2)];
        for (node, leaf) in nodes.iter_mut().skip(width).zip(leaves) {
            *node = leaf;
        }
        let mut tree = Self { width, nodes };
        for parent in (1..width).rev() {
            tree.rehash(parent);
        }
        tree
    }

    pub(super) fn root(&self) -> ResultRoot {
        ResultRoot(self.node(1))
    }

    pub(super) fn leaf(&self, chunk: usize) -> [u8; 32] {
        self.node(self.width.saturating_add(chunk))
    }

    /// Replaces leaves, given in increasing order of their chunk, and hashes their paths again, each node once.
    pub(super) fn update(&mut self, leaves: impl IntoIterator<Item = (usize, [u8; 32])>) {
        let mut touched = Vec::new();
        for (chunk, leaf) in leaves {
            let place = self.width.saturating_add(chunk);
            if let Some(node) = self.nodes.get_mut(place) {
                *node = leaf;
                touched.push(place);
            }
        }
        while touched.first().is_some_and(|place| *place > 1) {
            for place in &mut touched {
                *place /= 2;
            }
            touched.dedup();
            for place in &touched {
                self.rehash(*place);
            }
        }
    }

    fn rehash(&mut self, parent: usize) {
        let left = parent.saturating_mul(2);
        let hash = node_hash(&self.node(left), &self.node(left.saturating_add(1)));
        if let Some(node) = self.nodes.get_mut(parent) {
            *node = hash;
        }
    }

    fn node(&self, place: usize) -> [u8; 32] {
        self.nodes.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition read literally: pad, then hash level by level.
    fn root_by_levels(leaves: &[[u8; 32]]) -> [u8; 32] {
        let mut level = leaves.to_vec();
        level.resize(leaves.len().next_power_of_two(), [0; 32]);
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| sha256(&[&[1], &pair[0], &pair[1]])).collect();
        }
        level[0]
    }

    fn leaves(count: u8) -> Vec<[u8; 32]> {
        (0..count).map(|i| sha256(&[&[i]])).collect()
    }

    #[test]
    fn the_root_is_the_padded_binary_root_for_every_count() {
        for count in 1..=70 {
            let leaves = leaves(count);
            assert_eq!(Tree::new(leaves.iter().copied()).root().0, root_by_levels(&leaves), "{count}");
        }
    }

    #[test]
    fn one_chunk_is_its_own_root() {
        assert_eq!(Tree::new([[9; 32]].into_iter()).root().0, [9; 32]);
    }

    #[test]
    fn an_incremental_update_equals_a_tree_from_scratch() {
        for count in [1_u8, 2, 3, 5, 8, 33] {
            let mut leaves = leaves(count);
            let mut tree = Tree::new(leaves.iter().copied());
            for step in 1..=count {
                let changed: Vec<(usize, [u8; 32])> =
                    (0..usize::from(count)).step_by(usize::from(step)).map(|i| (i, sha256(&[&[step, leaves[i][0]]]))).collect();
                for (i, leaf) in &changed {
                    leaves[*i] = *leaf;
                }
                tree.update(changed);
                assert_eq!(tree, Tree::new(leaves.iter().copied()));
            }
        }
    }

    #[test]
    fn a_leaf_hashes_its_little_endian_bytes() {
        let values = [1_i32, -2, i32::MAX, 0x0102_0304];
        let mut bytes = vec![0_u8];
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        assert_eq!(leaf_hash(&values), sha256(&[&bytes]));
    }
}
