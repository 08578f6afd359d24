//! Checking a snapshot piece by piece against a certificate's `resultRoot` (section 13).

use super::{Shape, VALUE_LIMIT, leaf_hash, merkle::Tree, to_usize};
use crate::ResultRoot;

/// Why a piece of a snapshot is not the one that the root commits to. The sending peer's fault: ask another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not one hash per chunk.
    #[error("snapshot: {found} chunk hashes, expected {expected}")]
    Count {
        /// Hashes given.
        found: usize,
        /// Chunks of the shape.
        expected: u32,
    },
    /// The hashes have another root.
    #[error("snapshot: root {found}, expected {expected}")]
    Root {
        /// Root of the hashes.
        found: ResultRoot,
        /// Root asked for.
        expected: ResultRoot,
    },
    /// No such chunk.
    #[error("snapshot: chunk {found}, expected below {expected}")]
    Chunk {
        /// Chunk asked for.
        found: u32,
        /// Chunks of the shape.
        expected: u32,
    },
    /// A chunk of another length.
    #[error("snapshot: chunk {chunk} of {found} bytes, expected {expected}")]
    ChunkLength {
        /// The chunk.
        chunk: u32,
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A chunk with another hash.
    #[error("snapshot: chunk {chunk} does not have the hash it should")]
    ChunkHash {
        /// The chunk.
        chunk: u32,
    },
    /// A committed value of 64.0 or beyond: no state of this protocol has such a root.
    #[error("snapshot: chunk {chunk} holds {value}, expected a magnitude below 2^30")]
    Bound {
        /// The chunk.
        chunk: u32,
        /// The value, units.
        value: i32,
    },
}

/// The chunk hashes of a snapshot, known to have the root they should. With them chunks can come from anyone, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedLeaves {
    shape: Shape,
    leaves: Vec<[u8; 32]>,
}

impl CheckedLeaves {
    /// Checks the hashes of all chunks, in order, against the root of a certificate.
    ///
    /// # Errors
    /// [`SnapshotError::Count`], [`SnapshotError::Root`].
    pub fn new(shape: Shape, leaves: Vec<[u8; 32]>, expected: &ResultRoot) -> Result<Self, SnapshotError> {
        if leaves.len() != to_usize(shape.chunk_count()) {
            return Err(SnapshotError::Count { found: leaves.len(), expected: shape.chunk_count() });
        }
        let found = Tree::new(leaves.iter().copied()).root();
        if found != *expected {
            return Err(SnapshotError::Root { found, expected: *expected });
        }
        Ok(Self { shape, leaves })
    }

    /// The values of a chunk from its bytes (i32, little-endian), when they are the committed ones.
    ///
    /// # Errors
    /// The other variants of [`SnapshotError`].
    pub fn check_chunk(&self, chunk: u32, bytes: &[u8]) -> Result<Vec<i32>, SnapshotError> {
        let missing = SnapshotError::Chunk { found: chunk, expected: self.shape.chunk_count() };
        let leaf = self.leaves.get(to_usize(chunk)).ok_or(missing)?;
        let expected = to_usize(self.shape.chunk_len(chunk)).saturating_mul(4);
        if bytes.len() != expected {
            return Err(SnapshotError::ChunkLength { chunk, found: bytes.len(), expected });
        }
        let values: Vec<i32> = bytes.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word)).collect();
        if leaf_hash(&values) != *leaf {
            return Err(SnapshotError::ChunkHash { chunk });
        }
        match values.iter().find(|value| value.unsigned_abs() >= VALUE_LIMIT.unsigned_abs()) {
            Some(value) => Err(SnapshotError::Bound { chunk, value: *value }),
            None => Ok(values),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::{GenesisId, delta::fixtures, state::State};

    #[test]
    fn a_snapshot_checked_chunk_by_chunk_is_the_state() {
        let state = State::initial(&GenesisId([2; 32]), fixtures::shape());
        let leaves = CheckedLeaves::new(fixtures::shape(), state.leaves().collect(), &state.root()).unwrap();
        let values = (0..fixtures::shape().chunk_count())
            .flat_map(|chunk| leaves.check_chunk(chunk, &state.chunk_bytes(chunk).unwrap()).unwrap())
            .collect();
        assert_eq!(State::from_values(fixtures::shape(), values).unwrap(), state);
    }

    #[test]
    fn leaves_of_another_number_or_root_are_refused() {
        let shape = fixtures::shape();
        let state = State::initial(&GenesisId([2; 32]), shape);
        let mut leaves: Vec<[u8; 32]> = state.leaves().collect();
        let short = leaves[..2].to_vec();
        assert_eq!(CheckedLeaves::new(shape, short, &state.root()), Err(SnapshotError::Count { found: 2, expected: 3 }));
        // A fourth leaf of zeros has the same root: the padding.
        leaves.push([0; 32]);
        let padded = leaves.clone();
        assert_eq!(CheckedLeaves::new(shape, padded, &state.root()), Err(SnapshotError::Count { found: 4, expected: 3 }));
        leaves.pop();
        leaves.swap(0, 1);
        assert!(matches!(CheckedLeaves::new(shape, leaves, &state.root()), Err(SnapshotError::Root { .. })));
    }

    #[test]
    fn a_chunk_with_another_hash_length_or_number_is_refused() {
        let shape = fixtures::shape();
        let state = State::initial(&GenesisId([2; 32]), shape);
        let leaves = CheckedLeaves::new(shape, state.leaves().collect(), &state.root()).unwrap();
        let mut bytes = state.chunk_bytes(1).unwrap();
        assert_eq!(leaves.check_chunk(0, &bytes), Err(SnapshotError::ChunkHash { chunk: 0 }));
        bytes[77] ^= 1;
        assert_eq!(leaves.check_chunk(1, &bytes), Err(SnapshotError::ChunkHash { chunk: 1 }));
        bytes.pop();
        let error = SnapshotError::ChunkLength { chunk: 1, found: 16_383, expected: 16_384 };
        assert_eq!(leaves.check_chunk(1, &bytes), Err(error));
        assert_eq!(leaves.check_chunk(3, &bytes), Err(SnapshotError::Chunk { found: 3, expected: 3 }));
    }

    #[test]
    fn a_committed_value_beyond_the_limit_is_refused() {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let mut values = vec![0; to_usize(shape.value_count())];
        values[9] = -VALUE_LIMIT;
        let leaf = leaf_hash(&values);
        let leaves = CheckedLeaves::new(shape, vec![leaf], &ResultRoot(leaf)).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(leaves.check_chunk(0, &bytes), Err(SnapshotError::Bound { chunk: 0, value: -VALUE_LIMIT }));
    }
}
