//! The fault service: accused blocks and slashings for people and scripts, as JSON over HTTP.
//!
//! `GET /faults` lists; `GET /faults/slashings` is an array of `ProposerSlashing` objects as the Beacon API's pool takes them, so that an
//! operator can hand them to another beacon node by hand.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{
    beacon::slashing_json,
    shared::{Shared, lock},
};
use crate::faults::JobId;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/faults", get(list)).route("/faults/slashings", get(slashings)).with_state(shared)
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let faults = lock(&shared.faults);
    let cases: Vec<Value> = faults
        .pool
        .cases()
        .map(|case| {
            json!({
                "block_root": format!("0x{}", case.block_root),
                "slot": case.slot.to_string(),
                "proposer_index": case.proposer_index.to_string(),
                "votes": case.votes,
                "proven": case.proven,
            })
        })
        .collect();
    let jobs: Vec<Value> = faults
        .poster
        .jobs()
        .map(|(id, accused, _, taken)| {
            let kind = if matches!(id, JobId::Fault(_)) { "fault" } else { "malfeasance" };
            json!({ "kind": kind, "validator_index": accused.to_string(), "taken": taken })
        })
        .collect();
    Json(json!({ "cases": cases, "slashings": jobs }))
}

async fn slashings(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let faults = lock(&shared.faults);
    Json(faults.poster.jobs().map(|(_, _, pair, _)| slashing_json(pair)).collect())
}
