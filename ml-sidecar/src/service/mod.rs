//! The sidecar as a service: it follows the chain, gates candidates and tells its verdicts.
//!
//! # Place in the flow
//! Candidates and bytes come from pol-dht, what is canonical and final from the execution client's feed; verdicts go to the signer of ACKs.
//!
//! # Contract
//! [`start`] spawns everything on the task tree. Every peer may be away, slow or wrong at any time: its task tries again with growing
//! pauses, says so once, and nothing else waits for it. Only the own disk and the own model end the process. Everything that waits is bounded.
//!
//! # What it does not protect against
//! Whoever reaches the port can call everything: it is for loopback.

mod aggregate;
mod board;
mod container;
mod export;
mod fetches;
mod grpc;
mod intake;
mod judge;
mod keeper;
mod merges;
mod metrics;
mod order;
mod queue;
mod review;
mod shared;
mod training;
mod voids;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use pol_api::{
    serve,
    sidecar::{self, order::TextsWanted, v1::sidecar_server::SidecarServer},
    tonic::transport::Channel,
};
use pol_core::delta::Context;
use pol_kit::{
    clock::Clock,
    exit::{Exit, OrUsage as _},
    http,
    metrics::{Condition, Health, loopback, registry, router},
    tasks::Tasks,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use crate::{
    data::TextSource,
    follow::{self, Follower},
    gate::Gate,
    trainer::{self, DhtOutlet},
};
use board::Board;
use judge::Judge;
use keeper::Keeper;
use merges::Merges;
use metrics::Measured;
use shared::Shared;
use voids::Voids;

/// Candidates on their way to the gate.
const CANDIDATES: usize = 256;
/// Containers on their way to pol-dht.
const PROVIDED: usize = 16;

/// Makes the gate: loads the model. On a thread that may block.
pub type MakeGate = Box<dyn FnOnce() -> Result<Gate, Exit> + Send>;

/// Gets the texts that a training is told to take. On a thread that may block, for minutes when the hub is slow.
pub type MakeTexts = Arc<dyn Fn(&TextsWanted) -> Result<Box<dyn TextSource>, Exit> + Send + Sync>;

/// Everything a service is made of.
#[expect(missing_debug_implementations, reason = "the function that makes the gate has nothing to show")]
pub struct Parts {
    /// The chain.
    pub context: Context,
    /// Where the model state is kept.
    pub folder: PathBuf,
    /// gRPC of pol-dht.
    pub dht: String,
    /// The execution client's feed.
    pub feed: String,
    /// The gate; none: this process has no such role.
    pub gate: Option<MakeGate>,
    /// The same on the CPU, for when the GPU's memory is full while it judges; none: the gate runs there, or the GPU was asked for by name.
    pub spare_gate: Option<MakeGate>,
    /// The validator's key: a machine that is too slow for all texts measures a prefix in that validator's order.
    pub public_key: Option<[u8; 48]>,
    /// Signs merges; none: this node publishes none.
    pub trainer_key: Option<SigningKey>,
    /// The trainer; none: this process has no such role.
    pub trainer: Option<trainer::Setup>,
    /// Texts by order of a call; none: what the trainer was set up with.
    pub texts: Option<MakeTexts>,
    /// When snapshots are made and joined from: the protocol's [`follow::Rule::default`], except in tests.
    pub snapshots: follow::Rule,
    /// How long a final update's bytes have to be out of reach before a void is ACKed: two epochs.
    pub void_after: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Where the service listens, on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// gRPC.
    pub grpc: u16,
    /// Metrics and health.
    pub metrics: u16,
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// gRPC's address, for who asked for port 0.
    pub grpc: SocketAddr,
    /// That of metrics and health.
    pub metrics: SocketAddr,
    /// Where the model stands.
    pub follower: Follower,
    /// pol-dht.
    pub dht: Channel,
    /// For supervisors.
    pub health: Health,
    /// The trainer, where there is one.
    pub trainer: Option<trainer::Control>,
}

/// Starts the service on a task tree.
///
/// # Errors
/// A port in use, an address that is none, a journal that cannot be opened: the operator's.
pub async fn start(tasks: &Tasks, parts: Parts, ports: Ports) -> Result<Running, Exit> {
    // First, so that a port in use is the first thing said.
    let grpc = http::bind(loopback(ports.grpc)).await?;
    let observed = http::bind(loopback(ports.metrics)).await?;
    let (grpc_at, metrics_at) = (grpc.local_addr()?, observed.local_addr()?);
    let dht = serve::endpoint(parts.dht.clone()).or_usage()?.connect_lazy();
    let feed = serve::endpoint(parts.feed.clone()).or_usage()?.connect_lazy();
    let (health, folder, context) = (Health::new(), parts.folder.clone(), parts.context);
    let (engine, follower, publisher) = tasks.run_blocking(move || follow::open(&folder, context)).await?.or_usage()?;

    let mut metrics = registry();
    tasks.register(&mut metrics);
    let measured = Measured::register(&mut metrics);
    let (ready, judge) = watch::channel(None);
    let [exports, validations, trainings, acquisitions] = Shared::places();
    let shared = Arc::new(Shared {
        follower: follower.clone(),
        board: Board::default(),
        gates: parts.gate.is_some(),
        judge,
        control: OnceLock::new(),
        dht: dht.clone(),
        health: health.clone(),
        started_unix_ms: parts.clock.unix_millis(),
        clock: Arc::clone(&parts.clock),
        tasks: tasks.child("calls"),
        exports,
        validations,
        trainings,
        trainer_key: parts.trainer_key.clone(),
        texts: parts.texts,
        acquisitions,
    });

    let tree = tasks.child("follow");
    let (provide, offers) = outgoing(&dht, &health, &tree);
    let following = follow::Parts {
        engine,
        publisher,
        feed,
        dht: dht.clone(),
        provide,
        offers,
        rule: parts.snapshots,
        mismatches: measured.mismatches.clone(),
        health: health.clone(),
        clock: Arc::clone(&parts.clock),
    };
    tree.spawn_until_stopped("chain", follow::run(tree.clone(), following));
    tree.spawn_until_stopped("review", review::run(follower.clone(), shared.board.clone(), measured.clone(), health.clone()));
    tree.spawn_until_stopped("metrics", measure(Arc::clone(&shared), measured.clone()));
    if let Some(make) = parts.gate {
        let (candidates, taken) = mpsc::channel(CANDIDATES);
        let merges = parts.trainer_key.map(|key| Merges { dht: dht.clone(), key });
        let voids = Voids { after: parts.void_after, offered_ms: 0 };
        let spare = parts.spare_gate;
        let gate = GateParts { make, spare, voids, public_key: parts.public_key, merges, measured, ready };
        tree.spawn_until_stopped("candidates", intake::run(dht.clone(), candidates, health.clone()));
        tree.spawn_until_stopped("gate", gated(tasks.child("gate"), Arc::clone(&shared), gate, taken));
    }
    let trainer = parts.trainer.map(|setup| spawn_trainer(tasks, setup, &shared, &mut metrics)).transpose()?;
    if let Some(control) = trainer.clone() {
        let _ = shared.control.set(control);
    }
    listen(tasks, shared, grpc, observed, metrics)?;
    tracing::info!(target: "polai::sidecar", genesis_id = %context.genesis_id, grpc = %grpc_at, metrics = %metrics_at, "sidecar started");
    Ok(Running { grpc: grpc_at, metrics: metrics_at, follower, dht, health, trainer })
}

fn spawn_trainer(
    tasks: &Tasks,
    setup: trainer::Setup,
    shared: &Shared,
    metrics: &mut prometheus_client::registry::Registry,
) -> Result<trainer::Control, Exit> {
    let counted = trainer::Measured::default();
    counted.register(metrics);
    let (genesis_id, clock) = (shared.follower.now().context.genesis_id, Arc::clone(&shared.clock));
    let outlet = DhtOutlet::new(shared.dht.clone(), setup.key.clone(), genesis_id, Arc::clone(&clock), tasks.token());
    trainer::spawn(tasks, setup, shared.follower.clone(), Box::new(outlet), clock, counted).or_usage()
}

/// What other nodes get from this one, through pol-dht: containers and snapshots.
fn outgoing(dht: &Channel, health: &Health, tree: &Tasks) -> (mpsc::Sender<bytes::Bytes>, mpsc::Sender<follow::Offer>) {
    let (provide, provided) = mpsc::channel(PROVIDED);
    let (offers, offered) = mpsc::channel(1);
    tree.spawn_until_stopped("provide", follow::provide(dht.clone(), provided, health.clone()));
    tree.spawn_until_stopped("snapshots", follow::offer(dht.clone(), offered, health.clone()));
    (provide, offers)
}

fn listen(
    tasks: &Tasks,
    shared: Arc<Shared>,
    grpc: TcpListener,
    observed: TcpListener,
    metrics: prometheus_client::registry::Registry,
) -> Result<(), Exit> {
    let (tree, token, health) = (tasks.child("http"), tasks.token(), shared.health.clone());
    let service = sidecar::server(grpc::Service(shared));
    let (reporter, checks) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pol_api::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    tree.spawn_critical("grpc", async move {
        reporter.set_serving::<SidecarServer<grpc::Service>>().await;
        let stop = token.clone();
        let server = serve::server().add_service(service).add_service(checks).add_service(reflection);
        let serving = server.serve_with_incoming_shutdown(serve::connections(grpc), token.cancelled_owned());
        // A watch never ends by itself.
        tokio::select! {
            ended = serving => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
    let pages = router(metrics, health);
    tree.spawn_critical("metrics", http::serve(observed, pages, http::Limits::default(), tasks.token()));
    Ok(())
}

struct GateParts {
    make: MakeGate,
    spare: Option<MakeGate>,
    voids: Voids,
    public_key: Option<[u8; 48]>,
    merges: Option<Merges>,
    measured: Measured,
    ready: watch::Sender<Option<Judge>>,
}

/// Loads the model, then judges.
async fn gated(
    tasks: Tasks,
    shared: Arc<Shared>,
    parts: GateParts,
    candidates: mpsc::Receiver<pol_api::convert::Candidate>,
) -> Result<(), Exit> {
    let health = &shared.health;
    health.set("gate", Condition::Degraded("the model is loaded".to_owned()));
    let make = parts.make;
    let gate = tasks.run_blocking(make).await??;
    let judge = Judge::new(gate, parts.spare, parts.public_key, tasks);
    let self_test = judge.self_test();
    let condition = match self_test {
        pol_core::gate::SelfTest::Full | pol_core::gate::SelfTest::AckOnly => Condition::Ok,
        pol_core::gate::SelfTest::NoVotes => Condition::Degraded("the self-test allows no votes: see the log".to_owned()),
    };
    health.set("gate", condition);
    tracing::info!(target: "polai::gate", ?self_test, "the gate is ready");
    parts.ready.send_replace(Some(judge.clone()));
    let keeper = Keeper {
        follower: shared.follower.clone(),
        dht: shared.dht.clone(),
        judge,
        board: shared.board.clone(),
        clock: Arc::clone(&shared.clock),
        measured: parts.measured,
        merges: parts.merges,
        voids: parts.voids,
    };
    keeper.run(candidates).await
}

/// Keeps the gauges up to date.
async fn measure(shared: Arc<Shared>, measured: Measured) -> Result<(), Exit> {
    let mut tips = shared.follower.tip();
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    loop {
        {
            let tip = tips.borrow_and_update();
            measured.updates.set(gauge(tip.number));
            measured.finalized.set(gauge(tip.finalized.number));
            measured.behind.set(gauge(tip.behind));
            measured.unconfirmed.set((!tip.confirmed).into());
        }
        measured.held.set(gauge(shared.board.len() as u64));
        measured.watchers.set(gauge(shared.board.watchers() as u64));
        tokio::select! {
            changed = tips.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}
