//! A scripted execution client: Engine API V3 and AI engine on one port, a chain of payloads in memory that nobody executes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use pol_kit::{clock::Clock, jwt, jwt::Secret};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Good,
    Syncing,
    Invalid,
    Garbage,
    Down,
    /// Never answers in time.
    Slow,
    /// Good, but never answers getPayload in time.
    LatePayload,
    /// Good, but refuses every getPayload.
    NoPayload,
    /// Answers getPayload with a certificate that nobody signed, unless the candidate was cleared.
    BadCertificate,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) mode: Mode,
    /// Hash -> height.
    blocks: BTreeMap<String, u64>,
    head: String,
    jobs: BTreeMap<String, Value>,
    next_job: u64,
    pub(crate) candidates: Vec<Value>,
    pub(crate) calls: Vec<String>,
    /// Calls until the node is killed.
    pub(crate) fuse: Option<usize>,
    pub(crate) logs: Vec<Value>,
    genesis: String,
}

#[derive(Debug)]
pub(crate) struct MockEngine {
    pub(crate) script: Mutex<Script>,
    pub(crate) killed: Notify,
    pub(crate) url: String,
}

pub(crate) const SECRET: [u8; 32] = [7; 32];

impl MockEngine {
    pub(crate) async fn start(genesis: &str, clock: Arc<dyn Clock>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            blocks: BTreeMap::from([(genesis.to_owned(), 0)]),
            head: genesis.to_owned(),
            genesis: genesis.to_owned(),
            ..Script::default()
        };
        let engine = Arc::new(Self { script: Mutex::new(script), killed: Notify::new(), url });
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&engine));
        let router = jwt::protect(router, Arc::new(Secret::from_bytes(SECRET)), clock);
        tokio::spawn(async move { axum::serve(listener, router).await });
        engine
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.script.lock().unwrap().mode = mode;
    }

    /// Loses all blocks above a height, as a client does that had them in memory only.
    pub(crate) fn forget_above(&self, height: u64) {
        let mut script = self.script.lock().unwrap();
        script.blocks.retain(|_, of| *of <= height);
        script.head = script.genesis.clone();
    }

    /// The same for so many of its newest blocks.
    pub(crate) fn forget_newest(&self, blocks: u64) {
        let height = self.script.lock().unwrap().blocks.values().max().copied().unwrap();
        self.forget_above(height.checked_sub(blocks).unwrap());
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.script.lock().unwrap().calls.iter().filter(|call| *call == method).count()
    }
}

