//! The trainer's thread: what is to be done next, done, and again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pol_core::{ModelHead, UpdateId, delta::Change};
use pol_kit::{
    exit::{Code, Exit},
    telemetry::{Stage, update},
};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    Offer, OpenError, Parts, Phase, Progress, RESIDUAL_SLOTS,
    file::FileError,
    memory::{Memory, Own},
    outlet::OutletError,
    progress::{Order, Wanted},
    supply::Supply,
};
use crate::{
    checkpoint::{CheckpointError, is_out_of_gpu_memory},
    device::{Choice, Device},
    follow::{Placed, Tip},
    gate::{Gate, GateError},
    session::SessionError,
};

/// First pause after a failure; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Pause after a failure to get texts that only the operator can mend: it may have cost gigabytes.
const PAUSE_OPERATOR: Duration = Duration::from_secs(600);

/// Why something is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("model: {0}")]
    Model(#[from] CheckpointError),
    #[error("gate: {0}")]
    Gate(#[from] GateError),
    #[error("training: {0}")]
    Training(#[from] SessionError),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{0}")]
    Outlet(#[from] OutletError),
    #[error("texts: {0}")]
    Texts(Exit),
}

/// As what an own update is part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    Whole,
    /// Of this merge.
    Part(UpdateId),
}

impl Form {
    const fn of(own: &Own) -> Self {
        match (own.added, own.merge) {
            (false, _) => Self::Nothing,
            (true, None) => Self::Whole,
            (true, Some(merge)) => Self::Part(merge),
        }
    }

    fn note(self, own: &mut Own) {
        own.added = self != Self::Nothing;
        own.merge = if let Self::Part(merge) = self { Some(merge) } else { None };
    }
}

/// What to wait for before the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Now,
    /// A new tip, or a wish.
    Change,
    /// The same, at most so long.
    Within(Duration),
    /// So long, whatever the chain does; a wish ends it.
    Pause(Duration),
    /// The texts.
    Texts,
}

/// The thread's own things.
pub(super) struct Job<'a> {
    pub(super) parts: &'a Parts,
    pub(super) stop: CancellationToken,
    pub(super) runtime: Handle,
    /// The texts that it was set up with.
    pub(super) supply: Supply,
    tip: watch::Receiver<Arc<Tip>>,
    wanted: watch::Receiver<Wanted>,
    pub(super) memory: Memory,
    pub(super) gate: Option<Gate>,
    pub(super) device: Device,
    /// When candidates were handed over, by sequence; on the monotonic clock.
    announced: BTreeMap<u64, Duration>,
    /// The round before which to stop, and the wish that said so.
    until: (u64, Option<u64>),
    /// How to train, by that wish.
    pub(super) order: Order,
    pause: Duration,
}

/// Works until the process stops.
pub(super) fn run(parts: &Parts, runtime: Handle, stop: CancellationToken) -> Result<(), OpenError> {
    let context = parts.follower.now().context;
    parts.follower.keep_shares_of(parts.setup.key.verifying_key().to_bytes());
    let mut job = Job {
        parts,
        stop,
        runtime,
        supply: Supply::default(),
        tip: parts.follower.tip(),
        wanted: parts.wanted.clone(),
        memory: Memory::open(&parts.setup.folder, &context, parts.setup.plan.options.seed)?,
        gate: None,
        device: parts.setup.device,
        announced: BTreeMap::new(),
        until: (0, None),
        order: Order::default(),
        pause: PAUSE_FIRST,
    };
    while !job.stop.is_cancelled() {
        let next = match job.turn() {
            Ok(next) => {
                if next != Next::Texts {
                    job.works();
                }
                next
            }
            Err(error) => job.failed(&error),
        };
        job.wait(next);
    }
    Ok(())
}

