//! The program: files and flags in, a node with its ports out.

pub mod args;
mod dht;
mod files;
mod metrics;
mod quorum;

use core::time::Duration;
use std::{net::SocketAddr, sync::Arc};

use alloy_primitives::B256;
use lighthouse_ack_quorum::{
    guard::Guard,
    push::{AiEngine, Pusher},
    signer::{Signer, keystore},
};
use pol_core::{Hash32, bls::SecretKey, fault::RawFaultVote, genesis::ChainSpec, params::Preset};
use pol_kit::{
    clock::{Clock, System},
    config,
    exit::{Exit, OrUsage as _},
    fs::{create_private_directory, lock_directory},
    http,
    jwt::Secret,
    metrics::{Condition, Health, loopback},
    tasks::{self, Tasks},
    telemetry,
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    driver::{self, Chain, Node, Options},
    engine::{Engine, EngineError},
    rest,
    types::{BeaconState, Config, EthSpec, Mainnet, Minimal},
};
use args::Args;

/// Fault votes that wait for the DHT.
const VOTES: usize = 4_096;
/// How long a shutdown may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Reads flags and files, then runs the node until it is told to stop.
///
/// # Errors
/// [`Exit`]: code 2 for what an operator has to mend.
pub fn main() -> Result<(), Exit> {
    let args = config::load::<Args>(&config::Sources::of_process())?.args;
    telemetry::init(&args.log)?;
    let spec = files::chain(&args)?;
    match spec.parameters().preset {
        Preset::Minimal => serve::<Minimal>(args, spec),
        Preset::Mainnet => serve::<Mainnet>(args, spec),
    }
}

/// What is read before anything is spawned.
struct Ready<E: EthSpec> {
    spec: ChainSpec,
    config: Config,
    genesis: BeaconState<E>,
    secret: Arc<Secret>,
    guard: Arc<Guard>,
    keys: Vec<SecretKey>,
    lock: pol_kit::fs::DirectoryLock,
}

fn serve<E: EthSpec>(args: Args, spec: ChainSpec) -> Result<(), Exit> {
    let (config, genesis) = files::genesis::<E>(&args, &spec)?;
    let secret = Arc::new(Secret::load(&args.jwt())?);
    let folder = args.beacon_directory();
    // The execution client keeps its blocks in the same one and refuses what others can read, whoever of the two comes first.
    create_private_directory(&args.chain_data())?;
    create_private_directory(&folder)?;
    let lock = lock_directory(&folder)?;
    let guard = Guard::open(&args.data.data_dir.join("secrets_data/slashing_protection"), spec.delta_context(), spec.domains());
    let ready = Ready { keys: keys(&args)?, guard: Arc::new(guard.or_usage()?), spec, config, genesis, secret, lock };
    tasks::run("pol-beacon", SHUTDOWN, move |tasks| start(tasks, args, ready))
}

fn keys(args: &Args) -> Result<Vec<SecretKey>, Exit> {
    let keys = &args.keys;
    match (&keys.validators_dir, &keys.secrets_dir, &keys.validators, &keys.genesis_seed) {
        (Some(_), _, Some(_), _) => Err(Exit::usage("--validators-dir and --validators: give one of them")),
        (Some(keystores), Some(passwords), None, _) => {
            // Two beacon nodes on one set of keystores, whatever their data directories: the second one stops here.
            let lock = lock_directory(keystores)?;
            core::mem::forget(lock);
            keystore::read_directory(keystores, passwords).or_usage()
        }
        (Some(_), None, None, _) => Err(Exit::usage("--validators-dir needs --secrets-dir")),
        (None, _, Some(validators), Some(seed)) => {
            Ok(validators.0.clone().map(|index| seed.validator_key(index)).collect::<Result<_, _>>()?)
        }
        (None, _, Some(_), None) => Err(Exit::usage("--validators needs GENESIS_SEED, 64 hex digits")),
        (None, _, None, _) => {
            tracing::warn!(target: "polai::beacon", "no keys: this node proposes and attests nothing (--validators with GENESIS_SEED, or --validators-dir)");
            Ok(Vec::new())
        }
    }
}

fn options(args: &Args) -> Result<Options, Exit> {
    let mut graffiti = B256::ZERO;
    if args.graffiti.len() > graffiti.len() {
        return Err(Exit::usage(format!("--graffiti: {} bytes, at most 32", args.graffiti.len())));
    }
    graffiti.0.iter_mut().zip(args.graffiti.bytes()).for_each(|(to, from)| *to = from);
    let bad_certificates_by = match (args.test_bad_certificates_by, &args.keys.genesis_seed) {
        (None, _) => None,
        (Some(index), Some(seed)) => Some((u64::from(index), seed.validator_key(index)?)),
        (Some(_), None) => return Err(Exit::usage("--test-bad-certificates-by needs GENESIS_SEED")),
    };
    Ok(Options { fee_recipient: args.suggested_fee_recipient, graffiti, bad_certificates_by })
}

