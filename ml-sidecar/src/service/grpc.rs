//! `polai.sidecar.v1`: what the service tells and takes.

use std::{sync::Arc, time::Duration};

use pol_api::{
    common::v1::{Alarm, BuildInfo, Severity},
    convert, limits,
    sidecar::{
        Verdict, aggregate,
        model::{AdapterFormat, Validate, Validated, export_messages},
        order::TrainOrder,
        v1::{
            AggregateRequest, AggregateResponse, Dataset, DatasetsRequest, DatasetsResponse, ExportAdapterRequest,
            ExportAdapterResponse, ModelStateRequest, ModelStateResponse, SelfTest, StatusRequest, StatusResponse,
            StopTrainingRequest, StopTrainingResponse, TrainRequest, TrainResponse, ValidateRequest, ValidateResponse,
            VerdictsRequest, VerdictsResponse, sidecar_server,
        },
    },
    status::Reason,
    tonic::{self, Request, Response, Status},
};
use pol_core::{ModelHead, gate};
use pol_kit::metrics::Status as HealthStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::StreamExt as _;

use super::{
    board::Events,
    container::{PrepareError, Prepared, of_bytes, prepare},
    export,
    judge::{is_full, nano_losses},
    keeper::decision,
    shared::{Shared, model_state},
    training,
};
use crate::{data::DATASETS, follow::Tip, trainer::Phase};

/// Of the time that a call has, what fetching may take.
pub(super) const FETCH: Duration = Duration::from_secs(10);
/// And judging, seconds.
const JUDGE_SECONDS: f64 = 15.0;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Arc<Shared>);

pub(super) fn place(places: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Status> {
    let refused = |_| Reason::Quota.refuse(format!("{what}: as many as there may be are under way"));
    Arc::clone(places).try_acquire_owned().map_err(refused)
}

impl Service {
    async fn prepared(&self, request: Validate, tip: &Tip) -> Result<Prepared, Status> {
        let prepared = match request {
            Validate::Known(id) => prepare(&self.0.dht, &tip.context, id, tip.head, None, FETCH).await,
            Validate::Container(bytes) => of_bytes(&tip.context, tip.head, bytes),
        };
        prepared.map_err(|error| match error {
            PrepareError::Call(_) | PrepareError::Timeout => Reason::NotFound.refuse(error.to_string()),
            _ => Reason::BadDelta.refuse(error.to_string()),
        })
    }

    async fn validated(&self, request: Validate) -> Result<Validated, Status> {
        let _place = place(&self.0.validations, "judgements on demand")?;
        let (judge, tip, first_seen_unix_ms) = (self.0.judge()?, self.0.follower.now(), self.0.clock.unix_millis());
        let Prepared { update_id, change, .. } = self.prepared(request, &tip).await?;
        let judged = judge.judge(Arc::clone(&tip), update_id, change, JUDGE_SECONDS).await;
        let judgement = judged.map_err(|error| Reason::Internal.refuse(error.to_string()))?;
        let verdict = Verdict {
            update_id,
            model_head: tip.head,
            decision: decision(&judgement, &tip),
            losses: nano_losses(&judgement),
            full_set: is_full(&judgement),
            first_seen_unix_ms,
            decided_unix_ms: self.0.clock.unix_millis(),
        };
        let milliseconds = (judgement.seconds * 1e3) as u64;
        Ok(Validated { verdict, reason: judgement.reason(), tokens: judgement.tokens, milliseconds })
    }

    fn alarms(&self) -> Vec<Alarm> {
        let reasons = self.0.health.report().reasons;
        let alarm = |part: &'static str, status, reason: String| Alarm {
            code: part.to_owned(),
            severity: if status == HealthStatus::Down { Severity::Error } else { Severity::Warning }.into(),
            text: convert::printable(&reason, limits::ALARM_TEXT_BYTES),
            since_unix_ms: 0,
        };
        reasons.into_iter().take(limits::ALARMS).map(|r| alarm(r.part, r.status, r.reason)).collect()
    }

    fn state(&self) -> StatusResponse {
        let shared = &self.0;
        let tip = shared.follower.now();
        let self_test = shared.judge.borrow().as_ref().map_or(SelfTest::Unspecified, |judge| match judge.self_test() {
            gate::SelfTest::Full => SelfTest::Full,
            gate::SelfTest::AckOnly => SelfTest::AckOnly,
            gate::SelfTest::NoVotes => SelfTest::NoVotes,
        });
        let control = shared.control.get();
        StatusResponse {
            build: Some(BuildInfo {
                name: "ml-sidecar".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                genesis_id: convert::field(tip.context.genesis_id.0),
                started_unix_ms: shared.started_unix_ms,
            }),
            state: Some((&model_state(&tip)).into()),
            gates: shared.gates,
            trains: control.is_some(),
            training: control.is_some_and(|control| control.progress().borrow().phase != Phase::Stopped),
            self_test: self_test.into(),
            verdicts: shared.board.len() as u64,
            watches: u32::try_from(shared.board.watchers()).unwrap_or(u32::MAX),
            alarms: self.alarms(),
        }
    }
}

