//! The register of candidates: what the beacon side pushed for a payload, at most one per (parent, slot) (section 10).
//!
//! # Contract
//! [`Register::push`] takes what the AI engine received; [`Register::choose`] answers a payload job from memory, at once, with an update or
//! with none: never an error. Whatever changes a choice wakes those who [`watch`](Register::watch), and gives the choice another
//! generation: a job rebuilds when its generation is not the register's any more.
//!
//! # Limits
//! [`limits::CANDIDATES`] entries: a flood pushes out its own oldest. An entry lives until its slot ends.
//!
//! # What it does not protect against
//! A certificate that does not verify: the execution side has no committee. The beacon node checks the payload that it gets back (section
//! 10, point 3).

mod checked;

pub use checked::{Candidate, CandidateError, Push};

use core::{fmt, str::FromStr};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use pol_kit::clock::Clock;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{chain::Chain, limits, metrics::Metrics};

/// What the AI path does, set by the operator or the beacon side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Candidates are put into blocks.
    #[default]
    Enabled,
    /// Candidates are taken and reported, blocks stay empty.
    DryRun,
    /// Candidates are refused, blocks stay empty.
    Disabled,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Enabled, Self::DryRun, Self::Disabled];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::DryRun => "dry_run",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No mode has this name. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("mode: expected one of enabled, dry_run, disabled")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name).ok_or(UnknownMode)
    }
}

/// What a payload job puts into its block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The update and its certificate; none: an empty AI block.
    pub candidate: Option<Candidate>,
    /// Grows whenever the choice for this (parent, slot) may have changed.
    pub generation: u64,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is the choice of its (parent, slot) now.
    Held,
    /// It is held and reported, but blocks stay empty.
    DryRun,
    /// There is none for that (parent, slot) any more; payload jobs rebuild.
    Cleared,
}

impl Pushed {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::DryRun => "dry_run",
            Self::Cleared => "cleared",
        }
    }
}

type Key = (u64, B256);

#[derive(Debug)]
struct Entry {
    /// None after a clear: the job that built with the old one must still notice.
    candidate: Option<Candidate>,
    generation: u64,
}

#[derive(Debug, Default)]
struct Held {
    mode: Mode,
    /// By slot, then parent.
    entries: BTreeMap<Key, Entry>,
    /// Of the last change of any entry.
    generation: u64,
    /// Of the last change that concerned all of them.
    all: u64,
}

/// The register of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Register {
    chain: Chain,
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
    changed: watch::Sender<u64>,
    metrics: Metrics,
}

impl Register {
    /// An empty one.
    pub fn new(chain: Chain, clock: Arc<dyn Clock>, mode: Mode, metrics: Metrics) -> Self {
        metrics.mode(mode);
        let held = Held { mode, ..Held::default() };
        Self { chain, clock, held: Arc::new(Mutex::new(held)), changed: watch::Sender::new(0), metrics }
    }

    /// Takes a push: checks it, replaces what was there for its (parent, slot), wakes the payload jobs.
    ///
    /// # Errors
    /// [`CandidateError`], for the pusher alone.
    pub fn push(&self, push: &Push) -> Result<Pushed, CandidateError> {
        let pushed = self.try_push(push);
        self.metrics.pushed(&pushed);
        match &pushed {
            Ok(pushed) => {
                info!(target: "polai::candidate", slot = push.slot, parent = %push.parent_hash, update_id = %push.update_id, ?pushed, "candidate");
            }
            Err(error) => {
                info!(target: "polai::candidate", slot = push.slot, parent = %push.parent_hash, %error, "candidate refused");
            }
        }
        pushed
    }

