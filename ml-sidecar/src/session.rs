//! Training on texts: sequences out of a set, steps, and the delta that comes of them.
//!
//! # Contract
//! [`run`] trains all values, takes those that a delta has room for (section 14.2 of docs/PROTOCOL.md: 20 or 48 of 4,096), and goes on training
//! these alone: values that were trained among thousands of others are worth little without them. Texts are taken in the set's own order for a seed, one after the other, with the model's end token between them, and cut into sequences of
//! one length, so that no padding is computed. The same texts, seed and options give the same adapter on one machine.
//!
//! # What it does not protect against
//! Texts that are not worth learning from.

use ed25519_dalek::SigningKey;
use pol_core::{
    Hash32, ModelHead,
    delta::{Change, CheckedDelta, Claims, Context},
    state::{State, StateError},
};

use crate::{
    adapter::{Adapter, AdapterError},
    batch::Batch,
    checkpoint::Checkpoint,
    data::{Cursor, Sampler, SetError, TextSource},
    model::Model,
    tokens::TokenizerError,
    train::{Step, TrainError, Trainer, TrainerOptions},
    update::{Residual, UpdateError, difference, encode_change},
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
    /// The trainer's options; its seed orders the texts, too.
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
    /// All that was trained, of which the delta carries a part; with what earlier deltas left out it is in the residual.
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

/// Trains from a state on and makes a delta. The residual takes up what was trained; what the delta carries is the caller's to subtract, once it
/// is part of the chain.
///
/// # Errors
/// [`SessionError`]; the residual is as before, but for [`SessionError::Update`].
pub fn run(
    session: &Session<'_>,
    state: &State,
    residual: &mut Residual,
    author: &Author<'_>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Trained, SessionError> {
    let plan = &session.plan;
    let device = session.model.device();
    let start = Adapter::from_state(state, device)?;
    let mut sequences = Sequences::new(session.texts, session.checkpoint, plan.options.seed);
    let mut trainer = Trainer::new(&start, plan.options)?;
    let mut tokens = session.steps(&mut trainer, &mut sequences, plan.steps, on_step)?;
    let adapter = trainer.adapter()?;
    drop(trainer);
    residual.add(&difference(&start, &adapter)?).map_err(AdapterError::from)?;
    let claims = |tokens: u64, steps: u64| Claims {
        model_head: author.head,
        slot: author.slot,
        samples: Hash32::ZERO,
        inner_steps: u32::try_from(steps).unwrap_or(u32::MAX),
        tokens_seen: u32::try_from(tokens).unwrap_or(u32::MAX),
    };
    let draft = residual.encode(author.context, &claims(tokens, plan.steps), author.key)?;
    if plan.refining_steps == 0 {
        return Ok(Trained { delta: draft, adapter, tokens });
    }
    let draft = Change::from(draft);
    let mut drafted = state.clone();
    drafted.apply(&draft)?;
    let indices: Vec<u32> = draft.iter().map(|(index, _)| index).collect();
    let mut trainer = Trainer::of_values(&Adapter::from_state(&drafted, device)?, plan.options, &indices)?;
    let mut count = |step: Step| on_step(Step { number: step.number.saturating_add(plan.steps), ..step });
    tokens = tokens.saturating_add(session.steps(&mut trainer, &mut sequences, plan.refining_steps, &mut count)?);
    let change = difference(&start, &trainer.adapter()?)?;
    let claims = claims(tokens, plan.steps.saturating_add(plan.refining_steps));
    Ok(Trained { delta: encode_change(author.context, &claims, author.key, &change)?, adapter, tokens })
}

impl Session<'_> {
    /// Steps; gives the predicted tokens.
    fn steps(
        &self,
        trainer: &mut Trainer,
        sequences: &mut Sequences<'_>,
        steps: u64,
        on_step: &mut dyn FnMut(Step),
    ) -> Result<u64, SessionError> {
        let mut tokens = 0_u64;
        // One more goes in than is predicted.
        let positions = self.checkpoint.config.positions as usize;
        let length = self.plan.length.clamp(1, positions.max(2) - 1) + 1;
        for _ in 0..steps {
            let batch = (0..self.plan.sequences.max(1)).map(|_| sequences.take(length)).collect::<Result<Vec<_>, _>>()?;
            let batch = Batch::new(&batch).ok_or(SessionError::Empty)?;
            let step = trainer.step(self.model, &[batch])?;
            tokens = tokens.saturating_add(step.tokens as u64);
            on_step(step);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests;
