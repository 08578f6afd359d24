//! What follows from a state and is asked for again and again. None of it is part of the state.
//!
//! # Why this is sound
//! Within an epoch nothing of it changes: exits and activations take effect at least five epochs later, effective balances move at
//! the epoch's end, and the seeds of the previous, the current and the next epoch are fixed. So [`Caches::next_epoch`] is the only
//! place where something is forgotten, and a new validator the only thing added in between.

use std::sync::{Arc, OnceLock};

use super::{Shuffling, keys::KeyTable};
use crate::types::{Epoch, Gwei, ValidatorIndex};

/// The end of the exit queue: the highest exit epoch given, and how many leave in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitQueue {
    pub(crate) epoch: Epoch,
    pub(crate) exits: u64,
}

/// Empty until asked, then shared by copies. Two states are equal whatever theirs hold.
#[derive(Debug, Clone, Default)]
pub struct Caches {
    /// Of the previous, the current and the next epoch.
    pub(crate) shufflings: [OnceLock<Arc<Shuffling>>; 3],
    /// By slot of the current epoch.
    pub(crate) proposers: OnceLock<Arc<[ValidatorIndex]>>,
    pub(crate) total_active_balance: OnceLock<Gwei>,
    pub(crate) keys: OnceLock<Arc<KeyTable>>,
    pub(crate) exit_queue: Option<ExitQueue>,
}

impl PartialEq for Caches {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Caches {
    /// The state has entered the next epoch.
    pub(crate) fn next_epoch(&mut self) {
        let [_, current, next] = &mut self.shufflings;
        self.shufflings = [std::mem::take(current), std::mem::take(next), OnceLock::new()];
        self.proposers = OnceLock::new();
        self.total_active_balance = OnceLock::new();
    }
}

/// `OnceLock::get_or_try_init`, not yet stable.
pub(crate) fn get_or_try<T: Clone, X>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T, X>) -> Result<T, X> {
    if let Some(value) = cell.get() {
        return Ok(value.clone());
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value).clone())
}
