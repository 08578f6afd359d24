//! The engine re-feeder: gives an execution client again what it lost.
//!
//! # Purpose
//! Reth keeps its newest blocks in memory. After a crash it does not know the head; a beacon node repeats forkchoiceUpdated, is told SYNCING,
//! and a lone pair stops for ever. The beacon node still has the payloads: here they are fetched over the Beacon API, from the head back to
//! one that the execution client knows, and given to it forward with engine_newPayloadV3.
//!
//! # Contract
//! [`run`] looks every second and does nothing while the head's payload is known. It feeds when the payload stays unknown for a slot in
//! which the execution client made no progress by itself. It never moves the head: that is the beacon node's to say, and it says it every slot.
//!
//! # Limits
//! [`BLOCKS`] blocks a round; what lies further back needs a peer or a beacon node that feeds.
//!
//! # What it does not protect against
//! A beacon node that lies: the execution client checks what it gets, and takes no head from us.

mod payload;

use std::{sync::Arc, time::Duration};

use pol_kit::{
    clock::{Clock, System},
    exit::{Exit, OrUsage as _},
    jwt::Secret,
    tasks,
};
use serde_json::{Value, json};
use tokio::time::sleep;

pub use payload::{Payload, PayloadError};

use crate::{
    args::RefeedArgs,
    ask::{Ask, AskError, number},
    layout::Layout,
    up::{chain, say},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Nothing here takes longer to stop than a request.
const STOP: Duration = Duration::from_secs(10);
/// Blocks that are walked back at most: an hour of slots of 3 s.
pub const BLOCKS: usize = 1_200;

/// Why a round came to nothing. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum RefeedError {
    /// Beacon node or execution client do not answer, or refuse.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The beacon node's block cannot be read: its defect, or a fork that this chain does not have.
    #[error("block {root}: {error}")]
    Payload {
        /// Root of the beacon block.
        root: String,
        /// What is wrong with it.
        error: PayloadError,
    },
    /// The beacon node has no block that it says is a parent. Its own affair; heals when it has.
    #[error("block {root}: the beacon node does not have it")]
    Missing {
        /// Root of the beacon block.
        root: String,
    },
    /// Nothing that the execution client knows within [`BLOCKS`].
    #[error("{BLOCKS} blocks back and none that the execution client knows: it needs a peer")]
    Far,
    /// The execution client refuses a block that the beacon node believes in.
    #[error("block {number}: the execution client says {status}")]
    Refused {
        /// Height.
        number: u64,
        /// Its answer.
        status: String,
    },
    /// No token from the secret. Our own fault.
    #[error("the engine's secret gives no token")]
    Token,
}

/// Both clients of a node.
#[derive(Debug, Clone)]
pub struct Refeed {
    ask: Ask,
    beacon: String,
    engine: String,
    secret: Arc<Secret>,
    clock: Arc<dyn Clock>,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The execution client knows the head.
    Known,
    /// It does not; this is its own height.
    Lost {
        /// Height of its head.
        height: u64,
    },
}

impl Refeed {
    /// Of the Beacon API and the Engine API, such as `http://127.0.0.1:3500` and `http://127.0.0.1:8551`.
    pub const fn new(ask: Ask, beacon: String, engine: String, secret: Arc<Secret>, clock: Arc<dyn Clock>) -> Self {
        Self { ask, beacon, engine, secret, clock }
    }

    /// Whether the execution client knows the beacon head's payload.
    ///
    /// # Errors
    /// [`RefeedError`].
    pub async fn look(&self) -> Result<Found, RefeedError> {
        let head = self.block("head").await?;
        if self.knows(&head).await? {
            return Ok(Found::Known);
        }
        let height: Option<Value> = self.engine("eth_blockNumber", json!([])).await?;
        Ok(Found::Lost { height: height.as_ref().and_then(number).unwrap_or(0) })
    }

