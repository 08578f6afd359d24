//! `polai.quorum.v1`: what the service tells.

use std::sync::{Arc, atomic::Ordering};

use pol_api::{
    common::v1::{Alarm, BuildInfo, Severity},
    convert,
    quorum::{
        RESULTS, SLASHINGS, TALLIES,
        v1::{
            Acks, AcksRequest, AcksResponse, BreakerState, FaultCase, FaultsRequest, FaultsResponse, QuorumRequest,
            QuorumResponse, Slashing, StatusRequest, StatusResponse, Tally, quorum_server,
        },
    },
    tonic::{self, Request, Response, Status},
};
use pol_core::ack::AckData;
use pol_kit::{breaker::State, metrics::Status as HealthStatus};

use super::shared::{Shared, lock};
use crate::{
    faults::{JobId, to_ssz},
    members::Committee,
};

pub(crate) struct Service(pub(crate) Arc<Shared>);

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn large(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Service {
    fn committee(&self) -> Option<Arc<Committee>> {
        let members = self.0.members();
        members.committee(members.current_epoch()).cloned()
    }

    fn quorum_of(&self, committee: Option<&Arc<Committee>>) -> (u32, u32) {
        let rule = self.0.chain.spec.parameters().quorum;
        committee.map_or((0, 0), |committee| (small(committee.len()), small(committee.quorum(rule))))
    }

    fn alarms(&self) -> Vec<Alarm> {
        let reasons = self.0.health.report().reasons;
        let alarm = |part: &'static str, status, reason: String| Alarm {
            code: part.to_owned(),
            severity: if status == HealthStatus::Down { Severity::Error } else { Severity::Warning }.into(),
            text: convert::printable(&reason, pol_api::limits::ALARM_TEXT_BYTES),
            since_unix_ms: 0,
        };
        reasons.into_iter().take(pol_api::limits::ALARMS).map(|r| alarm(r.part, r.status, r.reason)).collect()
    }

    fn status(&self) -> StatusResponse {
        let shared = &self.0;
        let committee = self.committee();
        let (seats, quorum) = self.quorum_of(committee.as_ref());
        let (breaker, until) = match *lock(&shared.breaker) {
            State::Closed => (BreakerState::Closed, 0),
            State::Open { until } => (BreakerState::Open, until),
            State::Trial { slot } => (BreakerState::Trial, slot),
        };
        let (head, finalized_epoch) = {
            let view = lock(&shared.view);
            (view.head, view.finalized_epoch)
        };
        let refused = shared.measured.blocks.get("refused");
        let checked = refused + shared.measured.blocks.get("accepted") + shared.measured.blocks.get("empty");
        StatusResponse {
            build: Some(BuildInfo {
                name: "ack-quorum".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                genesis_id: convert::field(shared.chain.spec.genesis_id().0),
                started_unix_ms: shared.started_ms,
            }),
            slot: shared.current_slot(),
            head_slot: head.map_or(0, |head| head.slot),
            head_root: head.map(|head| convert::field(head.root.0)).unwrap_or_default(),
            model_head: head.map(|head| convert::field(head.model_head.0)).unwrap_or_default(),
            epoch: shared.members().current_epoch(),
            seats,
            quorum,
            acks: large(lock(&shared.collector).len()),
            keys: small(shared.signer.keys().len()),
            signing_stopped: shared.signing_stopped.load(Ordering::Relaxed),
            breaker: breaker.into(),
            breaker_until_slot: until,
            blocks_checked: checked,
            blocks_refused: refused,
            alarms: self.alarms(),
            finalized_epoch,
        }
    }

    fn tallies(&self, update_id: pol_core::UpdateId) -> QuorumResponse {
        let committee = self.committee();
        let (seats, quorum) = self.quorum_of(committee.as_ref());
        let collector = lock(&self.0.collector);
        let seated = |data: &AckData| committee.as_ref().map_or(0, |committee| collector.signers(data, committee).len());
        let tally = |(data, acks): &(AckData, usize)| Tally {
            model_head: convert::field(data.model_head.0),
            result_root: convert::field(data.result_root.0),
            acks: small(*acks),
            seated: small(seated(data)),
            quorum: quorum > 0 && small(seated(data)) >= quorum,
        };
        let found = collector.tally(update_id);
        let dropped = found.is_empty() && collector.was_dropped(update_id);
        QuorumResponse { tallies: found.iter().take(TALLIES).map(tally).collect(), seats, quorum, dropped }
    }

    fn signers(&self, update_id: pol_core::UpdateId) -> AcksResponse {
        let Some(committee) = self.committee() else { return AcksResponse::default() };
        let collector = lock(&self.0.collector);
        let mut found = collector.tally(update_id);
        found.sort_by_key(|(data, acks)| (core::cmp::Reverse(*acks), *data));
        let acks = found.iter().take(RESULTS).map(|(data, _)| Acks {
            model_head: convert::field(data.model_head.0),
            result_root: convert::field(data.result_root.0),
            members: collector.signers(data, &committee),
        });
        AcksResponse { acks: acks.collect() }
    }

    fn faults(&self) -> FaultsResponse {
        let faults = lock(&self.0.faults);
        let cases = faults.pool.cases().map(|case| FaultCase {
            block_root: convert::field(case.block_root.0),
            slot: case.slot,
            proposer_index: case.proposer_index,
            votes: small(case.votes),
            proven: case.proven,
        });
        let slashings = faults.poster.jobs().take(SLASHINGS).map(|(id, accused, pair, taken)| Slashing {
            validator_index: accused,
            ssz: convert::field(to_ssz(pair)),
            malfeasance: matches!(id, JobId::Malfeasance(_)),
            taken,
        });
        FaultsResponse { cases: cases.collect(), slashings: slashings.collect() }
    }
}

#[tonic::async_trait]
impl quorum_server::Quorum for Service {
    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(Self::status(self)))
    }

    async fn quorum(&self, request: Request<QuorumRequest>) -> Result<Response<QuorumResponse>, Status> {
        Ok(Response::new(self.tallies(convert::update_id(&request.get_ref().update_id)?)))
    }

    async fn acks(&self, request: Request<AcksRequest>) -> Result<Response<AcksResponse>, Status> {
        Ok(Response::new(self.signers(convert::update_id(&request.get_ref().update_id)?)))
    }

    async fn faults(&self, _request: Request<FaultsRequest>) -> Result<Response<FaultsResponse>, Status> {
        Ok(Response::new(Self::faults(self)))
    }
}
