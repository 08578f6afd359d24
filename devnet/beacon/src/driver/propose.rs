//! A block of our own: candidate, payload, check, signature, import (section 10 of docs/PROTOCOL.md).

use alloy_primitives::B256;
use lighthouse_ack_quorum::push::{Push, PushError, Pushed};
use pol_kit::metrics::Condition;

use super::{
    error::DriverError,
    gate::GateRefusal,
    node::{Node, Prepared},
    produce::Plan,
};
use crate::{
    engine::{EngineError, Verdict},
    transition::epoch_at,
    types::{EthSpec, ExecutionPayload, Slot},
};

impl<E: EthSpec> Node<E> {
    /// Two thirds into the slot before: pushes the candidate and lets the execution client build, if a local key proposes in `slot`; reads
    /// the deposit log on.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn prepare(&self, slot: Slot) -> Result<(), DriverError> {
        let fee_recipient = self.options.fee_recipient;
        if let Some(plan) = self.read(move |chain| chain.plan(slot, fee_recipient)).await?? {
            self.push_candidate(&plan).await?;
            if let Err(error) = self.begin(&plan).await {
                self.link.failed(&error);
            }
        }
        self.follow_deposits().await
    }

    /// Certifies what has a quorum on the parent's model head, and pushes it.
    async fn push_candidate(&self, plan: &Plan<E>) -> Result<(), DriverError> {
        let mut pusher = self.pusher.lock().await;
        let (Some(pusher), Some(model_head)) = (pusher.as_mut(), plan.model_head) else { return Ok(()) };
        let slot = plan.slot;
        let certified = match self.read(move |chain| chain.ai.certify(model_head, epoch_at::<E>(slot))).await? {
            Ok(Some(certified)) => certified,
            Ok(None) => {
                pusher.not_needed(slot);
                return Ok(());
            }
            Err(error) => {
                tracing::error!(target: "polai::beacon", %error, "a certificate of verified ACKs does not verify");
                return Ok(());
            }
        };
        let (update_id, acks) = (certified.data().update_id, certified.acks());
        let outcome = match pusher.push(&Push::of(&certified, Self::hash32(plan.builds_on()), slot)).await {
            Pushed::Accepted => {
                self.health().set("ai-engine", Condition::Ok);
                "pushed"
            }
            Pushed::SwitchedOff { until } => {
                self.health().set("ai-engine", Condition::Degraded(format!("switched off until slot {until} after failures")));
                "switched_off"
            }
            Pushed::Failed(error) => {
                self.health().set("ai-engine", Condition::Degraded(error.to_string()));
                if matches!(error, PushError::Refused { .. }) { "refused" } else { "failed" }
            }
        };
        tracing::info!(target: "polai::beacon", slot, %update_id, acks, outcome, "ACK quorum");
        Ok(())
    }

    /// Lets the execution client build the payload of a plan.
    async fn begin(&self, plan: &Plan<E>) -> Result<Prepared, EngineError> {
        let (verdict, id) = self.engine.forkchoice_updated(plan.forkchoice, Some(plan.attributes.clone())).await?;
        if verdict == Verdict::Valid {
            self.link.says(&verdict);
        }
        let prepared = Prepared { parent: plan.parent, slot: plan.slot, id: id.ok_or(EngineError::NoPayload)? };
        *self.prepared.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(prepared);
        Ok(prepared)
    }

    /// The payload of a plan; what its loss says of the execution client is said.
    async fn payload(&self, plan: &Plan<E>) -> Result<ExecutionPayload<E>, EngineError> {
        let prepared = self.prepared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let usable = prepared.filter(|prepared| prepared.parent == plan.parent && prepared.slot == plan.slot);
        if let Some(prepared) = usable {
            match self.engine.get_payload(prepared.id).await {
                Ok(payload) => return Ok(payload),
                Err(error) => tracing::debug!(target: "polai::beacon", %error, "prepared payload lost; building again"),
            }
        }
        let prepared = self.begin(plan).await.inspect_err(|error| self.link.failed(error))?;
        let payload = self.engine.get_payload(prepared.id).await;
        // Late with a payload or without one, it is there all the same: a missed slot, not a lost client.
        payload.inspect_err(|error| {
            if !error.is_of_one_call() {
                self.link.failed(error)
            }
        })
    }

    /// The start of a slot: proposes if a local key is due.
    ///
    /// # Errors
    /// [`DriverError`].
    pub(super) async fn propose(&self, slot: Slot) -> Result<(), DriverError> {
        let fee_recipient = self.options.fee_recipient;
        let Some(plan) = self.read(move |chain| chain.plan(slot, fee_recipient)).await?? else { return Ok(()) };
        for last_try in [false, true] {
            let payload = match self.payload(&plan).await {
                Ok(payload) => payload,
                Err(error) => {
                    tracing::warn!(target: "polai::beacon", slot, proposer = plan.proposer, %error, "slot missed: no payload");
                    return Ok(());
                }
            };
            if self.propose_badly(&plan, &payload).await? {
                return Ok(());
            }
            match self.sign_and_import(&plan, payload).await? {
                Ok(()) => return Ok(()),
                Err(refusal) => self.payload_refused(&plan, &refusal, last_try).await,
            }
        }
        Ok(())
    }

    async fn sign_and_import(
        &self,
        plan: &Plan<E>,
        payload: ExecutionPayload<E>,
    ) -> Result<Result<(), GateRefusal>, DriverError> {
        let (plan, graffiti) = (plan.clone(), self.options.graffiti);
        let slot = plan.slot;
        let produced = self.with(move |chain| {
            let own = match chain.gate.check_own(&plan.state, plan.parent.0, &payload) {
                Ok(own) => own,
                Err(refusal) => return Ok(Err(refusal)),
            };
            chain.produce(&plan, payload, &own, graffiti).map(Ok)
        });
        let block = match produced.await?? {
            Ok(Some(block)) => block,
            Ok(None) => return Ok(Ok(())),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let root = block.root();
        match self.import(block).await? {
            Ok(imported) => tracing::info!(target: "polai::beacon", slot, %root, head = imported.is_head, "proposed"),
            Err(refusal) => tracing::error!(target: "polai::beacon", slot, %root, %refusal, "own block refused"),
        }
        Ok(Ok(()))
    }

    /// Clears the candidate, so that the next payload is an empty AI block.
    async fn payload_refused(&self, plan: &Plan<E>, refusal: &GateRefusal, last_try: bool) {
        let what = if last_try { "slot missed" } else { "candidate cleared, asking once more" };
        tracing::error!(target: "polai::beacon", slot = plan.slot, %refusal, what, "the payload does not pass our own check");
        let mut pusher = self.pusher.lock().await;
        if let Some(pusher) = pusher.as_mut() {
            pusher.payload_failed(plan.slot);
            let clear = Push::clear(Self::hash32(plan.builds_on()), plan.slot);
            if let Pushed::Failed(error) = pusher.push(&clear).await {
                tracing::debug!(target: "polai::beacon", %error, "candidate not cleared");
            }
        }
    }

    /// Root of the head, for whoever waits for it.
    pub fn head(&self) -> B256 {
        self.snapshot().head
    }
}
