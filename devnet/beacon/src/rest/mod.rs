//! The Beacon API on port 3500: reads, pools, events, and our own `/pol/v1/ai`.
//!
//! # Contract
//! Shapes of the Ethereum Beacon API: integers are decimal strings, bytes `0x` and hex, errors `{code, message}`. Reads come from a snapshot
//! and never hold the chain up. What is posted is judged before it is kept.
//!
//! # Limits
//! [`limits`]: bodies of 1 MiB, 256 connections; [`SUBSCRIBERS`] event streams, of which a slow one is cut off.
//!
//! # What it does not protect against
//! It has no authentication: keep it on loopback, or behind something that has.

mod ai;
mod blocks;
mod config;
mod error;
mod events;
mod ids;
mod node;
mod pool;
mod query;
mod states;
mod validators;

use core::time::Duration;
use std::sync::Arc;

use axum::{
    Json, Router,
    response::{IntoResponse as _, Response},
    routing::get,
};
use pol_kit::http::Limits;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;

pub use error::ApiError;

use crate::{driver::Node, types::EthSpec};

/// Event streams at the same time; one more is answered 503.
pub const SUBSCRIBERS: usize = 200;
/// Bytes of a body that is posted.
pub const BODY_BYTES: usize = 1 << 20;

/// Bounds of the server.
pub fn limits() -> Limits {
    Limits {
        connections: 256,
        connections_per_ip: 256,
        body_bytes: BODY_BYTES,
        // Event streams live as long as a connection.
        connection_life: Duration::from_secs(3_600),
        ..Limits::default()
    }
}

/// What the handlers share.
#[derive(Debug)]
pub struct Api<E: EthSpec> {
    node: Arc<Node<E>>,
    subscribers: Arc<Semaphore>,
}

impl<E: EthSpec> Clone for Api<E> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node), subscribers: Arc::clone(&self.subscribers) }
    }
}

type Answer = Result<Response, ApiError>;

/// All routes over a node.
pub fn router<E: EthSpec>(node: Arc<Node<E>>) -> Router {
    let api = Api { node, subscribers: Arc::new(Semaphore::new(SUBSCRIBERS)) };
    let beacon = "/eth/v1/beacon";
    let pool = |name: &str| format!("{beacon}/pool/{name}");
    Router::new()
        .route("/eth/v1/node/health", get(node::health::<E>))
        .route("/eth/v1/node/version", get(node::version))
        .route("/eth/v1/node/syncing", get(node::syncing::<E>))
        .route("/eth/v1/node/identity", get(node::identity))
        .route("/eth/v1/node/peers", get(node::peers))
        .route("/eth/v1/node/peer_count", get(node::peer_count))
        .route("/eth/v1/config/spec", get(config::spec::<E>))
        .route("/eth/v1/config/fork_schedule", get(config::fork_schedule::<E>))
        .route("/eth/v1/config/deposit_contract", get(config::deposit_contract::<E>))
        .route("/eth/v1/events", get(events::events::<E>))
        .route(&format!("{beacon}/genesis"), get(config::genesis::<E>))
        .route(&format!("{beacon}/headers"), get(blocks::headers::<E>))
        .route(&format!("{beacon}/headers/{{id}}"), get(blocks::header::<E>))
        .route("/eth/v2/beacon/blocks/{id}", get(blocks::block::<E>))
        .route(&format!("{beacon}/blocks/{{id}}/root"), get(blocks::root::<E>))
        .route(&format!("{beacon}/blob_sidecars/{{id}}"), get(blocks::blob_sidecars::<E>))
        .route(&format!("{beacon}/states/{{id}}/root"), get(states::root::<E>))
        .route(&format!("{beacon}/states/{{id}}/fork"), get(states::fork::<E>))
        .route(&format!("{beacon}/states/{{id}}/finality_checkpoints"), get(states::finality::<E>))
        .route(&format!("{beacon}/states/{{id}}/randao"), get(states::randao::<E>))
        .route(&format!("{beacon}/states/{{id}}/committees"), get(states::committees::<E>))
        .route(&format!("{beacon}/states/{{id}}/sync_committees"), get(states::sync_committees::<E>))
        .route(&format!("{beacon}/states/{{id}}/validators"), get(validators::all::<E>))
        .route(&format!("{beacon}/states/{{id}}/validators/{{vid}}"), get(validators::one::<E>))
        .route(&format!("{beacon}/states/{{id}}/validator_balances"), get(validators::balances::<E>))
        .route(&pool("proposer_slashings"), get(pool::proposer_slashings::<E>).post(pool::post_proposer_slashing::<E>))
        .route(&pool("attester_slashings"), get(pool::attester_slashings::<E>).post(pool::post_attester_slashing::<E>))
        .route(&pool("voluntary_exits"), get(pool::exits::<E>).post(pool::post_exit::<E>))
        .route(&pool("bls_to_execution_changes"), get(pool::changes::<E>).post(pool::post_changes::<E>))
        .route(&pool("attestations"), get(pool::attestations::<E>).post(pool::post_attestations::<E>))
        .route("/pol/v1/ai/status", get(ai::status::<E>))
        .route("/pol/v1/ai/quorum/{root}", get(ai::quorum::<E>))
        .route("/pol/v1/ai/acks/{update}", get(ai::acks::<E>))
        .route("/pol/v1/ai/faults", get(ai::faults::<E>))
        .fallback(async || ApiError::not_found("no such route"))
        .method_not_allowed_fallback(async || ApiError { code: 405, message: "method not allowed here".to_owned() })
        .with_state(api)
}

/// `{"data": ...}`.
fn data(value: impl Serialize) -> Answer {
    Ok(Json(json!({ "data": value })).into_response())
}

/// The same with what is said of a block or state.
fn with_status(optimistic: bool, finalized: bool, value: impl Serialize) -> Answer {
    Ok(Json(json!({ "execution_optimistic": optimistic, "finalized": finalized, "data": value })).into_response())
}
