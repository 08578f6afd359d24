//! Aggregation on demand: the rule that merges of this node follow, for the caller alone.

use std::{sync::Arc, time::Duration};

use pol_api::{
    sidecar::aggregate::{Aggregated, Child},
    status::Reason,
    tonic::Status,
};
use pol_core::{UpdateId, gate::Verdict as Ruled};
use tokio::time::timeout;

use super::{
    container::{PrepareError, prepare},
    grpc::FETCH,
    judge::{Judge, gain, is_full},
    merges::{Decided, Good, container, decide},
    shared::Shared,
};
use crate::{follow::Tip, gate::Ruling};

/// Of the time that a call has, what judging may take.
const WITHIN: Duration = Duration::from_secs(26);
/// And of one delta, seconds.
const JUDGE_SECONDS: f64 = 15.0;

/// Gates each delta, and decides which goes on, alone or merged.
///
/// # Errors
/// `no-role`, `not-ready`; `not-found` and `bad-delta` of a delta.
pub(crate) async fn run(shared: &Shared, ids: &[UpdateId]) -> Result<Aggregated, Status> {
    let (judge, tip) = (shared.judge()?, shared.follower.now());
    let key = shared.trainer_key.as_ref().ok_or_else(|| Reason::NoRole.refuse("this process has no key to sign merges with"))?;
    let work = async {
        let (mut good, mut children) = (Vec::new(), Vec::new());
        for id in ids {
            let found = gated(shared, &judge, &tip, *id).await?;
            children.push(Child { update_id: *id, weight: 0, gain: found.as_ref().map(|good| good.gain) });
            good.extend(found);
        }
        let failed = || Reason::Internal.refuse("the deltas could not be compared");
        let (rule, decided) = decide(&judge, &tip, &good).await.ok_or_else(failed)?;
        Ok::<_, Status>((format!("{rule:?}"), decided, children))
    };
    let late = |_| Reason::NotReady.refuse(format!("not gated within {} s: ask for fewer deltas", WITHIN.as_secs()));
    let (rule, decided, mut children) = timeout(WITHIN, work).await.map_err(late)??;
    let mut answer = Aggregated { model_head: tip.head, rule, update_id: None, container: None, norm: 0, children: Vec::new() };
    match decided {
        Decided::Nothing => {}
        Decided::Single(id, norm) => (answer.update_id, answer.norm) = (Some(id), norm),
        Decided::Merge { children: named, tokens, norm } => {
            let bytes = container(&tip, &named, tokens, key).map_err(|error| Reason::Internal.refuse(error.to_string()))?;
            let weight = |id: UpdateId| named.iter().find(|(named, _)| *named == id).map_or(0, |(_, weight)| *weight);
            children.iter_mut().for_each(|child| child.weight = weight(child.update_id));
            answer.update_id = Some(UpdateId(pol_core::sha256(&[&bytes])));
            (answer.container, answer.norm) = (Some(bytes), norm);
        }
    }
    Ok(Aggregated { children, ..answer })
}

/// A delta that the gate ACKs; None: it does not.
async fn gated(shared: &Shared, judge: &Judge, tip: &Arc<Tip>, id: UpdateId) -> Result<Option<Good>, Status> {
    let prepared = prepare(&shared.dht, &tip.context, id, tip.head, None, FETCH).await.map_err(|error| match error {
        PrepareError::Call(_) | PrepareError::Timeout => Reason::NotFound.refuse(format!("update {id}: {error}")),
        _ => Reason::BadDelta.refuse(format!("update {id}: {error}")),
    })?;
    let delta = prepared.delta.ok_or_else(|| Reason::BadDelta.refuse(format!("update {id}: a merge, expected a delta")))?;
    let judged = judge.judge(Arc::clone(tip), id, prepared.change, JUDGE_SECONDS).await;
    let judgement = judged.map_err(|error| Reason::Internal.refuse(error.to_string()))?;
    let is_good = matches!(judgement.ruling, Ruling::Loss(Ruled::Ack(_))) && is_full(&judgement);
    Ok(gain(&judgement).filter(|_| is_good).map(|gain| Good { delta, gain }))
}