#[tonic::async_trait]
impl sidecar_server::Sidecar for Service {
    type VerdictsStream = Events<VerdictsResponse>;
    type ExportAdapterStream = Events<ExportAdapterResponse>;
    type TrainStream = Events<TrainResponse>;

    async fn verdicts(&self, request: Request<VerdictsRequest>) -> Result<Response<Self::VerdictsStream>, Status> {
        let head = convert::optional("model_head", &request.get_ref().model_head)?.map(ModelHead);
        Ok(Response::new(self.0.board.watch(head)?))
    }

    async fn validate(&self, request: Request<ValidateRequest>) -> Result<Response<ValidateResponse>, Status> {
        let validated = self.validated(Validate::try_from(request.into_inner())?).await?;
        Ok(Response::new((&validated).into()))
    }

    async fn aggregate(&self, request: Request<AggregateRequest>) -> Result<Response<AggregateResponse>, Status> {
        let _place = place(&self.0.validations, "judgements on demand")?;
        let aggregated = super::aggregate::run(&self.0, &aggregate::wanted(request.get_ref())?).await?;
        Ok(Response::new((&aggregated).into()))
    }

    async fn model_state(&self, _request: Request<ModelStateRequest>) -> Result<Response<ModelStateResponse>, Status> {
        let state = model_state(&self.0.follower.now());
        Ok(Response::new(ModelStateResponse { state: Some((&state).into()) }))
    }

    async fn export_adapter(
        &self,
        request: Request<ExportAdapterRequest>,
    ) -> Result<Response<Self::ExportAdapterStream>, Status> {
        let format = AdapterFormat::try_from(request.get_ref().format)?;
        let held = place(&self.0.exports, "exports")?;
        let tip = self.0.follower.now();
        let (head, state) = (tip.head, Arc::clone(&tip.state));
        let files = self.0.tasks.run_blocking(move || export::files(&state, format)).await;
        let files = match files {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => return Err(Reason::Internal.refuse(error.to_string())),
            Err(panic) => return Err(Reason::Internal.refuse(panic.to_string())),
        };
        let (work, messages) = export::handed(export_messages(head, files), held, export::PATIENCE);
        self.0.tasks.spawn_until_stopped("export", work);
        Ok(Response::new(Box::pin(messages)))
    }

    async fn train(&self, request: Request<TrainRequest>) -> Result<Response<Self::TrainStream>, Status> {
        let control = self.0.control()?;
        let held = place(&self.0.trainings, "readers of the training")?;
        control.begin(self.0.order(TrainOrder::try_from(request.into_inner())?).await?);
        let events = training::events(control.progress(), self.0.tasks.token());
        Ok(Response::new(Box::pin(events.map(move |event| {
            let _held = &held;
            Ok(event)
        }))))
    }

    async fn stop_training(&self, _request: Request<StopTrainingRequest>) -> Result<Response<StopTrainingResponse>, Status> {
        let control = self.0.control()?;
        let was_training = control.progress().borrow().phase != Phase::Stopped;
        control.stop();
        Ok(Response::new(StopTrainingResponse { was_training }))
    }

    async fn datasets(&self, _request: Request<DatasetsRequest>) -> Result<Response<DatasetsResponse>, Status> {
        let shown = |text: &str| convert::printable(text, limits::ALARM_TEXT_BYTES);
        let dataset = |dataset: &crate::data::Dataset| Dataset {
            name: shown(dataset.key),
            repository: shown(dataset.repo),
            config: shown(dataset.config),
            licence: shown(dataset.licence),
            about: shown(dataset.about),
        };
        let datasets = DATASETS.iter().take(pol_api::sidecar::train::DATASETS).map(dataset).collect();
        Ok(Response::new(DatasetsResponse { datasets }))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.state()))
    }
}
