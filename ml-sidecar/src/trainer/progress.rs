//! What the rest of the process asks of the trainer and sees of it.

use std::sync::Arc;

use pol_core::ModelHead;
use tokio::sync::watch;

/// What the trainer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It was told to stop, or has done the rounds that were asked for.
    #[default]
    Stopped,
    /// Updates of the chain are not here yet.
    Behind,
    /// It takes training steps.
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

/// What is asked of the trainer. The newest wish counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether to train.
    pub(crate) running: bool,
    /// Rounds to do from this wish on; none: without end.
    pub(crate) rounds: Option<u64>,
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
        let (wanted, wishes) = watch::channel(Wanted { running: true, rounds: None, number: 0 });
        let (sender, progress) = watch::channel(Progress::default());
        (Self { wanted: Arc::new(wanted), progress }, wishes, sender)
    }

    /// Train, so many rounds from now on, or without end. Takes effect between two steps.
    pub fn start(&self, rounds: Option<u64>) {
        self.wish(true, rounds);
    }

    /// Stop training: the round is kept, and goes on when it is started again. What is offered already stays so.
    pub fn stop(&self) {
        self.wish(false, None);
    }

    /// Where it stands, now and whenever that changes. Readers that are slow see the newest only.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    fn wish(&self, running: bool, rounds: Option<u64>) {
        self.wanted.send_modify(|wanted| *wanted = Wanted { running, rounds, number: wanted.number.wrapping_add(1) });
    }
}
