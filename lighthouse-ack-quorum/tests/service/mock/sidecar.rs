//! A sidecar that says what the test gives it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use pol_api::{
    serve,
    sidecar::{
        self, Verdict,
        v1::{VerdictsRequest, VerdictsResponse, sidecar_server},
    },
    tonic::{self, Request, Response, Status},
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};

use super::lock;

#[derive(Debug, Clone)]
pub struct Sidecar {
    given: Arc<Mutex<Vec<Verdict>>>,
    live: broadcast::Sender<Verdict>,
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
        let _ = self.live.send(verdict);
    }
}

#[tonic::async_trait]
impl sidecar_server::Sidecar for Sidecar {
    type VerdictsStream = Pin<Box<dyn Stream<Item = Result<VerdictsResponse, Status>> + Send>>;

    async fn verdicts(&self, _request: Request<VerdictsRequest>) -> Result<Response<Self::VerdictsStream>, Status> {
        let (held, live) = {
            let given = lock(&self.given);
            (given.clone(), self.live.subscribe())
        };
        let live = BroadcastStream::new(live).filter_map(Result::ok);
        let all = tokio_stream::iter(held).chain(live);
        Ok(Response::new(Box::pin(all.map(|verdict| Ok((&verdict).into())))))
    }
}
