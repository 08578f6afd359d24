//! Joining from a snapshot, and whether the state may be trusted: later certificates tell (section 13).
//!
//! A state is in *doubt* when it came with a snapshot, or when a fold gave another root than the update's certificate. It ends when
//! [`SNAPSHOT_CONFIRMATIONS`] later updates gave the roots of their certificates, the first included. A snapshot with which one of them does not
//! is thrown away. Where the feed names no roots nothing can be compared: a snapshot stays in doubt then.

use std::{fs, sync::Arc};

use pol_api::convert::SnapshotWanted;
use pol_core::{
    ResultRoot,
    params::SNAPSHOT_CONFIRMATIONS,
    state::{SnapshotManifest, State},
};

use super::{
    engine::{Engine, EngineError, state_file},
    tip::Event,
};
use crate::adapter::write_state;

/// Snapshots that are tried in one go: as many as a node keeps.
const TRIED: u64 = 2;

/// How far certificates agree with what is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The update whose state is doubted.
    pub(super) since: u64,
    /// The next update gave the root of its certificate.
    first: bool,
    /// Later updates that did.
    matched: u64,
    /// One did not.
    pub(super) contradicted: bool,
}

impl Doubt {
    const fn new(since: u64) -> Self {
        Self { since, first: false, matched: 0, contradicted: false }
    }

    fn count(&mut self, number: u64, root: ResultRoot, certified: Option<ResultRoot>) {
        match certified {
            None => {}
            Some(certified) if certified == root => {
                self.first |= number == self.since.saturating_add(1);
                self.matched = self.matched.saturating_add(1);
            }
            Some(_) => self.contradicted = true,
        }
    }

    const fn is_over(&self) -> bool {
        self.first && self.matched >= SNAPSHOT_CONFIRMATIONS && !self.contradicted
    }
}

impl Engine {
    /// The doubt that the journal says, counted anew.
    pub(super) fn count_doubt(&self) -> Result<Option<Doubt>, EngineError> {
        let Some(since) = self.ends.doubt else { return Ok(None) };
        let mut doubt = Doubt::new(since);
        for number in since.saturating_add(1)..=self.ends.applied {
            if let Some(root) = self.store.root_after(number)? {
                doubt.count(number, root, self.store.certified(number)?);
            }
        }
        Ok(Some(doubt))
    }

    fn set_doubt(&mut self, doubt: Option<Doubt>) -> Result<(), EngineError> {
        let since = doubt.map(|doubt| doubt.since);
        if since != self.ends.doubt {
            self.store.set_doubt(since)?;
            self.ends.doubt = since;
        }
        self.doubt = doubt;
        Ok(())
    }

    /// Compares the root after an update with that of its certificate.
    pub(super) fn compare(&mut self, number: u64, root: ResultRoot, certified: Option<ResultRoot>) -> Result<(), EngineError> {
        let is_other = certified.is_some_and(|certified| certified != root);
        match self.doubt {
            Some(mut doubt) if !is_other || self.is_joining() => {
                doubt.count(number, root, certified);
                if doubt.is_over() {
                    tracing::info!(target: "polai::sidecar", since = doubt.since, number, "certificates confirm the model state: this node may ACK");
                }
                self.set_doubt((!doubt.is_over()).then_some(doubt))
            }
            None if !is_other => Ok(()),
            _ => self.set_doubt(Some(Doubt::new(number))),
        }
    }

    /// After a revert: the updates that were counted may be gone.
    pub(super) fn revise_doubt(&mut self) -> Result<(), EngineError> {
        let Some(doubt) = self.doubt else { return Ok(()) };
        let since = doubt.since.min(self.ends.applied);
        self.set_doubt(Some(Doubt::new(since)))?;
        self.doubt = self.count_doubt()?;
        Ok(())
    }

    /// The state came with a snapshot that is not confirmed.
    fn is_joining(&self) -> bool {
        self.ends.joined > 0 && self.doubt.is_some_and(|doubt| doubt.since == self.ends.joined)
    }