impl Job<'_> {
    /// Does what is next.
    fn turn(&mut self) -> Result<Next, JobError> {
        let tip = Arc::clone(&self.tip.borrow_and_update());
        self.settle(&tip)?;
        if !self.is_wanted() {
            self.phase(Phase::Stopped, tip.head);
            return Ok(Next::Change);
        }
        if !tip.is_current() {
            self.phase(Phase::Behind, tip.head);
            return Ok(Next::Change);
        }
        let Some(own) = self.memory.newest_on(tip.head).cloned() else { return self.round_with_texts(&tip) };
        let Some(since) = self.announced.get(&own.sequence) else { return self.publish(&own) };
        let open = self.parts.clock.monotonic().saturating_sub(*since);
        match self.parts.setup.ack_timeout.checked_sub(open).filter(|left| !left.is_zero()) {
            None => self.round_with_texts(&tip),
            Some(left) => {
                self.phase(Phase::Waiting, tip.head);
                Ok(Next::Within(left))
            }
        }
    }

    /// A round, as soon as there are texts.
    fn round_with_texts(&mut self, tip: &Tip) -> Result<Next, JobError> {
        if self.has_texts(tip)? { self.round(tip) } else { Ok(Next::Texts) }
    }

    /// Whether training is asked for; a wish for so many rounds counts from when it is first seen.
    pub(super) fn is_wanted(&mut self) -> bool {
        let wanted = self.wanted.borrow_and_update();
        let running = wanted.running;
        if self.until.0 != wanted.number {
            self.until = (wanted.number, wanted.order.rounds.map(|rounds| self.memory.round.saturating_add(rounds)));
            self.order = wanted.order.clone();
        }
        drop(wanted);
        running && self.until.1.is_none_or(|until| self.memory.round < until)
    }

    /// Learns what became of own updates, and drops a residual that is too old.
    fn settle(&mut self, tip: &Tip) -> Result<(), JobError> {
        let slot = self.slot();
        let (mut is_changed, mut gone) = (false, Vec::new());
        let mut kept = Vec::new();
        for mut own in std::mem::take(&mut self.memory.own) {
            let (placed, form) = self.look_up(&own);
            if form != Form::of(&own) {
                is_changed |= self.turned(&mut own, form, slot);
            }
            let is_settled = tip.finalized.number > own.number && placed.is_none_or(|placed| placed.finalized);
            if is_settled {
                if placed.is_none() {
                    self.parts.measured.update("lost");
                }
                gone.push(own);
            } else {
                kept.push(own);
            }
        }
        self.memory.own = kept;
        let is_old = self.memory.since_slot.is_some_and(|since| slot.saturating_sub(since) > RESIDUAL_SLOTS);
        if is_old {
            tracing::info!(target: "polai::train", slots = RESIDUAL_SLOTS, "residual dropped: nothing of it was accepted");
            self.memory.residual = crate::update::Residual::new(tip.context.shape);
            self.memory.since_slot = None;
        }
        if is_changed || is_old || !gone.is_empty() {
            self.memory.save()?;
        }
        for own in gone {
            self.announced.remove(&own.sequence);
            self.memory.remove_container(own.update_id);
        }
        Ok(())
    }

    /// Where an own update stands in the chain, and as what.
    fn look_up(&self, own: &Own) -> (Option<Placed>, Form) {
        let follower = &self.parts.follower;
        if let Some(placed) = follower.placed(own.update_id) {
            return (Some(placed), Form::Whole);
        }
        // What it added as a part of a merge is known since this process began; before that the memory knows.
        let merges = follower.share(own.update_id).map(|share| share.merge).into_iter().chain(own.merge);
        let found = merges.filter_map(|merge| Some((Some(follower.placed(merge)?), Form::Part(merge)))).next();
        found.unwrap_or((None, Form::Nothing))
    }

    /// An own update became part of the state, as a whole or of a merge, or is not any more. False: the disk fails; later again.
    fn turned(&mut self, own: &mut Own, form: Form, slot: u64) -> bool {
        let before = Form::of(own);
        let old = self.added(own, before);
        let share = self.parts.follower.share(own.update_id).filter(|share| form == Form::Part(share.merge));
        let new = share.map_or_else(|| self.added(own, form), |share| Some(share.change.clone()));
        if let (Form::Part(_), Some(change)) = (form, &new)
            && let Err(error) = self.memory.keep_share(own.update_id, change)
        {
            tracing::warn!(target: "polai::train", update_id = %own.update_id, %error, "what a merge added of it is not kept");
            return false;
        }
        if (before != Form::Nothing && old.is_none()) || (form != Form::Nothing && new.is_none()) {
            tracing::warn!(target: "polai::train", update_id = %own.update_id, "an own container is lost: the residual is not quite right");
        }
        if let Some(old) = old {
            self.memory.residual.give_back(&old);
        }
        if let Some(new) = new {
            self.memory.residual.subtract(&new);
            self.memory.since_slot = Some(slot);
        }
        form.note(own);
        match (before, form) {
            (Form::Nothing, _) => {
                self.parts.measured.update("accepted");
                self.parts.progress.send_modify(|progress| progress.accepted = progress.accepted.saturating_add(1));
            }
            (_, Form::Nothing) => self.parts.measured.update("reverted"),
            _ => {}
        }
        true
    }

    /// What an own update added as such a thing; none: nothing, or the disk has lost it.
    fn added(&self, own: &Own, form: Form) -> Option<Change> {
        match form {
            Form::Nothing => None,
            Form::Whole => self.memory.change(own.update_id),
            Form::Part(_) => self.memory.share(own.update_id),
        }
    }

    /// Hands the open candidate to the DHT.
    fn publish(&mut self, own: &Own) -> Result<Next, JobError> {
        self.phase(Phase::Publishing, own.head);
        let Some(bytes) = self.memory.bytes(own.update_id) else {
            tracing::warn!(target: "polai::train", update_id = %own.update_id, "an own container is lost: it is not offered");
            self.memory.own.retain(|other| other.sequence != own.sequence);
            self.memory.save()?;
            return Ok(Next::Now);
        };
        let (update_id, head, sequence) = (own.update_id, own.head, own.sequence);
        self.parts.outlet.publish(&Offer { update_id, head, sequence, bytes: bytes.into() })?;
        self.announced.insert(sequence, self.parts.clock.monotonic());
        update(Stage::Published, &update_id.0);
        self.parts.measured.update("published");
        self.parts.progress.send_modify(|progress| progress.published = progress.published.saturating_add(1));
        Ok(Next::Now)
    }

    pub(super) fn slot(&self) -> u64 {
        self.parts.setup.slots.at(self.parts.clock.unix_seconds())
    }

    /// Says what it does now, once.
    pub(super) fn phase(&self, phase: Phase, head: ModelHead) {
        let is_new = self.parts.progress.send_if_modified(|progress| {
            let is_new = progress.phase != phase || progress.head != head;
            *progress = Progress { phase, head, round: self.memory.round, ..progress.clone() };
            is_new
        });
        if is_new {
            tracing::debug!(target: "polai::train", phase = phase.as_str(), %head, round = self.memory.round, "trainer");
        }
    }

    pub(super) fn works(&mut self) {
        self.pause = PAUSE_FIRST;
        let is_back = self.parts.progress.send_if_modified(|progress| progress.problem.take().is_some());
        if is_back {
            tracing::info!(target: "polai::train", "the trainer works again");
        }
    }

    fn failed(&mut self, error: &JobError) -> Next {
        self.parts.measured.failures.inc();
        if is_out_of_gpu_memory(error) && self.parts.setup.choice == Choice::Auto {
            tracing::warn!(target: "polai::train", "the GPU's memory is full: training goes on with the CPU");
            (self.gate, self.device) = (None, Device::cpu());
        }
        let problem = error.to_string();
        let is_new = self.parts.progress.send_if_modified(|progress| {
            let is_new = progress.problem.as_ref() != Some(&problem);
            progress.phase = Phase::Failed;
            progress.problem = Some(problem);
            is_new
        });
        if is_new {
            tracing::warn!(target: "polai::train", %error, "the trainer tries again");
        }
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(PAUSE_MOST);
        match error {
            JobError::Texts(exit) if exit.code() == Code::Usage => Next::Pause(PAUSE_OPERATOR),
            JobError::Texts(_) => Next::Pause(pause),
            _ => Next::Within(pause),
        }
    }

    fn wait(&mut self, next: Next) {
        let most = match next {
            Next::Now => return,
            Next::Change | Next::Texts => None,
            Next::Within(most) | Next::Pause(most) => Some(most),
        };
        let is_pause = matches!(next, Next::Pause(_));
        let Self { tip, wanted, stop, runtime, supply, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = changed(tip), if !is_pause => {}
                () = supply.come() => {}
                () = changed(wanted) => {}
                () = async { match most { Some(most) => tokio::time::sleep(most).await, None => std::future::pending().await } } => {}
            }
        });
    }
}

/// Ends when there is something new; never, when nobody is left to say it.
async fn changed<T>(watch: &mut watch::Receiver<T>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
