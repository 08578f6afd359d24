//! A sidecar that says what the test gives it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use pol_api::{
    serve,
    sidecar::{
        self, Verdict,
        v1::{
            AggregateRequest, AggregateResponse, DatasetsRequest, DatasetsResponse, ExportAdapterRequest, ExportAdapterResponse,
            ModelStateRequest, ModelStateResponse, StatusRequest, StatusResponse, StopTrainingRequest, StopTrainingResponse,
            TrainRequest, TrainResponse, ValidateRequest, ValidateResponse, VerdictsRequest, VerdictsResponse, sidecar_server,
        },
    },
    tonic::{self, Request, Response, Status},
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

use super::lock;

#[derive(Debug, Clone)]
pub struct Sidecar {
    given: Arc<Mutex<Vec<Verdict>>>,
    /// None ends the streams.
    live: broadcast::Sender<Option<Verdict>>,
}

impl Sidecar {
    pub fn new() -> Self {
        Self { given: Arc::default(), live: broadcast::channel(1_024).0 }
    }

    pub async fn start(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let service = sidecar::server(self.clone());
        tasks.spawn(async move {
            serve::server().add_service(service).serve_with_incoming(serve::connections(listener)).await.unwrap();
        });
        uri
    }

    pub fn say(&self, verdict: Verdict) {
        lock(&self.given).push(verdict);
        let _ = self.live.send(Some(verdict));
    }

    /// As if it had crashed and were back at once.
    pub fn cut(&self) {
        let _ = self.live.send(None);
    }
}

#[tonic::async_trait]
impl sidecar_server::Sidecar for Sidecar {
    type ExportAdapterStream = Pin<Box<dyn Stream<Item = Result<ExportAdapterResponse, Status>> + Send>>;
    type TrainStream = Pin<Box<dyn Stream<Item = Result<TrainResponse, Status>> + Send>>;
    type VerdictsStream = Pin<Box<dyn Stream<Item = Result<VerdictsResponse, Status>> + Send>>;

    async fn verdicts(&self, _request: Request<VerdictsRequest>) -> Result<Response<Self::VerdictsStream>, Status> {
        let (held, live) = {
            let given = lock(&self.given);
            (given.clone(), self.live.subscribe())
        };
        let live = BroadcastStream::new(live).filter_map(Result::ok).take_while(Option::is_some).filter_map(|verdict| verdict);
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|verdict| Ok((&verdict).into())))))
    }

    async fn validate(&self, _request: Request<ValidateRequest>) -> Result<Response<ValidateResponse>, Status> {
        Err(not_asked())
    }

    async fn aggregate(&self, _request: Request<AggregateRequest>) -> Result<Response<AggregateResponse>, Status> {
        Err(not_asked())
    }

    async fn model_state(&self, _request: Request<ModelStateRequest>) -> Result<Response<ModelStateResponse>, Status> {
        Err(not_asked())
    }

    async fn export_adapter(&self, _: Request<ExportAdapterRequest>) -> Result<Response<Self::ExportAdapterStream>, Status> {
        Err(not_asked())
    }

    async fn train(&self, _request: Request<TrainRequest>) -> Result<Response<Self::TrainStream>, Status> {
        Err(not_asked())
    }

    async fn stop_training(&self, _request: Request<StopTrainingRequest>) -> Result<Response<StopTrainingResponse>, Status> {
        Err(not_asked())
    }

    async fn datasets(&self, _request: Request<DatasetsRequest>) -> Result<Response<DatasetsResponse>, Status> {
        Err(not_asked())
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(not_asked())
    }
}

/// The service under test needs verdicts only.
fn not_asked() -> Status {
    Status::unimplemented("only verdicts")
}
