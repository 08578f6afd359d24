//! States of earlier updates: the state file, and snapshots for others.

use std::{fs, sync::Arc};

use pol_core::{
    ModelHead,
    delta::NORM_WINDOW,
    state::{SnapshotManifest, State, Undo},
};

use super::{
    engine::{BASE_INTERVAL, Engine, EngineError, UNDOS_KEPT, state_file},
    store::StoreError,
};
use crate::adapter::write_state;

impl Engine {
    /// Writes the state file anew when many updates became final since: off every path that has a deadline.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::StateFile`].
    pub fn settle(&mut self) -> Result<bool, EngineError> {
        let number = self.on_path(self.ends.finalized.min(self.ends.applied))?;
        if number < self.ends.base.saturating_add(BASE_INTERVAL) {
            return Ok(false);
        }
        let state = self.state_at(number)?;
        write_state(&state, &state_file(&self.folder, number))?;
        self.store.set_base(number, number.saturating_sub(UNDOS_KEPT))?;
        let old = std::mem::replace(&mut self.ends.base, number);
        if old > 0 {
            // Only room on the disk hangs on it.
            let _ = fs::remove_file(state_file(&self.folder, old));
        }
        Ok(true)
    }

    /// The state after an update that is on the path of what was followed.
    fn state_at(&self, number: u64) -> Result<State, EngineError> {
        let (mut state, mut at) = (State::clone(&self.state), self.ends.applied);
        while at > number {
            let step = self.store.step(at)?;
            let old = self.store.undo(at)?.ok_or(StoreError::Row { number: at, what: "undo" })?;
            state.undo(&Undo::new(step.before, step.after, old)?)?;
            at = step.from;
        }
        Ok(state)
    }

    /// Number of the newest snapshot that this node can make for others: every `interval`-th final update has one. None from a state that is
    /// not confirmed itself, and none of what was never folded here.
    pub(super) fn due(&self, interval: u64) -> Option<u64> {
        let known = self.ends.finalized.min(self.ends.applied);
        let number = known.checked_div(interval)?.checked_mul(interval)?;
        (self.doubt.is_none() && number > self.ends.joined).then_some(number)
    }

    /// The snapshot of an update's state; none of an update that a void jumped over.
    ///
    /// # Errors
    /// [`EngineError`]; never [`EngineError::Feed`].
    pub(super) fn snapshot(&self, number: u64) -> Result<Option<(ModelHead, SnapshotManifest, Arc<State>)>, EngineError> {
        if self.on_path(number)? != number {
            return Ok(None);
        }
        let (head, state, norms) = (self.head_at(number)?, self.state_at(number)?, self.norms_at(number)?);
        let manifest = SnapshotManifest::of(&state, number, &norms);
        Ok(Some((head, manifest, Arc::new(state))))
    }

    /// The newest update up to `number` whose state was known: what a void jumped over was not.
    pub(super) fn on_path(&self, number: u64) -> Result<u64, EngineError> {
        let mut at = self.ends.applied;
        while at > number {
            at = self.store.step(at)?.from;
        }
        Ok(at)
    }

    pub(super) fn head_at(&self, number: u64) -> Result<ModelHead, EngineError> {
        match number {
            0 => Ok(self.context.genesis_id.into()),
            number => Ok(self.store.update(number)?.head),
        }
    }

    pub(super) fn norms_at(&self, number: u64) -> Result<Vec<u64>, EngineError> {
        let (mut norms, mut number) = (Vec::new(), number);
        while number > self.ends.joined && norms.len() < NORM_WINDOW {
            let step = self.store.step(number)?;
            norms.extend(step.norm);
            number = step.from;
        }
        if number == self.ends.joined {
            norms.extend(self.store.joined_norms()?.into_iter().rev());
            norms.truncate(NORM_WINDOW);
        }
        norms.reverse();
        Ok(norms)
    }
}
