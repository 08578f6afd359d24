//! A sidecar in this process between a scripted chain and a DHT in memory.

use std::{sync::Arc, time::Duration};

use ml_sidecar::{
    follow::Rule,
    service::{self, MakeGate, Parts, Ports, Running},
};
use pol_api::{
    serve,
    sidecar::{
        self,
        model::ModelState,
        v1::{ModelStateRequest, sidecar_client::SidecarClient},
    },
    tonic::transport::Channel,
};
use pol_core::delta::Context;
use pol_kit::{clock::System, tasks::Root};
use tokio::task::JoinSet;

use crate::{chain::Chain, dht::Shelf};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) chain: Chain,
    pub(crate) dht: Shelf,
    pub(crate) uris: (String, String),
    pub(crate) void_after: Duration,
    pub(crate) snapshots: Rule,
    _peers: JoinSet<()>,
}

impl World {
    pub(crate) async fn new(context: Context) -> Self {
        let (chain, dht, mut peers) = (Chain::new(context), Shelf::new(context.genesis_id, context.shape), JoinSet::new());
        let uris = (dht.serve(&mut peers).await, chain.serve(&mut peers).await);
        let (folder, void_after) = (tempfile::tempdir().unwrap(), Duration::from_secs(3_600));
        Self { folder, chain, dht, uris, void_after, snapshots: Rule::default(), _peers: peers }
    }

    /// Starts a sidecar on the world's folder.
    pub(crate) async fn start(&self, gate: Option<MakeGate>, trainer_key: Option<ed25519_dalek::SigningKey>) -> Sidecar {
        self.start_in("state", gate, trainer_key).await
    }

    /// The same, with a folder of its own.
    pub(crate) async fn start_in(
        &self,
        name: &str,
        gate: Option<MakeGate>,
        trainer_key: Option<ed25519_dalek::SigningKey>,
    ) -> Sidecar {
        let root = Root::new("test");
        let parts = Parts {
            context: self.chain.context,
            folder: self.folder.path().join(name),
            dht: self.uris.0.clone(),
            feed: self.uris.1.clone(),
            gate,
            spare_gate: None,
            public_key: None,
            trainer_key,
            trainer: None,
            texts: None,
            void_after: self.void_after,
            snapshots: self.snapshots,
            clock: Arc::new(System::new()),
        };
        let running = service::start(&root.child("sidecar"), parts, Ports { grpc: 0, metrics: 0 }).await.unwrap();
        let client = client(&format!("http://{}", running.grpc));
        Sidecar { root, running, client }
    }

    /// Gives the DHT all bytes of the chain.
    pub(crate) fn share(&self) {
        self.chain.bytes.iter().for_each(|(id, bytes)| self.dht.put(*id, bytes));
    }
}

pub(crate) fn client(uri: &str) -> SidecarClient<Channel> {
    sidecar::client(serve::endpoint(uri.to_owned()).unwrap().connect_lazy())
}

pub(crate) struct Sidecar {
    root: Root,
    pub(crate) running: Running,
    pub(crate) client: SidecarClient<Channel>,
}

impl Sidecar {
    pub(crate) async fn state(&mut self) -> ModelState {
        state(&mut self.client).await.unwrap()
    }

    /// Waits until the state is such.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&ModelState) -> bool) -> ModelState {
        until(&mut self.client, what, is_so).await
    }

    pub(crate) async fn stop(self) {
        self.root.stop(Duration::from_secs(10)).await;
    }
}

async fn state(client: &mut SidecarClient<Channel>) -> Option<ModelState> {
    let answer = client.model_state(ModelStateRequest {}).await.ok()?;
    Some(ModelState::try_from(&answer.into_inner()).unwrap())
}

pub(crate) async fn until(client: &mut SidecarClient<Channel>, what: &str, is_so: impl Fn(&ModelState) -> bool) -> ModelState {
    let begin = std::time::Instant::now();
    let mut last = None;
    while begin.elapsed() < PATIENCE {
        if let Some(found) = state(client).await {
            if is_so(&found) {
                return found;
            }
            last = Some(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not in time; it is {last:?}");
}
