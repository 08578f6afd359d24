//! Training on texts: sequences out of a set, steps, and the delta that comes of them.
//!
//! # Contract
//! [`run`] (and [`Work`], step by step) trains all values, takes those that a delta has room for (section 14.2 of docs/PROTOCOL.md: 20 or 48 of 4,096), and goes on training
//! these alone: values that were trained among thousands of others are worth little without them. Texts are taken in the set's own order for a seed, one after the other, with the model's end token between them, and cut into sequences of
//! one length, so that no padding is computed. The same texts, seed and options give the same adapter on one machine.
//!
//! # What it does not protect against
//! Texts that are not worth learning from.

mod samples;
mod sequences;
mod work;

pub use samples::Samples;
pub use sequences::{Place, Sequences};
pub use work::{Kept, Work};

use ed25519_dalek::SigningKey;
use pol_core::{
    ModelHead,
    delta::{CheckedDelta, Context},
    state::{State, StateError},
};

use crate::{
    adapter::{Adapter, AdapterError},
    checkpoint::Checkpoint,
    data::{SetError, TextSource},
    model::Model,
    tokens::TokenizerError,
    train::{Step, TrainError, TrainerOptions},
    update::{Residual, UpdateError},
};

/// Why a training stopped.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The set of texts: the disk's fault.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A text that the tokenizer cannot take apart.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// No text has a token. The operator's fault.
    #[error("the texts have no tokens")]
    Empty,
    /// A step.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The adapter.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The container.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The change would bring a value to 64.0: the training has diverged.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How long to train on how much at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Steps with all values.
    pub steps: u64,
    /// Steps with the values of the delta alone.
    pub refining_steps: u64,
    /// Sequences of a step.
    pub sequences: usize,
    /// Predicted tokens of a sequence.
    pub length: usize,
    /// The trainer's options; [`run`] orders the texts by their seed, too.
    pub options: TrainerOptions,
}

/// Where on which chain a delta belongs, and who signs it.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// The chain.
    pub context: &'a Context,
    /// The head.
    pub head: ModelHead,
    /// Slot at which the training begins.
    pub slot: u64,
    /// The trainer's key.
    pub key: &'a SigningKey,
}

/// What came of it.
#[derive(Debug)]
pub struct Trained {
    /// The delta, decoded as peers will.
    pub delta: CheckedDelta,
    /// All that was trained, of which the delta carries a part; with what earlier deltas left out it is in the residual. None after a
    /// [`Work::resume`] with the values already chosen.
    pub adapter: Option<Adapter>,
    /// Predicted tokens that it saw.
    pub tokens: u64,
    /// The residual with all that was trained. What the delta carries is the caller's to subtract, once it is part of the chain.
    pub residual: Residual,
    /// Where in the texts it ended.
    pub place: Place,
}

/// A model and what it trains on.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its tokenizer and config.
    pub checkpoint: &'a Checkpoint,
    /// The texts.
    pub texts: &'a dyn TextSource,
    /// How long.
    pub plan: Plan,
}

/// Trains from a state on, from the beginning of the texts, and makes a delta.
///
/// # Errors
/// [`SessionError`].
pub fn run(
    session: &Session<'_>,
    state: &State,
    residual: Residual,
    author: &Author<'_>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Trained, SessionError> {
    let place = Place::new(session.plan.options.seed);
    let mut work = Work::begin(*session, state, *author, residual, place)?;
    while let Some(step) = work.step()? {
        on_step(step);
    }
    work.finish()
}

#[cfg(test)]
mod tests;
