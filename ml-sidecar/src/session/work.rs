//! A training that ends in a delta, one step at a time.

use pol_core::{
    Hash32,
    delta::{Change, Claims},
    state::State,
};

use super::{Author, Place, Samples, Sequences, Session, SessionError, Trained};
use crate::{
    adapter::{Adapter, AdapterError},
    batch::Batch,
    train::{OptimizerState, Step, Trainer},
    update::{Residual, difference, encode_change},
};

/// All that a training is between two steps. [`Work::resume`] goes on from it as if nothing had happened, to the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The adapter's values.
    pub values: Vec<f32>,
    /// Moments, and the number of steps: all that chance follows from.
    pub optimizer: OptimizerState,
    /// Flat indices that the delta carries, once they are chosen.
    pub chosen: Option<Vec<u32>>,
    /// Where in the texts it is.
    pub place: Place,
    /// What it took of them.
    pub samples: Samples,
    /// Predicted tokens so far.
    pub tokens: u64,
    /// The residual; what was trained is in it once the values are chosen.
    pub residual: Residual,
}

/// A training in progress.
#[derive(Debug)]
pub struct Work<'a> {
    session: Session<'a>,
    state: &'a State,
    author: Author<'a>,
    start: Adapter,
    trainer: Trainer,
    chosen: Option<Vec<u32>>,
    all: Option<Adapter>,
    sequences: Sequences<'a>,
    residual: Residual,
    avoided: Vec<u32>,
    tokens: u64,
}

impl<'a> Work<'a> {
    /// Begins with a state, at a place of the texts.
    ///
    /// # Errors
    /// [`SessionError::Train`], [`SessionError::Adapter`].
    pub fn begin(
        session: Session<'a>,
        state: &'a State,
        author: Author<'a>,
        residual: Residual,
        place: Place,
    ) -> Result<Self, SessionError> {
        let start = Adapter::from_state(state, session.model.device())?;
        let trainer = Trainer::new(&start, session.plan.options)?;
        let sequences = Sequences::new(session.texts, session.checkpoint, place, Samples::default());
        let (chosen, all, avoided, tokens) = (None, None, Vec::new(), 0);
        Ok(Self { session, state, author, start, trainer, chosen, all, sequences, residual, avoided, tokens })
    }

    /// The delta carries none of these values (flat indices): those of earlier deltas for the same head that came to nothing. Whoever ACKed one of
    /// them may not ACK a near-copy (section 8 of docs/PROTOCOL.md), and what was worth most then is so still.
    #[must_use]
    pub fn avoiding(self, avoided: Vec<u32>) -> Self {
        Self { avoided, ..self }
    }

    /// Goes on from what [`Work::keep`] gave, with the same state, session and author.
    ///
    /// # Errors
    /// What was kept is another model's.
    pub fn resume(session: Session<'a>, state: &'a State, author: Author<'a>, kept: Kept) -> Result<Self, SessionError> {
        let mut work = Self::begin(session, state, author, kept.residual, kept.place)?;
        let at = Adapter::from_values(*state.shape(), &kept.values, session.model.device())?;
        work.trainer = match &kept.chosen {
            None => Trainer::new(&at, session.plan.options)?,
            Some(chosen) => Trainer::of_values(&at, session.plan.options, chosen)?,
        };
        work.trainer.restore(&kept.optimizer)?;
        work.sequences = Sequences::new(session.texts, session.checkpoint, work.sequences.place(), kept.samples);
        (work.chosen, work.tokens) = (kept.chosen, kept.tokens);
        Ok(work)
    }

    /// All that it is now.
    ///
    /// # Errors
    /// [`SessionError::Train`].
    pub fn keep(&self) -> Result<Kept, SessionError> {
        Ok(Kept {
            values: self.trainer.adapter()?.values()?,
            optimizer: self.trainer.optimizer_state()?,
            chosen: self.chosen.clone(),
            place: self.sequences.place(),
            samples: self.sequences.samples().clone(),
            tokens: self.tokens,
            residual: self.residual.clone(),
        })
    }

