//! What a state says, apart from its validators.

use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};

use super::{Answer, Api, ApiError, query::Query, with_status};
use crate::{
    transition::{epoch_at, start_slot},
    types::{EthSpec, SYNC_COMMITTEE_SUBNET_COUNT},
};

pub(super) async fn root<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.state_of(&id).await?;
    let mut state = (*found.state).clone();
    with_status(found.optimistic, found.finalized, json!({ "root": state.update_root()? }))
}

pub(super) async fn fork<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.state_of(&id).await?;
    with_status(found.optimistic, found.finalized, found.state.fork)
}

pub(super) async fn finality<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>) -> Answer {
    let found = api.state_of(&id).await?;
    let state = &found.state;
    let checkpoints = json!({
        "previous_justified": state.previous_justified_checkpoint, "current_justified": state.current_justified_checkpoint,
        "finalized": state.finalized_checkpoint,
    });
    with_status(found.optimistic, found.finalized, checkpoints)
}

pub(super) async fn randao<E: EthSpec>(State(api): State<Api<E>>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let epoch: Option<u64> = Query::parse(query)?.number("epoch")?;
    let found = api.state_of(&id).await?;
    let current = found.state.current_epoch();
    let epoch = epoch.unwrap_or(current);
    let kept = <E::EpochsPerHistoricalVector as ssz_types::typenum::Unsigned>::U64;
    if epoch > current || current.saturating_sub(epoch) >= kept {
        return Err(ApiError::bad(format!("epoch {epoch}: the state of epoch {current} knows the last {kept}")));
    }
    with_status(found.optimistic, found.finalized, json!({ "randao": found.state.randao_mix(epoch) }))
}

pub(super) async fn committees<E: EthSpec>(
    State(api): State<Api<E>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query)?;
    let (epoch, index, slot): (Option<u64>, Option<u64>, Option<u64>) =
        (query.number("epoch")?, query.number("index")?, query.number("slot")?);
    let found = api.state_of(&id).await?;
    let epoch = epoch.or(slot.map(epoch_at::<E>)).unwrap_or(found.state.current_epoch());
    let shuffling = found.state.shuffling(epoch)?;
    let first = start_slot::<E>(epoch)?;
    let mut committees: Vec<Value> = Vec::new();
    for of in (first..first.saturating_add(E::slots_per_epoch())).filter(|of| slot.is_none_or(|slot| slot == *of)) {
        for number in (0..shuffling.committees_per_slot()).filter(|number| index.is_none_or(|index| index == *number)) {
            let members: Vec<String> = shuffling.committee(of, number)?.iter().map(u64::to_string).collect();
            committees.push(json!({ "index": number.to_string(), "slot": of.to_string(), "validators": members }));
        }
    }
    with_status(found.optimistic, found.finalized, committees)
}

pub(super) async fn sync_committees<E: EthSpec>(
    State(api): State<Api<E>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let epoch: Option<u64> = Query::parse(query)?.number("epoch")?;
    let found = api.state_of(&id).await?;
    let period = |epoch: u64| epoch.checked_div(E::EPOCHS_PER_SYNC_COMMITTEE_PERIOD).unwrap_or(0);
    let current = period(found.state.current_epoch());
    let asked = epoch.map_or(current, period);
    let committee = if asked == current {
        &found.state.current_sync_committee
    } else if asked == current.saturating_add(1) {
        &found.state.next_sync_committee
    } else {
        return Err(ApiError::bad("epoch: the state knows the sync committees of its own and the next period"));
    };
    let members: Vec<String> =
        committee.pubkeys.iter().filter_map(|key| found.state.index_of(key)).map(|index| index.to_string()).collect();
    let size = members.len().checked_div(usize::try_from(SYNC_COMMITTEE_SUBNET_COUNT).unwrap_or(1)).unwrap_or(1).max(1);
    let aggregates: Vec<&[String]> = members.chunks(size).collect();
    with_status(found.optimistic, found.finalized, json!({ "validators": members, "validator_aggregates": aggregates }))
}
