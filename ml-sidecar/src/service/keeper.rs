//! The gate's task: candidates in, verdicts out.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pol_api::{
    client,
    convert::Candidate,
    serve,
    sidecar::{Decision, Verdict},
    tonic::transport::Channel,
};
use pol_core::{
    ModelHead,
    aggregate::copies_any,
    delta::CheckedDelta,
    gate::{ClearFailReason, Verdict as Ruled},
    params::ACK_TIMEOUT_SECONDS,
};
use pol_kit::{
    clock::Clock,
    exit::Exit,
    telemetry::{self, Stage},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    board::Board,
    container::{PrepareError, Prepared, prepare},
    judge::{Judge, is_full, nano_losses},
    merges::{Good, Merges},
    metrics::Measured,
    queue::{Offered, Queue},
    voids::Voids,
};
use crate::{
    follow::{Follower, Tip},
    gate::{Judgement, Ruling},
};

/// Before bytes that were nowhere are asked for again, milliseconds.
const RETRY_MS: u64 = 300;
/// Before a candidate on a head whose state is not known is looked at again, milliseconds.
const VOID_RETRY_MS: u64 = 1_000;
/// Of the time that is left, what fetching, storing and signing may take, milliseconds.
const MARGIN_MS: u64 = 3_000;
/// How long it sleeps at most before it looks at the queue again.
const LOOK: Duration = Duration::from_secs(1);
/// Changes that were ACKed on a head and later ones are compared with: as many as an aggregation looks at.
const ACKED: usize = pol_core::aggregate::MAX_KEPT;

/// What the gate's task works with.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Where the model stands.
    pub(crate) follower: Follower,
    /// pol-dht.
    pub(crate) dht: Channel,
    /// The gate.
    pub(crate) judge: Judge,
    /// Where verdicts go.
    pub(crate) board: Board,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What it counts.
    pub(crate) measured: Measured,
    /// Good deltas of a head, and merges of them; None: no key to sign merges with.
    pub(crate) merges: Option<Merges>,
    /// What is done about bytes that are lost.
    pub(crate) voids: Voids,
}

/// What is known of the current head.
#[derive(Debug, Default)]
struct OfHead {
    head: ModelHead,
    /// Deltas that were ACKed.
    acked: Vec<CheckedDelta>,
    good: Vec<Good>,
    /// Good deltas at the last try to merge.
    merged: usize,
}

impl Keeper {
    /// Judges candidates until it is dropped.
    ///
    /// # Errors
    /// Never.
    pub(crate) async fn run(mut self, mut candidates: mpsc::Receiver<Candidate>) -> Result<(), Exit> {
        let (mut queue, mut of_head, mut tips) = (Queue::default(), OfHead::default(), self.follower.tip());
        loop {
            let tip = Arc::clone(&tips.borrow_and_update());
            if of_head.head != tip.head {
                of_head = OfHead { head: tip.head, ..OfHead::default() };
                self.warm(&tip).await;
            }
            while let Ok(candidate) = candidates.try_recv() {
                self.offer(&mut queue, candidate);
            }
            self.measured.waiting.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
            if let Some(candidate) = queue.next(tip.chain_head, self.clock.unix_millis()) {
                let again = match tip.is_current() {
                    true => self.consider(&tip, &candidate, &mut of_head).await,
                    false => self.consider_void(&tip, &candidate).await,
                };
                if let Some(at_ms) = again {
                    queue.put_back(candidate, at_ms);
                }
                continue;
            }
            if let Some(merges) = &self.merges {
                self.voids.offer(merges, &tip, self.clock.as_ref()).await;
            }
            if let Some(merges) = self.merges.as_ref().filter(|_| tip.is_current() && of_head.good.len() > of_head.merged.max(1))
            {
                of_head.merged = of_head.good.len();
                merges.run(&self.judge, &tip, &of_head.good, self.clock.as_ref()).await;
                continue;
            }
            let until =
                queue.next_at_ms(tip.chain_head).map_or(u64::MAX, |at| at.saturating_sub(self.clock.unix_millis()).max(1));
            tokio::select! {
                candidate = candidates.recv() => match candidate {
                    Some(candidate) => self.offer(&mut queue, candidate),
                    None => return Ok(()),
                },
                changed = tips.changed() => if changed.is_err() { return Ok(()) },
                () = sleep(Duration::from_millis(until).min(LOOK)) => {}
            }
        }
    }

