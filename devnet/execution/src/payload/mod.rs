//! Payloads under construction: from payload attributes to a sealed block in the wire form.
//!
//! # Contract
//! [`Payloads::start`] returns at once; a task builds, seals, and does both again whenever the candidate changes or the mempool has more, until
//! the slot is over. [`Payloads::get`] gives the newest sealed block that was built with the choice that holds now. Nothing here waits for
//! the AI path: the register answers from memory.
//!
//! # Limits
//! [`limits::PAYLOAD_JOBS`] jobs; one more ends the oldest.
//!
//! # What it does not protect against
//! A certificate that does not verify: the beacon node looks at what it gets (docs/PROTOCOL.md, section 10).

mod build;
mod job;

use core::time::Duration;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::{B64, B256, U256, keccak256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_engine::{ExecutionPayload, PayloadAttributes, PayloadId};
use pol_kit::clock::Clock;
use reth_ai_exex::{candidate::Register, sealer::Sealer};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use crate::{
    chain::{Chain, Executed},
    limits,
    pool::Pool,
};

/// A sealed payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// In the wire form.
    pub payload: ExecutionPayload,
    /// What the fee recipient earns, wei.
    pub value: U256,
    /// Of the choice it was built with.
    generation: u64,
    /// Whether it names an update.
    names_update: bool,
}

/// What to build.
#[derive(Debug, Clone)]
struct Request {
    parent: Arc<Executed>,
    attributes: PayloadAttributes,
}

/// Why there is no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No job has this id (any more). The caller's.
    #[error("Unknown payload")]
    Unknown,
    /// No seal was found in time, or the machine is overloaded. The slot is missed.
    #[error("no sealed payload in time")]
    Late,
}

struct Job {
    id: PayloadId,
    request: Request,
    best: watch::Receiver<Option<Arc<Built>>>,
    /// Ends the task when the job is dropped.
    _stop: DropGuard,
}

/// A job on its way to the task that runs it.
struct Order {
    request: Request,
    best: watch::Sender<Option<Arc<Built>>>,
    stop: CancellationToken,
}

/// What jobs need.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The chain that is built on.
    pub chain: Chain,
    /// Where transactions come from.
    pub pool: Pool,
    /// Where candidates come from.
    pub register: Register,
    /// Who seals; none on a machine that is too slow, or told not to: then nothing is built.
    pub sealer: Option<Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The gas limit that blocks move to.
    pub gas_limit: u64,
}

/// The payload jobs of a process. Clones are the same.
#[derive(Clone)]
pub struct Payloads {
    parts: Parts,
    jobs: Arc<Mutex<VecDeque<Job>>>,
    orders: mpsc::Sender<Order>,
}

/// The task that runs the jobs.
#[must_use = "without it nothing is built"]
pub struct Runner {
    parts: Parts,
    orders: mpsc::Receiver<Order>,
}

impl Payloads {
    /// No jobs yet, and the task that will run them.
    pub fn new(parts: Parts) -> (Self, Runner) {
        let (orders, received) = mpsc::channel(limits::PAYLOAD_JOBS);
        (Self { parts: parts.clone(), jobs: Arc::default(), orders }, Runner { parts, orders: received })
    }

    /// Whether this node builds payloads at all.
    pub const fn may_build(&self) -> bool {
        self.parts.sealer.is_some()
    }

    /// Begins to build a child of `parent`; the same attributes again are the same job. None where this node may not propose.
    pub fn start(&self, parent: Arc<Executed>, attributes: PayloadAttributes) -> Option<PayloadId> {
        self.parts.sealer.as_ref()?;
        let id = id_of(&parent.data.hash, &attributes);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that ended has dropped its sender: such a job begins anew.
        jobs.retain(|job| job.id != id || job.best.has_changed().is_ok());
        if jobs.iter().any(|job| job.id == id) {
            return Some(id);
        }
        let request = Request { parent, attributes };
        let (sender, best) = watch::channel(None);
        let stop = CancellationToken::new();
        let order = Order { request: request.clone(), best: sender, stop: stop.clone() };
        self.orders.try_send(order).inspect_err(|error| error!(target: "polai::payload", %error, "no job")).ok()?;
        while jobs.len() >= limits::PAYLOAD_JOBS {
            jobs.pop_front();
        }
        jobs.push_back(Job { id, request, best, _stop: stop.drop_guard() });
        Some(id)
    }

    /// The payload of a job, as of now. Waits for a seal that is being searched, at most [`limits::PAYLOAD_WAIT`] and a sixth of a slot.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub async fn get(&self, id: PayloadId) -> Result<Arc<Built>, PayloadError> {
        let (request, mut best) = {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let job = jobs.iter().find(|job| job.id == id).ok_or(PayloadError::Unknown)?;
            (job.request.clone(), job.best.clone())
        };
        let sixth = Duration::from_secs(self.parts.chain.genesis().chain().slot_seconds()).div_f64(6.0);
        let until = Instant::now().checked_add(limits::PAYLOAD_WAIT.min(sixth)).unwrap_or_else(Instant::now);
        loop {
            let newest = best.borrow_and_update().clone();
            let choice = self.parts.register.choose(request.parent.data.hash, request.attributes.timestamp);
            if let Some(built) = newest.as_ref().filter(|built| built.generation == choice.generation) {
                return Ok(Arc::clone(built));
            }
            // Later than that, an empty AI block is better than none; one with an update that is not the choice any more is not.
            let fallback = || newest.clone().filter(|built| !built.names_update).ok_or(PayloadError::Late);
            match timeout_at(until, best.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return fallback(),
            }
        }
    }
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payloads").finish_non_exhaustive()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Runner {
    /// Runs jobs until every [`Payloads`] is dropped, or the future is.
    pub async fn run(mut self) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    let Some(order) = order else { return };
                    running.spawn(job::work(self.parts.clone(), order));
                }
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        error!(target: "polai::payload", %error, "a payload job panicked");
                    }
                }
            }
        }
    }
}

/// The same for the same attributes on the same parent, in any process.
fn id_of(parent: &B256, attributes: &PayloadAttributes) -> PayloadId {
    let mut bytes = parent.to_vec();
    attributes.timestamp.encode(&mut bytes);
    attributes.prev_randao.encode(&mut bytes);
    attributes.suggested_fee_recipient.encode(&mut bytes);
    attributes.withdrawals.clone().unwrap_or_default().encode(&mut bytes);
    attributes.parent_beacon_block_root.unwrap_or_default().encode(&mut bytes);
    PayloadId(B64::from_slice(keccak256(bytes).get(..B64::len_bytes()).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
