//! The registry of a state.

use std::collections::BTreeSet;

use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};

use super::{Answer, Api, ApiError, query::Query, with_status};
use crate::types::{BeaconState, Epoch, EthSpec, FAR_FUTURE_EPOCH, Gwei, PublicKeyBytes, Validator, ValidatorIndex};

/// A validator's place in its life, as the Beacon API names it.
const fn status(validator: &Validator, balance: Gwei, epoch: Epoch) -> &'static str {
    if epoch < validator.activation_epoch {
        return if validator.activation_eligibility_epoch == FAR_FUTURE_EPOCH { "pending_initialized" } else { "pending_queued" };
    }
    if epoch < validator.exit_epoch {
        return match (validator.exit_epoch == FAR_FUTURE_EPOCH, validator.slashed) {
            (true, _) => "active_ongoing",
            (false, true) => "active_slashed",
            (false, false) => "active_exiting",
        };
    }
    if epoch < validator.withdrawable_epoch {
        return if validator.slashed { "exited_slashed" } else { "exited_unslashed" };
    }
    if balance == 0 { "withdrawal_done" } else { "withdrawal_possible" }
}

fn entry(index: ValidatorIndex, validator: &Validator, balance: Gwei, epoch: Epoch) -> Value {
    json!({
        "index": index.to_string(), "balance": balance.to_string(), "status": status(validator, balance, epoch),
        "validator": validator,
    })
}

/// A registry index or a public key.
fn index_of<E: EthSpec>(state: &BeaconState<E>, id: &str) -> Result<Option<ValidatorIndex>, ApiError> {
    match id.strip_prefix("0x") {
        Some(digits) => {
            let mut key = [0; 48];
            hex::decode_to_slice(digits, &mut key).map_err(|_| ApiError::bad("a public key has 96 hex digits"))?;
            Ok(state.index_of(&PublicKeyBytes::from(key)))
        }
        None => {
            let index = id.parse().map_err(|_| ApiError::bad("a validator is named by index or public key"))?;
            Ok(state.validator(index).is_ok().then_some(index))
        }
    }
}

fn wanted<E: EthSpec>(state: &BeaconState<E>, query: &Query) -> Result<Option<BTreeSet<ValidatorIndex>>, ApiError> {
    let ids = query.list("id")?;
    if ids.is_empty() {
        return Ok(None);
    }
    let mut wanted = BTreeSet::new();
    for id in ids {
        wanted.extend(index_of(state, id)?);
    }
    Ok(Some(wanted))
}

pub(super) async fn all<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query)?;
    let found = api.state_of(&id).await?;
    let (state, epoch) = (&found.state, found.state.current_epoch());
    let wanted = wanted(state, &query)?;
    let statuses = query.list("status")?;
    // `active` stands for all that begin so.
    let fits = |status: &str| {
        statuses.is_empty() || statuses.iter().any(|asked| *asked == status || status.split('_').next() == Some(*asked))
    };
    let entries = (0..).zip(state.validators.iter().zip(&state.balances));
    let chosen = entries.filter(|(index, (validator, balance))| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(index)) && fits(status(validator, **balance, epoch))
    });
    let list: Vec<Value> = chosen.map(|(index, (validator, balance))| entry(index, validator, *balance, epoch)).collect();
    with_status(found.optimistic, found.finalized, list)
}

pub(super) async fn one<E: EthSpec>(State(api): State<Api<E>>, Path((id, validator)): Path<(String, String)>) -> Answer {
    let found = api.state_of(&id).await?;
    let state = &found.state;
    let index = index_of(state, &validator)?.ok_or_else(|| ApiError::not_found("no such validator"))?;
    let value = entry(index, state.validator(index)?, state.balance(index)?, state.current_epoch());
    with_status(found.optimistic, found.finalized, value)
}

pub(super) async fn balances<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query)?;
    let found = api.state_of(&id).await?;
    let wanted = wanted(&found.state, &query)?;
    let chosen =
        (0..).zip(&found.state.balances).filter(|(index, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(index)));
    let list: Vec<Value> = chosen
        .map(|(index, balance): (u64, &Gwei)| json!({ "index": index.to_string(), "balance": balance.to_string() }))
        .collect();
    with_status(found.optimistic, found.finalized, list)
}
