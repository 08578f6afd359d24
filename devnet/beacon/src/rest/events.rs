//! `/eth/v1/events`: server-sent events.

use core::convert::Infallible;
use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    response::{
        IntoResponse as _,
        sse::{Event as Sse, KeepAlive, Sse as Stream},
    },
};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{Answer, Api, ApiError, query::Query};
use crate::{driver::Event, types::EthSpec};

/// Topics that this node speaks of.
const TOPICS: [&str; 5] = ["head", "block", "finalized_checkpoint", "chain_reorg", "proposer_slashing"];
/// Topics of the standard on which nothing ever happens here.
const SILENT: [&str; 8] = [
    "block_gossip",
    "attestation",
    "voluntary_exit",
    "bls_to_execution_change",
    "attester_slashing",
    "contribution_and_proof",
    "payload_attributes",
    "blob_sidecar",
];

struct Subscriber {
    events: broadcast::Receiver<Arc<Event>>,
    topics: BTreeSet<String>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events<E: EthSpec>(State(api): State<Api<E>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query)?;
    let topics: BTreeSet<String> = query.list("topics")?.into_iter().map(str::to_owned).collect();
    if topics.is_empty() {
        return Err(ApiError::bad("topics: none given"));
    }
    if let Some(unknown) = topics.iter().find(|topic| !TOPICS.contains(&topic.as_str()) && !SILENT.contains(&topic.as_str())) {
        return Err(ApiError::bad(format!("topics: unknown {:?}", unknown.chars().take(40).collect::<String>())));
    }
    let place = Arc::clone(&api.subscribers).try_acquire_owned();
    let place =
        place.map_err(|_| ApiError { code: 503, message: format!("{} subscribers are served already", super::SUBSCRIBERS) })?;
    let subscriber = Subscriber { events: api.node.events().subscribe(), topics, _place: place };
    let stream = stream::unfold(subscriber, |mut subscriber| async move {
        loop {
            match subscriber.events.recv().await {
                Ok(event) => {
                    let (topic, value) = render(&event);
                    if subscriber.topics.contains(topic) {
                        let sse = Sse::default().event(topic).data(value.to_string());
                        return Some((Ok::<_, Infallible>(sse), subscriber));
                    }
                }
                // Too slow: the stream ends, and the listener knows that it missed something.
                Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Ok(Stream::new(stream).keep_alive(KeepAlive::default()).into_response())
}

fn render(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Block { slot, root, optimistic } => {
            ("block", json!({ "slot": slot.to_string(), "block": root, "execution_optimistic": optimistic }))
        }
        Event::Head { slot, root, state, epoch_transition, optimistic } => (
            "head",
            json!({
                "slot": slot.to_string(), "block": root, "state": state, "epoch_transition": epoch_transition,
                "execution_optimistic": optimistic,
            }),
        ),
        Event::Reorg { slot, depth, old, new, epoch } => (
            "chain_reorg",
            json!({
                "slot": slot.to_string(), "depth": depth.to_string(), "old_head_block": old.0, "new_head_block": new.0,
                "old_head_state": old.1, "new_head_state": new.1, "epoch": epoch.to_string(), "execution_optimistic": false,
            }),
        ),
        Event::Finalized { checkpoint, state } => (
            "finalized_checkpoint",
            json!({
                "block": checkpoint.root, "state": state, "epoch": checkpoint.epoch.to_string(), "execution_optimistic": false,
            }),
        ),
        Event::ProposerSlashing(slashing) => ("proposer_slashing", json!(**slashing)),
    }
}
