//! Joining from a snapshot, and whether the state may be trusted: later certificates tell (section 13).
//!
//! A state is in *doubt* when it came with a snapshot, or when a fold gave another root than the update's certificate. It ends when
//! [`SNAPSHOT_CONFIRMATIONS`] later updates gave the roots of their certificates, the first included. A snapshot with which one of them does not
//! is thrown away.
//!
//! Where the feed names no root of the first one, it is counted anew: what was folded from that update on, what was joined from the next update
//! that has a snapshot on, as if the node had joined from that one (it is the state that it folded to). Where the feed names no roots at all
//! nothing can be compared: the doubt stays then.

use std::{fs, sync::Arc};

use pol_api::convert::SnapshotWanted;
use pol_core::{
    ResultRoot,
    params::{SNAPSHOT_CONFIRMATIONS, SNAPSHOT_INTERVAL},
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
    /// The update after which it is counted: `since`, or a later one when the update after that has no root.
    from: u64,
    /// Updates after which it may be counted: the multiples of this.
    every: u64,
    /// Updates after `from`, the first included, that gave the roots of their certificates.
    matched: u64,
    /// One did not.
    pub(super) contradicted: bool,
}

impl Doubt {
    const fn new(since: u64, is_joined: bool) -> Self {
        let every = if is_joined { SNAPSHOT_INTERVAL } else { 1 };
        Self { since, from: since, every, matched: 0, contradicted: false }
    }

    fn count(&mut self, number: u64, root: ResultRoot, certified: Option<ResultRoot>) {
        let first = self.from.saturating_add(1);
        match certified {
            Some(certified) if certified != root => self.contradicted = true,
            // The first one has no root, or a void jumped over it.
            None if self.matched == 0 && number >= first => self.begin_after(number),
            Some(_) if self.matched == 0 && number > first => {
                self.begin_after(number.saturating_sub(1));
                self.matched = u64::from(number == self.from.saturating_add(1));
            }
            Some(_) if number >= first => self.matched = self.matched.saturating_add(1),
            _ => {}
        }
    }

    fn begin_after(&mut self, number: u64) {
        self.from = number.checked_next_multiple_of(self.every).unwrap_or(u64::MAX);
    }

    const fn is_over(&self) -> bool {
        self.matched >= SNAPSHOT_CONFIRMATIONS && !self.contradicted
    }
}

impl Engine {
    /// The doubt that the journal says, counted anew.
    pub(super) fn count_doubt(&self) -> Result<Option<Doubt>, EngineError> {
        let Some(since) = self.ends.doubt else { return Ok(None) };
        let mut doubt = self.new_doubt(since);
        for number in since.saturating_add(1)..=self.ends.applied {
            if let Some(root) = self.store.root_after(number)? {
                doubt.count(number, root, self.store.certified(number)?);
            }
        }
        Ok(Some(doubt))
    }

    const fn new_doubt(&self, since: u64) -> Doubt {
        Doubt::new(since, self.ends.joined > 0 && since == self.ends.joined)
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
                let from = doubt.from;
                doubt.count(number, root, certified);
                if doubt.from != from && from == doubt.since {
                    log_anew(number, doubt.from);
                }
                if doubt.is_over() {
                    tracing::info!(target: "polai::sidecar", since = doubt.since, number, "certificates confirm the model state: this node may ACK");
                }
                self.set_doubt((!doubt.is_over()).then_some(doubt))
            }
            None if !is_other => Ok(()),
            _ => self.set_doubt(Some(Doubt::new(number, false))),
        }
    }

    /// After a revert: the updates that were counted may be gone.
    pub(super) fn revise_doubt(&mut self) -> Result<(), EngineError> {
        let Some(doubt) = self.doubt else { return Ok(()) };
        let since = doubt.since.min(self.ends.applied);
        self.set_doubt(Some(self.new_doubt(since)))?;
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
        (self.norms, self.doubt) = (manifest.norms.clone(), Some(Doubt::new(number, true)));
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

fn log_anew(number: u64, from: u64) {
    tracing::warn!(
        target: "polai::sidecar", number, from,
        "the chain's feed names no root of an update that would begin to confirm the model state: certificates are counted from a later one on"
    );
}

#[cfg(test)]
#[path = "joined_tests.rs"]
mod tests;
