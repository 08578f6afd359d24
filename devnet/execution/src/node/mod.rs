//! A whole node: opened, wired and served.

mod ports;

pub use ports::Addresses;

use std::sync::Arc;

use pol_core::genesis::ChainSpec;
use pol_kit::{
    clock::Clock,
    exit::{Exit, OrUsage as _},
    fs,
    jwt::Secret,
    metrics::{self, Health},
    tasks::Tasks,
};
use ports::{Ports, Served};
use reth_ai_exex::{
    genesis::ExecutionGenesis,
    metrics::Metrics,
    process::{Ai, Settings},
};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    args::Args,
    chain::{Chain, History},
    engine::Engine,
    payload::{Parts, Payloads},
    pool::Pool,
    rpc::Eth,
};

/// A running node; it lives in the tasks that it was given.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it answers.
    pub addresses: Addresses,
    /// Its chain.
    pub chain: Chain,
    /// Its Engine API, as the port serves it.
    pub engine: Engine,
    /// Its mempool: [`crate::pool::gossip`] joins it to a network.
    pub pool: Pool,
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// Genesis, secret, ports and data directory: the operator's, exit code 2.
    pub async fn start(args: &Args, genesis: ExecutionGenesis, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Self, Exit> {
        let ports = Ports::bind(args).await?;
        let secret = Arc::new(secret(args)?);
        let (mut registry, health) = (metrics::registry(), Health::new());
        tasks.register(&mut registry);
        let ai_metrics = Metrics::new();
        ai_metrics.register(&mut registry);
        let opened = (args.clone(), genesis, ai_metrics.clone(), tasks.clone());
        let chain = tasks.run_blocking(move || open(opened)).await??;
        let settings = Settings {
            mode: args.ai_mode,
            seal_threads: (!args.seal_off).then_some(args.seal_threads),
            log: args.chain_data().join("model_log"),
        };
        let ai = Ai::start(settings, *chain.genesis().chain(), Arc::clone(&clock), (ai_metrics, health.clone()), tasks)
            .await
            .or_usage()?;
        ai.follow(Arc::new(chain.clone()), chain.watch_heads(), tasks);
        let pool = Pool::new(chain.clone());
        let parts = Parts {
            chain: chain.clone(),
            pool: pool.clone(),
            register: ai.register.clone(),
            sealer: ai.sealer.clone(),
            clock: Arc::clone(&clock),
            gas_limit: args.gas_limit,
        };
        let (payloads, runner) = Payloads::new(parts);
        let runner = async move {
            runner.run().await;
            Ok::<(), Exit>(())
        };
        tasks.child("payloads").spawn_until_stopped("runner", runner);
        tasks.child("pool").spawn_until_stopped("follower", follow(chain.clone(), pool.clone()));
        let engine = Engine::new(chain.clone(), payloads).with_log(ai.log.clone());
        let addresses = ports.addresses;
        let eth = Eth::new(chain.clone(), pool.clone());
        let served = Served { chain: chain.clone(), eth, engine: engine.clone(), ai, secret, clock, health };
        ports.serve(served, registry, tasks)?;
        Ok(Self { addresses, chain, engine, pool })
    }
}

/// Reads the genesis, and compares it with chain.toml when that lies beside it.
///
/// # Errors
/// The operator's, exit code 2.
pub fn genesis(args: &Args) -> Result<ExecutionGenesis, Exit> {
    let path = args.genesis();
    let text = std::fs::read(&path);
    let text = text.map_err(|error| {
        Exit::usage(format!(
            "{}: {error}; give the chain's genesis.json with --chain, or try `pol-execution dev`",
            path.display()
        ))
    })?;
    let genesis = ExecutionGenesis::read(&text).or_usage()?;
    if let Ok(text) = std::fs::read_to_string(args.chain_toml()) {
        genesis.check_spec(&ChainSpec::parse(&text).or_usage()?).or_usage()?;
    }
    Ok(genesis)
}

fn secret(args: &Args) -> Result<Secret, Exit> {
    let path = args.secret();
    if let Some(folder) = path.parent().filter(|_| args.jwt_secret.is_none()) {
        fs::create_private_directory(folder)?;
    }
    Secret::load_or_create(&path).or_usage()
}

/// Opens what is on disk; the directory's lock lives as long as the chain's task.
fn open((args, genesis, metrics, tasks): (Args, ExecutionGenesis, Metrics, Tasks)) -> Result<Chain, Exit> {
    let folder = args.chain_data();
    fs::create_private_directory(&folder)?;
    let lock = fs::lock_directory(&folder)?;
    let held = tasks.clone();
    tasks.spawn_critical("lock", async move {
        held.cancelled().await;
        drop(lock);
        Ok::<(), Exit>(())
    });
    Chain::open(&folder, genesis, History::default(), metrics).or_usage()
}

/// The mempool follows the chain.
async fn follow(chain: Chain, pool: Pool) -> Result<(), Exit> {
    let mut events = chain.watch_events();
    loop {
        match events.recv().await {
            Ok(event) => {
                let pool = pool.clone();
                tokio::task::spawn_blocking(move || pool.follow(&event)).await?;
            }
            // What was spent meanwhile leaves with the next change.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(Exit::failure("the chain is gone")),
        }
    }
}
