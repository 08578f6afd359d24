//! The sealer: finds the lowest valid nonce of a header on all its threads, one search at a time (section 3).
//!
//! # Contract
//! `header -> SealJob -> SealedBlock`: only [`SealJob::new`] makes a job, with the difficulty that the parent demands, and only
//! [`Sealer::seal`] makes a sealed block, so nothing unsealed can leave the process as a block. The same job gives the same block,
//! whatever the number of threads. A [`Sealer`] exists only on a machine that passed the start-up check of section 3. Calls block: use
//! [`Sealer::seal_async`] from async code.
//!
//! # Limits
//! [`limits::SEAL_THREADS`] threads while a search runs, none between; [`limits::SEALS_WAITING`] searches wait.
//!
//! # What it does not protect against
//! A machine that became slower after the check. A seal that is late costs its slot: cancel it.

mod job;
mod turn;

pub use job::{JobError, SealJob, SealedBlock};

use core::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
};

use pol_core::{difficulty::hash_rate_suffices, seal::Miner};
use pol_kit::{
    clock::Clock,
    telemetry::{Stage, update},
};
use tracing::{debug, info};

use crate::{chain::Chain, limits, metrics::Metrics};
use turn::Turns;

/// Why no sealer starts. The operator's: this machine may follow the chain, not propose on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "hash rate: found {rate} per second on {threads} threads, expected at least {needed} for floor {floor} and slots of {slot_seconds} s: \
     give the sealer more threads, or do not propose with this machine"
)]
pub struct TooSlow {
    /// Measured, hashes per second.
    pub rate: u64,
    /// Threads it was measured with.
    pub threads: usize,
    /// Least rate that section 3 asks for.
    pub needed: u64,
    /// The chain's difficulty floor.
    pub floor: u64,
    /// The chain's slot, seconds.
    pub slot_seconds: u64,
}

/// Why a job gave no block. The slot is missed unless there is time for another try; never a reason to tell the consensus client an error
/// about AI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The caller cancelled it. Nobody's fault.
    #[error("the search for a seal was cancelled")]
    Cancelled,
    /// Too many searches wait already: the caller asks for more than it cancels. Our own fault; heals.
    #[error("{} searches for a seal wait already", limits::SEALS_WAITING)]
    Busy,
}

/// Cancels a search from another thread. Clones are the same switch; it stays on.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the search within a millisecond.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Cancels when dropped, unless it was disarmed: for an async caller that goes away.
struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// What the sealer has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SealStatistics {
    /// Sealed blocks.
    pub sealed: u64,
    /// Searches that ended without a block.
    pub cancelled: u64,
    /// Hashes of all sealed blocks.
    pub hashes: u64,
    /// Time of all sealed blocks.
    pub time: Duration,
    /// Longest of them.
    pub longest: Duration,
    /// Difficulty of the last one.
    pub last_difficulty: u64,
    /// Time of the last one.
    pub last: Duration,
}

/// The sealer of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Sealer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    miner: Miner,
    threads: NonZeroUsize,
    rate: u64,
    clock: Arc<dyn Clock>,
    turns: Turns,
    statistics: Mutex<SealStatistics>,
    metrics: Metrics,
}

