//! Flags: Reth's own, with our defaults, and `--ai-engine.*`.

use core::num::NonZeroUsize;
use std::{ffi::OsString, path::Path};

use alloy_primitives::B256;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use pol_core::{GenesisId, genesis::ChainSpec as ChainToml};
use pol_kit::exit::{Exit, OrUsage as _};
use reth_ai_exex::{candidate::Mode, chain::Chain, genesis::ExecutionGenesis};
use reth_ethereum::cli::{chainspec::EthereumChainSpecParser, interface};
use reth_rpc_server_types::LenientRpcModuleValidator;

/// Reth's command line with ours. `--http.api eth,polai` is allowed.
pub(crate) type Cli = interface::Cli<EthereumChainSpecParser, AiArgs, LenientRpcModuleValidator>;

/// Of `pol-reth node`, by clap's names. A job that nobody collects may hold up the whole Engine API until its deadline; candidates that
/// change must be noticed soon; a first block must not wait for a cache of gigabytes; a pending block would be one without a seal; blocks
/// keep the gas limit of genesis, as those of pol-execution.
const DEFAULTS: [(&str, &str); 5] = [
    ("deadline", "1"),
    ("interval", "100ms"),
    ("cross_block_cache_size", "16"),
    ("rpc_pending_block", "none"),
    ("gas_limit", "30000000"),
];

/// The AI engine, the execution feed and the sealer, all inside this process.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "POL-AI")]
pub(crate) struct AiArgs {
    /// Port of the AI engine, beside the Engine API and with its secret
    #[arg(long = "ai-engine.port", env = "AI_ENGINE_PORT", default_value_t = 8552, value_name = "PORT")]
    pub(crate) ai_engine_port: u16,
    /// What is done with candidates: enabled, dry_run or disabled
    #[arg(long = "ai-engine.mode", default_value = "enabled", value_parser = |text: &str| text.parse::<Mode>(), value_name = "MODE")]
    pub(crate) ai_engine_mode: Mode,
    /// Port of the gRPC feed, on loopback
    #[arg(long = "ai-engine.feed.port", env = "EL_FEED_PORT", default_value_t = 8553, value_name = "PORT")]
    pub(crate) ai_engine_feed_port: u16,
    /// Port of /metrics and /health, on loopback: Reth's metrics and ours
    #[arg(long = "ai-engine.metrics.port", env = "EL_METRICS_PORT", default_value_t = 9001, value_name = "PORT")]
    pub(crate) ai_engine_metrics_port: u16,
    /// Threads that search for seals
    #[arg(long = "ai-engine.seal.threads", default_value_t = NonZeroUsize::MIN, value_name = "THREADS")]
    pub(crate) ai_engine_seal_threads: NonZeroUsize,
    /// Build no payloads: only follow the chain
    #[arg(long = "ai-engine.seal.off")]
    pub(crate) ai_engine_seal_off: bool,
}

/// The command line, and the chain that it names: genesis.json as `polai genesis` writes it.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, Chain), Exit> {
    let command = Cli::command()
        .name("pol-reth")
        .about("Reth with the blocks of POL-AI: sealed by proof of work, each may name a LoRA update")
        .mut_subcommand("node", |node| {
            DEFAULTS.into_iter().fold(node, |node, (name, value)| node.mut_arg(name, |arg| arg.default_value(value)))
        });
    let matches = command.try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let Some(spec) = cli.command.chain_spec() else {
        // A command that looks at no chain.
        return Ok((cli, Chain::new(GenesisId::ZERO, B256::ZERO, 0, 1, 1).or_usage()?));
    };
    let genesis = ExecutionGenesis::check(spec.genesis.clone());
    let genesis =
        genesis.or_usage().map_err(|exit| exit.context("--chain FILE must name the chain's genesis.json".to_owned()))?;
    if spec.genesis_hash() != genesis.chain().genesis_hash() {
        return Err(Exit::usage(format!(
            "genesis block: Reth makes {}, we make {}",
            spec.genesis_hash(),
            genesis.chain().genesis_hash()
        )));
    }
    check_chain_toml(&matches, &genesis)?;
    Ok((cli, *genesis.chain()))
}

/// Compares genesis.json with chain.toml when that lies beside it.
fn check_chain_toml(matches: &ArgMatches, genesis: &ExecutionGenesis) -> Result<(), Exit> {
    let file = matches.subcommand().and_then(|(_, matches)| matches.get_raw("chain")?.next());
    let Some(file) = file.map(|file| Path::new(file).with_file_name("chain.toml")) else { return Ok(()) };
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
    genesis.check_spec(&ChainToml::parse(&text).or_usage()?).or_usage()
}
