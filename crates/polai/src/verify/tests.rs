use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Json, Router, extract::State, routing::post};
use clap::Parser as _;
use pol_kit::{http, tasks::Root};
use tokio::net::TcpListener;

use super::*;
use crate::{
    args::{Args, Command},
    up::spec,
};

/// How often the head was looked at, and after how many looks it stays the same block.
type Client = (Arc<AtomicU64>, u64);

/// A client whose head is block 1, and that has lost block 0: a contradiction.
async fn call(State((looks, steady)): State<Client>, Json(request): Json<Value>) -> Json<Value> {
    let result = match (request["method"].as_str().unwrap(), request["params"][0].as_str()) {
        ("eth_blockNumber", _) => json!("0x1"),
        (_, Some("0x1")) => json!({ "hash": format!("{}", looks.fetch_add(1, Ordering::Relaxed).min(steady)) }),
        _ => json!(null),
    };
    Json(json!({ "jsonrpc": "2.0", "id": 1, "result": result }))
}

async fn line(steady: u64) -> (String, u64) {
    let (root, looks) = (Root::new("test"), Arc::new(AtomicU64::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Command::Verify(args) = Args::parse_from(["polai", "verify"]).command else { panic!("no verify") };
    let mut ports = args.ports.ports().unwrap();
    ports.http = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", post(call)).with_state((Arc::clone(&looks), steady));
    let tasks = root.child("client");
    tasks.spawn_critical("server", http::serve(listener, router, http::Limits::default(), tasks.token()));
    let node = Node { ask: Ask::new().unwrap(), spec: spec(Hash32([3; 32])), ports };
    (check(&node).await.unwrap_err().to_string(), looks.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_reorg_during_the_check_is_no_contradiction_and_the_check_starts_over_once() {
    let (said, looks) = line(0).await;
    assert!(said.starts_with("CONTRADICTION at block 0") && looks == 2, "{said}");
    let (said, looks) = line(1).await;
    assert!(said.starts_with("CONTRADICTION at block 0") && looks == 4, "the second time nothing moved: {said}");
    let (said, _) = line(u64::MAX).await;
    assert!(said.starts_with("not checked: block 1 was replaced by a reorg"), "{said}");
}
