//! The pools: what waits for a block.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Answer, Api, ApiError, data, query::Query};
use crate::{
    transition::Operation,
    types::{Attestation, AttesterSlashing, EthSpec, ProposerSlashing, SignedBlsToExecutionChange, SignedVoluntaryExit},
};

/// Operations of one request.
const EACH: usize = 128;

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(ApiError::bad)
}

fn read_list<T: DeserializeOwned>(body: &Bytes) -> Result<Vec<T>, ApiError> {
    let list: Vec<T> = read(body)?;
    if list.len() > EACH { Err(ApiError::bad(format!("more than {EACH} at once"))) } else { Ok(list) }
}

async fn submit<E: EthSpec>(api: &Api<E>, operation: Operation) -> Result<(), ApiError> {
    api.node.with(move |chain| chain.submit(operation)).await??.map_err(ApiError::bad)
}

/// Takes each; says which were refused, as the Beacon API does.
fn outcome(failures: Vec<serde_json::Value>) -> Answer {
    if failures.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    let body = json!({ "code": 400, "message": "some were refused", "failures": failures });
    Ok((StatusCode::BAD_REQUEST, axum::Json(body)).into_response())
}

pub(super) async fn proposer_slashings<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    data(api.node.read(|chain| chain.operations().proposer_slashings()).await?)
}

pub(super) async fn post_proposer_slashing<E: EthSpec>(State(api): State<Api<E>>, body: Bytes) -> Answer {
    let slashing: ProposerSlashing = read(&body)?;
    submit(&api, Operation::ProposerSlashing(Box::new(slashing))).await?;
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn attester_slashings<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    data(api.node.read(|chain| chain.operations().attester_slashings()).await?)
}

pub(super) async fn post_attester_slashing<E: EthSpec>(State(api): State<Api<E>>, body: Bytes) -> Answer {
    let slashing: AttesterSlashing = read(&body)?;
    submit(&api, Operation::AttesterSlashing(Box::new(slashing))).await?;
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn exits<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    data(api.node.read(|chain| chain.operations().exits()).await?)
}

pub(super) async fn post_exit<E: EthSpec>(State(api): State<Api<E>>, body: Bytes) -> Answer {
    let exit: SignedVoluntaryExit = read(&body)?;
    submit(&api, Operation::VoluntaryExit(exit)).await?;
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn changes<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    data(api.node.read(|chain| chain.operations().changes()).await?)
}

pub(super) async fn post_changes<E: EthSpec>(State(api): State<Api<E>>, body: Bytes) -> Answer {
    let changes: Vec<SignedBlsToExecutionChange> = read_list(&body)?;
    let mut failures = Vec::new();
    for (index, change) in changes.into_iter().enumerate() {
        match submit(&api, Operation::BlsToExecutionChange(change)).await {
            Ok(()) => {}
            Err(ApiError { code: 400, message }) => failures.push(json!({ "index": index, "message": message })),
            Err(error) => return Err(error),
        }
    }
    outcome(failures)
}

pub(super) async fn attestations<E: EthSpec>(State(api): State<Api<E>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query)?;
    let (slot, index): (Option<u64>, Option<u64>) = (query.number("slot")?, query.number("committee_index")?);
    let fits = move |attestation: &&Attestation| {
        slot.is_none_or(|slot| slot == attestation.data.slot) && index.is_none_or(|index| index == attestation.data.index)
    };
    data(api.node.read(move |chain| chain.attestations().all().filter(fits).cloned().collect::<Vec<_>>()).await?)
}

pub(super) async fn post_attestations<E: EthSpec>(State(api): State<Api<E>>, body: Bytes) -> Answer {
    let attestations: Vec<Attestation> = read_list(&body)?;
    let mut failures = Vec::new();
    for (index, attestation) in attestations.into_iter().enumerate() {
        if let Err(refusal) = api.node.with(move |chain| chain.add_attestation(&attestation)).await? {
            failures.push(json!({ "index": index, "message": refusal.to_string() }));
        }
    }
    outcome(failures)
}
