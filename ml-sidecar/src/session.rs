//! Training on texts: sequences out of a set, steps, and what came of them.
//!
//! # Contract
//! Texts are taken in the set's own order for a seed, one after the other, with the model's end token between them, and cut into sequences of
//! one length, so that no padding is computed. The same texts, seed and options give the same adapter on one machine.
//!
//! # What it does not protect against
//! Texts that are not worth learning from.

use crate::{
    adapter::Adapter,
    batch::Batch,
    checkpoint::Checkpoint,
    data::{Cursor, Sampler, SetError, TextSource},
    model::Model,
    tokens::TokenizerError,
    train::{Step, TrainError, Trainer, TrainerOptions},
};

/// Texts in a row without a token, after which a set counts as empty.
const EMPTY_TEXTS_MAX: u32 = 1_000;

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
}

/// How long to train on how much at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Steps.
    pub steps: u64,
    /// Sequences of a step.
    pub sequences: usize,
    /// Predicted tokens of a sequence.
    pub length: usize,
    /// The trainer's options; its seed orders the texts, too.
    pub options: TrainerOptions,
}

/// What came of it.
#[derive(Debug)]
pub struct Trained {
    /// The adapter, as it is in FP32.
    pub adapter: Adapter,
    /// Predicted tokens that it saw.
    pub tokens: u64,
}

/// Sequences of equal length out of a set of texts, without end.
#[derive(Debug)]
pub struct Sequences<'a> {
    texts: &'a dyn TextSource,
    checkpoint: &'a Checkpoint,
    sampler: Sampler,
    rest: Vec<u32>,
}

impl<'a> Sequences<'a> {
    /// From the beginning, in the order of a seed.
    pub fn new(texts: &'a dyn TextSource, checkpoint: &'a Checkpoint, seed: u64) -> Self {
        Self { texts, checkpoint, sampler: Sampler::new(texts.count(), Cursor::new(seed)), rest: Vec::new() }
    }

    /// The next sequence, of `count` tokens.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn take(&mut self, count: usize) -> Result<Vec<u32>, SessionError> {
        let mut empty = 0_u32;
        while self.rest.len() < count {
            let number = self.sampler.next().ok_or(SessionError::Empty)?;
            let tokens = self.checkpoint.tokenizer.encode(&self.texts.get(number)?)?;
            empty = if tokens.is_empty() { empty.saturating_add(1) } else { 0 };
            if empty > EMPTY_TEXTS_MAX || u64::from(empty) > self.texts.count() {
                return Err(SessionError::Empty);
            }
            self.rest.extend(tokens);
            self.rest.extend(self.checkpoint.config.end_tokens.first());
        }
        Ok(self.rest.drain(..count).collect())
    }
}

/// Trains an adapter from `start` on.
///
/// # Errors
/// [`SessionError`].
pub fn train(
    model: &Model,
    checkpoint: &Checkpoint,
    start: &Adapter,
    texts: &dyn TextSource,
    plan: &Plan,
    on_step: &mut dyn FnMut(Step),
) -> Result<Trained, SessionError> {
    let mut trainer = Trainer::new(start, plan.options)?;
    let mut sequences = Sequences::new(texts, checkpoint, plan.options.seed);
    let mut tokens = 0_u64;
    // One more goes in than is predicted.
    let length = plan.length.clamp(1, (checkpoint.config.positions as usize).max(2) - 1) + 1;
    for _ in 0..plan.steps {
        let batch = (0..plan.sequences.max(1)).map(|_| sequences.take(length)).collect::<Result<Vec<_>, _>>()?;
        let batch = Batch::new(&batch).ok_or(SessionError::Empty)?;
        let step = trainer.step(model, &[batch])?;
        tokens = tokens.saturating_add(step.tokens as u64);
        on_step(step);
    }
    Ok(Trained { adapter: trainer.adapter()?, tokens })
}
