//! A service with everything around it, on one clock that the test moves.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use lighthouse_ack_quorum::{
    guard::Guard,
    hooks::open_table,
    push::AiEngine,
    service::{self, Bound, Parts, Ports, beacon::BeaconNode},
    signer::Signer,
};
use pol_api::{
    quorum::{
        self,
        v1::{FaultsRequest, FaultsResponse, StatusRequest, StatusResponse, quorum_client::QuorumClient},
    },
    serve,
    sidecar::{Decision, Verdict},
    tonic::transport::Channel,
};
use pol_core::{ModelHead, ResultRoot, UpdateId, committee::QuorumRule, genesis::ChainSpec, identity::GenesisSeed, model_head};
use pol_kit::{clock::Clock, clock::Manual, jwt::Secret, tasks::Root};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    fixtures,
    mock::{
        beacon::Beacon,
        dht::MockDht,
        engine::{Engine, SECRET},
        lock,
        sidecar::Sidecar,
    },
};

pub const SEED: [u8; 32] = [0x5e; 32];

pub struct World {
    pub spec: ChainSpec,
    pub clock: Arc<Manual>,
    pub beacon: Beacon,
    pub engine: Engine,
    pub dht: MockDht,
    pub sidecar: Sidecar,
    pub folder: TempDir,
    pub head: ModelHead,
    pub slot: u64,
    dht_uri: String,
    sidecar_uri: String,
    own: std::ops::Range<u32>,
    _servers: JoinSet<()>,
}

/// The running service.
pub struct Running {
    pub root: Root,
    pub bound: Bound,
    pub client: QuorumClient<Channel>,
}

/// Asks until there is an answer, for at most 30 s of real time.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no {what} within 30 s");
}

impl World {
    /// A chain of `n` validators, of which the service holds the keys `own`.
    pub async fn new(n: u32, own: std::ops::Range<u32>) -> Self {
        let spec = fixtures::spec_of(7, QuorumRule::Auto);
        let clock = Arc::new(Manual::at(spec.parameters().genesis_time));
        let seed = GenesisSeed::from_bytes(SEED);
        let keys = (0..n).map(|index| seed.validator_key(index).unwrap()).collect();
        let mut servers = JoinSet::new();
        let dht = MockDht::new(spec.genesis_id(), clock.unix_millis());
        let sidecar = Sidecar::new();
        let (dht_uri, sidecar_uri) = (dht.start(&mut servers).await, sidecar.start(&mut servers).await);
        let shared: Arc<dyn Clock> = clock.clone();
        Self {
            beacon: Beacon::start(spec, keys).await,
            engine: Engine::start(shared).await,
            head: spec.genesis_head(),
            folder: tempfile::tempdir().unwrap(),
            slot: 0,
            spec,
            clock,
            dht,
            sidecar,
            dht_uri,
            sidecar_uri,
            own,
            _servers: servers,
        }
    }

    pub fn guard_folder(&self) -> PathBuf {
        self.folder.path().join("guard")
    }

    pub async fn start(&self) -> Running {
        self.start_in(&self.guard_folder()).await
    }

    pub async fn start_in(&self, guard: &Path) -> Running {
        let domains = self.spec.domains();
        let seed = GenesisSeed::from_bytes(SEED);
        let clock: Arc<dyn Clock> = self.clock.clone();
        let secret = Arc::new(Secret::from_bytes(SECRET));
        let folder = self.folder.path().join(format!("chain-{}", guard.file_name().unwrap().to_string_lossy()));
        std::fs::create_dir_all(&folder).unwrap();
        let parts = Parts {
            spec: self.spec,
            beacon: BeaconNode::new(&self.beacon.url).unwrap(),
            dht: self.dht_uri.clone(),
            sidecar: Some(self.sidecar_uri.clone()),
            ai_engine: Some(AiEngine::new(&self.engine.url, secret, Arc::clone(&clock)).unwrap()),
            table: open_table(&folder, self.spec.genesis_id()).unwrap(),
            checkpoint: None,
            guard: Guard::open(guard, self.spec.delta_context(), domains).unwrap(),
            signer: Signer::from_seed(&seed, self.own.clone(), domains).unwrap(),
            trainers: vec![[9; 32]],
            clock,
        };
        let root = Root::new("test");
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = service::start(root.tasks(), parts, Ports { grpc: any, faults: any, metrics: 0 }).await.unwrap();
        let channel = serve::endpoint(format!("http://{}", bound.grpc)).unwrap().connect_lazy();
        Running { root, bound, client: quorum::client(channel) }
    }

    /// The next slot begins.
    pub fn tick(&mut self) -> u64 {
        self.clock.advance(Duration::from_secs(1));
        self.slot += 1;
        self.slot
    }

    /// A trainer's delta for the current head is in the DHT and the gate ACKs it.
    pub fn gate_acks(&self, seed: u64) -> UpdateId {
        let delta = fixtures::delta_in(&self.spec, seed, self.head, self.slot);
        let update_id = delta.update_id();
        lock(&self.dht.held).deltas.insert(update_id, delta.as_bytes().to_vec().into());
        let now = self.clock.unix_millis();
        self.sidecar.say(Verdict {
            update_id,
            model_head: self.head,
            decision: Decision::Ack(ResultRoot(update_id.0)),
            losses: None,
            full_set: true,
            first_seen_unix_ms: now,
            decided_unix_ms: now,
        });
        update_id
    }

    /// What the engine holds for the next slot on the current head, once it is there.
    pub async fn pushed(&self) -> (UpdateId, Vec<u8>) {
        let (parent, slot) = (self.beacon.head().payload_hash, self.slot + 1);
        eventually("pushed candidate", async || self.engine.held(parent, slot)).await
    }

    /// The proposer of this slot builds with what was pushed; the chain goes on.
    pub fn propose(&mut self, candidate: Option<&(UpdateId, Vec<u8>)>) {
        let (update_id, trailer) = candidate.cloned().unwrap_or_default();
        self.beacon.propose(self.slot, update_id, &trailer, true);
        self.head = model_head::child(self.head, update_id);
    }

    pub fn set_dht_down(&self, down: bool) {
        self.dht.down.store(down, Ordering::Relaxed);
    }
}

impl Running {
    pub async fn status(&mut self) -> StatusResponse {
        self.client.status(StatusRequest {}).await.unwrap().into_inner()
    }

    pub async fn faults(&mut self) -> FaultsResponse {
        self.client.faults(FaultsRequest {}).await.unwrap().into_inner()
    }

    /// Until the service has checked the block of this slot.
    pub async fn head_is(&mut self, slot: u64) {
        eventually(&format!("head at slot {slot}"), async || {
            let status = self.status().await;
            (status.head_slot == slot && !status.head_root.is_empty()).then_some(())
        })
        .await;
    }

    pub async fn stop(self) {
        drop(self.client);
        let stopped = self.root.stop(Duration::from_secs(10)).await;
        assert!(stopped.failure.is_none() && stopped.aborted.is_empty(), "{stopped:?}");
    }
}
