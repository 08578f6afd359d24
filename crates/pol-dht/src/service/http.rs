//! `GET /dht/peers`, `GET /dht/records/{update}`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use pol_core::UpdateId;
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Node,
    net::{AskError, PeerInfo},
    verify::Standing,
};

/// ACKs shown of one update: as many as a committee has seats.
const ACKS_MAX: usize = 512;
/// A list of peers is shown for this long before the event loop is asked again, so that those who look do not slow down those who send.
const PEERS_FRESH: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Peer {
    peer: String,
    addresses: Vec<String>,
    direction: &'static str,
    latency_ms: Option<u64>,
    agent: Option<String>,
    since: u64,
}

#[derive(Serialize)]
struct Peers {
    local: String,
    listening: Vec<String>,
    peers: Vec<Peer>,
}

#[derive(Serialize)]
struct Ack {
    peer_id: String,
    result_root: String,
    verified: bool,
    conflict: bool,
    expires: u64,
}

#[derive(Serialize)]
struct Records {
    update_id: String,
    held: bool,
    acks: Vec<Ack>,
}

fn shown(info: PeerInfo) -> Peer {
    // An agent is a stranger's text: one short line.
    let line = |agent: String| agent.chars().filter(|c| !c.is_control()).take(64).collect();
    Peer {
        peer: info.peer.to_string(),
        addresses: info.addresses.iter().map(ToString::to_string).collect(),
        direction: if info.inbound { "inbound" } else { "outbound" },
        latency_ms: info.latency.and_then(|latency| u64::try_from(latency.as_millis()).ok()),
        agent: info.agent.map(line),
        since: info.since,
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}

/// The answer of `/dht/peers`, and since when it stands.
#[derive(Debug, Clone, Default)]
struct Shown(Arc<Mutex<Option<(Instant, Bytes)>>>);

async fn ask_peers(node: &Node) -> Result<Bytes, AskError> {
    let (peers, listening) = tokio::try_join!(node.peers(), node.net().listeners())?;
    let peers = Peers {
        local: node.net().local_peer_id().to_string(),
        listening: listening.iter().map(ToString::to_string).collect(),
        peers: peers.into_iter().map(shown).collect(),
    };
    // Strings and numbers always have a JSON form.
    Ok(serde_json::to_vec(&peers).unwrap_or_default().into())
}

async fn peers(State((node, shown)): State<(Node, Shown)>) -> Response {
    // Held while asking: whoever else comes meanwhile gets the same answer.
    let mut shown = shown.0.lock().await;
    let json = match &*shown {
        Some((since, json)) if since.elapsed() < PEERS_FRESH => json.clone(),
        _ => match ask_peers(&node).await {
            Ok(json) => shown.insert((Instant::now(), json)).1.clone(),
            Err(error) => return failed(&error),
        },
    };
    drop(shown);
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}

async fn records(State((node, _)): State<(Node, Shown)>, Path(update): Path<String>) -> Response {
    let update_id: UpdateId = match update.parse() {
        Ok(id) => id,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let found = node.blocking(move |shared| shared.store.acks(update_id, ACKS_MAX, shared.now())).await;
    match found {
        Err(panic) => failed(&panic),
        Ok(Err(error)) => failed(&error),
        Ok(Ok(acks)) => Json(Records {
            update_id: update_id.to_string(),
            held: node.shared().store.deltas().contains(&update_id),
            acks: acks
                .into_iter()
                .map(|stored| Ack {
                    peer_id: stored.ack.peer_id().to_string(),
                    result_root: stored.ack.data.result_root.to_string(),
                    verified: stored.record.standing == Standing::Member,
                    conflict: stored.record.conflicted,
                    expires: stored.record.expires_at,
                })
                .collect(),
        })
        .into_response(),
    }
}

/// The routes of a node, to merge with `/health` and `/metrics`.
pub fn router(node: Node) -> Router {
    Router::new()
        .route("/dht/peers", get(peers))
        .route("/dht/records/{update}", get(records))
        .with_state((node, Shown::default()))
}
