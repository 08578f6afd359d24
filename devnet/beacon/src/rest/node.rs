//! `/eth/v1/node`.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{Answer, Api, data};
use crate::{engine::EngineState, fork_choice::ExecutionStatus, types::EthSpec};

/// Slots behind the clock from which on a node counts as syncing.
const BEHIND: u64 = 4;

fn is_optimistic<E: EthSpec>(api: &Api<E>) -> bool {
    api.node.snapshot().head_node().is_none_or(|node| node.execution != ExecutionStatus::Valid)
}

fn is_offline<E: EthSpec>(api: &Api<E>) -> bool {
    matches!(api.node.link().state(), EngineState::Down | EngineState::Garbage | EngineState::Refusing)
}

pub(super) async fn health<E: EthSpec>(State(api): State<Api<E>>) -> Response {
    let ready = !is_offline(&api) && !is_optimistic(&api);
    if ready { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT }.into_response()
}

pub(super) async fn version() -> Answer {
    data(json!({ "version": concat!("pol-beacon/v", env!("CARGO_PKG_VERSION")) }))
}

pub(super) async fn syncing<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let snapshot = api.node.snapshot();
    let head = snapshot.head_node().map_or(0, |node| node.slot);
    let distance = snapshot.current_slot.saturating_sub(head);
    data(json!({
        "head_slot": head.to_string(), "sync_distance": distance.to_string(), "is_syncing": distance > BEHIND,
        "is_optimistic": is_optimistic(&api), "el_offline": is_offline(&api),
    }))
}

/// There is no network of beacon nodes yet: an identity without addresses.
pub(super) async fn identity() -> Answer {
    let metadata = json!({ "seq_number": "0", "attnets": "0x0000000000000000", "syncnets": "0x00" });
    data(json!({ "peer_id": "", "enr": "", "p2p_addresses": [], "discovery_addresses": [], "metadata": metadata }))
}

pub(super) async fn peers() -> Answer {
    Ok(Json(json!({ "data": [], "meta": { "count": 0 } })).into_response())
}

pub(super) async fn peer_count() -> Answer {
    data(json!({ "disconnected": "0", "connecting": "0", "connected": "0", "disconnecting": "0" }))
}
