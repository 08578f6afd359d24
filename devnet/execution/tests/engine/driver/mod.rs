//! A consensus client for tests: drives any execution client of this protocol over its real ports, and knows nothing of its inside.
//!
//! Other clients' tests use it as it is: `#[path = "…/devnet/execution/tests/engine/driver/mod.rs"] mod driver;`. Each brings a `mod process`
//! that starts its program; `invalid.rs` is shared likewise.
#![allow(dead_code, unreachable_pub)]

pub mod chain;
pub mod forge;
pub mod wallet;

use std::time::Duration;

use alloy_primitives::{B256, keccak256};
use alloy_rpc_types_engine::{ExecutionPayload, ExecutionPayloadV3};
use pol_kit::{
    clock::{Clock as _, System},
    jwt::Secret,
};
use serde_json::{Value, json};

/// Where a client answers.
#[derive(Debug, Clone)]
pub struct Urls {
    pub http: String,
    pub auth: String,
    pub ai_engine: String,
}

/// A JSON-RPC error: code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Value,
}

pub struct Driver {
    pub urls: Urls,
    pub slot: u64,
    pub genesis_hash: B256,
    pub genesis_time: u64,
    secret: [u8; 32],
    client: reqwest::Client,
}

/// A payload and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    pub inner: ExecutionPayloadV3,
    pub beacon_root: B256,
}

impl Payload {
    pub const fn hash(&self) -> B256 {
        self.inner.payload_inner.payload_inner.block_hash
    }

    pub const fn parent(&self) -> B256 {
        self.inner.payload_inner.payload_inner.parent_hash
    }

    pub const fn number(&self) -> u64 {
        self.inner.payload_inner.payload_inner.block_number
    }

    pub const fn timestamp(&self) -> u64 {
        self.inner.payload_inner.payload_inner.timestamp
    }

    pub fn extra_data(&self) -> &[u8] {
        &self.inner.payload_inner.payload_inner.extra_data
    }

    pub const fn transactions(&self) -> usize {
        self.inner.payload_inner.payload_inner.transactions.len()
    }

    pub fn json(&self) -> Value {
        serde_json::to_value(&self.inner).unwrap()
    }

    pub fn of(payload: ExecutionPayload, beacon_root: B256) -> Self {
        let ExecutionPayload::V3(inner) = payload else { panic!("not V3") };
        Self { inner, beacon_root }
    }
}

/// What the Engine API says of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub status: String,
    pub latest_valid: Option<B256>,
    pub error: String,
}

impl Status {
    fn of(value: &Value) -> Self {
        Self {
            status: value["status"].as_str().unwrap().to_owned(),
            latest_valid: value["latestValidHash"].as_str().map(|hash| hash.parse().unwrap()),
            error: value["validationError"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub fn valid(hash: B256) -> Self {
        Self { status: "VALID".to_owned(), latest_valid: Some(hash), error: String::new() }
    }

    pub fn is_invalid(&self, latest_valid: Option<B256>, about: &str) -> bool {
        self.status == "INVALID" && self.latest_valid == latest_valid && self.error.contains(about)
    }
}

impl Driver {
    pub fn new(urls: Urls, secret: [u8; 32], genesis_hash: B256, genesis_time: u64, slot: u64) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { urls, slot, genesis_hash, genesis_time, secret, client }
    }

    async fn post(&self, url: &str, token: Option<String>, method: &str, params: Value) -> Result<Value, RpcError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self.client.post(url).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        let answer: Value = answer.json().await.unwrap();
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(RpcError {
                code: error["code"].as_i64().unwrap(),
                message: error["message"].as_str().unwrap().to_owned(),
                data: error["data"].clone(),
            }),
        }
    }

    fn token(&self) -> Option<String> {
        Some(Secret::from_bytes(self.secret).token(System::new().unix_seconds()).unwrap())
    }

    pub async fn try_engine(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.post(&self.urls.auth, self.token(), method, params).await
    }

    pub async fn engine(&self, method: &str, params: Value) -> Value {
        self.try_engine(method, params).await.unwrap_or_else(|error| panic!("{method}: {error:?}"))
    }

