//! The execution client: Engine API V3 over HTTP with a JWT (port 8551).
//!
//! # Contract
//! Standard Engine API; `extra_data` of payloads is the wire form of docs/PROTOCOL.md section 4, which this module hands on untouched. Every
//! call has a deadline and every answer a bound. An answer that is none is an [`EngineError`], never a panic and never taken for a verdict:
//! only a well-formed `INVALID` counts against a block.
//!
//! # What it does not protect against
//! An execution client that lies about a payload. It is the operator's own.

mod error;
mod json;
mod link;

use core::{marker::PhantomData, time::Duration};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_engine::{
    ExecutionPayloadEnvelopeV3, ExecutionPayloadV3, ForkchoiceState, ForkchoiceUpdated, PayloadAttributes, PayloadId,
    PayloadStatus, PayloadStatusEnum,
};
use pol_kit::{clock::Clock, jwt::Secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use error::EngineError;
pub use json::{from_wire, to_wire, withdrawal};
pub use link::{EngineState, Link};

use crate::types::{EthSpec, ExecutionPayload};

/// Bytes of an answer: a full payload, in hex, twice over.
const ANSWER_BYTES: usize = 64 << 20;
/// Methods that this node cannot do without.
const NEEDED: [&str; 3] = ["engine_newPayloadV3", "engine_forkchoiceUpdatedV3", "engine_getPayloadV3"];
/// Topic of the deposit contract's event, Keccak-256 of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_TOPIC: &str = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";

/// What the execution client says of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// VALID.
    Valid,
    /// SYNCING or ACCEPTED: not known yet.
    Syncing,
    /// INVALID.
    Invalid {
        /// Hash of the newest valid ancestor; none when it does not say.
        latest_valid: Option<B256>,
        /// Why, in its words, cut.
        reason: String,
    },
}

impl From<PayloadStatus> for Verdict {
    fn from(status: PayloadStatus) -> Self {
        match status.status {
            PayloadStatusEnum::Valid => Self::Valid,
            PayloadStatusEnum::Syncing | PayloadStatusEnum::Accepted => Self::Syncing,
            PayloadStatusEnum::Invalid { validation_error } => {
                let reason = validation_error.chars().filter(|c| !c.is_control()).take(200).collect();
                Self::Invalid { latest_valid: status.latest_valid_hash, reason }
            }
        }
    }
}

/// A log of the deposit contract.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Height of its block.
    pub block_number: U64,
    /// ABI-encoded event.
    pub data: Bytes,
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

#[derive(Deserialize)]
struct Answer<R> {
    id: u64,
    result: Option<R>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
}

/// The client. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Engine<E> {
    http: reqwest::Client,
    url: reqwest::Url,
    secret: Arc<Secret>,
    clock: Arc<dyn Clock>,
    next: Arc<AtomicU64>,
    spec: PhantomData<fn() -> E>,
}

impl<E: EthSpec> Engine<E> {
    /// The engine at a URL such as `http://127.0.0.1:8551`; no call waits longer than `timeout`.
    ///
    /// # Errors
    /// [`EngineError::Url`], [`EngineError::Transport`] when there is no HTTP client; the operator's.
    pub fn new(url: &str, secret: Arc<Secret>, clock: Arc<dyn Clock>, timeout: Duration) -> Result<Self, EngineError> {
        let url =
            reqwest::Url::parse(url).map_err(|error| EngineError::Url { found: url.to_owned(), reason: error.to_string() })?;
        let http = reqwest::Client::builder().timeout(timeout).build()?;
        Ok(Self { http, url, secret, clock, next: Arc::default(), spec: PhantomData })
    }

    async fn call<R: DeserializeOwned>(&self, method: &'static str, params: impl Serialize) -> Result<R, EngineError> {
        let answer: Option<R> = self.call_nullable(method, params).await?;
        answer.ok_or(EngineError::Garbage { method, reason: "neither result nor error".to_owned() })
    }

