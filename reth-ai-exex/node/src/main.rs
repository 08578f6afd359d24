//! `pol-reth`: Reth with the block rules, sealing, AI engine, model log and feed of POL-AI.
//!
//! # Place in the flow
//! Steps 7 to 9 and 12 of one update's way (docs/ARCHITECTURE.md), as `pol-execution`, on a client for real networks. Every rule comes
//! from `reth-ai-exex`; here are Reth's traits, each implemented by calls into it.
//!
//! # Contract
//! An Engine API client sees Reth, on payloads in the wire form. An error of the AI path never ends the node and never becomes an error of
//! the Engine API.
//!
//! # What it does not protect against
//! Reth keeps its newest blocks in memory: a kill loses some, which a peer or the consensus client has to give again (README.md).

mod args;
mod builder;
mod consensus;
mod engine;
mod exex;
mod node;
mod services;

use core::fmt;
use std::{sync::Arc, time::Duration};

use args::AiArgs;
use consensus::PolaiConsensus;
use node::PolaiNode;
use pol_kit::{
    exit::{self, Exit},
    metrics::Condition,
    tasks::Root,
};
use reth_ai_exex::{
    chain::Chain,
    metrics::Metrics,
    rpc::{PolaiRpc, PolaiServer as _},
};
use reth_ethereum::{
    chainspec::ChainSpec,
    evm::{EthEvmConfig, factory::RethEvmFactory},
    node::builder::{NodeBuilder, WithLaunchContext},
    provider::db::DatabaseEnv,
};

/// Carries exit code 2 through Reth's runner.
#[derive(Debug)]
struct Ended(Exit);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Ended {}

fn main() -> exit::Code {
    exit::main("pol-reth", || {
        let (cli, chain) = args::parse(std::env::args_os())?;
        let components = move |spec: Arc<ChainSpec>| {
            let evm = EthEvmConfig::new_with_evm_factory(Arc::clone(&spec), RethEvmFactory::default());
            (evm, Arc::new(PolaiConsensus::new(spec, chain, Metrics::new())))
        };
        let ran = cli
            .run_with_components::<PolaiNode>(components, async move |builder, args| Box::pin(run(builder, args, chain)).await);
        ran.map_err(|error| match error.downcast::<Ended>() {
            Ok(Ended(exit)) => exit,
            Err(error) => Exit::failure(error),
        })
    })
}

/// A node until it ends.
async fn run(builder: WithLaunchContext<NodeBuilder<DatabaseEnv, ChainSpec>>, args: AiArgs, chain: Chain) -> eyre::Result<()> {
    let root = Root::new("pol-reth");
    let tasks = root.tasks().clone();
    let (ai, health) = services::start(&args, builder.config(), chain, &tasks).await.map_err(Ended)?;
    let rpc = PolaiRpc::new(ai.log.clone(), ai.sealer.clone());
    let handle = builder
        .node(PolaiNode(ai.clone()))
        .extend_rpc_modules(move |ctx| {
            ctx.modules.merge_configured(rpc.into_rpc())?;
            Ok(())
        })
        .install_exex("polai", async move |ctx| Ok(exex::follow(ctx, &ai, &tasks)))
        .launch_with_debug_capabilities()
        .await?;
    health.set(services::NODE, Condition::Ok);
    let ended = handle.wait_for_node_exit().await;
    // The ports close.
    root.stop(Duration::from_secs(5)).await;
    ended
}
