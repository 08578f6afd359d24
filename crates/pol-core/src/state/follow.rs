//! Following a finalized update: what its transition does to the state, and the record of it (section 6).

use super::{State, StateError, Transition, Undo, UndoError, ZeroReason};
use crate::{ModelHead, ResultRoot};

/// What following an update did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Which of the three.
    pub outcome: Outcome,
    /// Root of the state now: what a certificate's `resultRoot` should be. When they differ this one wins (section 6).
    pub root: ResultRoot,
    /// The way back. Store it, in one transaction with the head, before the next update is followed.
    pub undo: Undo,
}

/// The three things a finalized update can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its change was added: the only case whose norm counts for the cap of section 12.
    Added {
        /// Values that were added to.
        values: usize,
        /// Chunks that were hashed again.
        chunks: usize,
    },
    /// The state is that of an ancestor again.
    Returned,
    /// It added zero; only the model head moves.
    Zero(ZeroReason),
}

/// Why an update was not followed. The state is as it was. Always our own fault or a damaged store: which bytes came from whom was
/// judged before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The change reaches beyond the adapter: it was checked against another shape.
    #[error("follow: index {index}, expected below {values}")]
    Index {
        /// Flat index.
        index: u32,
        /// Values of the adapter.
        values: u32,
    },
    /// A return without the undos of what it takes back. An ancestor is at least one update away, if only one that added zero.
    #[error("follow: no undo given to return to {target}")]
    NoUndo {
        /// The head to return to.
        target: ModelHead,
    },
    /// The undos are not the last ones of this state, from the newest on without a gap.
    #[error("follow: undo {position} leaves root {found}, expected {expected}")]
    Link {
        /// Which undo, the newest is 0.
        position: usize,
        /// Root after its transition.
        found: ResultRoot,
        /// Root of this state, or that before the next newer undo.
        expected: ResultRoot,
    },
    /// The undos' values do not give the root before the oldest.
    #[error(transparent)]
    Undo(#[from] UndoError),
}

impl State {
    /// Does what a finalized update does: adds its change, returns to an ancestor's state, or nothing. As a whole or not at all.
    ///
    /// `back` matters for [`Transition::ReturnTo`] alone: the undos of everything after the target, from the newest back to the one
    /// whose `before` is the target's state. That they reach to the target and not less or further is the caller's to know: equal roots
    /// may stand under several heads. The undo of a return takes it back in one step.
    ///
    /// # Errors
    /// [`FollowError`]. A change that would bring a value to 64.0 is none of them: it adds zero.
    pub fn follow(&mut self, transition: &Transition, back: &[Undo]) -> Result<Followed, FollowError> {
        match transition {
            Transition::Add(change) => match self.apply(change) {
                Ok(applied) => {
                    let outcome = Outcome::Added { values: applied.values, chunks: applied.chunks };
                    Ok(Followed { outcome, root: applied.root, undo: applied.undo })
                }
                Err(StateError::Bound { index, value }) => Ok(self.followed_zero(ZeroReason::Bound { index, value })),
                Err(StateError::Index { index, values }) => Err(FollowError::Index { index, values }),
            },
            Transition::ReturnTo(target) => self.follow_back(target, back),
            Transition::Zero(reason) => Ok(self.followed_zero(reason.clone())),
        }
    }

    fn followed_zero(&self, reason: ZeroReason) -> Followed {
        let root = self.root();
        Followed { outcome: Outcome::Zero(reason), root, undo: Undo::of_nothing(root) }
    }

    fn follow_back(&mut self, target: &ModelHead, back: &[Undo]) -> Result<Followed, FollowError> {
        let mut expected = self.root();
        for (position, undo) in back.iter().enumerate() {
            if undo.after() != expected {
                return Err(FollowError::Link { position, found: undo.after(), expected });
            }
            expected = undo.before();
        }
        let oldest = back.last().ok_or(FollowError::NoUndo { target: *target })?;
        // Oldest first and sorted by a stable sort: of all values an index had, the oldest stays.
        let mut old: Vec<(u32, i32)> = back.iter().rev().flat_map(|undo| undo.old()).copied().collect();
        old.sort_by_key(|(index, _)| *index);
        old.dedup_by_key(|(index, _)| *index);
        let after = oldest.before();
        let before = self.root();
        let overwritten = self.restore(&old, after)?;
        Ok(Followed { outcome: Outcome::Returned, root: after, undo: Undo::recorded(before, after, overwritten) })
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