async fn answer(State(engine): State<Arc<MockEngine>>, body: Bytes) -> axum::response::Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let method = request["method"].as_str().unwrap().to_owned();
    let (mode, fused) = {
        let mut script = engine.script.lock().unwrap();
        script.calls.push(method.clone());
        let fused = script.fuse == Some(0);
        script.fuse = script.fuse.map(|left| left.saturating_sub(1));
        (script.mode, fused)
    };
    if fused {
        engine.killed.notify_one();
        std::future::pending::<()>().await;
    }
    match mode {
        Mode::Down => return StatusCode::BAD_GATEWAY.into_response(),
        Mode::Garbage => return "<html>not what you think</html>".into_response(),
        Mode::Slow => tokio::time::sleep(Duration::from_secs(60)).await,
        Mode::LatePayload if method == "engine_getPayloadV3" => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    let result = engine.script.lock().unwrap().handle(&method, &request["params"]);
    let mut response = json!({ "jsonrpc": "2.0", "id": request["id"] });
    match result {
        Ok(result) => response["result"] = result,
        Err(message) => response["error"] = json!({ "code": -32000, "message": message }),
    }
    Json(response).into_response()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

/// Stands for the hash of the header with its 64 bytes of extra data.
fn hash_of(payload: &Value) -> String {
    let extra = bytes(&payload["extraData"]);
    let parts = [
        bytes(&payload["parentHash"]),
        extra[..80].to_vec(),
        text(&payload["timestamp"]).into_bytes(),
        bytes(&payload["prevRandao"]),
    ];
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    format!("0x{}", hex::encode(pol_core::sha256(&parts)))
}

impl Script {
    fn handle(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        match method {
            "engine_exchangeCapabilities" => Ok(params[0].clone()),
            "eth_getBlockByNumber" => Ok(json!({ "hash": self.genesis })),
            "engine_newPayloadV3" => Ok(self.new_payload(&params[0])),
            "engine_forkchoiceUpdatedV3" => Ok(self.forkchoice(&params[0], &params[1])),
            "engine_getPayloadV3" if self.mode == Mode::NoPayload => Err("no sealed payload in time".to_owned()),
            "engine_getPayloadV3" => {
                let payload = self.jobs.get(params[0].as_str().unwrap()).cloned().ok_or("unknown payload")?;
                let mut payload = payload;
                if self.mode == Mode::BadCertificate && !self.is_cleared(&payload) {
                    let mut extra = bytes(&payload["extraData"]);
                    extra[32..64].fill(0xee);
                    payload["extraData"] = json!(format!("0x{}", hex::encode(extra)));
                    payload["blockHash"] = json!(hash_of(&payload));
                }
                let bundle = json!({ "commitments": [], "proofs": [], "blobs": [] });
                Ok(
                    json!({ "executionPayload": payload, "blockValue": "0x0", "blobsBundle": bundle, "shouldOverrideBuilder": false }),
                )
            }
            "eth_getLogs" => {
                let number = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
                let (from, to) = (number(&params[0]["fromBlock"]), number(&params[0]["toBlock"]));
                let within = |log: &&Value| (from..=to).contains(&number(&log["blockNumber"]));
                Ok(json!(self.logs.iter().filter(within).collect::<Vec<_>>()))
            }
            "polai_setCandidateV1" => {
                self.candidates.push(params[0].clone());
                Ok(json!({ "status": "held" }))
            }
            other => Err(format!("unknown method {other}")),
        }
    }

    fn is_cleared(&self, payload: &Value) -> bool {
        let zero = format!("0x{}", "00".repeat(32));
        self.candidates.iter().any(|push| push["parentHash"] == payload["parentHash"] && push["updateId"] == json!(zero))
    }

    fn status(&self, status: &str, valid: Option<&str>) -> Value {
        json!({ "status": status, "latestValidHash": valid, "validationError": (status == "INVALID").then_some("scripted") })
    }

    fn new_payload(&mut self, payload: &Value) -> Value {
        let (hash, parent) = (text(&payload["blockHash"]), text(&payload["parentHash"]));
        match self.mode {
            Mode::Syncing => return self.status("SYNCING", None),
            Mode::Invalid => return self.status("INVALID", Some(&parent)),
            _ => {}
        }
        if hash != hash_of(payload) {
            return self.status("INVALID", None);
        }
        match self.blocks.get(&parent) {
            Some(height) => {
                self.blocks.insert(hash.clone(), height + 1);
                self.status("VALID", Some(&hash))
            }
            None => self.status("SYNCING", None),
        }
    }

    fn forkchoice(&mut self, state: &Value, attributes: &Value) -> Value {
        let head = text(&state["headBlockHash"]);
        if self.mode == Mode::Syncing || !self.blocks.contains_key(&head) {
            return json!({ "payloadStatus": self.status("SYNCING", None), "payloadId": null });
        }
        self.head = head.clone();
        let id = (!attributes.is_null()).then(|| self.build(&head, attributes));
        json!({ "payloadStatus": self.status("VALID", Some(&head)), "payloadId": id })
    }

    fn build(&mut self, parent: &str, attributes: &Value) -> String {
        let mut extra = bytes(&json!(parent));
        let mut certificate = Vec::new();
        match self.candidates.iter().rev().find(|push| push["parentHash"] == json!(parent)) {
            Some(push) => {
                extra.extend(bytes(&push["updateId"]));
                certificate = bytes(&push["certificate"]);
            }
            None => extra.extend([0; 32]),
        }
        extra.extend(1_u64.to_be_bytes());
        extra.extend(1_024_u64.to_be_bytes());
        extra.extend(certificate);
        let zero = format!("0x{}", "00".repeat(32));
        let mut payload = json!({
            "parentHash": parent, "feeRecipient": attributes["suggestedFeeRecipient"], "stateRoot": zero, "receiptsRoot": zero,
            "logsBloom": format!("0x{}", "00".repeat(256)), "prevRandao": attributes["prevRandao"],
            "blockNumber": format!("{:#x}", self.blocks[parent] + 1), "gasLimit": "0x1c9c380", "gasUsed": "0x0",
            "timestamp": attributes["timestamp"], "extraData": format!("0x{}", hex::encode(extra)), "baseFeePerGas": "0x7",
            "blockHash": zero, "transactions": [], "withdrawals": attributes["withdrawals"], "blobGasUsed": "0x0", "excessBlobGas": "0x0",
        });
        payload["blockHash"] = json!(hash_of(&payload));
        self.next_job += 1;
        let id = format!("{:#018x}", self.next_job);
        self.jobs.insert(id.clone(), payload);
        id
    }
}