    pub async fn try_rpc(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.post(&self.urls.http, None, method, params).await
    }

    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params).await.unwrap_or_else(|error| panic!("{method}: {error:?}"))
    }

    pub async fn ai(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.post(&self.urls.ai_engine, self.token(), method, params).await
    }

    pub fn beacon_root(timestamp: u64, salt: u8) -> B256 {
        keccak256([&timestamp.to_be_bytes()[..], &[salt]].concat())
    }

    pub fn attributes(timestamp: u64, salt: u8) -> Value {
        json!({
            "timestamp": format!("{timestamp:#x}"),
            "prevRandao": keccak256([salt]),
            "suggestedFeeRecipient": "0x00000000000000000000000000000000000000fe",
            "withdrawals": [{"index": "0x0", "validatorIndex": "0x1", "address": "0x00000000000000000000000000000000000000aa", "amount": "0x5"}],
            "parentBeaconBlockRoot": Self::beacon_root(timestamp, salt),
        })
    }

    /// forkchoiceUpdatedV3, whatever comes of it.
    pub async fn try_forkchoice(
        &self,
        head: B256,
        safe: B256,
        finalized: B256,
        attributes: Value,
    ) -> Result<(Status, Value), RpcError> {
        let state = json!({"headBlockHash": head, "safeBlockHash": safe, "finalizedBlockHash": finalized});
        let answer = self.try_engine("engine_forkchoiceUpdatedV3", json!([state, attributes])).await?;
        Ok((Status::of(&answer["payloadStatus"]), answer["payloadId"].clone()))
    }

    /// Makes a block the head, which must be valid.
    pub async fn head(&self, head: B256) {
        let (status, _) = self.try_forkchoice(head, B256::ZERO, B256::ZERO, Value::Null).await.unwrap();
        assert_eq!(status, Status::valid(head));
    }

    /// Has a child of `parent` built, at a timestamp; the salt makes siblings.
    pub async fn build(&self, parent: B256, timestamp: u64, salt: u8) -> Payload {
        let attributes = Self::attributes(timestamp, salt);
        let (status, id) = self.try_forkchoice(parent, B256::ZERO, B256::ZERO, attributes).await.unwrap();
        assert_eq!(status, Status::valid(parent));
        assert!(id.is_string(), "no payload id");
        // A client that says that it is late is asked again, as consensus clients do; on a loaded machine sealing takes longer than it waits.
        let mut answer = self.try_engine("engine_getPayloadV3", json!([id])).await;
        for _ in 0..10 {
            if answer.as_ref().is_err_and(|error| error.code == -32_000) {
                answer = self.try_engine("engine_getPayloadV3", json!([id])).await;
            }
        }
        let envelope = answer.unwrap_or_else(|error| panic!("engine_getPayloadV3: {error:?}"));
        let inner = serde_json::from_value(envelope["executionPayload"].clone()).unwrap();
        Payload { inner, beacon_root: Self::beacon_root(timestamp, salt) }
    }

    pub async fn new_payload(&self, payload: &Payload) -> Status {
        let answer = self.engine("engine_newPayloadV3", json!([payload.inner, [], payload.beacon_root])).await;
        Status::of(&answer)
    }

    /// Built, imported, and the head.
    pub async fn extend(&self, parent: B256, timestamp: u64, salt: u8) -> Payload {
        let payload = self.build(parent, timestamp, salt).await;
        assert_eq!(self.new_payload(&payload).await, Status::valid(payload.hash()));
        self.head(payload.hash()).await;
        payload
    }

    /// A run of blocks on `parent`.
    pub async fn grow(&self, mut parent: B256, mut timestamp: u64, blocks: u64, salt: u8) -> Vec<Payload> {
        let mut run = Vec::new();
        for _ in 0..blocks {
            timestamp += self.slot;
            let payload = self.extend(parent, timestamp, salt).await;
            parent = payload.hash();
            run.push(payload);
        }
        run
    }

    pub async fn block_number(&self) -> u64 {
        quantity(&self.rpc("eth_blockNumber", json!([])).await)
    }

    pub async fn head_hash(&self) -> B256 {
        self.rpc("eth_getBlockByNumber", json!(["latest", false])).await["hash"].as_str().unwrap().parse().unwrap()
    }
}

pub fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
