//! How the execution client stands: one log line when that changes, however often it is asked.

use std::sync::{Mutex, PoisonError};

use pol_kit::metrics::{Condition, Health};

use super::{EngineError, Verdict};

/// How the execution client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineState {
    /// Not asked yet.
    Unknown,
    /// It answers and knows the head.
    Synced,
    /// It answers, and does not know the head yet.
    Syncing,
    /// It called our head INVALID.
    Invalid,
    /// It is not reached, or too slow.
    Down,
    /// It answers something that is no answer.
    Garbage,
    /// It does not let us in, or lacks methods.
    Refusing,
}

/// What is known of the execution client.
#[derive(Debug)]
pub struct Link {
    health: Health,
    state: Mutex<EngineState>,
}

impl Link {
    /// Nothing is known yet.
    pub const fn new(health: Health) -> Self {
        Self { health, state: Mutex::new(EngineState::Unknown) }
    }

    /// How it stands.
    pub fn state(&self) -> EngineState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, now: EngineState) -> bool {
        core::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), now) != now
    }

    /// It said something of a head or a payload on top of it.
    pub fn says(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Valid => {
                if self.change(EngineState::Synced) {
                    tracing::info!(target: "polai::beacon", "execution client: synced");
                    self.health.set("execution", Condition::Ok);
                }
            }
            Verdict::Syncing => {
                if self.change(EngineState::Syncing) {
                    tracing::warn!(target: "polai::beacon", "execution client: SYNCING, it does not know our head; no duties until it does, feeding it blocks");
                    self.health.set("execution", Condition::Down("SYNCING".to_owned()));
                }
            }
            Verdict::Invalid { reason, .. } => {
                if self.change(EngineState::Invalid) {
                    tracing::error!(target: "polai::beacon", %reason, "execution client: INVALID payload refused");
                    self.health.set("execution", Condition::Down(format!("INVALID: {reason}")));
                }
            }
        }
    }

    /// It gave no usable answer.
    pub fn failed(&self, error: &EngineError) {
        let now = match error {
            EngineError::Garbage { .. } => EngineState::Garbage,
            EngineError::Unauthorized | EngineError::Capabilities { .. } | EngineError::Url { .. } => EngineState::Refusing,
            EngineError::NoPayload => EngineState::Syncing,
            EngineError::Transport(_) | EngineError::Token => EngineState::Down,
            // A refused call is an answer: it is alive.
            EngineError::Refused { .. } => EngineState::Garbage,
        };
        if self.change(now) {
            tracing::error!(target: "polai::beacon", %error, "execution client lost; trying again every slot");
            self.health.set("execution", Condition::Down(error.to_string()));
        }
    }
}
