//! Blocks and headers.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::IntoResponse as _,
};
use serde_json::{Value, json};

use super::{
    Answer, Api, ApiError,
    ids::{FoundBlock, root as parse_root},
    query::Query,
    with_status,
};
use crate::types::EthSpec;

fn header_json<E: EthSpec>(found: &FoundBlock<E>) -> Value {
    json!({
        "root": found.block.root(), "canonical": found.canonical,
        "header": { "message": found.block.header(), "signature": found.block.signed().signature },
    })
}

pub(super) async fn header<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.block_of(&id).await?;
    with_status(found.optimistic, found.finalized, header_json(&found))
}

pub(super) async fn headers<E: EthSpec>(State(api): State<Api<E>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query)?;
    let slot: Option<u64> = query.number("slot")?;
    let parent = query.text("parent_root").map(parse_root).transpose()?;
    let snapshot = api.node.snapshot();
    let matching = |node: &&crate::fork_choice::Node<E>| {
        slot.is_none_or(|slot| node.slot == slot) && parent.is_none_or(|parent| node.parent_root == parent)
    };
    let roots: Vec<String> = match (slot, parent) {
        (None, None) => vec!["head".to_owned()],
        _ => snapshot.nodes.values().filter(matching).map(|node| node.root.to_string()).collect(),
    };
    // A slot that is final is not among the blocks since finality.
    let roots = match slot {
        Some(slot) if roots.is_empty() && parent.is_none() => vec![slot.to_string()],
        _ => roots,
    };
    let (mut headers, mut optimistic, mut finalized) = (Vec::new(), false, true);
    for id in roots {
        match api.block_of(&id).await {
            Ok(found) => {
                headers.push(header_json(&found));
                optimistic |= found.optimistic;
                finalized &= found.finalized;
            }
            Err(ApiError { code: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let finalized = finalized && !headers.is_empty();
    with_status(optimistic, finalized, headers)
}

pub(super) async fn block<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.block_of(&id).await?;
    let body = json!({
        "version": "deneb", "execution_optimistic": found.optimistic, "finalized": found.finalized, "data": found.block.signed(),
    });
    Ok(([("Eth-Consensus-Version", "deneb")], Json(body)).into_response())
}

pub(super) async fn root<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.block_of(&id).await?;
    with_status(found.optimistic, found.finalized, json!({ "root": found.block.root() }))
}

/// This chain carries no blobs.
pub(super) async fn blob_sidecars<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.block_of(&id).await?;
    let none: [Value; 0] = [];
    with_status(found.optimistic, found.finalized, none)
}
