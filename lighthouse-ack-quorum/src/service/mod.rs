//! `ack-quorum`: the library out of process, beside a beacon node that knows nothing of it.
//!
//! # Place in the flow
//! Beacon API in (blocks, headers, validators, finality) and out (slashings); pol-dht in and out (ACKs, fault votes, identities, validator
//! set); the sidecar's verdicts in; candidates out to the AI engine. What it can enforce there and what not: README.md.
//!
//! # Contract
//! [`start`] spawns everything on the task tree. Every peer may be away, slow or wrong at any time: its task tries again with growing
//! pauses, says so once, and nothing else waits for it. Only the own disk ends the process.

mod accuse;
pub mod args;
pub mod beacon;
mod dht;
mod epochs;
mod fault_http;
mod follow;
mod grpc;
mod metrics;
mod proposer;
mod shared;
mod verdicts;

use core::time::Duration;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use pol_api::{quorum, serve};
use pol_core::genesis::ChainSpec;
use pol_kit::{
    breaker::State,
    clock::Clock,
    exit::{Exit, OrUsage as _},
    http,
    metrics::{Condition, Health, loopback, registry, router},
    tasks::Tasks,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    time::sleep,
};

use crate::{
    collector::Collector,
    faults::{FaultPool, Poster},
    guard::Guard,
    import::{Anchor, HeadTable, Importer},
    push::{AiEngine, Pusher},
    signer::Signer,
};
use shared::{Chain, Faults, Shared, lock};

/// Blocks that wait to be looked at.
const BLOCK_QUEUE: usize = 256;
/// Records that wait for the DHT: a committee's ACKs on two candidates.
const OUTBOX: usize = 1_024;

/// Everything a service is made of.
#[derive(Debug)]
pub struct Parts {
    /// The chain.
    pub spec: ChainSpec,
    /// Beacon API.
    pub beacon: beacon::BeaconNode,
    /// gRPC of pol-dht.
    pub dht: String,
    /// gRPC of the sidecar; none: no verdicts.
    pub sidecar: Option<String>,
    /// The AI engine; none: nothing is pushed.
    pub ai_engine: Option<AiEngine>,
    /// Table of model heads.
    pub table: HeadTable,
    /// `--ai-checkpoint`: the anchor and its slot.
    pub checkpoint: Option<(Anchor, u64)>,
    /// The guard, opened and locked.
    pub guard: Guard,
    /// Our keys.
    pub signer: Signer,
    /// Our trainers' Ed25519 keys.
    pub trainers: Vec<[u8; 32]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Where the service listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP of the fault service.
    pub faults: SocketAddr,
    /// Metrics and health, on loopback.
    pub metrics: u16,
}

/// The ports that were bound, for who asked for port 0.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP of the fault service.
    pub faults: SocketAddr,
    /// Metrics and health.
    pub metrics: SocketAddr,
}

/// Starts the service on a task tree.
///
/// # Errors
/// A port in use, an address that is none, a table that contradicts the checkpoint: the operator's.
pub async fn start(tasks: &Tasks, parts: Parts, ports: Ports) -> Result<Bound, Exit> {
    // First, so that a port in use is the first thing said.
    let grpc = http::bind(ports.grpc).await?;
    let faults = http::bind(ports.faults).await?;
    let observed = http::bind(loopback(ports.metrics)).await?;
    let bound = Bound { grpc: grpc.local_addr()?, faults: faults.local_addr()?, metrics: observed.local_addr()? };

    let dht = serve::endpoint(parts.dht.clone()).or_usage()?.connect_lazy();
    let sidecar = match &parts.sidecar {
        Some(uri) => Some(serve::endpoint(uri.clone()).or_usage()?.connect_lazy()),
        None => None,
    };
    let engine = parts.ai_engine.clone();
    let (blocks, wanted) = mpsc::channel(BLOCK_QUEUE);
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let shared = Arc::new(share(parts, blocks, outbox)?);

    let tree = tasks.child("quorum");
    tree.spawn_until_stopped("slots", tick(Arc::clone(&shared)));
    tree.spawn_until_stopped("follow", follow::run(Arc::clone(&shared), wanted));
    tree.spawn_until_stopped("events", follow::events(Arc::clone(&shared)));
    tree.spawn_until_stopped("acks", dht::acks(Arc::clone(&shared), dht.clone()));
    tree.spawn_until_stopped("votes", dht::faults(Arc::clone(&shared), dht.clone()));
    tree.spawn_until_stopped("outbox", dht::outbox(Arc::clone(&shared), dht.clone(), outgoing));
    tree.spawn_until_stopped("upkeep", dht::upkeep(Arc::clone(&shared), dht.clone()));
    tree.spawn_until_stopped("post", accuse::post(Arc::clone(&shared)));
    if let Some(sidecar) = sidecar {
        tree.spawn_until_stopped("verdicts", verdicts::run(Arc::clone(&shared), sidecar, dht));
    }
    if let Some(engine) = engine {
        let pusher = Pusher::new(engine, shared.chain.preset.slots_per_epoch());
        tree.spawn_until_stopped("proposer", proposer::run(Arc::clone(&shared), pusher));
    }
    listen(tasks, &shared, grpc, faults, observed);
    tracing::info!(
        target: "polai::quorum",
        genesis_id = %shared.chain.spec.genesis_id(), keys = shared.signer.keys().len(), grpc = %bound.grpc, "ACK quorum service started"
    );
    Ok(bound)
}