    /// Which snapshots to ask for, the best first: those of the newest final updates that are a multiple of `interval`, and at least `least`
    /// after the state. First the one with the root of its certificate, then any other that was not refused.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn wanted(&self, interval: u64, least: u64) -> Result<Vec<SnapshotWanted>, EngineError> {
        let (mut wanted, not_roots) = (Vec::new(), self.store.refused()?);
        let newest = self.ends.finalized.checked_div(interval).unwrap_or(0);
        for number in (0..TRIED).filter_map(|back| newest.checked_sub(back)?.checked_mul(interval)) {
            if number == 0 || number < self.ends.applied.saturating_add(least.max(1)) {
                break;
            }
            let (head, certified) = (self.head_at(number)?, self.store.certified(number)?);
            let any = SnapshotWanted { model_head: head, updates: number, root: None, not_roots: not_roots.clone() };
            if certified.is_some_and(|root| any.accepts(root)) {
                wanted.push(SnapshotWanted { root: certified, ..any.clone() });
            }
            wanted.push(any);
        }
        Ok(wanted)
    }

    /// Takes a snapshot's state over, durably, and doubts it. False: it is of no use any more.
    ///
    /// # Errors
    /// [`EngineError`]; never [`EngineError::Feed`].
    pub fn join(&mut self, wanted: &SnapshotWanted, manifest: &SnapshotManifest, state: State) -> Result<bool, EngineError> {
        let number = manifest.updates;
        let is_known = number <= self.ends.finalized && number > self.ends.applied && self.head_at(number)? == wanted.model_head;
        if !is_known || *state.shape() != self.context.shape {
            return Ok(false);
        }
        write_state(&state, &state_file(&self.folder, number))?;
        self.store.join(number, &manifest.norms)?;
        let old = std::mem::replace(&mut self.ends.base, number);
        (self.ends.applied, self.ends.joined, self.ends.doubt) = (number, number, Some(number));
        (self.state, self.head, self.looked) = (Arc::new(state), wanted.model_head, 0);
        (self.norms, self.doubt) = (manifest.norms.clone(), Some(Doubt::new(number)));
        self.remove_base(old);
        Ok(true)
    }

    /// Throws a snapshot's state away when a certificate contradicts it: back to the chain's first state, and that snapshot is not taken again.
    ///
    /// # Errors
    /// [`EngineError`]; never [`EngineError::Feed`].
    pub fn abandon(&mut self) -> Result<Option<Event>, EngineError> {
        if !self.is_joining() || !self.doubt.is_some_and(|doubt| doubt.contradicted) {
            return Ok(None);
        }
        let (joined, base) = (self.ends.joined, self.ends.base);
        let root = self.state_at_join()?;
        tracing::error!(
            target: "polai::sidecar", number = joined, %root,
            "a snapshot is thrown away: updates after it do not give the roots of their certificates; another one is tried, or everything is folded"
        );
        self.store.abandon(root)?;
        self.ends = self.store.ends()?;
        (self.state, self.head) =
            (Arc::new(State::initial(&self.context.genesis_id, self.context.shape)), self.context.genesis_id.into());
        (self.norms, self.doubt, self.looked) = (Vec::new(), None, 0);
        self.remove_base(base);
        Ok(Some(Event::Reverted { to_head: self.head, number: 0 }))
    }

    /// Root of the state that the snapshot brought: what the first step after it began with.
    fn state_at_join(&self) -> Result<ResultRoot, EngineError> {
        let mut at = self.ends.applied;
        let mut root = self.state.root();
        while at > self.ends.joined {
            let step = self.store.step(at)?;
            (root, at) = (step.before, step.from);
        }
        Ok(root)
    }

    fn remove_base(&self, number: u64) {
        if number > 0 {
            // Only room on the disk hangs on it.
            let _ = fs::remove_file(state_file(&self.folder, number));
        }
    }
}

#[cfg(test)]
#[path = "joined_tests.rs"]
mod tests;
