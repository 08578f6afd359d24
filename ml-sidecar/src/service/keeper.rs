//! The gate's task: candidates in, verdicts out.
//!
//! # Contract
//! Only what is here is judged, one at a time; bytes come beside it. Voids and merges get their turn whatever is announced.

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
    container::{PrepareError, Prepared},
    fetches::{Fetched, Fetches, Found},
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

/// Before pol-dht is offered bytes again that it did not take, milliseconds.
const RETRY_MS: u64 = 300;
/// Before a candidate on a head whose state is not known is looked at again, milliseconds.
const VOID_RETRY_MS: u64 = 1_000;
/// Before a candidate is measured again when this machine failed, milliseconds.
const FAILED_RETRY_MS: u64 = 5_000;
/// Of the time that is left, what fetching, storing and signing may take, milliseconds.
const MARGIN_MS: u64 = 3_000;
/// How long it sleeps at most before it looks at the queue again.
const LOOK: Duration = Duration::from_secs(1);
/// Changes that were ACKed on a head and later ones are compared with: as many as an aggregation looks at.
const ACKED: usize = pol_core::aggregate::MAX_KEPT;
/// Candidates that are judged, at most, before good deltas that wait for a merge get their turn.
const JUDGED_FIRST: usize = 8;

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
    /// Candidates that were judged while others could have been merged.
    waited: usize,
}

/// What lies on the keeper's desk.
struct Desk {
    queue: Queue,
    of_head: OfHead,
    fetches: Fetches,
}

impl Keeper {
    /// Judges candidates until it is dropped.
    ///
    /// # Errors
    /// A defect of ours.
    pub(crate) async fn run(mut self, mut candidates: mpsc::Receiver<Candidate>) -> Result<(), Exit> {
        let fetches = Fetches::new(self.dht.clone());
        let (mut desk, mut tips) = (Desk { queue: Queue::default(), of_head: OfHead::default(), fetches }, self.follower.tip());
        loop {
            let tip = Arc::clone(&tips.borrow_and_update());
            if desk.of_head.head != tip.head {
                desk.of_head = OfHead { head: tip.head, ..OfHead::default() };
                self.warm(&tip).await;
            }
            while let Ok(candidate) = candidates.try_recv() {
                self.offer(&mut desk, candidate);
            }
            self.fetch(&mut desk, &tip);
            self.measured.waiting.set(i64::try_from(desk.queue.len()).unwrap_or(i64::MAX));
            let fetched = desk.fetches.take()?;
            let is_busy = fetched.is_some();
            if let Some(fetched) = fetched {
                self.consider(&tip, fetched, &mut desk).await;
            }
            if let Some(merges) = &self.merges {
                self.voids.offer(merges, &tip, self.clock.as_ref()).await;
            }
            if self.merge(&tip, &mut desk.of_head, is_busy).await || is_busy {
                continue;
            }
            let at = desk.queue.next_at_ms(tip.chain_head, desk.fetches.room());
            let until = at.map_or(u64::MAX, |at| at.saturating_sub(self.clock.unix_millis()).max(1));
            tokio::select! {
                candidate = candidates.recv() => match candidate {
                    Some(candidate) => self.offer(&mut desk, candidate),
                    None => return Ok(()),
                },
                changed = tips.changed() => if changed.is_err() { return Ok(()) },
                Some(arrived) = desk.fetches.arrive() => arrived?,
                () = sleep(Duration::from_millis(until).min(LOOK)) => {}
            }
        }
    }

    /// Begins to fetch what is next, as far as there is room.
    fn fetch(&self, desk: &mut Desk, tip: &Arc<Tip>) {
        loop {
            let room = desk.fetches.room();
            let Some(candidate) = desk.queue.next(tip.chain_head, room, self.clock.unix_millis()) else { return };
            let announcement = &candidate.announcement;
            if self.board.get(announcement.model_head, announcement.update_id).is_none() {
                desk.fetches.begin(tip, candidate, Duration::from_millis(self.left_ms(&candidate).max(1)));
            }
        }
    }

    /// Merges good deltas when it is their turn: nothing else is to be done, or enough was done first.
    async fn merge(&self, tip: &Arc<Tip>, of_head: &mut OfHead, is_busy: bool) -> bool {
        let is_wanted = tip.is_current() && of_head.good.len() > of_head.merged.max(1);
        let Some(merges) = self.merges.as_ref().filter(|_| is_wanted) else { return false };
        if is_busy && of_head.waited < JUDGED_FIRST {
            of_head.waited += 1;
            return false;
        }
        (of_head.merged, of_head.waited) = (of_head.good.len(), 0);
        merges.run(&self.judge, tip, &of_head.good, self.clock.as_ref()).await;
        true
    }