    async fn warm(&self, tip: &Arc<Tip>) {
        if tip.is_current()
            && let Err(error) = self.judge.warm(Arc::clone(tip)).await
        {
            tracing::warn!(target: "polai::gate", %error, "the loss of the current state cannot be measured");
        }
    }

    fn offer(&self, queue: &mut Queue, candidate: Candidate) {
        let announcement = &candidate.announcement;
        let offered = match self.board.get(announcement.model_head, announcement.update_id) {
            Some(_) => Offered::Known,
            None => queue.offer(candidate, self.clock.unix_millis()),
        };
        self.measured.candidates.inc(offered.name());
    }

    /// Judges a candidate of the tip's head. Some: its bytes are not here; when to try again.
    async fn consider(&self, tip: &Arc<Tip>, candidate: &Candidate, of_head: &mut OfHead) -> Option<u64> {
        let announcement = &candidate.announcement;
        if self.board.get(tip.head, announcement.update_id).is_some() {
            return None;
        }
        let left_ms = self.left_ms(candidate);
        let (size, within) = (usize::try_from(announcement.size).ok(), Duration::from_millis(left_ms.max(1)));
        let prepared = match prepare(&self.dht, &tip.context, announcement.update_id, tip.head, size, within).await {
            Ok(prepared) => prepared,
            Err(error) if error.may_heal() => {
                self.measured.candidates.inc("no_bytes");
                tracing::debug!(target: "polai::gate", update_id = %announcement.update_id, %error, "no bytes yet");
                return Some(self.clock.unix_millis().saturating_add(RETRY_MS));
            }
            Err(error) if error.is_of_announcement() => {
                // No verdict: it would stand in the way of who announces the same bytes as they are.
                self.measured.candidates.inc("false");
                tracing::info!(target: "polai::gate", update_id = %announcement.update_id, %error, "a false announcement is passed over");
                return None;
            }
            Err(error) => {
                self.refuse(candidate, &error);
                return None;
            }
        };
        if prepared.delta.as_ref().is_some_and(|delta| copies_any(&of_head.acked.iter().collect::<Vec<_>>(), delta)) {
            tracing::info!(target: "polai::gate", update_id = %prepared.update_id, "Loss gate: ABSTAIN, a near-copy of a delta that was ACKed");
            self.publish(candidate, Decision::Abstain, None);
            return None;
        }
        self.measure(tip, candidate, prepared, of_head).await;
        None
    }

    /// The state of the chain's head is not known: only a void back to the tip's head can help.
    async fn consider_void(&self, tip: &Tip, candidate: &Candidate) -> Option<u64> {
        let (update_id, now_ms) = (candidate.announcement.update_id, self.clock.unix_millis());
        let within = Duration::from_millis(self.left_ms(candidate).max(1));
        let (decision, bytes) = match Voids::judge(&self.dht, tip, update_id, within).await {
            Ok(judged) => judged,
            // Other candidates wait until the state is known, or they are late.
            Err(_) => return Some(now_ms.saturating_add(VOID_RETRY_MS)),
        };
        if !self.voids.is_due(tip, now_ms) || !self.board.is_trusted() {
            return Some(now_ms.saturating_add(VOID_RETRY_MS));
        }
        if !self.store(candidate, &[bytes]).await {
            tracing::warn!(target: "polai::gate", %update_id, "no ACK of a void: pol-dht does not take the bytes");
            return None;
        }
        tracing::warn!(target: "polai::gate", %update_id, target = %tip.head, "ACK of a void: the bytes of a final update are lost");
        self.publish(candidate, decision, None);
        None
    }

