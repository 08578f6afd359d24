//! Adding a change to the state (section 6).

use super::{CHUNK_VALUES, State, Undo, VALUE_LIMIT, leaf_hash, to_usize};
use crate::{ResultRoot, delta::Change};

/// Why a change was not added. The state is as it was before the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A value would be 64.0 or beyond. The author's fault: under a finalized update id the update adds zero as a whole.
    #[error("state: value {index} would be {value}, expected a magnitude below 2^30")]
    Bound {
        /// Flat index.
        index: u32,
        /// What the value would be, units.
        value: i64,
    },
    /// The change reaches beyond the adapter: it was checked against another shape. Our fault.
    #[error("state: index {index}, expected below {values}")]
    Index {
        /// Flat index.
        index: u32,
        /// Values of the adapter.
        values: u32,
    },
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Values that were added to.
    pub values: usize,
    /// Chunks that were hashed again.
    pub chunks: usize,
    /// The new root.
    pub root: ResultRoot,
    /// The way back.
    pub undo: Undo,
}

impl State {
    /// Adds a change, as a whole or not at all. This is how a member learns which root an update would give: apply it, take the root,
    /// [`State::undo`] it. What a finalized update does to the state is [`State::follow`]'s to say.
    ///
    /// # Errors
    /// [`StateError::Bound`], [`StateError::Index`].
    pub fn apply(&mut self, change: &Change) -> Result<Applied, StateError> {
        // Indices of a change are distinct, so the sums checked here are the sums written below.
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (index, value) in change {
            let now = *self.values.get(to_usize(index)).ok_or(StateError::Index { index, values: self.shape.value_count() })?;
            // Both are of 31 bits or fewer.
            let sum = i64::from(now).wrapping_add(i64::from(value));
            let within = i32::try_from(sum).ok().filter(|sum| sum.unsigned_abs() < VALUE_LIMIT.unsigned_abs());
            new.push((index, within.ok_or(StateError::Bound { index, value: sum })?));
            old.push((index, now));
        }
        let before = self.root();
        let chunks = self.write(&new);
        let root = self.root();
        Ok(Applied { values: new.len(), chunks, root, undo: Undo::recorded(before, root, old) })
    }

    /// Writes values that are within bounds, by increasing index within the adapter, and hashes their chunks again: how many.
    pub(super) fn write(&mut self, new: &[(u32, i32)]) -> usize {
        let mut touched: Vec<u32> = Vec::new();
        for &(index, value) in new {
            let Some(place) = self.values.get_mut(to_usize(index)) else { continue };
            *place = value;
            let chunk = index / CHUNK_VALUES;
            if touched.last() != Some(&chunk) {
                touched.push(chunk);
            }
        }
        let Self { values, tree, .. } = self;
        let mut chunks = values.chunks(to_usize(CHUNK_VALUES)).enumerate();
        let mut passed = 0_u32;
        tree.update(touched.iter().filter_map(|chunk| {
            let (place, values) = chunks.nth(to_usize(chunk.wrapping_sub(passed)))?;
            passed = chunk.wrapping_add(1);
            Some((place, leaf_hash(values)))
        }));
        touched.len()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        GenesisId, ModelHead,
        delta::{SparseChange, fixtures},
        state::Shape,
    };

    fn sparse(list: Vec<(u32, i32)>) -> Change {
        SparseChange::new(list).unwrap().into()
    }

    fn changes(values: u32) -> impl Strategy<Value = Change> {
        proptest::collection::btree_map(0..values, -1_000_000..1_000_000_i32, 0..60)
            .prop_map(|map| sparse(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn applying_equals_adding_every_value_and_hashing_from_scratch(change in changes(fixtures::shape().value_count())) {
            let mut state = State::initial(&GenesisId([4; 32]), fixtures::shape());
            let mut values = state.values().to_vec();
            for (index, value) in &change {
                values[to_usize(index)] += value;
            }
            let applied = state.apply(&change).unwrap();
            let scratch = State::from_values(fixtures::shape(), values).unwrap();
            prop_assert_eq!(applied.root, scratch.root());
            prop_assert_eq!(state, scratch);
        }
    }

    #[test]
    fn changes_commute() {
        let (a, b) = (fixtures::delta(1, ModelHead([1; 32])).into(), fixtures::delta(2, ModelHead([1; 32])).into());
        let mut ab = State::initial(&GenesisId([4; 32]), fixtures::shape());
        let mut ba = ab.clone();
        ab.apply(&a).unwrap();
        ab.apply(&b).unwrap();
        ba.apply(&b).unwrap();
        ba.apply(&a).unwrap();
        assert_eq!(ab, ba);
    }

    #[test]
    fn an_update_that_would_reach_64_changes_nothing_at_all() {
        let shape = Shape::new(1, 100, 100, 100, 300).unwrap();
        let mut values = vec![0; to_usize(shape.value_count())];
        let last = shape.value_count() - 1;
        values[to_usize(last)] = VALUE_LIMIT - 5;
        let mut state = State::from_values(shape, values).unwrap();
        let before = state.clone();
        let too_much = sparse(vec![(0, 1), (last, 5)]);
        assert_eq!(state.apply(&too_much), Err(StateError::Bound { index: last, value: 1 << 30 }));
        assert_eq!(state, before);
        let just_enough = sparse(vec![(0, 1), (last, 4)]);
        let applied = state.apply(&just_enough).unwrap();
        assert_eq!((applied.values, applied.chunks), (2, 2));
        assert_eq!(state.values().last(), Some(&(VALUE_LIMIT - 1)));
        state.undo(&applied.undo).unwrap();
        assert_eq!(state, before);
    }

    #[test]
    fn the_bound_holds_below_zero_too() {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let mut state = State::from_values(shape, vec![2 - VALUE_LIMIT; to_usize(shape.value_count())]).unwrap();
        let index = 7;
        assert_eq!(state.apply(&sparse(vec![(index, -2)])), Err(StateError::Bound { index, value: -(1 << 30) }));
        assert!(state.apply(&sparse(vec![(index, -1)])).is_ok());
        let limit = VALUE_LIMIT - 1;
        assert_eq!(state.apply(&sparse(vec![(0, -limit)])), Err(StateError::Bound { index: 0, value: 3 - (1 << 31) }));
    }

    #[test]
    fn a_change_beyond_the_adapter_changes_nothing() {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let mut state = State::initial(&GenesisId([4; 32]), shape);
        let before = state.clone();
        for index in [shape.value_count(), u32::MAX] {
            let error = StateError::Index { index, values: shape.value_count() };
            assert_eq!(state.apply(&sparse(vec![(0, 1), (index, 1)])), Err(error));
            assert_eq!(state, before);
        }
    }

    #[test]
    fn an_empty_change_touches_no_chunk() {
        let mut state = State::initial(&GenesisId([4; 32]), fixtures::shape());
        let root = state.root();
        let undo = Undo::new(root, root, vec![]).unwrap();
        assert_eq!(state.apply(&sparse(vec![])), Ok(Applied { values: 0, chunks: 0, root, undo }));
    }
}
