//! A consensus client that does what a test tells it: the Engine API and the AI engine, authenticated.

use pol_core::UpdateId;
use pol_kit::jwt::Secret;
use serde_json::{Value, json};

use crate::home::now;

const ZERO: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

/// An execution client's authenticated ports.
#[derive(Debug)]
pub struct Engine {
    auth: String,
    ai_engine: String,
    secret: Secret,
    client: reqwest::blocking::Client,
}

/// A block that the execution client has built and taken.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its hash.
    pub hash: String,
    /// The payload.
    pub payload: Value,
}

impl Engine {
    pub(crate) fn new(auth: String, ai_engine: String, secret: Secret) -> Self {
        Self { auth, ai_engine, secret, client: reqwest::blocking::Client::new() }
    }

    fn call(&self, url: &str, method: &str, params: &Value) -> Value {
        let token = self.secret.token(now()).expect("a token");
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let sent = self.client.post(url).bearer_auth(token).json(&body).send().expect("an answer");
        let answer: Value = sent.json().expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Makes a block the head, and says which one is final. With attributes, a payload is begun.
    fn choose(&self, head: &str, finalized: &str, attributes: &Value) -> Value {
        let state = json!({ "headBlockHash": head, "safeBlockHash": finalized, "finalizedBlockHash": finalized });
        let answer = self.call(&self.auth, "engine_forkchoiceUpdatedV3", &json!([state, attributes]));
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{answer}");
        answer["payloadId"].clone()
    }

    /// Makes a block the head.
    ///
    /// # Panics
    /// The execution client does not take it.
    pub fn head(&self, block: &Block) {
        self.choose(&block.hash, ZERO, &Value::Null);
    }

    /// Makes a block the head, and another one final.
    ///
    /// # Panics
    /// The execution client does not take it.
    pub fn finalize(&self, head: &Block, finalized: &Block) {
        self.choose(&head.hash, &finalized.hash, &Value::Null);
    }

    /// Builds a block on `parent` at a time and has it imported; with an update, an AI block, whose certificate nobody here looks at. The
    /// head is `parent` then. The salt makes siblings.
    ///
    /// # Panics
    /// The execution client does not take it.
    pub fn build(&self, parent: &str, (slot, timestamp): (u64, u64), update: Option<UpdateId>, salt: u8) -> Block {
        if let Some(update) = update {
            let certificate = format!("0x{}{}{}{}", "01".repeat(32), "0100", "01", "33".repeat(96));
            let pushed = json!({ "parentHash": parent, "slot": format!("0x{slot:x}"), "updateId": format!("0x{update}"), "certificate": certificate });
            let held = self.call(&self.ai_engine, "polai_setCandidateV1", &json!([pushed]));
            assert_eq!(held["status"], "held", "{held}");
        }
        let root = format!("0x{}", "05".repeat(32));
        let attributes = json!({
            "timestamp": format!("0x{timestamp:x}"), "prevRandao": format!("0x{}", hex::encode([salt; 32])), "withdrawals": [],
            "suggestedFeeRecipient": "0x00000000000000000000000000000000000000fe", "parentBeaconBlockRoot": root,
        });
        let id = self.choose(parent, ZERO, &attributes);
        let payload = self.call(&self.auth, "engine_getPayloadV3", &json!([id]))["executionPayload"].clone();
        let named = payload["extraData"].as_str().and_then(|data| data.get(66..130)).unwrap_or_default();
        assert_eq!(named, update.map_or_else(|| "0".repeat(64), |update| update.to_string()), "{payload}");
        let status = self.call(&self.auth, "engine_newPayloadV3", &json!([payload, [], root]));
        assert_eq!(status["status"], "VALID", "{status}");
        Block { hash: payload["blockHash"].as_str().expect("a hash").to_owned(), payload }
    }
}