    fn try_push(&self, push: &Push) -> Result<Pushed, CandidateError> {
        let candidate = push.check(self.current_slot())?;
        let mut held = self.lock();
        if held.mode == Mode::Disabled && candidate.is_some() {
            return Err(CandidateError::Disabled);
        }
        let pushed = match (&candidate, held.mode) {
            (None, _) => Pushed::Cleared,
            (Some(_), Mode::DryRun) => Pushed::DryRun,
            (Some(_), _) => Pushed::Held,
        };
        held.put((push.slot, push.parent_hash), candidate);
        held.drop_old(self.current_slot());
        self.wake(held);
        Ok(pushed)
    }

    /// What a payload on `parent` with this timestamp carries. At once, from memory.
    pub fn choose(&self, parent: B256, timestamp: u64) -> Choice {
        let slot = self.chain.slot_at(timestamp);
        let (held, now) = (self.lock(), self.current_slot());
        let entry = held.entries.get(&(slot, parent));
        let generation = entry.map_or(0, |entry| entry.generation).max(held.all);
        let candidate = entry.and_then(|entry| entry.candidate.clone()).filter(|_| slot >= now);
        match (held.mode, candidate) {
            (Mode::Enabled, candidate) => Choice { candidate, generation },
            (mode, Some(candidate)) => {
                debug!(target: "polai::candidate", %mode, update_id = %candidate.update_id(), "left out");
                Choice { candidate: None, generation }
            }
            (_, None) => Choice { candidate: None, generation },
        }
    }

    /// Wakes at every change of any choice, a change of mode included. What changed: ask [`choose`](Self::choose) and compare generations.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The next choice for a payload whose generation is not `built`'s: what a payload job waits for. Never ends by itself.
    pub async fn next_choice(&self, parent: B256, timestamp: u64, built: u64) -> Choice {
        let mut changes = self.watch();
        loop {
            changes.mark_unchanged();
            let choice = self.choose(parent, timestamp);
            if choice.generation != built {
                return choice;
            }
            if changes.changed().await.is_err() {
                core::future::pending::<()>().await; // the sender lives in `self`
            }
        }
    }

    /// What is held for a (parent, slot), whatever the mode.
    pub fn held(&self, parent: B256, slot: u64) -> Option<Candidate> {
        let now = self.current_slot();
        self.lock().entries.get(&(slot, parent)).and_then(|entry| entry.candidate.clone()).filter(|_| slot >= now)
    }

    /// Everything that is held, by slot.
    pub fn all(&self) -> Vec<Candidate> {
        let now = self.current_slot();
        let held = self.lock();
        held.entries.range((now, B256::ZERO)..).filter_map(|(_, entry)| entry.candidate.clone()).collect()
    }

    /// What the AI path does.
    pub fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Changes it, and returns what it was. Payload jobs rebuild.
    pub fn set_mode(&self, mode: Mode) -> Mode {
        let mut held = self.lock();
        let before = core::mem::replace(&mut held.mode, mode);
        if before != mode {
            info!(target: "polai::candidate", %before, %mode, "mode");
            self.metrics.mode(mode);
            held.generation = held.generation.saturating_add(1);
            held.all = held.generation;
            self.wake(held);
        }
        before
    }

    /// The slot by the clock.
    pub fn current_slot(&self) -> u64 {
        self.chain.slot_at(self.clock.unix_seconds())
    }

    /// Tells watchers, with the lock given back: one may look at once.
    fn wake(&self, held: MutexGuard<'_, Held>) {
        let generation = held.generation;
        drop(held);
        self.changed.send_replace(generation);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn put(&mut self, key: Key, candidate: Option<Candidate>) {
        self.generation = self.generation.saturating_add(1);
        self.entries.insert(key, Entry { candidate, generation: self.generation });
    }

    /// Forgets slots that are over, and the oldest entries beyond the bound.
    fn drop_old(&mut self, now: u64) {
        self.entries = self.entries.split_off(&(now, B256::ZERO));
        while self.entries.len() > limits::CANDIDATES {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.generation).map(|(key, _)| *key);
            // The job that built with it goes on with it: only what is asked from now on is empty.
            oldest.and_then(|key| self.entries.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests;
