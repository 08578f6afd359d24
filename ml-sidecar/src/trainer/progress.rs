//! What the rest of the process asks of the trainer and sees of it.

use std::sync::Arc;

use pol_core::ModelHead;
use tokio::sync::watch;

use crate::{data::TextSource, session::Plan};

/// What the trainer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It was told to stop, or has done the rounds that were asked for.
    #[default]
    Stopped,
    /// Updates of the chain are not here yet.
    Behind,
    /// It takes training steps, or gets the texts for them.
    Training,
    /// Its own gate measures.
    Gating,
    /// It hands a candidate to the DHT.
    Publishing,
    /// Its candidate is open.
    Waiting,
    /// Something failed; it tries again after a pause.
    Failed,
}

impl Phase {
    /// Its name in logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Behind => "behind",
            Self::Training => "training",
            Self::Gating => "gating",
            Self::Publishing => "publishing",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// Where the trainer stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// The model head that it trains on.
    pub head: ModelHead,
    /// Rounds that were begun before, since the folder was made.
    pub round: u64,
    /// Steps done in this round.
    pub step: u64,
    /// Steps of a round.
    pub steps: u64,
    /// Loss before the last step, nats per predicted token.
    pub loss: f64,
    /// Predicted tokens a second in this round.
    pub tokens_per_second: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Candidates that were offered since the start of the process.
    pub published: u64,
    /// Own updates that became part of the state since the start of the process.
    pub accepted: u64,
    /// What failed last, while it is failing.
    pub problem: Option<String>,
}

/// How long to train, and on what. What is None is as the trainer was set up.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Rounds to do from now on; none: without end.
    pub rounds: Option<u64>,
    /// Steps with all values.
    pub steps: Option<u64>,
    /// Steps with the values of the delta alone; none: as many as `steps`.
    pub refining_steps: Option<u64>,
    /// Learning rate.
    pub learning_rate: Option<f64>,
    /// Sequences of a step.
    pub sequences: Option<usize>,
    /// Predicted tokens of a sequence.
    pub length: Option<usize>,
    /// What to train on.
    pub texts: Option<Arc<dyn TextSource>>,
}

impl Order {
    /// So many rounds of what the trainer was set up with.
    pub fn rounds(rounds: Option<u64>) -> Self {
        Self { rounds, ..Self::default() }
    }

    /// The plan by this order.
    pub(super) fn plan(&self, plan: Plan) -> Plan {
        let mut options = plan.options;
        options.optimizer.learning_rate = self.learning_rate.unwrap_or(options.optimizer.learning_rate);
        Plan {
            steps: self.steps.unwrap_or(plan.steps),
            refining_steps: self.refining_steps.or(self.steps).unwrap_or(plan.refining_steps),
            sequences: self.sequences.unwrap_or(plan.sequences),
            length: self.length.unwrap_or(plan.length),
            options,
        }
    }
}

/// What is asked of the trainer. The newest wish counts.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Whether to train.
    pub(crate) running: bool,
    /// How, from this wish on.
    pub(crate) order: Order,
    /// Counts wishes, so that the same one can be made twice.
    pub(crate) number: u64,
}

/// The handle. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Control {
    wanted: Arc<watch::Sender<Wanted>>,
    progress: watch::Receiver<Progress>,
}

impl Control {
    /// A running trainer's, with the ends that the trainer holds.
    pub(crate) fn new() -> (Self, watch::Receiver<Wanted>, watch::Sender<Progress>) {
        let (wanted, wishes) = watch::channel(Wanted { running: true, order: Order::default(), number: 0 });
        let (sender, progress) = watch::channel(Progress::default());
        (Self { wanted: Arc::new(wanted), progress }, wishes, sender)
    }

    /// Train, so many rounds from now on, or without end. Takes effect between two steps.
    pub fn start(&self, rounds: Option<u64>) {
        self.begin(Order::rounds(rounds));
    }

    /// Train by an order. The round that is under way is finished as it was begun.
    pub fn begin(&self, order: Order) {
        self.wish(true, order);
    }

    /// Stop training: the round is kept, and goes on when it is started again. What is offered already stays so.
    pub fn stop(&self) {
        self.wish(false, Order::default());
    }

    /// Where it stands, now and whenever that changes. Readers that are slow see the newest only.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    fn wish(&self, running: bool, order: Order) {
        self.wanted.send_modify(|wanted| *wanted = Wanted { running, order, number: wanted.number.wrapping_add(1) });
    }
}