    /// The next step; none when all are done.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn step(&mut self) -> Result<Option<Step>, SessionError> {
        let plan = self.session.plan;
        if self.chosen.is_none() && self.trainer.steps() >= plan.steps && plan.refining_steps > 0 {
            self.choose()?;
        }
        let (before, most) = if self.chosen.is_none() { (0, plan.steps) } else { (plan.steps, plan.refining_steps) };
        if self.trainer.steps() >= most {
            return Ok(None);
        }
        // One more goes in than is predicted.
        let positions = self.session.checkpoint.config.positions as usize;
        let length = plan.length.clamp(1, positions.max(2) - 1) + 1;
        let batch = (0..plan.sequences.max(1)).map(|_| self.sequences.take(length)).collect::<Result<Vec<_>, _>>()?;
        let batch = Batch::new(&batch).ok_or(SessionError::Empty)?;
        let step = self.trainer.step(self.session.model, &[batch])?;
        self.tokens = self.tokens.saturating_add(step.tokens as u64);
        Ok(Some(Step { number: step.number.saturating_add(before), ..step }))
    }

    /// The delta.
    ///
    /// # Errors
    /// [`SessionError::Update`], [`SessionError::Adapter`].
    pub fn finish(mut self) -> Result<Trained, SessionError> {
        let steps = match &self.chosen {
            None => self.trainer.steps(),
            Some(_) => self.session.plan.steps.saturating_add(self.trainer.steps()),
        };
        let Author { context, key, .. } = self.author;
        let claims = self.claims(steps, self.sequences.samples().root());
        let delta = if self.chosen.is_some() {
            encode_change(context, &claims, key, &difference(&self.start, &self.trainer.adapter()?)?)?
        } else {
            self.take_up()?;
            self.residual.without(&self.avoided).encode(context, &claims, key)?
        };
        let place = self.sequences.place();
        Ok(Trained { delta, adapter: self.all, tokens: self.tokens, residual: self.residual, place })
    }

    /// Ends it before its time: what was trained so far is in the residual, and the texts that were seen are not seen again.
    ///
    /// # Errors
    /// [`SessionError::Update`], [`SessionError::Adapter`].
    pub fn give_up(mut self) -> Result<(Residual, Place), SessionError> {
        if self.chosen.is_none() && self.trainer.steps() > 0 {
            self.take_up()?;
        }
        Ok((self.residual, self.sequences.place()))
    }

    /// Puts what was trained into the residual.
    fn take_up(&mut self) -> Result<(), SessionError> {
        let all = self.trainer.adapter()?;
        self.residual.add(&difference(&self.start, &all)?).map_err(AdapterError::from)?;
        self.all = Some(all);
        Ok(())
    }

    /// Chooses the values of the delta, and goes on with these alone.
    fn choose(&mut self) -> Result<(), SessionError> {
        self.take_up()?;
        let Author { context, key, .. } = self.author;
        let claims = self.claims(self.trainer.steps(), Hash32::ZERO);
        let draft = self.residual.without(&self.avoided).encode(context, &claims, key)?;
        let draft = Change::from(draft);
        let mut drafted = self.state.clone();
        drafted.apply(&draft)?;
        let chosen: Vec<u32> = draft.iter().map(|(index, _)| index).collect();
        let at = Adapter::from_state(&drafted, self.session.model.device())?;
        self.trainer = Trainer::of_values(&at, self.session.plan.options, &chosen)?;
        self.chosen = Some(chosen);
        Ok(())
    }

    fn claims(&self, steps: u64, samples: Hash32) -> Claims {
        Claims {
            model_head: self.author.head,
            slot: self.author.slot,
            samples,
            inner_steps: u32::try_from(steps).unwrap_or(u32::MAX),
            tokens_seen: u32::try_from(self.tokens).unwrap_or(u32::MAX),
        }
    }
}