    async fn warm(&self, tip: &Arc<Tip>) {
        if tip.is_current()
            && let Err(error) = self.judge.warm(Arc::clone(tip)).await
        {
            tracing::warn!(target: "polai::gate", %error, "the loss of the current state cannot be measured");
        }
    }

    fn offer(&self, desk: &mut Desk, candidate: Candidate) {
        let announcement = &candidate.announcement;
        let offered = match self.board.get(announcement.model_head, announcement.update_id) {
            None if !desk.fetches.holds(&candidate) => desk.queue.offer(candidate, self.clock.unix_millis()),
            _ => Offered::Known,
        };
        self.measured.candidates.inc(offered.name());
    }

    /// Looks at a candidate whose try to fetch has ended.
    async fn consider(&self, tip: &Arc<Tip>, fetched: Fetched, desk: &mut Desk) {
        let (Fetched { candidate, heads, found }, now_ms) = (fetched, self.clock.unix_millis());
        let update_id = candidate.announcement.update_id;
        if heads != (tip.head, tip.chain_head) {
            return desk.queue.put_back(candidate, now_ms, now_ms);
        }
        let known = self.board.get(candidate.announcement.model_head, update_id);
        if known.is_some() || self.left_ms(&candidate) == 0 {
            return;
        }
        match found {
            Found::Change(Ok(prepared)) => self.consider_change(tip, candidate, *prepared, desk).await,
            Found::Void(Ok((decision, bytes))) if self.voids.is_due(tip, now_ms) && self.board.is_trusted() => {
                self.ack_void(tip, &candidate, decision, bytes).await;
            }
            Found::Change(Err(error)) | Found::Void(Err(error)) if error.may_heal() => {
                self.measured.candidates.inc("no_bytes");
                tracing::debug!(target: "polai::gate", %update_id, %error, "no bytes yet");
                desk.queue.fruitless(candidate, now_ms);
            }
            // Other candidates than voids wait until the state is known, or they are late.
            Found::Void(_) => desk.queue.put_back(candidate, now_ms, now_ms.saturating_add(VOID_RETRY_MS)),
            Found::Change(Err(error)) => self.refuse(&candidate, &error),
        }
    }

    async fn consider_change(&self, tip: &Arc<Tip>, candidate: Candidate, prepared: Prepared, desk: &mut Desk) {
        let acked: Vec<&CheckedDelta> = desk.of_head.acked.iter().collect();
        if prepared.delta.as_ref().is_some_and(|delta| copies_any(&acked, delta)) {
            tracing::info!(target: "polai::gate", update_id = %prepared.update_id, "Loss gate: ABSTAIN, a near-copy of a delta that was ACKed");
            return self.publish(&candidate, Decision::Abstain, None);
        }
        if !self.measure(tip, &candidate, prepared, &mut desk.of_head).await {
            let now_ms = self.clock.unix_millis();
            desk.queue.put_back(candidate, now_ms, now_ms.saturating_add(FAILED_RETRY_MS));
        }
    }

    /// The state of the chain's head is not known: a void back to the tip's head helps.
    async fn ack_void(&self, tip: &Tip, candidate: &Candidate, decision: Decision, bytes: Bytes) {
        let update_id = candidate.announcement.update_id;
        if !self.store(candidate, &[bytes]).await {
            tracing::warn!(target: "polai::gate", %update_id, "no ACK of a void: pol-dht does not take the bytes");
            return;
        }
        tracing::warn!(target: "polai::gate", %update_id, target = %tip.head, "ACK of a void: the bytes of a final update are lost");
        self.publish(candidate, decision, None);
    }

    /// False: this node could not, which says nothing about the candidate.
    async fn measure(&self, tip: &Arc<Tip>, candidate: &Candidate, prepared: Prepared, of_head: &mut OfHead) -> bool {
        let seconds = Duration::from_millis(self.left_ms(candidate).saturating_sub(MARGIN_MS)).as_secs_f64();
        let Prepared { update_id, change, delta, containers, .. } = prepared;
        let judged = self.judge.judge(Arc::clone(tip), update_id, change, seconds).await;
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => {
                self.measured.candidates.inc("failed");
                tracing::error!(target: "polai::gate", %update_id, %error, "Loss gate: no verdict, it could not be measured here");
                return false;
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
            return true;
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
        true
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
        let update_id = candidate.announcement.update_id;
        if error.is_of_announcement() {
            // No verdict: it would stand in the way of who announces the same bytes as they are.
            self.measured.candidates.inc("false");
            tracing::info!(target: "polai::gate", %update_id, %error, "a false announcement is passed over");
            return;
        }
        self.measured.candidates.inc("refused");
        tracing::info!(target: "polai::gate", %update_id, %error, "Loss gate: ABSTAIN, the container is refused");
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
