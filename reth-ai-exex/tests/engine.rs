//! The AI engine over a real port: who is let in, what is taken, and what hostile requests come to.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod common;

use core::time::Duration;
use std::{net::SocketAddr, sync::Arc};

use alloy_primitives::{B256, hex};
use common::{GENESIS_TIME, NOW, SLOT, certificate, chain, clock, grow, log, register};
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto::sign, encode};
use pol_kit::{
    clock::{Clock as _, Manual},
    http,
    jwt::Secret,
};
use reth_ai_exex::{
    candidate::Register,
    engine::{AiEngine, LIMITS, REFUSED},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const KEY: [u8; 32] = [7; 32];
const PARENT: B256 = B256::repeat_byte(7);

struct Engine {
    address: SocketAddr,
    register: Register,
    clock: Arc<Manual>,
    /// Ends the server when dropped.
    _server: JoinSet<Result<(), core::convert::Infallible>>,
    _directory: tempfile::TempDir,
}

async fn start() -> Engine {
    let (clock, (directory, log)) = (clock(), log());
    grow(&log, 10, 3);
    let register = register(clock.clone());
    let engine = AiEngine::new(chain(), register.clone(), log, None);
    let router = engine.router(Arc::new(Secret::from_bytes(KEY)), clock.clone());
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(http::serve(listener, router, http::Limits::default(), CancellationToken::new()));
    Engine { address, register, clock, _server: server, _directory: directory }
}

struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        // A body in which no JSON begins is HTTP's bad request, and says the same in JSON.
        assert!(matches!(self.status, 200 | 400), "{}: {}", self.status, self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn error(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {}", self.body))
    }
}

impl Engine {
    fn token(&self) -> String {
        Secret::from_bytes(KEY).token(self.clock.unix_seconds()).unwrap()
    }

    /// A request by hand, so that it can be as wrong as it likes.
    async fn raw(&self, method: &str, headers: &[String], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head =
            format!("{method} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        // The server may answer, and close, before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        Answer { status, body: answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default() }
    }

    async fn post(&self, body: &[u8]) -> Answer {
        let headers = ["content-type: application/json".to_owned(), format!("authorization: Bearer {}", self.token())];
        self.raw("POST", &headers, body).await
    }

    async fn call(&self, method: &str, params: Value) -> Answer {
        self.post(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string().as_bytes()).await
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await.json();
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    async fn with_authorization(&self, values: &[String]) -> Answer {
        let mut headers: Vec<String> = values.iter().map(|value| format!("authorization: {value}")).collect();
        headers.push("content-type: application/json".to_owned());
        self.raw("POST", &headers, br#"{"jsonrpc":"2.0","id":1,"method":"polai_status","params":[]}"#).await
    }
}

fn candidate(slot: u64, update: u8) -> Value {
    let certificate = if update == 0 { "0x".to_owned() } else { certificate().to_string() };
    json!({"parentHash": PARENT, "slot": format!("0x{slot:x}"), "updateId": B256::repeat_byte(update), "certificate": certificate})
}

#[tokio::test]
async fn only_a_token_as_the_engine_api_asks_for_is_let_in() {
    let engine = start().await;
    let now = engine.clock.unix_seconds();
    let _ = Secret::from_bytes(KEY).token(now); // chooses the cryptography's provider
    let forge = |algorithm, claims: Value, key: &[u8]| {
        format!("Bearer {}", encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(key)).unwrap())
    };
    let hs256 = |claims| forge(Algorithm::HS256, claims, &KEY);
    let good = hs256(json!({"iat": now}));
    let (_, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}, {"alg":"RS256","typ":"JWT"}
    let none = format!("Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.{signature}");
    let message = format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{claims}");
    let confused = sign(message.as_bytes(), &EncodingKey::from_secret(&KEY), Algorithm::HS256).unwrap();
    let cases: Vec<(&str, Vec<String>, u16)> = vec![
        ("a good one", vec![good.clone()], 200),
        ("no header", vec![], 401),
        ("algorithm none", vec![none], 401),
        ("HS512", vec![forge(Algorithm::HS512, json!({"iat": now}), &KEY)], 401),
        ("RS256", vec![format!("Bearer {message}.{confused}")], 401),
        ("another key", vec![forge(Algorithm::HS256, json!({"iat": now}), &[8; 32])], 401),
        ("a key of 31 bytes", vec![forge(Algorithm::HS256, json!({"iat": now}), &KEY[1..])], 401),
        ("a key of 33 bytes", vec![forge(Algorithm::HS256, json!({"iat": now}), &[7; 33])], 401),
        ("no iat", vec![hs256(json!({}))], 401),
        ("iat 59 s ago", vec![hs256(json!({"iat": now - 59}))], 200),
        ("iat in 59 s", vec![hs256(json!({"iat": now + 59}))], 200),
        ("iat 61 s ago", vec![hs256(json!({"iat": now - 61}))], 401),
        ("iat in 61 s", vec![hs256(json!({"iat": now + 61}))], 401),
        ("iat as a string", vec![hs256(json!({"iat": now.to_string()}))], 401),
        ("a token of 8 KB", vec![hs256(json!({"iat": now, "id": "x".repeat(6_000)}))], 401),
        // Refused before anybody looks at it: HTTP's own answer to a head beyond 16 KiB.
        ("a token of 64 KB", vec![hs256(json!({"iat": now, "id": "x".repeat(48_000)}))], 431),
        ("two headers", vec![good.clone(), good], 401),
    ];
    for (name, values, expected) in cases {
        let answer = engine.with_authorization(&values).await;
        assert_eq!(answer.status, expected, "{name}: {}", answer.body);
        assert!(expected != 401 || answer.body == "unauthorized", "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_pushed_candidate_is_what_the_next_payload_chooses() {
    let engine = start().await;
    assert_eq!(engine.result("polai_setCandidateV1", json!([candidate(NOW, 9)])).await, json!({"status": "held"}));
    let choice = engine.register.choose(PARENT, GENESIS_TIME + NOW * SLOT);
    let chosen = choice.candidate.unwrap();
    assert_eq!((chosen.update_id().0, chosen.certificate()), ([9; 32], &certificate()));
    let shown = engine.result("polai_candidate", json!([PARENT, format!("0x{NOW:x}")])).await;
    assert_eq!(shown, candidate(NOW, 9));
    assert_eq!(engine.result("polai_candidate", json!([B256::ZERO, "0x64"])).await, Value::Null);
    assert_eq!(engine.result("polai_setCandidateV1", json!([candidate(NOW, 0)])).await, json!({"status": "cleared"}));
    let cleared = engine.register.choose(PARENT, GENESIS_TIME + NOW * SLOT);
    assert!(cleared.candidate.is_none() && cleared.generation != choice.generation);
}

#[tokio::test]
async fn a_bad_candidate_is_refused_to_its_pusher_by_a_word_and_changes_nothing() {
    let engine = start().await;
    engine.result("polai_setCandidateV1", json!([candidate(NOW, 9)])).await;
    let mut malformed = candidate(NOW, 8);
    malformed["certificate"] = json!("0x00");
    let mut stray = candidate(NOW, 0);
    stray["certificate"] = json!(certificate());
    for (bad, reason) in
        [(candidate(NOW - 1, 8), "expired"), (candidate(NOW + 1_000, 8), "early"), (malformed, "malformed"), (stray, "malformed")]
    {
        let answer = engine.call("polai_setCandidateV1", json!([bad])).await;
        assert_eq!(answer.error(), i64::from(REFUSED));
        assert_eq!(answer.json()["error"]["data"], reason);
    }
    let choice = engine.register.choose(PARENT, GENESIS_TIME + NOW * SLOT);
    assert_eq!(choice.candidate.unwrap().update_id().0, [9; 32]);
}

#[tokio::test]
async fn parameters_of_another_shape_are_refused_as_such() {
    let engine = start().await;
    let with = |key: &str, value: Value| {
        let mut changed = candidate(NOW, 9);
        changed[key] = value;
        json!([changed])
    };
    for params in [
        json!([]),
        json!([null]),
        json!([[]]),
        json!({"candidate": 1}),
        with("slot", json!("x")),
        with("slot", json!("0x1ffffffffffffffff")),
        with("slot", json!(-1)),
        with("parentHash", json!("0x12")),
        with("updateId", json!(hex::encode_prefixed([1; 33]))),
        with("certificate", json!("0xzz")),
        with("certificate", json!(7)),
        with("extra", json!(1)),
    ] {
        assert_eq!(engine.call("polai_setCandidateV1", params.clone()).await.error(), -32_602, "{params}");
    }
    assert_eq!(engine.call("polai_setMode", json!(["off"])).await.error(), -32_602);
    assert_eq!(engine.call("polai_updates", json!(["0x0", "0x1"])).await.error(), -32_601, "the public methods are elsewhere");
    assert_eq!(engine.register.all(), []);
}

#[tokio::test]
async fn the_mode_is_changed_and_the_status_tells_everything() {
    let engine = start().await;
    engine.result("polai_setCandidateV1", json!([candidate(NOW + 1, 9)])).await;
    assert_eq!(engine.result("polai_setMode", json!(["dry_run"])).await, json!({"mode": "dry_run", "before": "enabled"}));
    let held = engine.result("polai_setCandidateV1", json!([candidate(NOW, 8)])).await;
    assert_eq!(held, json!({"status": "dry_run"}));
    let status = engine.result("polai_status", json!([])).await;
    assert_eq!((&status["mode"], &status["slot"], &status["sealer"]), (&json!("dry_run"), &json!("0x64"), &Value::Null));
    assert_eq!(status["candidates"], json!([candidate(NOW, 8), candidate(NOW + 1, 9)]));
    assert_eq!((&status["head"]["height"], &status["head"]["updates"]), (&json!("0xa"), &json!("0x3")));
    assert_eq!(status["finalized"]["height"], "0x0");
    assert_eq!(status["genesisId"], hex::encode_prefixed([0x11; 32]));
    engine.result("polai_setMode", json!(["disabled"])).await;
    let refused = engine.call("polai_setCandidateV1", json!([candidate(NOW, 7)])).await;
    assert_eq!((refused.error(), &refused.json()["error"]["data"]), (i64::from(REFUSED), &json!("disabled")));
}

#[tokio::test]
async fn a_flood_of_candidates_leaves_a_few_and_the_last_one() {
    let engine = start().await;
    for i in 0..200_u8 {
        let mut one = candidate(NOW, 9);
        one["parentHash"] = json!(B256::repeat_byte(i));
        assert_eq!(engine.result("polai_setCandidateV1", json!([one])).await, json!({"status": "held"}));
    }
    let status = engine.result("polai_status", json!([])).await;
    assert_eq!(status["candidates"].as_array().unwrap().len(), reth_ai_exex::limits::CANDIDATES);
    assert_eq!(status["candidates"].as_array().unwrap().last().unwrap()["parentHash"], json!(B256::repeat_byte(199)));
}

#[tokio::test]
async fn batch_bombs_deep_json_and_oversize_bodies_are_refused_at_once() {
    let engine = start().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"polai_status","params":[]}"#;
    let batch = |calls: usize| format!("[{}]", vec![call; calls].join(","));
    let most = usize::try_from(LIMITS.batch).unwrap();
    assert_eq!(engine.post(batch(most).as_bytes()).await.json().as_array().unwrap().len(), most);
    for bomb in [batch(most + 1), batch(200), format!("[{}1]", "1,".repeat(7_000))] {
        assert_eq!(engine.post(bomb.as_bytes()).await.error(), -32_600);
    }
    for deep in ["[".repeat(10_000), format!("{{\"a\":{}", "[".repeat(10_000)), format!("{}{}", "[".repeat(9), "]".repeat(9))] {
        assert_eq!(engine.post(deep.as_bytes()).await.error(), -32_600);
    }
    let nested = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"polai_status","params":{}{}}}"#, "[".repeat(20), "]".repeat(20));
    assert_eq!(engine.post(nested.as_bytes()).await.error(), -32_600);
    let limit = usize::try_from(LIMITS.request_bytes).unwrap();
    for size in [limit + 1, 1 << 20, 15 << 20] {
        let answer = engine.post(&vec![b' '; size]).await;
        // Cut off in the middle of sending, a client may not see the answer.
        assert!(matches!(answer.status, 413 | 0), "{size}: {}", answer.status);
    }
    assert_eq!(engine.post(&vec![b' '; limit]).await.error(), -32_700);
    assert_eq!(engine.result("polai_status", json!([])).await["mode"], "enabled", "it serves on");
}

#[tokio::test]
async fn what_is_no_request_gets_the_answer_that_json_rpc_or_http_has_for_it() {
    let engine = start().await;
    let no_request = [&b""[..], b"\xff\xfe", b"{", b"[]", b"{}", b"7", br#"{"jsonrpc":"1.0","id":1,"method":"polai_status"}"#];
    for body in no_request {
        let found = engine.post(body).await.error();
        assert!(matches!(found, -32_700 | -32_600), "{}: {found}", String::from_utf8_lossy(body));
    }
    assert_eq!(engine.call("engine_newPayloadV3", json!([])).await.error(), -32_601);
    let authorized = [format!("authorization: Bearer {}", engine.token())];
    assert_eq!(engine.raw("GET", &authorized, b"").await.status, 405);
    assert_eq!(engine.raw("POST", &authorized, b"{}").await.status, 415, "a body that does not say that it is JSON");
    assert_eq!(engine.raw("POST", &[], b"{}").await.status, 401);
    engine.clock.advance(Duration::from_secs(3_600));
    assert_eq!(engine.raw("POST", &authorized, b"{}").await.status, 401, "an old token");
}
