//! What `pol-execution` is told at start.

use core::num::NonZeroUsize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Parser, Subcommand};
use pol_core::identity::GenesisSeed;
use pol_kit::{config::DataDirArgs, telemetry::LogArgs};
use reth_ai_exex::candidate::Mode;

/// File names inside the data directory.
const GENESIS_FILE: &str = "genesis.json";
const CHAIN_FILE: &str = "chain.toml";
const CHAIN_FOLDER: &str = "chain_data";
const SECRET_FILE: &str = "secrets_data/jwt.hex";

/// The embedded execution client of POL-AI: an EVM chain whose blocks are sealed by proof of work and may name a LoRA update
///
/// A consensus client drives it on the Engine API (port 8551, JWT); wallets talk to it on JSON-RPC (port 8545, HTTP and WebSocket); the
/// beacon side pushes candidates to the AI engine (port 8552, the same JWT); what became canonical goes out as gRPC feed (port 8553).
///
/// To try it without a consensus client: pol-execution dev --block-time 2
///
/// It is for development: one node's own chain, without peers. The real one is Reth with the same library.
#[derive(Debug, Clone, Parser)]
#[command(name = "pol-execution", version, mut_arg("data_dir", |arg| arg.visible_alias("datadir")))]
pub struct Args {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// The chain's genesis.json; by default the one in the data directory
    #[arg(long, value_name = "FILE", global = true)]
    pub chain: Option<PathBuf>,
    /// Address of JSON-RPC: whoever reaches it can ask and send transactions
    #[arg(long = "http.addr", env = "EL_HTTP_ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS", global = true)]
    pub http_addr: IpAddr,
    /// Port of JSON-RPC, HTTP and WebSocket; 0: any free one
    #[arg(long = "http.port", env = "EL_HTTP_PORT", default_value_t = 8545, value_name = "PORT", global = true)]
    pub http_port: u16,
    /// Address of the Engine API and of the AI engine
    #[arg(long = "authrpc.addr", env = "EL_AUTH_ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS", global = true)]
    pub auth_addr: IpAddr,
    /// Port of the Engine API
    #[arg(long = "authrpc.port", env = "EL_AUTH_PORT", default_value_t = 8551, value_name = "PORT", global = true)]
    pub auth_port: u16,
    /// File of the JWT secret, 64 hex digits, mode 0600; made when missing. By default secrets_data/jwt.hex in the data directory
    #[arg(long = "authrpc.jwtsecret", env = "JWT_SECRET", value_name = "FILE", global = true)]
    pub jwt_secret: Option<PathBuf>,
    /// Port of the AI engine
    #[arg(long = "ai-engine.port", env = "AI_ENGINE_PORT", default_value_t = 8552, value_name = "PORT", global = true)]
    pub ai_engine_port: u16,
    /// What is done with candidates: enabled, dry_run or disabled
    #[arg(long = "ai-engine.mode", default_value = "enabled", value_parser = |text: &str| text.parse::<Mode>(), value_name = "MODE", global = true)]
    pub ai_mode: Mode,
    /// Port of the gRPC feed, on loopback
    #[arg(long = "feed.port", env = "EL_FEED_PORT", default_value_t = 8553, value_name = "PORT", global = true)]
    pub feed_port: u16,
    /// Port of /metrics and /health, on loopback
    #[arg(long = "metrics.port", env = "EL_METRICS_PORT", default_value_t = 9001, value_name = "PORT", global = true)]
    pub metrics_port: u16,
    /// Gas limit that this node's blocks move to
    #[arg(long = "builder.gaslimit", default_value_t = 30_000_000, value_name = "GAS", global = true)]
    pub gas_limit: u64,
    /// Threads that search for seals
    #[arg(long = "seal.threads", default_value_t = NonZeroUsize::MIN, value_name = "THREADS", global = true)]
    pub seal_threads: NonZeroUsize,
    /// Build no payloads: only follow the chain
    #[arg(long = "seal.off", global = true)]
    pub seal_off: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of waiting for a consensus client.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Play the consensus client too: a block per block time, on a chain of its own that is made when the data directory has none
    Dev(DevArgs),
}

/// Of the dev chain.
#[derive(Debug, Clone, clap::Args)]
pub struct DevArgs {
    /// Seconds between blocks; of a new chain
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600), value_name = "SECONDS")]
    pub block_time: u64,
    /// Seed of a new chain, 64 hex digits; who knows it owns the funded account
    #[arg(long, env = "GENESIS_SEED", default_value = DEV_SEED, hide_env_values = true, value_name = "SEED")]
    pub seed: GenesisSeed,
    /// Chain id of a new chain
    #[arg(long, default_value_t = 1337, value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991), value_name = "ID")]
    pub chain_id: u64,
}

/// Everybody's seed, for chains on which nothing is worth anything.
const DEV_SEED: &str = "0000000000000000000000000000000000000000000000000000000000000001";

impl Args {
    /// Where the genesis lies.
    pub fn genesis(&self) -> PathBuf {
        self.chain.clone().unwrap_or_else(|| self.data.data_dir.join(GENESIS_FILE))
    }

    /// Where the specification of the whole chain lies, when there is one.
    pub fn chain_toml(&self) -> PathBuf {
        self.genesis().with_file_name(CHAIN_FILE)
    }

    /// Where blocks and the model log are kept.
    pub fn chain_data(&self) -> PathBuf {
        self.data.data_dir.join(CHAIN_FOLDER)
    }

    /// Where the JWT secret lies.
    pub fn secret(&self) -> PathBuf {
        self.jwt_secret.clone().unwrap_or_else(|| self.data.data_dir.join(SECRET_FILE))
    }

    /// Where JSON-RPC listens.
    pub const fn http(&self) -> SocketAddr {
        SocketAddr::new(self.http_addr, self.http_port)
    }

    /// Where the Engine API listens.
    pub const fn auth(&self) -> SocketAddr {
        SocketAddr::new(self.auth_addr, self.auth_port)
    }

    /// Where the AI engine listens.
    pub const fn ai_engine(&self) -> SocketAddr {
        SocketAddr::new(self.auth_addr, self.ai_engine_port)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_those_of_geth_and_reth() {
        Args::command().debug_assert();
        let flags =
            "pol-execution --datadir d --chain g.json --http.port 1 --authrpc.port 2 --authrpc.jwtsecret s --ai-engine.port 3";
        let args = Args::try_parse_from(flags.split(' ')).unwrap();
        assert_eq!((args.http().port(), args.auth().port(), args.ai_engine().port()), (1, 2, 3));
        assert_eq!((args.genesis(), args.secret(), args.chain_data()), ("g.json".into(), "s".into(), "d/chain_data".into()));
    }

    #[test]
    fn a_dev_chain_takes_the_same_flags_behind_its_name() {
        let args = Args::try_parse_from(["pol-execution", "dev", "--block-time", "3", "--http.port", "0"]).unwrap();
        let Some(Command::Dev(dev)) = &args.command else { panic!("no dev chain") };
        assert_eq!((dev.block_time, args.http_port), (3, 0));
        assert!(Args::try_parse_from(["pol-execution", "dev", "--block-time", "0"]).is_err());
        assert!(Args::try_parse_from(["pol-execution", "--ai-engine.mode", "perhaps"]).is_err());
    }
}
