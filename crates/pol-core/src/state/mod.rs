//! The model state: the LoRA adapter as integers in units of 2^-24 (section 6).
//!
//! # Purpose
//! Same chain, same bytes: the values, their Merkle root (`resultRoot`), and what an accepted update does to them.
//!
//! # Contract
//! Integers only. [`fold`] says what a finalized update does, [`State::follow`] does it, as a whole or not at all, and records an
//! [`Undo`], by which alone it is taken back: exactly, and from no other state. Only touched chunks are hashed again.
//!
//! # What it does not protect against
//! It keeps one state, in memory. Which update is followed when, and storing every undo for as long as a reorg or a void can reach
//! back, is the follower's work.

mod apply;
mod fold;
mod follow;
mod init;
mod manifest;
mod merkle;
mod shape;
mod snapshot;
mod undo;

pub use apply::{Applied, StateError};
pub use fold::{Ancestry, FoldError, Transition, ZeroReason, fold};
pub use follow::{FollowError, Followed, Outcome};
pub use manifest::{ManifestError, SnapshotManifest, manifest_bytes, snapshot_bytes};
pub use merkle::leaf_hash;
pub(crate) use shape::to_usize;
pub use shape::{CHUNK_VALUES, Factor, MAX_LAYERS, MAX_VALUES, MAX_WIDTH, Module, Projection, Shape, ShapeError, Tensor};
pub use snapshot::{SnapshotError, SnapshotLeaves};
pub use undo::{Undo, UndoError};

use merkle::Tree;

use crate::{GenesisId, ResultRoot};

/// Every |value| of a state is below this many units (64.0).
pub const VALUE_LIMIT: i32 = 1 << 30;

/// All values of the adapter and the Merkle tree over their chunks. Every value is within bounds at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    shape: Shape,
    values: Vec<i32>,
    tree: Tree,
}

/// Why a list is no state. The fault of whoever gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// Not one value per value of the shape.
    #[error("state: {found} values, expected {expected}")]
    Length {
        /// Values given.
        found: usize,
        /// Values of the shape.
        expected: usize,
    },
    /// A value of 64.0 or beyond.
    #[error("state: value {index} is {value}, expected a magnitude below 2^30")]
    Bound {
        /// Flat index.
        index: u32,
        /// The value, units.
        value: i32,
    },
}

impl State {
    /// S_0 of a chain.
    pub fn initial(genesis_id: &GenesisId, shape: Shape) -> Self {
        Self::hashed(shape, init::initial_values(genesis_id, &shape))
    }

    /// A state from its values, as a snapshot holds them. That they are the chain's is seen by the roots of later certificates (section 13).
    ///
    /// # Errors
    /// [`ValuesError`]; the fault of whoever gave the values.
    pub fn from_values(shape: Shape, values: Vec<i32>) -> Result<Self, ValuesError> {
        let expected = to_usize(shape.value_count());
        if values.len() != expected {
            return Err(ValuesError::Length { found: values.len(), expected });
        }
        for (index, value) in (0_u32..).zip(&values) {
            if value.unsigned_abs() >= VALUE_LIMIT.unsigned_abs() {
                return Err(ValuesError::Bound { index, value: *value });
            }
        }
        Ok(Self::hashed(shape, values))
    }

    fn hashed(shape: Shape, values: Vec<i32>) -> Self {
        let tree = Tree::new(values.chunks(to_usize(CHUNK_VALUES)).map(leaf_hash));
        Self { shape, values, tree }
    }

    /// The adapter's shape.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All values in flat order, units of 2^-24.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Its `resultRoot`.
    pub fn root(&self) -> ResultRoot {
        self.tree.root()
    }

    /// Values of one chunk; `None` beyond the last.
    pub fn chunk(&self, chunk: u32) -> Option<&[i32]> {
        self.values.chunks(to_usize(CHUNK_VALUES)).nth(to_usize(chunk))
    }

    /// One chunk as a snapshot carries it: its i32 values, little-endian.
    pub fn chunk_bytes(&self, chunk: u32) -> Option<Vec<u8>> {
        self.chunk(chunk).map(|values| values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Hashes of all chunks in order: what a snapshot begins with.
    pub fn leaves(&self) -> impl Iterator<Item = [u8; 32]> {
        (0..to_usize(self.shape.chunk_count())).map(|chunk| self.tree.leaf(chunk))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn values_at_or_beyond_the_limit_are_no_state() {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let count = to_usize(shape.value_count());
        for bad in [VALUE_LIMIT, -VALUE_LIMIT, i32::MIN, i32::MAX] {
            let mut values = vec![0; count];
            values[5] = bad;
            assert_eq!(State::from_values(shape, values), Err(ValuesError::Bound { index: 5, value: bad }));
        }
        let mut values = vec![VALUE_LIMIT - 1; count];
        values[0] = 1 - VALUE_LIMIT;
        assert!(State::from_values(shape, values).is_ok());
    }

    #[test]
    fn a_state_of_another_length_is_refused() {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let expected = to_usize(shape.value_count());
        for found in [0, expected - 1, expected + 1] {
            assert_eq!(State::from_values(shape, vec![0; found]), Err(ValuesError::Length { found, expected }));
        }
    }

    #[test]
    fn chunks_concatenate_to_the_values() {
        let shape = crate::delta::fixtures::shape();
        let state = State::initial(&GenesisId([1; 32]), shape);
        let mut all = Vec::new();
        for chunk in 0..shape.chunk_count() {
            assert_eq!(state.chunk(chunk).unwrap().len(), to_usize(shape.chunk_len(chunk)));
            all.extend(state.chunk(chunk).unwrap());
        }
        assert_eq!(all, state.values());
        assert_eq!((state.chunk(shape.chunk_count()), state.chunk(u32::MAX)), (None, None));
        assert_eq!(State::from_values(shape, all).unwrap(), state);
    }
}
