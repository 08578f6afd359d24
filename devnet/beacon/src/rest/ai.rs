//! `/pol/v1/ai`: ACKs, quorums and faults as this node sees them.

use axum::extract::{Path, State};

use super::{Answer, Api, ApiError, data, ids::root as parse_root};
use crate::types::EthSpec;

pub(super) async fn status<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let mut status = api.node.read(|chain| chain.ai_status()).await??;
    if let Some(map) = status.as_object_mut() {
        map.insert("breaker".to_owned(), api.node.breaker().await);
        map.insert("execution".to_owned(), format!("{:?}", api.node.link().state()).to_lowercase().into());
        map.insert("health".to_owned(), serde_json::to_value(api.node.health().report()).unwrap_or_default());
    }
    data(status)
}

pub(super) async fn quorum<E: EthSpec>(State(api): State<Api<E>>, Path(root): Path<String>) -> Answer {
    let root = parse_root(&root)?;
    let found = api.node.read(move |chain| chain.ai_quorum(&root)).await??;
    data(found.ok_or_else(|| ApiError::not_found("no such block"))?)
}

pub(super) async fn acks<E: EthSpec>(State(api): State<Api<E>>, Path(update): Path<String>) -> Answer {
    let update = parse_root(&update)?;
    if update.is_zero() {
        return Err(ApiError::bad("the zero id names no update"));
    }
    data(api.node.read(move |chain| chain.ai_acks(update)).await?)
}

pub(super) async fn faults<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    data(api.node.read(|chain| chain.ai_faults()).await?)
}
