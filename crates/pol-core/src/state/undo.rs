//! The way back: what a transition overwrote, and writing it again (sections 6, 13).

use super::{State, VALUE_LIMIT, to_usize};
use crate::ResultRoot;

/// What one transition overwrote: enough to take it back, whatever it was (a change, a return, nothing).
///
/// It is bound to the roots before and after, so that it fits no other place in the history. A follower stores it with the block it
/// belongs to: both roots and the pairs are all there is, and [`Undo::new`] takes them in again. At most one pair of 8 bytes per value
/// of the adapter; a delta touches at most 112,032 values, a merge 8 times as many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    before: ResultRoot,
    after: ResultRoot,
    old: Vec<(u32, i32)>,
}

/// Why a transition was not taken back. The state is as it was. Our own fault or a damaged store, never a peer's: undos do not travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// Indices do not strictly increase.
    #[error("undo: index {index} follows one that is not smaller")]
    Order {
        /// The later index.
        index: u32,
    },
    /// An old value that no state can have held.
    #[error("undo: {value} at index {index}, expected a magnitude below 2^30")]
    Bound {
        /// Flat index.
        index: u32,
        /// The value, units.
        value: i32,
    },
    /// It reaches beyond the adapter.
    #[error("undo: index {index}, expected below {values}")]
    Index {
        /// Flat index.
        index: u32,
        /// Values of the adapter.
        values: u32,
    },
    /// It belongs to another place in the history: this state is not the one it left.
    #[error("undo: the state has root {found}, expected {expected}")]
    OtherState {
        /// Root of the state.
        found: ResultRoot,
        /// Root after the transition.
        expected: ResultRoot,
    },
    /// Its values do not give the root before the transition.
    #[error("undo: its values give root {found}, expected {expected}")]
    Damaged {
        /// Root with the old values written.
        found: ResultRoot,
        /// Root before the transition.
        expected: ResultRoot,
    },
}

impl Undo {
    /// An undo from its stored parts. Whether the values give the root `before` is seen when it is used.
    ///
    /// # Errors
    /// [`UndoError::Order`], [`UndoError::Bound`].
    pub fn new(before: ResultRoot, after: ResultRoot, old: Vec<(u32, i32)>) -> Result<Self, UndoError> {
        let mut previous = None;
        for &(index, value) in &old {
            if previous.is_some_and(|previous| previous >= index) {
                return Err(UndoError::Order { index });
            }
            if value.unsigned_abs() >= VALUE_LIMIT.unsigned_abs() {
                return Err(UndoError::Bound { index, value });
            }
            previous = Some(index);
        }
        Ok(Self { before, after, old })
    }

    /// One whose pairs come from a state, by increasing index.
    pub(super) const fn recorded(before: ResultRoot, after: ResultRoot, old: Vec<(u32, i32)>) -> Self {
        Self { before, after, old }
    }

    /// Of a transition that changed nothing.
    pub(super) const fn of_nothing(root: ResultRoot) -> Self {
        Self { before: root, after: root, old: Vec::new() }
    }

    /// Root before the transition.
    pub const fn before(&self) -> ResultRoot {
        self.before
    }

    /// Root after the transition.
    pub const fn after(&self) -> ResultRoot {
        self.after
    }

    /// (flat index, value before the transition), by strictly increasing index.
    pub fn old(&self) -> &[(u32, i32)] {
        &self.old
    }
}

impl State {
    /// Takes back the transition that made this state: afterwards values and root are what they were before it.
    ///
    /// # Errors
    /// [`UndoError::OtherState`] for an undo of another place, [`UndoError::Index`], [`UndoError::Damaged`]; nothing changed.
    pub fn undo(&mut self, undo: &Undo) -> Result<ResultRoot, UndoError> {
        let found = self.root();
        if found != undo.after {
            return Err(UndoError::OtherState { found, expected: undo.after });
        }
        self.restore(&undo.old, undo.before)?;
        Ok(undo.before)
    }