impl Sealer {
    /// Measures this machine's hash rate (about a tenth of a second, blocking) and starts where it suffices for the chain. More than
    /// [`limits::SEAL_THREADS`] threads count as so many.
    ///
    /// # Errors
    /// [`TooSlow`].
    pub fn start(threads: NonZeroUsize, chain: &Chain, clock: Arc<dyn Clock>, metrics: Metrics) -> Result<Self, TooSlow> {
        let threads = threads.min(NonZeroUsize::new(limits::SEAL_THREADS).unwrap_or(NonZeroUsize::MIN));
        let miner = Miner::new(threads);
        let rate = measure(&miner, clock.as_ref());
        metrics.hash_rate(rate);
        let (floor, slot_seconds) = (chain.difficulty().floor(), chain.slot_seconds());
        if !hash_rate_suffices(floor, rate, slot_seconds) {
            return Err(TooSlow { rate, threads: threads.get(), needed: needed(floor, slot_seconds), floor, slot_seconds });
        }
        info!(target: "polai::sealer", engine = miner.engine().name(), %threads, rate, floor, "this machine may propose");
        let (turns, statistics) = (Turns::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { miner, threads, rate, clock, turns, statistics, metrics })))
    }

    /// Seals a block, after the searches that wait already. Blocks the calling thread; ends soon after `cancel`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, job: SealJob, cancel: &Cancel) -> Result<SealedBlock, SealError> {
        let inner = &*self.0;
        let sealed = inner.turns.wait(cancel).and_then(|_turn| {
            let start = inner.clock.monotonic();
            let found = inner.miner.search(job.seal_hash(), job.target(), &cancel.0).ok_or(SealError::Cancelled)?;
            Ok(job.sealed(found, inner.clock.monotonic().saturating_sub(start)))
        });
        match &sealed {
            Ok(block) => self.count(block),
            Err(error) => {
                debug!(target: "polai::sealer", %error, "no seal");
                let mut statistics = self.lock();
                statistics.cancelled = statistics.cancelled.saturating_add(1);
                inner.metrics.seal_failed();
            }
        }
        sealed
    }

    /// The same for a caller that has no switch to throw, only an answer to whether the block is still wanted: a thread asks every
    /// [`limits::SEAL_WAIT`] while the search runs.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_while(&self, job: SealJob, wanted: impl Fn() -> bool + Send) -> Result<SealedBlock, SealError> {
        let (switch, (done, ended)) = (Cancel::new(), mpsc::sync_channel::<()>(0));
        let thrown = switch.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                while ended.recv_timeout(limits::SEAL_WAIT) == Err(RecvTimeoutError::Timeout) {
                    if !wanted() {
                        return thrown.cancel();
                    }
                }
            });
            let sealed = self.seal(job, &switch);
            drop(done);
            sealed
        })
    }

    /// [`Self::seal`] off the executor's threads. Dropping the future cancels the search.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn seal_async(&self, job: SealJob, cancel: &Cancel) -> Result<SealedBlock, SealError> {
        let (sealer, switch) = (self.clone(), cancel.clone());
        let task = tokio::task::spawn_blocking(move || sealer.seal(job, &switch));
        let mut guard = CancelOnDrop(Some(cancel.clone()));
        let sealed = task.await.unwrap_or(Err(SealError::Cancelled));
        guard.disarm();
        sealed
    }

    /// Hashes per second, as measured at start.
    pub fn rate(&self) -> u64 {
        self.0.rate
    }

    /// Threads of a search.
    pub fn threads(&self) -> usize {
        self.0.threads.get()
    }

    /// Name of the Keccak in use.
    pub fn engine(&self) -> &'static str {
        self.0.miner.engine().name()
    }

    /// What it has done since it started.
    pub fn statistics(&self) -> SealStatistics {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, SealStatistics> {
        self.0.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, block: &SealedBlock) {
        if !block.update_id().is_zero() {
            update(Stage::Sealed, block.update_id().as_bytes());
        }
        self.0.metrics.sealed(block);
        let mut statistics = self.lock();
        *statistics = SealStatistics {
            sealed: statistics.sealed.saturating_add(1),
            cancelled: statistics.cancelled,
            hashes: statistics.hashes.saturating_add(block.hashes()),
            time: statistics.time.saturating_add(block.took()),
            longest: statistics.longest.max(block.took()),
            last_difficulty: block.difficulty(),
            last: block.took(),
        };
    }
}

/// The best of three short runs: other work on the machine makes a run slower, never faster.
fn measure(miner: &Miner, clock: &dyn Clock) -> u64 {
    (0..3).map(|_| measure_once(miner, clock)).max().unwrap_or(0)
}

fn measure_once(miner: &Miner, clock: &dyn Clock) -> u64 {
    let mut hashes = 1 << 14;
    loop {
        let start = clock.monotonic();
        let done = miner.hash_batch(hashes);
        let took = clock.monotonic().saturating_sub(start);
        // A clock that does not move over thousands of hashes measures nothing.
        if took >= limits::RATE_MEASURE || took.is_zero() {
            let rate = u128::from(done).saturating_mul(1_000_000).checked_div(took.as_micros()).unwrap_or(0);
            return u64::try_from(rate).unwrap_or(u64::MAX);
        }
        hashes = hashes.saturating_mul(2);
    }
}

/// The least rate that [`hash_rate_suffices`] accepts, by bisection, so that the rule itself stays in one place.
fn needed(floor: u64, slot_seconds: u64) -> u64 {
    let (mut low, mut high) = (0, u64::MAX);
    while low < high {
        let middle = low.midpoint(high);
        if hash_rate_suffices(floor, middle, slot_seconds) {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    low
}

#[cfg(test)]
mod tests;
