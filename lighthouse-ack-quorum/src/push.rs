//! Candidates on their way to the AI engine (section 10): JSON-RPC on port 8552 with the Engine API's JWT.
//!
//! # Contract
//! [`AiEngine::set_candidate`] says which update the block of a slot may carry; [`Push::clear`] takes it back and has the payload
//! rebuilt empty. [`Pusher`] puts the breaker in front: after 3 failed slots in a row nothing is pushed for two epochs, then one slot is
//! tried. A push that fails costs nothing but the update: the block comes out empty.
//!
//! # What it does not protect against
//! An engine that says "accepted" and forgets. The payload is checked before it is signed ([`crate::import::Importer::check_own`]).

use std::sync::Arc;

use pol_core::{Hash32, UpdateId};
use pol_kit::{
    breaker::{Breaker, Outcome, State},
    clock::Clock,
    jwt::Secret,
};
use serde::{Deserialize, Serialize};

use crate::{hooks::METHOD, limits, quorum::Certified};

/// Why the engine did not take a candidate. Heals by itself in all cases but `Unauthorized` and `Address`.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Not reached, or no answer in time. The operator's or the engine's.
    #[error("AI engine: {0}")]
    Transport(#[from] reqwest::Error),
    /// Other secrets or clocks. The operator's.
    #[error("AI engine: our token is refused: the same JWT secret on both sides? clocks within 60 s?")]
    Unauthorized,
    /// An answer that is none. The engine's.
    #[error("AI engine: {reason}")]
    Answer {
        /// What was wrong with it.
        reason: String,
    },
    /// It does not want this candidate: wrong parent, slot over, switched off.
    #[error("AI engine refuses: {code} {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// What it says.
        message: String,
    },
    /// No token could be made. Ours.
    #[error("AI engine: no token")]
    Token,
}

/// What the block of one slot may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Hash of the parent's payload.
    pub parent_hash: Hash32,
    /// Slot of the block.
    pub slot: u64,
    /// The update; zero clears.
    pub update_id: UpdateId,
    /// The certificate; empty when clearing.
    pub certificate: Vec<u8>,
}

impl Push {
    /// The push of a certified candidate.
    pub fn of(certified: &Certified, parent_hash: Hash32, slot: u64) -> Self {
        Self { parent_hash, slot, update_id: certified.data().update_id, certificate: certified.trailer() }
    }

    /// Takes back whatever was pushed for this block.
    pub const fn clear(parent_hash: Hash32, slot: u64) -> Self {
        Self { parent_hash, slot, update_id: UpdateId::ZERO, certificate: Vec::new() }
    }
}

#[derive(Serialize)]
struct Request {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: [Params; 1],
}

/// As in the Engine API: bytes are `0x` and hex, numbers `0x` and hex without leading zeros.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    parent_hash: String,
    slot: String,
    update_id: String,
    certificate: String,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
}

/// The execution side's AI engine.
#[derive(Debug, Clone)]
pub struct AiEngine {
    client: reqwest::Client,
    url: reqwest::Url,
    secret: Arc<Secret>,
    clock: Arc<dyn Clock>,
}

impl AiEngine {
    /// The engine at a URL such as `http://127.0.0.1:8552`.
    ///
    /// # Errors
    /// [`PushError::Answer`] for a text that is no URL, [`PushError::Transport`] when there is no HTTP client; the operator's.
    pub fn new(url: &str, secret: Arc<Secret>, clock: Arc<dyn Clock>) -> Result<Self, PushError> {
        let url = reqwest::Url::parse(url).map_err(|error| PushError::Answer { reason: format!("{url:?}: {error}") })?;
        let client = reqwest::Client::builder().timeout(limits::PUSH_TIMEOUT).build()?;
        Ok(Self { client, url, secret, clock })
    }

    /// Sets or clears the candidate of one block.
    ///
    /// # Errors
    /// [`PushError`].
    pub async fn set_candidate(&self, push: &Push) -> Result<(), PushError> {
        let bytes = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let params = Params {
            parent_hash: bytes(&push.parent_hash.0),
            slot: format!("{:#x}", push.slot),
            update_id: bytes(&push.update_id.0),
            certificate: bytes(&push.certificate),
        };
        let id = push.slot;
        let request = Request { jsonrpc: "2.0", id, method: METHOD, params: [params] };
        let token = self.secret.token(self.clock.unix_seconds()).map_err(|_| PushError::Token)?;
        let response = self.client.post(self.url.clone()).bearer_auth(token).json(&request).send().await?;
        if matches!(response.status(), reqwest::StatusCode::UNAUTHORIZED | reqwest::StatusCode::FORBIDDEN) {
            return Err(PushError::Unauthorized);
        }
        let status = response.status();
        let body = read(response).await?;
        let broken = |reason: String| PushError::Answer { reason: format!("HTTP {status}: {reason}") };
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| broken(error.to_string()))?;
        match answer.error {
            Some(error) => Err(PushError::Refused { code: error.code, message: error.message.chars().take(200).collect() }),
            None if answer.id != id => Err(broken("the answer to another call".to_owned())),
            None if !status.is_success() => Err(broken("a result with an error status".to_owned())),
            None => Ok(()),
        }
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, PushError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limits::PUSH_ANSWER_BYTES {
            return Err(PushError::Answer { reason: format!("more than {} bytes", limits::PUSH_ANSWER_BYTES) });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What became of a slot's push.
#[derive(Debug)]
pub enum Pushed {
    /// The engine has it.
    Accepted,
    /// The breaker is open: nothing was sent.
    SwitchedOff {
        /// First slot that will be tried.
        until: u64,
    },
    /// The engine did not take it; counted against the slot.
    Failed(PushError),
}

/// The engine with the breaker in front, for one proposer.
#[derive(Debug)]
pub struct Pusher {
    engine: AiEngine,
    breaker: Breaker,
}

impl Pusher {
    /// A closed breaker for a chain with so many slots per epoch.
    pub const fn new(engine: AiEngine, slots_per_epoch: u64) -> Self {
        Self { engine, breaker: Breaker::new(slots_per_epoch) }
    }

    /// Pushes, unless the breaker is open.
    pub async fn push(&mut self, push: &Push) -> Pushed {
        if !self.breaker.allows(push.slot) {
            let until = match self.breaker.state() {
                State::Open { until } => until,
                State::Closed | State::Trial { .. } => push.slot.saturating_add(1),
            };
            return Pushed::SwitchedOff { until };
        }
        match self.engine.set_candidate(push).await {
            Ok(()) => {
                self.breaker.record(push.slot, Outcome::Success);
                Pushed::Accepted
            }
            Err(error) => {
                self.breaker.record(push.slot, Outcome::Failure);
                Pushed::Failed(error)
            }
        }
    }

    /// Says that the payload of a slot did not pass our own check although we pushed for it: a failure of the AI path too.
    pub fn payload_failed(&mut self, slot: u64) {
        self.breaker.record(slot, Outcome::Failure);
    }

    /// No candidate had a quorum in this slot: that is no failure, and proves nothing.
    pub fn not_needed(&mut self, slot: u64) {
        if let State::Trial { slot: trial } = self.breaker.state()
            && trial == slot
        {
            self.breaker.record(slot, Outcome::Unused);
        }
    }

    /// Opens the breaker for a reason from outside, such as three epochs without finality.
    pub fn trip(&mut self, slot: u64) {
        self.breaker.trip(slot);
    }

    /// Where the breaker stands.
    pub const fn state(&self) -> State {
        self.breaker.state()
    }
}
