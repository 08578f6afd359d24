//! What the service's tasks share.

use std::sync::{Arc, OnceLock};

use ed25519_dalek::SigningKey;
use pol_api::{sidecar::model::ModelState, status::Reason, tonic::Status, tonic::transport::Channel};
use pol_kit::{clock::Clock, metrics::Health, tasks::Tasks};
use tokio::sync::{Semaphore, watch};

use super::{MakeTexts, board::Board, judge::Judge};
use crate::{
    follow::{Follower, Tip},
    trainer::Control,
};

/// Judgements on demand that wait, at most.
const VALIDATIONS: usize = 2;
/// Readers of a training.
const TRAININGS: usize = 64;

/// What calls are answered from.
pub(crate) struct Shared {
    pub(crate) follower: Follower,
    pub(crate) board: Board,
    /// This process has the gate's role.
    pub(crate) gates: bool,
    /// None while the model is loaded.
    pub(crate) judge: watch::Receiver<Option<Judge>>,
    pub(crate) control: OnceLock<Control>,
    pub(crate) dht: Channel,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_unix_ms: u64,
    pub(crate) tasks: Tasks,
    /// Exports take an adapter's size of memory: one at a time.
    pub(crate) exports: Arc<Semaphore>,
    /// Signs merges.
    pub(crate) trainer_key: Option<SigningKey>,
    /// Gets texts that a training is told to take.
    pub(crate) texts: Option<MakeTexts>,
    pub(crate) acquisitions: Arc<Semaphore>,
    pub(crate) validations: Arc<Semaphore>,
    pub(crate) trainings: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("gates", &self.gates).finish_non_exhaustive()
    }
}

impl Shared {
    /// The places that bound what callers can ask for.
    pub(crate) fn places() -> [Arc<Semaphore>; 4] {
        [1, VALIDATIONS, TRAININGS, 1].map(|places| Arc::new(Semaphore::new(places)))
    }

    /// The gate, once it is loaded.
    pub(crate) fn judge(&self) -> Result<Judge, Status> {
        if !self.gates {
            return Err(Reason::NoRole.refuse("no gate role in this process"));
        }
        self.judge.borrow().clone().ok_or_else(|| Reason::NotReady.refuse("the gate's model is not loaded yet"))
    }

    /// The trainer.
    pub(crate) fn control(&self) -> Result<&Control, Status> {
        self.control.get().ok_or_else(|| Reason::NoRole.refuse("no train role in this process"))
    }
}

/// A tip by its names.
pub(crate) const fn model_state(tip: &Tip) -> ModelState {
    ModelState {
        model_head: tip.head,
        updates: tip.number,
        root: tip.root,
        finalized_head: tip.finalized.head,
        finalized_updates: tip.finalized.number,
        behind: tip.behind,
        chain_head: tip.chain_head,
        confirmed: tip.confirmed,
    }
}