    /// Feeds what the execution client lacks of the beacon head's chain, and says how many blocks that were.
    ///
    /// # Errors
    /// [`RefeedError`]; what was fed stays.
    pub async fn feed(&self) -> Result<usize, RefeedError> {
        let mut lost = vec![self.block("head").await?];
        while let Some(oldest) = lost.last() {
            if self.knows(oldest).await? {
                lost.pop();
                break;
            }
            if lost.len() >= BLOCKS {
                return Err(RefeedError::Far);
            }
            let parent = self.block(oldest.parent_root()).await?;
            lost.push(parent);
        }
        for payload in lost.iter().rev() {
            let status: Option<Value> = self.engine("engine_newPayloadV3", payload.parameters()).await?;
            let status = status.as_ref().and_then(|status| status.get("status")?.as_str()).unwrap_or("nothing");
            if status != "VALID" {
                return Err(RefeedError::Refused { number: payload.number(), status: status.to_owned() });
            }
        }
        Ok(lost.len())
    }

    async fn block(&self, id: &str) -> Result<Payload, RefeedError> {
        let data = self.ask.data(&format!("{}/eth/v2/beacon/blocks/{id}", self.beacon)).await?;
        let data = data.ok_or_else(|| RefeedError::Missing { root: id.to_owned() })?;
        Payload::of_block(&data).map_err(|error| RefeedError::Payload { root: id.to_owned(), error })
    }

    /// The genesis block has no payload of its own: everybody knows it.
    async fn knows(&self, payload: &Payload) -> Result<bool, RefeedError> {
        if payload.is_genesis() {
            return Ok(true);
        }
        let block: Option<Value> = self.engine("eth_getBlockByHash", json!([payload.hash(), false])).await?;
        Ok(block.is_some())
    }

    async fn engine(&self, method: &str, params: Value) -> Result<Option<Value>, RefeedError> {
        let token = self.secret.token(self.clock.unix_seconds()).map_err(|_| RefeedError::Token)?;
        Ok(self.ask.call_with_token(&self.engine, Some(&token), method, params).await?)
    }
}

/// `polai refeed`.
///
/// # Errors
/// The operator's: no chain or no secret in the folder.
pub fn command(layout: &Layout, args: &RefeedArgs) -> Result<(), Exit> {
    let folder = layout.directory().display();
    let spec = chain::read(layout)?.ok_or_else(|| Exit::usage(format!("{folder}: no chain.toml in it")))?;
    let secret = Arc::new(Secret::load(&layout.jwt()).or_usage()?);
    let slot = Duration::from_secs(spec.parameters().slot_seconds);
    let refeed = Refeed::new(Ask::new()?, args.beacon.clone(), args.engine.clone(), secret, Arc::new(System::new()));
    say(&format!("re-feeds   {} from {}", args.engine, args.beacon));
    tasks::run("polai", STOP, move |tasks| async move {
        tasks.spawn_until_stopped("refeed", run(refeed, slot));
        Ok::<(), Exit>(())
    })
}

/// Looks and feeds until the process stops.
///
/// # Errors
/// None: what fails is tried again.
pub async fn run(refeed: Refeed, slot: Duration) -> Result<(), Exit> {
    let mut stuck: Option<(u64, Duration)> = None;
    loop {
        sleep(LOOK).await;
        // Who does not answer yet, or is being restarted, is looked at again.
        let Ok(found) = refeed.look().await else { continue };
        let now = refeed.clock.monotonic();
        stuck = match (found, stuck) {
            (Found::Known, _) => None,
            (Found::Lost { height }, Some((before, since))) if before == height => Some((height, since)),
            (Found::Lost { height }, _) => Some((height, now)),
        };
        let Some((height, since)) = stuck else { continue };
        if now.saturating_sub(since) < slot {
            continue;
        }
        match refeed.feed().await {
            Ok(blocks) => say(&format!("re-fed     {blocks} block(s) that the execution client had lost above {height}")),
            Err(error) => say(&format!("re-feed    {error}")),
        }
        stuck = None;
    }
}

#[cfg(test)]
mod tests;