fn share(parts: Parts, blocks: mpsc::Sender<pol_core::Hash32>, outbox: mpsc::Sender<dht::Outgoing>) -> Result<Shared, Exit> {
    let chain = Chain::new(parts.spec);
    let parameters = parts.spec.parameters();
    let table = Arc::new(parts.table);
    if let Some((anchor, slot)) = parts.checkpoint {
        table.anchor(anchor, slot).or_usage()?;
    }
    let now = parts.clock.unix_seconds();
    Ok(Shared {
        chain,
        beacon: parts.beacon,
        importer: Importer::new(table, parameters.quorum, chain.domains, chain.preset.slots_per_epoch()),
        guard: Arc::new(parts.guard),
        signer: parts.signer,
        trainers: parts.trainers,
        started_ms: parts.clock.unix_millis(),
        clock: parts.clock,
        health: Health::new(),
        measured: metrics::Measured::default(),
        registry: Mutex::default(),
        view: Mutex::default(),
        collector: Mutex::new(Collector::new(chain.domains, parameters.quorum)),
        faults: Mutex::new(Faults {
            pool: FaultPool::new(chain.domains, chain.preset, parameters.dev_slash_small),
            poster: Poster::new(),
        }),
        breaker: Mutex::new(State::Closed),
        signing_stopped: AtomicBool::new(false),
        slot: watch::Sender::new(chain.slot_at(now)),
        ready: watch::Sender::new(false),
        changed: Notify::new(),
        blocks,
        outbox,
    })
}

fn listen(tasks: &Tasks, shared: &Arc<Shared>, grpc: TcpListener, faults: TcpListener, observed: TcpListener) {
    let mut metrics = registry();
    tasks.register(&mut metrics);
    shared.measured.register(&mut metrics);
    shared.health.set("http", Condition::Ok);
    let tree = tasks.child("http");
    let service = quorum::server(grpc::Service(Arc::clone(shared)));
    let token = tasks.token();
    tree.spawn_critical("grpc", async move {
        let server = serve::server().add_service(service);
        server.serve_with_incoming_shutdown(serve::connections(grpc), token.cancelled_owned()).await
    });
    let pages = fault_http::router(Arc::clone(shared));
    tree.spawn_critical("faults", http::serve(faults, pages, http::Limits::default(), tasks.token()));
    let pages = router(metrics, shared.health.clone());
    tree.spawn_critical("metrics", http::serve(observed, pages, http::Limits::default(), tasks.token()));
}

/// Looks at the clock often enough that a slot is noticed within a fortieth of it, also when the clock jumps.
async fn tick(shared: Arc<Shared>) -> Result<(), Exit> {
    let pause = Duration::from_secs(shared.chain.slot_seconds) / 40;
    let pause = pause.clamp(Duration::from_millis(10), Duration::from_millis(250));
    let mut last = None;
    loop {
        let slot = shared.chain.slot_at(shared.clock.unix_seconds());
        if last != Some(slot) {
            last = Some(slot);
            shared.measured.slot.set(i64::try_from(slot).unwrap_or(i64::MAX));
            shared.slot.send_replace(slot);
            tracing::debug!(target: "polai::quorum", slot, head = ?lock(&shared.view).head.map(|head| head.slot), "slot");
        }
        sleep(pause).await;
    }
}