    async fn measure(&self, tip: &Arc<Tip>, candidate: &Candidate, prepared: Prepared, of_head: &mut OfHead) {
        let seconds = Duration::from_millis(self.left_ms(candidate).saturating_sub(MARGIN_MS)).as_secs_f64();
        let Prepared { update_id, change, delta, containers, .. } = prepared;
        let judged = self.judge.judge(Arc::clone(tip), update_id, change, seconds).await;
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => {
                tracing::error!(target: "polai::gate", %update_id, %error, "Loss gate: ABSTAIN, it could not be measured");
                self.publish(candidate, Decision::Abstain, None);
                return;
            }
        };
        self.measured.gate_seconds.observe(judgement.seconds);
        judgement.log();
        telemetry::update(Stage::Gated, &update_id.0);
        let decision = match decision(&judgement, tip) {
            Decision::Ack(_) if !self.board.is_trusted() => Decision::Abstain,
            decision => decision,
        };
        if matches!(decision, Decision::Ack(_)) && !self.store(candidate, &containers).await {
            // What is ACKed must be here first. The announcement comes again, or its time is over.
            tracing::warn!(target: "polai::gate", %update_id, "no ACK: pol-dht does not take the bytes");
            return;
        }
        tracing::info!(
            target: "polai::gate", %update_id, head = %tip.head, result_root = ?judgement.result_root, reason = judgement.reason(),
            "Loss gate: {}", word(decision)
        );
        self.publish(candidate, decision, Some(&judgement));
        if let (Decision::Ack(_), Some(delta)) = (decision, delta)
            && of_head.acked.len() < ACKED
        {
            if let Some(gain) = super::judge::gain(&judgement).filter(|_| is_full(&judgement)) {
                of_head.good.push(Good { delta: delta.clone(), gain });
            }
            of_head.acked.push(delta);
        }
    }

    /// Puts containers into pol-dht's store; false when the time is over first.
    async fn store(&self, candidate: &Candidate, containers: &[Bytes]) -> bool {
        let work = async {
            for bytes in containers {
                while let Err(error) = client::publish_delta(&mut serve::dht_client(self.dht.clone()), bytes, None).await {
                    tracing::debug!(target: "polai::gate", %error, "pol-dht does not take the bytes yet");
                    sleep(Duration::from_millis(RETRY_MS)).await;
                }
            }
        };
        timeout(Duration::from_millis(self.left_ms(candidate).max(MARGIN_MS)), work).await.is_ok()
    }

    fn refuse(&self, candidate: &Candidate, error: &PrepareError) {
        self.measured.candidates.inc("refused");
        tracing::info!(target: "polai::gate", update_id = %candidate.announcement.update_id, %error, "Loss gate: ABSTAIN, the container is refused");
        self.publish(candidate, Decision::Abstain, None);
    }

    fn publish(&self, candidate: &Candidate, decision: Decision, judgement: Option<&Judgement>) {
        self.measured.verdicts.inc(word(decision));
        self.board.put(Verdict {
            update_id: candidate.announcement.update_id,
            model_head: candidate.announcement.model_head,
            decision,
            losses: judgement.and_then(nano_losses),
            full_set: judgement.is_some_and(is_full),
            first_seen_unix_ms: candidate.first_seen_unix_ms,
            decided_unix_ms: self.clock.unix_millis(),
        });
    }

    fn left_ms(&self, candidate: &Candidate) -> u64 {
        let end = candidate.first_seen_unix_ms.saturating_add(ACK_TIMEOUT_SECONDS * 1_000);
        end.saturating_sub(self.clock.unix_millis())
    }
}

/// What the signer is told. A state that certificates did not confirm yet gives no ACK (section 13).
pub(crate) const fn decision(judgement: &Judgement, tip: &Tip) -> Decision {
    match (&judgement.ruling, judgement.result_root) {
        (Ruling::Loss(Ruled::Ack(_)), Some(root)) if tip.confirmed => Decision::Ack(root),
        (Ruling::Loss(Ruled::ClearFail(ClearFailReason::Worse | ClearFailReason::NotFinite)), _) => Decision::ClearFail,
        _ => Decision::Abstain,
    }
}

/// The decision's word in logs and metrics.
pub(crate) const fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Ack(_) => "ACK",
        Decision::ClearFail => "CLEAR FAIL",
        Decision::Abstain => "ABSTAIN",
    }
}
