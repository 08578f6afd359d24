//! An AI engine that holds what it is given.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use pol_core::UpdateId;
use pol_kit::{clock::Clock, jwt::Secret};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use super::lock;

pub const SECRET: [u8; 32] = [0x42; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Refuses every candidate.
    Refusing,
    /// HTTP 500.
    Broken,
    /// `true` to everything.
    Garbage,
    /// Too slow.
    Slow,
}

type Held = BTreeMap<([u8; 32], u64), (UpdateId, Vec<u8>)>;

#[derive(Debug)]
pub struct State {
    pub held: Held,
    pub calls: usize,
    pub unauthorized: usize,
    pub mood: Mood,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
pub struct Engine {
    pub state: Arc<Mutex<State>>,
    pub url: String,
    _server: Arc<MockServer>,
}

impl Engine {
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let state = State { held: BTreeMap::new(), calls: 0, unauthorized: 0, mood: Mood::Well, clock };
        let state = Arc::new(Mutex::new(state));
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(Answers(Arc::clone(&state))).mount(&server).await;
        Self { state, url: server.uri(), _server: Arc::new(server) }
    }

    /// What the block of a slot on this parent would carry.
    pub fn held(&self, parent_hash: [u8; 32], slot: u64) -> Option<(UpdateId, Vec<u8>)> {
        lock(&self.state).held.get(&(parent_hash, slot)).cloned()
    }

    pub fn set_mood(&self, mood: Mood) {
        lock(&self.state).mood = mood;
    }

    pub fn calls(&self) -> usize {
        lock(&self.state).calls
    }
}

struct Answers(Arc<Mutex<State>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = lock(&self.0);
        let token = request.headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let now = state.clock.unix_seconds();
        if !token.is_some_and(|token| Secret::from_bytes(SECRET).verify(token, now).is_ok()) {
            state.unauthorized += 1;
            return ResponseTemplate::new(401).set_body_string("unauthorized");
        }
        state.calls += 1;
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(call["method"], "polai_setCandidateV1");
        match state.mood {
            Mood::Well => {}
            Mood::Refusing => {
                let error = json!({ "code": -39_001, "message": "another parent", "data": "wrong_parent" });
                return ResponseTemplate::new(200).set_body_json(json!({ "jsonrpc": "2.0", "id": call["id"], "error": error }));
            }
            Mood::Broken => return ResponseTemplate::new(500),
            Mood::Garbage => return ResponseTemplate::new(200).set_body_json(true),
            Mood::Slow => return ResponseTemplate::new(200).set_delay(Duration::from_secs(5)),
        }
        let candidate = &call["params"][0];
        let bytes = |field: &str| hex::decode(candidate[field].as_str().unwrap().strip_prefix("0x").unwrap()).unwrap();
        let slot = u64::from_str_radix(candidate["slot"].as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap();
        let place: ([u8; 32], u64) = (bytes("parentHash").try_into().unwrap(), slot);
        let update_id = UpdateId(bytes("updateId").try_into().unwrap());
        state.held.insert(place, (update_id, bytes("certificate")));
        let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "status": "held" } });
        ResponseTemplate::new(200).set_body_json(answer)
    }
}
