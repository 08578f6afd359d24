//! The trainer role: trains from the chain's newest state on, and offers what passes its own gate.
//!
//! # Contract
//! One thread goes round and round: take the tip of the follower, train the plan's steps, judge the decoded delta with the own gate, and offer
//! it in the DHT when the gate says ACK, with an announcement sealed by the trainer's key. One candidate is open at a time: until the model
//! head moves, or `ACK_TIMEOUT` is over. A head that moves during a training ends it; what was trained stays in the residual.
//!
//! What is offered is on disk before it leaves the process ([`Memory`]): a sequence number stands for one container for ever, a container is
//! offered again byte for byte after a crash, and a training that was interrupted goes on where it was. Sequence numbers grow, and begin at the
//! time of day in milliseconds, so that they do even when the folder is lost.
//!
//! The residual (what was trained and is not part of the chain) gives up what an own update carried when that is part of the state, takes it
//! back in a reorg, and is dropped after 64 slots without success: it was trained on a model that is gone.
//!
//! Nothing here ends the process: what fails is tried again, with pauses that grow, and one log line when it changes.
//!
//! # What it does not protect against
//! Texts that are not worth learning from; a trainer's key that somebody else has; a full disk, which stops it until there is room.

mod file;
mod job;
mod key;
mod memory;
mod metrics;
mod outlet;
mod progress;
mod round;
mod supply;

pub use file::FileError;
pub use key::{KeyError, TrainerKey, trainer_key};
pub use memory::{Memory, OpenError, Own};
pub use metrics::Measured;
pub use outlet::{DhtOutlet, Offer, Outlet, OutletError};
pub use progress::{Control, Order, Phase, Progress};
pub use supply::{GetTexts, Source};

use std::{path::PathBuf, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use pol_core::{
    gate::NanoNats,
    genesis::ChainParameters,
    params::{ACK_TIMEOUT_SECONDS, SELF_TEST_TEXTS},
};
use pol_kit::{clock::Clock, fs::lock_directory, tasks::Tasks};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    checkpoint::Checkpoint,
    device::{Choice, Device},
    follow::Follower,
    precision::Precision,
    session::Plan,
};

/// Slots without success after which the residual is dropped.
pub const RESIDUAL_SLOTS: u64 = 64;
/// Time between two checkpoints of a training.
pub const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Slots of a chain by the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Seconds of a slot.
    pub slot_seconds: u64,
}

impl Slots {
    /// The chain's.
    pub const fn of(chain: &ChainParameters) -> Self {
        Self { genesis_time: chain.genesis_time, slot_seconds: chain.slot_seconds }
    }

    /// The slot at a time; 0 before genesis.
    pub fn at(&self, unix_seconds: u64) -> u64 {
        unix_seconds.saturating_sub(self.genesis_time) / self.slot_seconds.max(1)
    }
}

/// All that a trainer needs and that does not change.
#[derive(Debug)]
pub struct Setup {
    /// The base model.
    pub checkpoint: Checkpoint,
    /// What it trains on.
    pub texts: Source,
    /// Tokens of the gate's texts.
    pub dev_texts: Vec<Vec<u32>>,
    /// Reference losses of the chain.
    pub references: Option<[NanoNats; SELF_TEST_TEXTS]>,
    /// What the operator said about the device.
    pub choice: Choice,
    /// The device.
    pub device: Device,
    /// Numbers of the base model; by default those that suit the device.
    pub precision: Option<Precision>,
    /// How long a round is. Its seed orders the texts and is where the rounds' own seeds begin.
    pub plan: Plan,
    /// Signs containers and announcements.
    pub key: SigningKey,
    /// The chain's clock.
    pub slots: Slots,
    /// Where it keeps its memory.
    pub folder: PathBuf,
    /// Time between two checkpoints of a training.
    pub keep_every: Duration,
    /// How long a candidate stays open.
    pub ack_timeout: Duration,
}

impl Setup {
    /// How long a candidate stays open by the protocol.
    pub const ACK_TIMEOUT: Duration = Duration::from_secs(ACK_TIMEOUT_SECONDS);
}

/// What the thread shares with the rest of the process.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) setup: Setup,
    pub(crate) follower: Follower,
    pub(crate) outlet: Box<dyn Outlet>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) measured: Measured,
    pub(crate) wanted: watch::Receiver<progress::Wanted>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// Starts the role as an optional task on a thread of its own; it begins to train at once. A panic starts it anew from its memory, at most 5
/// times a minute.
///
/// # Errors
/// [`OpenError`]: its folder is another chain's, or cannot be used. The operator's fault.
pub fn spawn(
    tasks: &Tasks,
    setup: Setup,
    follower: Follower,
    outlet: Box<dyn Outlet>,
    clock: Arc<dyn Clock>,
    measured: Measured,
) -> Result<Control, OpenError> {
    // What only the operator can mend is said now.
    let context = follower.now().context;
    Memory::open(&setup.folder, &context, setup.plan.options.seed)?;
    let lock = lock_directory(&setup.folder)?;
    let (control, wanted, progress) = Control::new();
    let parts = Arc::new(Parts { setup, follower, outlet, clock, measured, wanted, progress });
    let (owner, runtime) = (tasks.child("trainer"), Handle::current());
    tasks.spawn_optional("trainer", move || {
        let _held_as_long_as_the_task = &lock;
        let (parts, owner, runtime) = (Arc::clone(&parts), owner.clone(), runtime.clone());
        async move {
            let stop = owner.token();
            let ended = owner.run_blocking(move || job::run(&parts, runtime, stop)).await;
            ended.map_err(|panic| std::io::Error::other(panic.to_string()))?.map_err(std::io::Error::other)
        }
    });
    Ok(control)
}

#[cfg(test)]
mod tests;
