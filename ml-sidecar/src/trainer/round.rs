//! One round: train from the tip on, judge the decoded delta, keep it for publishing.

use std::time::Instant;

use pol_core::delta::Change;

use super::{
    Phase,
    job::{Job, JobError, Next},
    memory::KeptRound,
};
use crate::{
    checkpoint::{CheckpointError, with_fallback},
    follow::Tip,
    gate::{Candidate, Extent, Gate, GateError},
    session::{Author, Plan, Session, Trained, Work},
    train::{Step, TrainerOptions},
};

/// Loading the model and making the gate.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Model(#[from] CheckpointError),
    #[error(transparent)]
    Gate(#[from] GateError),
}

/// What became of the steps.
enum Ended {
    /// All were done.
    Done(Box<Trained>),
    /// The process stops, or training is not wanted any more: the round is kept.
    Kept,
    /// The head has moved.
    Rebased,
}

impl Job<'_> {
    /// A round on the tip.
    pub(super) fn round(&mut self, tip: &Tip) -> Result<Next, JobError> {
        let mut gate = match self.gate.take() {
            Some(gate) => gate,
            None => self.load()?,
        };
        let done = match self.train(&gate, tip) {
            Ok(Ended::Done(trained)) => self.judge(&mut gate, tip, *trained),
            Ok(Ended::Kept) => Ok(()),
            Ok(Ended::Rebased) => {
                self.parts.measured.round("rebased");
                Ok(self.memory.save()?)
            }
            Err(error) => Err(error),
        };
        self.gate = Some(gate);
        if let Err(JobError::Training(_)) = &done {
            // With other texts and another seed.
            self.memory.round = self.memory.round.saturating_add(1);
            self.parts.measured.round("failed");
            self.memory.save()?;
        }
        done.map(|()| Next::Now)
    }

    fn load(&self) -> Result<Gate, JobError> {
        let setup = &self.parts.setup;
        let gate = with_fallback(setup.choice, self.device, |device| {
            let model = setup.checkpoint.load(device, setup.precision)?;
            Ok::<_, LoadError>(Gate::new(model, setup.dev_texts.clone(), setup.references.as_ref())?)
        });
        let gate = gate.map_err(|error| match error {
            LoadError::Model(error) => JobError::Model(error),
            LoadError::Gate(error) => JobError::Gate(error),
        })?;
        tracing::info!(target: "polai::train", self_test = ?gate.self_test(), device = %gate.model().device(), "the trainer's model is loaded");
        Ok(gate)
    }

    /// The plan of this round: its own chance.
    fn plan(&self) -> Plan {
        let plan = self.order.plan(self.parts.setup.plan);
        let seed = plan.options.seed.wrapping_add(self.memory.round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Plan { options: TrainerOptions { seed, ..plan.options }, ..plan }
    }

    fn train(&mut self, gate: &Gate, tip: &Tip) -> Result<Ended, JobError> {
        let parts = self.parts;
        let (setup, plan) = (&parts.setup, self.plan());
        let Some(texts) = self.texts() else { return Ok(Ended::Kept) };
        let fingerprint = texts.fingerprint();
        self.memory.turn_to(fingerprint, setup.plan.options.seed);
        // What was begun with other texts goes on with those, or not at all.
        let words = format!("{plan:?}, texts {fingerprint}");
        let kept = self.memory.kept_round();
        let kept = kept.filter(|kept| kept.round == self.memory.round && kept.head == tip.head && kept.plan == words);
        let slot = kept.as_ref().map_or_else(|| self.slot(), |kept| kept.slot);
        let session = Session { model: gate.model(), checkpoint: &setup.checkpoint, texts: &*texts, plan };
        let author = Author { context: &tip.context, head: tip.head, slot, key: &setup.key };
        let work = match kept {
            Some(kept) => Work::resume(session, &tip.state, author, kept.kept)?,
            None => Work::begin(session, &tip.state, author, self.memory.residual.clone(), self.memory.place.clone())?,
        };
        let mut work = work.avoiding(self.memory.offered_on(tip.head));
        self.phase(Phase::Training, tip.head);
        let total = plan.steps.saturating_add(plan.refining_steps);
        parts.progress.send_modify(|progress| (progress.step, progress.steps) = (0, total));
        let (begin, mut tokens, mut kept_at) = (Instant::now(), 0, Instant::now());
        while let Some(step) = work.step()? {
            tokens += step.tokens;
            self.say(step, tokens as f64 / begin.elapsed().as_secs_f64().max(1e-9));
            let is_over = self.stop.is_cancelled() || !self.is_wanted();
            if !is_over && self.has_moved(tip) {
                (self.memory.residual, self.memory.place) = work.give_up()?;
                self.memory.since_slot.get_or_insert(slot);
                self.memory.round = self.memory.round.saturating_add(1);
                return Ok(Ended::Rebased);
            }
            if is_over || kept_at.elapsed() >= setup.keep_every {
                let kept = work.keep()?;
                self.memory.keep_round(&KeptRound {
                    round: self.memory.round,
                    head: tip.head,
                    slot,
                    plan: words.clone(),
                    kept,
                })?;
                kept_at = Instant::now();
            }
            if is_over {
                return Ok(Ended::Kept);
            }
        }
        Ok(Ended::Done(Box::new(work.finish()?)))
    }

    /// Nothing made for this tip can be part of the chain any more.
    fn has_moved(&self, tip: &Tip) -> bool {
        let now = self.parts.follower.now();
        now.head != tip.head || !now.is_current()
    }

    /// The line of every step.
    fn say(&self, step: Step, tokens_per_second: f64) {
        let Step { number, loss, learning_rate, tokens, .. } = step;
        tracing::info!(target: "polai::train", number, loss, tokens_per_second, learning_rate, round = self.memory.round, "Step");
        let measured = &self.parts.measured;
        measured.steps.inc();
        measured.tokens.inc_by(tokens as u64);
        measured.loss.set(loss);
        measured.learning_rate.set(learning_rate);
        measured.tokens_per_second.set(tokens_per_second);
        self.parts.progress.send_modify(|progress| {
            progress.step = number;
            (progress.loss, progress.tokens_per_second, progress.learning_rate) = (loss, tokens_per_second, learning_rate);
        });
    }

    /// Judges the delta as peers will, and keeps it when it passes.
    fn judge(&mut self, gate: &mut Gate, tip: &Tip, trained: Trained) -> Result<(), JobError> {
        self.phase(Phase::Gating, tip.head);
        let Trained { delta, residual, place, .. } = trained;
        let (update_id, bytes) = (delta.update_id(), delta.as_bytes().to_vec());
        let slot = delta.header().claims.slot;
        let change = Change::from(delta);
        let candidate = Candidate { update_id, head: tip.head, state: &tip.state, change: &change, norms: &tip.norms };
        let judgement = gate.judge(&candidate, Extent::Full)?;
        judgement.log();
        self.memory.round = self.memory.round.saturating_add(1);
        (self.memory.residual, self.memory.place) = (residual, place);
        self.memory.since_slot.get_or_insert(slot);
        if !judgement.is_ack() {
            self.parts.measured.round("failed_gate");
            return Ok(self.memory.save()?);
        }
        if self.has_moved(tip) {
            self.parts.measured.round("rebased");
            return Ok(self.memory.save()?);
        }
        self.parts.measured.round("passed");
        let now_ms = self.parts.clock.unix_millis();
        Ok(self.memory.add((update_id, &bytes), tip.head, tip.number, now_ms)?)
    }
}
