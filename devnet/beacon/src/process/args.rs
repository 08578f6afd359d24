//! What `pol-beacon` is told at start. Flags are named as Lighthouse names them where it has them.

use std::{net::IpAddr, path::PathBuf};

use alloy_primitives::Address;
use clap::Parser;
use lighthouse_ack_quorum::service::args::{TrainerKey, Validators};
use pol_core::identity::GenesisSeed;
use pol_kit::{config::DataDirArgs, telemetry::LogArgs};

/// The embedded beacon node of POL-AI: one process, all local validators, Deneb with our rules. For development networks
///
/// It needs three things: the files of genesis (--testnet-dir: config.yaml, genesis.ssz; and chain.toml), an execution client with the
/// Engine API (--execution-endpoint, --execution-jwt), and keys (--validators with GENESIS_SEED, or --validators-dir with --secrets-dir).
/// What it signed is remembered in secrets_data/slashing_protection of the data directory: never delete that, and never run the same
/// keys with two data directories.
///
/// Exit codes: 0 stopped, 1 failure, 2 something an operator has to mend, said in one line.
#[derive(Debug, Clone, Parser)]
#[command(name = "pol-beacon", version)]
pub struct Args {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// Whose keys it signs with.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Directory with config.yaml and genesis.ssz; by default `testnet` in the data directory
    #[arg(long, value_name = "DIRECTORY")]
    pub testnet_dir: Option<PathBuf>,
    /// The chain's chain.toml; by default the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Engine API of the execution client
    #[arg(long, env = "EXECUTION_ENDPOINT", default_value = "http://127.0.0.1:8551", value_name = "URL")]
    pub execution_endpoint: String,
    /// JWT secret that both sides share; by default secrets_data/jwt.hex in the data directory
    #[arg(long, env = "JWT_SECRET", value_name = "FILE")]
    pub execution_jwt: Option<PathBuf>,
    /// AI engine of the execution client, same secret; empty: no candidate is pushed, every own block is an empty AI block
    #[arg(long, env = "AI_ENGINE_URL", default_value = "http://127.0.0.1:8552", value_name = "URL")]
    pub ai_engine: String,
    /// gRPC of pol-dht, where ACKs and fault votes come from and go to; empty: this node has no AI side, its blocks are empty AI blocks
    #[arg(long, env = "DHT_URL", default_value = "http://127.0.0.1:13338", value_name = "URL")]
    pub dht: String,
    /// gRPC of ml-sidecar; empty: no verdicts, hence no ACKs of our own
    #[arg(long, env = "SIDECAR_URL", default_value = "http://127.0.0.1:8560", value_name = "URL")]
    pub sidecar: String,
    /// Ed25519 keys of our own trainers, 64 hex digits each, at most 4
    #[arg(long = "trainer", value_delimiter = ',', value_name = "KEY")]
    pub trainers: Vec<TrainerKey>,
    /// Account that gets the fees of own blocks
    #[arg(long, env = "FEE_RECIPIENT", default_value_t = Address::ZERO, value_name = "ADDRESS")]
    pub suggested_fee_recipient: Address,
    /// Text in own blocks, at most 32 bytes
    #[arg(long, default_value = "pol-beacon", value_name = "TEXT")]
    pub graffiti: String,
    /// Address of the Beacon API; it has no authentication
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub http_address: IpAddr,
    /// Port of the Beacon API
    #[arg(long, env = "BEACON_REST_PORT", default_value_t = 3500, value_name = "PORT")]
    pub http_port: u16,
    /// Port of /metrics and /health, on loopback
    #[arg(long, env = "BEACON_METRICS_PORT", default_value_t = 9002, value_name = "PORT")]
    pub metrics_port: u16,
    /// Port of the gRPC service polai.quorum.v1, on loopback, when there is a DHT
    #[arg(long, env = "BEACON_GRPC_PORT", default_value_t = 4000, value_name = "PORT")]
    pub grpc_port: u16,
    /// Port of the fault service (HTTP: votes and slashings), on loopback, when there is a DHT
    #[arg(long, env = "SLASHER_PORT", default_value_t = 4003, value_name = "PORT")]
    pub fault_port: u16,
    /// Port of the ACK side's own /metrics and /health, on loopback, when there is a DHT
    #[arg(long, env = "ACK_QUORUM_METRICS_PORT", default_value_t = 9003, value_name = "PORT")]
    pub quorum_metrics_port: u16,
    /// Leave the ACK side to an `ack-quorum` process beside this one, which has the same keys and the three ports above
    #[arg(long)]
    pub no_ack_quorum: bool,
    /// The chain's quorum, `auto` or a number; only to notice a contradiction, it is fixed at genesis
    #[arg(long, env = "AI_QUORUM", value_name = "QUORUM")]
    pub ai_quorum: Option<String>,
    /// For tests: this genesis validator signs a bad certificate whenever it proposes, and is slashed for it
    #[arg(long, value_name = "INDEX", hide_short_help = true)]
    pub test_bad_certificates_by: Option<u32>,
}

/// Whose keys are used.
#[derive(Debug, Clone, clap::Args)]
pub struct KeyArgs {
    /// Directory of EIP-2335 keystores (*.json); locked, so that no second node uses them
    #[arg(long, env = "KEYSTORES", value_name = "DIRECTORY")]
    pub validators_dir: Option<PathBuf>,
    /// Directory of their passwords (NAME.txt, or 0xPUBLICKEY)
    #[arg(long, env = "KEYSTORE_PASSWORDS", value_name = "DIRECTORY")]
    pub secrets_dir: Option<PathBuf>,
    /// On a devnet: genesis validators, such as 0-15, whose keys follow from GENESIS_SEED
    #[arg(long, env = "BEACON_VALIDATORS", value_name = "FIRST-LAST")]
    pub validators: Option<Validators>,
    /// The devnet's seed, 64 hex digits
    #[arg(long, env = "GENESIS_SEED", hide_env_values = true, value_name = "SEED")]
    pub genesis_seed: Option<GenesisSeed>,
}

impl Args {
    /// Where all that can be fetched again lies.
    pub fn chain_data(&self) -> PathBuf {
        self.data.data_dir.join("chain_data")
    }

    /// Where chain, blocks and model heads lie.
    pub fn beacon_directory(&self) -> PathBuf {
        self.chain_data().join("beacon")
    }

    /// Where the files of genesis lie.
    pub fn testnet(&self) -> PathBuf {
        self.testnet_dir.clone().unwrap_or_else(|| self.data.data_dir.join("testnet"))
    }

    /// Where the JWT secret lies.
    pub fn jwt(&self) -> PathBuf {
        self.execution_jwt.clone().unwrap_or_else(|| self.data.data_dir.join("secrets_data/jwt.hex"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_loopback_by_default() {
        Args::command().debug_assert();
        let args = Args::parse_from(["pol-beacon"]);
        assert_eq!((args.http_port, args.http_address.is_loopback()), (3500, true));
    }
}