async fn start<E: EthSpec>(tasks: Tasks, args: Args, ready: Ready<E>) -> Result<(), Exit> {
    // First, so that a port in use is the first thing said.
    let api = http::bind(SocketAddr::new(args.http_address, args.http_port)).await?;
    let observed = http::bind(loopback(args.metrics_port)).await?;
    let (clock, health): (Arc<dyn Clock>, Health) = (Arc::new(System::new()), Health::new());
    let options = options(&args)?;

    // No call may take so long that the slot is over.
    let timeout =
        Duration::from_secs(ready.config.slot_seconds).div_f64(3.0).clamp(Duration::from_millis(500), Duration::from_secs(8));
    let engine = Engine::<E>::new(&args.execution_endpoint, Arc::clone(&ready.secret), Arc::clone(&clock), timeout).or_usage()?;
    let expected = ready.spec.parameters().execution_genesis_hash;
    let pusher = match args.ai_engine.is_empty() {
        true => None,
        false => {
            let ai = AiEngine::new(&args.ai_engine, Arc::clone(&ready.secret), Arc::clone(&clock)).or_usage()?;
            Some(Pusher::new(ai, E::slots_per_epoch()))
        }
    };
    let (votes, outgoing) = mpsc::channel::<RawFaultVote>(VOTES);
    let (folder, now_ms) = (args.beacon_directory(), clock.unix_millis());
    let Ready { spec, config, genesis, guard, keys, lock, .. } = ready;
    let signer = Arc::new(Signer::new(keys.iter().cloned(), spec.domains()));
    // Until the process ends.
    core::mem::forget(lock);
    let opened = tasks.run_blocking(move || driver::open(&folder, spec, config, genesis, guard, signer, now_ms));
    let chain: Chain<E> = opened.await?.or_usage()?;
    say_hello(&chain, &args);
    let node = Arc::new(Node::new(chain, engine.clone(), pusher, options, clock, health.clone(), votes));

    let tree = tasks.child("beacon");
    tree.spawn_until_stopped("execution", check_execution(engine, expected, health.clone()));
    tree.spawn_until_stopped("slots", driver::run(Arc::clone(&node)));
    if !args.dht.is_empty() {
        dht::spawn(&tree, &args.dht, &node, outgoing)?;
        if !args.no_ack_quorum {
            quorum::start(&tasks, &args, spec, keys, api.local_addr()?).await?;
        }
    }
    let server = tasks.child("http");
    server.spawn_critical("rest", http::serve(api, rest::router(Arc::clone(&node)), rest::limits(), tasks.token()));
    let (pages, measure) = metrics::pages(&tasks, &node);
    tree.spawn_until_stopped("metrics", measure);
    server.spawn_critical("metrics", http::serve(observed, pages, http::Limits::default(), tasks.token()));
    Ok(())
}

fn say_hello<E: EthSpec>(chain: &Chain<E>, args: &Args) {
    let snapshot = chain.snapshot();
    let head = snapshot.head_node().map_or(0, |node| node.slot);
    tracing::info!(
        target: "polai::beacon",
        slot = snapshot.current_slot, head, finalized = snapshot.finalized.epoch, http = %args.http_port, "beacon node started"
    );
}

/// Is it the execution client of this chain, and can it do what is needed? Asked until it has answered once.
async fn check_execution<E: EthSpec>(engine: Engine<E>, expected: Hash32, health: Health) -> Result<(), Exit> {
    let mut said = String::new();
    loop {
        let asked = async {
            engine.check_capabilities().await?;
            engine.genesis_hash().await
        };
        let error = match asked.await {
            Ok(found) if found.0 == expected.0 => {
                tracing::info!(target: "polai::beacon", "execution client: Engine API V3, our genesis");
                return Ok(());
            }
            Ok(found) => {
                return Err(Exit::usage(format!("execution client: foreign genesis {found}, chain.toml says 0x{expected}")));
            }
            Err(error) => error,
        };
        let line = error.to_string();
        if line != said {
            tracing::warn!(target: "polai::beacon", %error, "execution client not checked yet; trying again");
            if matches!(error, EngineError::Unauthorized | EngineError::Capabilities { .. }) {
                health.set("execution", Condition::Down(line.clone()));
            }
            said = line;
        }
        sleep(Duration::from_secs(2)).await;
    }
}