    /// Writes old values, by increasing index, when they give the root `expected`; gives the values they overwrote.
    pub(super) fn restore(&mut self, old: &[(u32, i32)], expected: ResultRoot) -> Result<Vec<(u32, i32)>, UndoError> {
        let mut overwritten = Vec::with_capacity(old.len());
        for &(index, _) in old {
            let values = self.shape.value_count();
            let now = self.values.get(to_usize(index)).ok_or(UndoError::Index { index, values })?;
            overwritten.push((index, *now));
        }
        self.write(old);
        let found = self.root();
        if found == expected {
            return Ok(overwritten);
        }
        self.write(&overwritten);
        Err(UndoError::Damaged { found, expected })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::{
        GenesisId,
        delta::{Change, SparseChange, fixtures},
    };

    fn state() -> State {
        State::initial(&GenesisId([4; 32]), fixtures::shape())
    }

    fn change(list: &[(u32, i32)]) -> Change {
        SparseChange::new(list.to_vec()).unwrap().into()
    }

    #[test]
    fn an_undo_survives_being_taken_apart_and_put_together() {
        let mut state = state();
        let before = state.clone();
        let undo = state.apply(&change(&[(3, 5), (5_000, -7)])).unwrap().undo;
        assert_eq!(undo.old(), [(3, before.values()[3]), (5_000, before.values()[5_000])]);
        let stored = Undo::new(undo.before(), undo.after(), undo.old().to_vec()).unwrap();
        assert_eq!(stored, undo);
        assert_eq!(state.undo(&stored), Ok(before.root()));
        assert_eq!(state, before);
    }

    #[test]
    fn parts_that_no_transition_recorded_are_refused() {
        let root = ResultRoot([1; 32]);
        let new = |old: &[(u32, i32)]| Undo::new(root, root, old.to_vec()).map(|_| ());
        assert_eq!(new(&[(2, 0), (2, 0)]), Err(UndoError::Order { index: 2 }));
        assert_eq!(new(&[(2, 0), (1, 0)]), Err(UndoError::Order { index: 1 }));
        for value in [VALUE_LIMIT, -VALUE_LIMIT, i32::MIN] {
            assert_eq!(new(&[(9, value)]), Err(UndoError::Bound { index: 9, value }));
        }
        assert_eq!(new(&[(0, VALUE_LIMIT - 1), (u32::MAX, 1 - VALUE_LIMIT)]), Ok(()));
    }

    #[test]
    fn an_undo_of_another_place_changes_nothing() {
        let mut state = state();
        let first = state.apply(&change(&[(3, 5)])).unwrap().undo;
        let second = state.apply(&change(&[(3, 5)])).unwrap().undo;
        let after = state.clone();
        assert_eq!(state.undo(&first), Err(UndoError::OtherState { found: second.after(), expected: first.after() }));
        assert_eq!(state, after);
        state.undo(&second).unwrap();
        assert_eq!(state.undo(&second), Err(UndoError::OtherState { found: first.after(), expected: second.after() }));
        state.undo(&first).unwrap();
    }

    #[test]
    fn a_damaged_undo_changes_nothing() {
        let mut state = state();
        let undo = state.apply(&change(&[(3, 5), (4, 6)])).unwrap().undo;
        let after = state.clone();
        let values = fixtures::shape().value_count();
        let beyond = [undo.old(), &[(values, 0)]].concat();
        let mut wrong = undo.old().to_vec();
        wrong[1].1 ^= 1;
        let damaged = |old: Vec<(u32, i32)>| Undo::new(undo.before(), undo.after(), old).unwrap();
        assert_eq!(state.undo(&damaged(beyond)), Err(UndoError::Index { index: values, values }));
        assert_eq!(state, after);
        for old in [wrong, undo.old()[..1].to_vec(), vec![]] {
            assert!(matches!(state.undo(&damaged(old)), Err(UndoError::Damaged { expected, .. }) if expected == undo.before()));
            assert_eq!(state, after);
        }
        assert!(state.undo(&undo).is_ok());
    }
}
