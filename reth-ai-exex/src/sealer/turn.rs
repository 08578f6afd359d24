//! One search at a time, few that wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Cancel, SealError};
use crate::limits;

#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: usize,
}

/// The right to search; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(super) fn wait(&self, cancel: &Cancel) -> Result<Turn<'_>, SealError> {
        let mut state = self.lock();
        if state.waiting >= limits::SEALS_WAITING {
            return Err(SealError::Busy);
        }
        state.waiting = state.waiting.saturating_add(1);
        while state.taken && !cancel.is_cancelled() {
            // With a timeout, because nobody wakes the one that was cancelled.
            let woken = self.freed.wait_timeout(state, limits::SEAL_WAIT);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting = state.waiting.saturating_sub(1);
        if cancel.is_cancelled() {
            return Err(SealError::Cancelled);
        }
        state.taken = true;
        Ok(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.freed.notify_one();
    }
}
