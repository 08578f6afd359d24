//! Checking a snapshot piece by piece against its own chunk hashes (section 13).

use super::{Shape, State, VALUE_LIMIT, leaf_hash, merkle::Tree, to_usize};
use crate::ResultRoot;

/// Why a piece of a snapshot is not the one that its hashes commit to. The sending peer's fault: ask another.
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

/// The chunk hashes that a snapshot begins with: as many as the shape has chunks. With them chunks can come from anyone, in any order.
///
/// They say which state the snapshot is, not that it is the chain's: that shows in [`SnapshotLeaves::root`] when later updates give the
/// roots of their certificates, and until then its holder must not ACK (section 13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLeaves {
    shape: Shape,
    leaves: Vec<[u8; 32]>,
}

impl SnapshotLeaves {
    /// Takes the hashes of all chunks, in order.
    ///
    /// # Errors
    /// [`SnapshotError::Count`].
    pub fn new(shape: Shape, leaves: Vec<[u8; 32]>) -> Result<Self, SnapshotError> {
        if leaves.len() != to_usize(shape.chunk_count()) {
            return Err(SnapshotError::Count { found: leaves.len(), expected: shape.chunk_count() });
        }
        Ok(Self { shape, leaves })
    }

    /// Those of a state.
    pub fn of(state: &State) -> Self {
        Self { shape: *state.shape(), leaves: state.leaves().collect() }
    }

    /// The hashes, in order.
    pub(super) fn all(&self) -> &[[u8; 32]] {
        &self.leaves
    }

    /// The root they give: that of the state its chunks make.
    pub fn root(&self) -> ResultRoot {
        Tree::new(self.leaves.iter().copied()).root()
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
    use crate::{GenesisId, delta::fixtures};

    #[test]
    fn a_snapshot_checked_chunk_by_chunk_is_the_state() {
        let state = State::initial(&GenesisId([2; 32]), fixtures::shape());
        let leaves = SnapshotLeaves::new(fixtures::shape(), state.leaves().collect()).unwrap();
        assert_eq!(leaves.root(), state.root());
        let values = (0..fixtures::shape().chunk_count())
            .flat_map(|chunk| leaves.check_chunk(chunk, &state.chunk_bytes(chunk).unwrap()).unwrap())
            .collect();
        assert_eq!(State::from_values(fixtures::shape(), values).unwrap(), state);
    }

    #[test]
    fn leaves_of_another_number_are_refused() {
        let shape = fixtures::shape();
        let mut leaves: Vec<[u8; 32]> = State::initial(&GenesisId([2; 32]), shape).leaves().collect();
        // A fourth leaf of zeros has the same root: the padding.
        leaves.push([0; 32]);
        assert_eq!(SnapshotLeaves::new(shape, leaves.clone()), Err(SnapshotError::Count { found: 4, expected: 3 }));
        leaves.truncate(2);
        assert_eq!(SnapshotLeaves::new(shape, leaves), Err(SnapshotError::Count { found: 2, expected: 3 }));
    }

    #[test]
    fn a_chunk_with_another_hash_length_or_number_is_refused() {
        let shape = fixtures::shape();
        let state = State::initial(&GenesisId([2; 32]), shape);
        let leaves = SnapshotLeaves::new(shape, state.leaves().collect()).unwrap();
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
        let leaves = SnapshotLeaves::new(shape, vec![leaf]).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(leaves.check_chunk(0, &bytes), Err(SnapshotError::Bound { chunk: 0, value: -VALUE_LIMIT }));
    }
}
