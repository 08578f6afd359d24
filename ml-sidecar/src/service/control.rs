//! What the trainer role offers to the service.

use std::fmt;

use pol_api::sidecar::train::{TrainEvent, Training};
use tokio::sync::mpsc;

/// Why no training begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainRefused {
    /// One is under way. It heals, or can be stopped.
    #[error("a training is under way")]
    Busy,
    /// No dataset of this name. The caller's fault.
    #[error("no dataset {name:?}")]
    Dataset {
        /// The name.
        name: String,
    },
    /// Settings that do not go together. The caller's fault.
    #[error("{0}")]
    Settings(String),
}

/// A trainer that can be told to begin and to stop. Neither call waits for the training.
///
/// # Contract
/// Events go through a bounded channel by `try_send`: a reader that does not read misses some, and never holds the training up. The last one
/// is [`TrainEvent::Ended`]. Nothing that happens in a training, panics and full memory included, reaches the caller in another way.
pub trait TrainControl: fmt::Debug + Send + Sync {
    /// Begins a training.
    ///
    /// # Errors
    /// [`TrainRefused`].
    fn start(&self, training: Training) -> Result<mpsc::Receiver<TrainEvent>, TrainRefused>;

    /// Ends it after its step; false when there is none.
    fn stop(&self) -> bool;

    /// Whether one is under way.
    fn is_training(&self) -> bool;
}
