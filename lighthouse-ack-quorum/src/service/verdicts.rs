//! The gate's verdicts: what it ACKs is fetched, guarded, signed and put.

use std::{collections::BTreeSet, sync::Arc};

use pol_api::{
    client::{self, CallError},
    serve,
    sidecar::{self, Decision, Verdict, v1::VerdictsRequest},
    status::Reason,
    tonic::{Status, transport::Channel},
};
use pol_core::{ack::AckData, params::ACK_TIMEOUT_SECONDS};
use pol_kit::{
    exit::Exit,
    link::Link,
    telemetry::{self, Stage},
};
use tokio::task::spawn_blocking;

use super::{
    dht::Outgoing,
    shared::{Shared, lock},
};
use crate::guard::{AckReceipt, Candidate, Refusal};

/// Watches verdicts; after every break from the beginning. Signing one again is harmless: the guard knows.
pub(crate) async fn run(shared: Arc<Shared>, sidecar: Channel, dht: Channel) -> Result<(), Exit> {
    let mut link = Link::new("sidecar", shared.health.clone());
    shared.until_ready().await;
    loop {
        let error = match sidecar::client(sidecar.clone()).verdicts(VerdictsRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => match Verdict::try_from(message) {
                            Ok(verdict) => judge(&shared, &dht, &verdict).await?,
                            Err(error) => {
                                shared.measured.verdicts.inc("broken");
                                tracing::warn!(target: "polai::quorum", %error, "a verdict that is none");
                            }
                        },
                        Ok(None) => break Status::unavailable("the stream of verdicts ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        link.failed(&error.message()).await;
    }
}

async fn judge(shared: &Arc<Shared>, dht: &Channel, verdict: &Verdict) -> Result<(), Exit> {
    let Decision::Ack(result_root) = verdict.decision else {
        shared.measured.verdicts.inc(if verdict.decision == Decision::ClearFail { "clear_fail" } else { "abstain" });
        return Ok(());
    };
    let data = AckData { update_id: verdict.update_id, model_head: verdict.model_head, result_root };
    let keys = seated_keys(shared);
    if keys.is_empty() {
        shared.measured.verdicts.inc("no_seat");
        return Ok(());
    }
    if is_late(shared, verdict, &data) {
        shared.measured.verdicts.inc("late");
        return Ok(());
    }
    let bytes = match client::fetch_delta(&mut serve::dht_client(dht.clone()), data.update_id).await {
        Ok(bytes) => bytes,
        // What is ACKed must be stored here and offered to others.
        Err(error) => {
            shared.measured.verdicts.inc("no_bytes");
            let missing = matches!(&error, CallError::Refused(status) if Reason::of(status) == Some(Reason::NotFound));
            tracing::warn!(target: "polai::quorum", update_id = %data.update_id, missing, %error, "no ACK without the bytes");
            return Ok(());
        }
    };
    let inside = Arc::clone(shared);
    let receipts = spawn_blocking(move || match Candidate::decode(&inside.guard, data.update_id, bytes) {
        Ok(candidate) => inside.guard.acks(&candidate, &data, &keys),
        Err(refusal) => Ok(vec![Err(refusal)]),
    })
    .await??;
    sign(shared, &data, receipts);
    Ok(())
}

fn sign(shared: &Shared, data: &AckData, receipts: Vec<Result<AckReceipt, Refusal>>) {
    let (mut signed, mut refusal) = (0, None);
    for receipt in receipts {
        match receipt.map(|receipt| shared.signer.ack(receipt)) {
            Ok(Ok(ack)) => {
                signed += 1;
                shared.send(Outgoing::Ack(Box::new(*ack.raw())));
            }
            Ok(Err(error)) => tracing::error!(target: "polai::quorum", %error, "no ACK"),
            Err(refused) => refusal = Some(refused),
        }
    }
    shared.measured.signatures.add("ack", signed);
    if signed > 0 {
        shared.measured.verdicts.inc("signed");
        tracing::info!(target: "polai::quorum", update_id = %data.update_id, keys = signed, "ACK");
        telemetry::update(Stage::Acked, &data.update_id.0);
    }
    if let Some(refusal) = refusal {
        shared.measured.verdicts.inc("refused");
        tracing::warn!(target: "polai::quorum", reason = %refusal, "ACK refused by the guard");
        telemetry::refused(&data.update_id.0, &refusal);
    }
}

/// Own keys with a seat now or in the next epoch, when the update may get into a block.
fn seated_keys(shared: &Shared) -> Vec<[u8; 48]> {
    let members = shared.members();
    let epochs = [members.current_epoch(), members.current_epoch().saturating_add(1)];
    let committees = epochs.iter().filter_map(|epoch| members.committee(*epoch));
    let seated: BTreeSet<[u8; 48]> = committees.flat_map(|committee| committee.seats()).map(|seat| seat.key.to_bytes()).collect();
    shared.own_keys().into_iter().filter(|key| seated.contains(key)).collect()
}

/// After the window nobody waits for this ACK, unless the others have made a quorum already.
fn is_late(shared: &Shared, verdict: &Verdict, data: &AckData) -> bool {
    let collector = lock(&shared.collector);
    if collector.is_dropped(data.model_head, data.update_id) {
        return true;
    }
    let age_ms = shared.now_ms().saturating_sub(verdict.first_seen_unix_ms);
    age_ms > ACK_TIMEOUT_SECONDS * 1_000 && !collector.has_quorum(data)
}