    async fn call_nullable<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<Option<R>, EngineError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let token = self.secret.token(self.clock.unix_seconds()).map_err(|_| EngineError::Token)?;
        let request = Request { jsonrpc: "2.0", id, method, params };
        let response = self.http.post(self.url.clone()).bearer_auth(token).json(&request).send().await?;
        if matches!(response.status(), reqwest::StatusCode::UNAUTHORIZED | reqwest::StatusCode::FORBIDDEN) {
            return Err(EngineError::Unauthorized);
        }
        let garbage = |reason: String| EngineError::Garbage { method, reason };
        let status = response.status();
        let body = read(response, method).await?;
        let answer: Answer<R> = serde_json::from_slice(&body).map_err(|error| garbage(format!("HTTP {status}: {error}")))?;
        if answer.id != id {
            return Err(garbage("the answer to another call".to_owned()));
        }
        match answer.error {
            Some(RpcError { code, message }) => Err(EngineError::Refused {
                method,
                code,
                message: message.chars().filter(|c| !c.is_control()).take(200).collect(),
            }),
            None => Ok(answer.result),
        }
    }

    /// `engine_exchangeCapabilities`: can it do what we need?
    ///
    /// # Errors
    /// [`EngineError::Capabilities`] when a method is missing; else any.
    pub async fn check_capabilities(&self) -> Result<(), EngineError> {
        let found: Vec<String> = self.call("engine_exchangeCapabilities", (NEEDED,)).await?;
        match NEEDED.into_iter().find(|needed| !found.iter().any(|name| name == needed)) {
            Some(missing) => Err(EngineError::Capabilities { missing }),
            None => Ok(()),
        }
    }

    /// Hash of its block 0.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn genesis_hash(&self) -> Result<B256, EngineError> {
        #[derive(Deserialize)]
        struct Block {
            hash: B256,
        }
        Ok(self.call::<Block>("eth_getBlockByNumber", ("0x0", false)).await?.hash)
    }

    /// `engine_newPayloadV3`, without blobs.
    ///
    /// # Errors
    /// [`EngineError`]; nothing is then known of the payload.
    pub async fn new_payload(
        &self,
        payload: &ExecutionPayload<E>,
        parent_beacon_block_root: B256,
    ) -> Result<Verdict, EngineError> {
        let hashes: [B256; 0] = [];
        let status: PayloadStatus =
            self.call("engine_newPayloadV3", (to_wire(payload), hashes, parent_beacon_block_root)).await?;
        Ok(status.into())
    }

    /// `engine_forkchoiceUpdatedV3`; with attributes it begins to build a payload.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn forkchoice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<(Verdict, Option<PayloadId>), EngineError> {
        let answer: ForkchoiceUpdated = self.call("engine_forkchoiceUpdatedV3", (state, attributes)).await?;
        Ok((answer.payload_status.into(), answer.payload_id))
    }

    /// `engine_getPayloadV3`: what it has built.
    ///
    /// # Errors
    /// [`EngineError`]; `Garbage` also for a payload that exceeds a limit of this chain or carries blobs.
    pub async fn get_payload(&self, id: PayloadId) -> Result<ExecutionPayload<E>, EngineError> {
        let method = "engine_getPayloadV3";
        let envelope: ExecutionPayloadEnvelopeV3 = self.call(method, (id,)).await?;
        if !envelope.blobs_bundle.commitments.is_empty() {
            return Err(EngineError::Garbage { method, reason: "a payload with blobs".to_owned() });
        }
        let payload: ExecutionPayloadV3 = envelope.execution_payload;
        from_wire(payload).map_err(|reason| EngineError::Garbage { method, reason })
    }

    /// Deposit events of the blocks `from` to `to`.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn deposit_logs(&self, contract: Address, from: u64, to: u64) -> Result<Vec<Log>, EngineError> {
        let filter = serde_json::json!({
            "address": contract, "topics": [DEPOSIT_TOPIC], "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
        });
        self.call("eth_getLogs", (filter,)).await
    }
}

async fn read(mut response: reqwest::Response, method: &'static str) -> Result<Vec<u8>, EngineError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES {
            return Err(EngineError::Garbage { method, reason: format!("more than {ANSWER_BYTES} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
