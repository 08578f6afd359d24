//! What `ack-quorum` is told at start.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, str::FromStr};

use clap::{Parser, Subcommand};
use pol_core::identity::GenesisSeed;
use pol_kit::{config::DataDirArgs, telemetry::LogArgs};

/// ACK quorum beside a beacon node: counts ACKs, certifies, pushes candidates, signs, watches blocks, posts slashings
#[derive(Debug, Clone, Parser)]
#[command(name = "ack-quorum", version)]
pub struct Args {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the others are.
    #[command(flatten)]
    pub peers: PeerArgs,
    /// Whose keys it signs with.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The chain's chain.toml; by default the one in the data directory
    #[arg(long, value_name = "FILE", global = true)]
    pub chain: Option<PathBuf>,
    /// Start from a finalized block instead of genesis: its root and the model head after it, trusted as given
    #[arg(long, env = "AI_CHECKPOINT", value_name = "ROOT:M")]
    pub ai_checkpoint: Option<String>,
    /// The chain's quorum, `auto` or a number; only to notice a contradiction, it is fixed at genesis
    #[arg(long, env = "AI_QUORUM", value_name = "QUORUM")]
    pub ai_quorum: Option<String>,
    /// Address of the two ports below; they have no authentication
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub listen: IpAddr,
    /// Port of the gRPC service (Status, Quorum, Acks, Faults)
    #[arg(long, env = "BEACON_GRPC_PORT", default_value_t = 4000, value_name = "PORT")]
    pub grpc_port: u16,
    /// Port of the fault service (HTTP: votes and slashings)
    #[arg(long, env = "SLASHER_PORT", default_value_t = 4003, value_name = "PORT")]
    pub fault_port: u16,
    /// Port of /metrics and /health, on loopback
    #[arg(long, env = "ACK_QUORUM_METRICS_PORT", default_value_t = 9003, value_name = "PORT")]
    pub metrics_port: u16,
}

/// Where the other processes of this node are.
#[derive(Debug, Clone, clap::Args)]
pub struct PeerArgs {
    /// Beacon API of the beacon node
    #[arg(long, env = "BEACON_URL", default_value = "http://127.0.0.1:3500", value_name = "URL")]
    pub beacon: String,
    /// gRPC of pol-dht
    #[arg(long, env = "DHT_URL", default_value = "http://127.0.0.1:13338", value_name = "URL")]
    pub dht: String,
    /// gRPC of ml-sidecar; empty: no verdicts, hence no ACKs of our own
    #[arg(long, env = "SIDECAR_URL", default_value = "http://127.0.0.1:8560", value_name = "URL")]
    pub sidecar: String,
    /// AI engine of the execution client; empty: nothing is pushed
    #[arg(long, env = "AI_ENGINE_URL", default_value = "http://127.0.0.1:8552", value_name = "URL")]
    pub ai_engine: String,
    /// JWT secret of the AI engine; by default secrets_data/jwt.hex in the data directory
    #[arg(long, env = "JWT_SECRET", value_name = "FILE")]
    pub jwt_secret: Option<PathBuf>,
}

/// Whose keys are used.
#[derive(Debug, Clone, clap::Args)]
pub struct KeyArgs {
    /// Directory of EIP-2335 keystores (*.json)
    #[arg(long, env = "KEYSTORES", value_name = "DIRECTORY")]
    pub keystores: Option<PathBuf>,
    /// Directory of their passwords (NAME.txt, or 0xPUBLICKEY as Lighthouse keeps them)
    #[arg(long, env = "KEYSTORE_PASSWORDS", value_name = "DIRECTORY")]
    pub passwords: Option<PathBuf>,
    /// On a devnet: genesis validators, such as 0-15, whose keys follow from GENESIS_SEED
    #[arg(long, env = "AI_VALIDATORS", value_name = "FIRST-LAST")]
    pub validators: Option<Validators>,
    /// The devnet's seed, 64 hex digits
    #[arg(long, env = "GENESIS_SEED", hide_env_values = true, value_name = "SEED")]
    pub genesis_seed: Option<GenesisSeed>,
    /// Ed25519 keys of our own trainers, 64 hex digits each, at most 4
    #[arg(long = "trainer", env = "AI_TRAINERS", value_delimiter = ',', value_name = "KEY")]
    pub trainers: Vec<TrainerKey>,
}

/// Something else than to serve.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The signing guard of a stopped service
    #[command(subcommand)]
    Guard(GuardCommand),
}

/// Moving the guard.
#[derive(Debug, Clone, Subcommand)]
pub enum GuardCommand {
    /// Write what was signed into a new file
    Export {
        /// The file
        file: PathBuf,
    },
    /// Take in what another guard, or another client (EIP-3076), has written
    Import {
        /// The file
        file: PathBuf,
    },
}

/// Indices of genesis validators, at most as many as a genesis has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators(pub RangeInclusive<u32>);

/// A text that names no validators. The operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an index or a range such as 0-15, at most 16,384 validators")]
pub struct ValidatorsError;

impl FromStr for Validators {
    type Err = ValidatorsError;

    fn from_str(text: &str) -> Result<Self, ValidatorsError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse::<u32>().map_err(|_| ValidatorsError);
        let (first, last) = (number(first)?, number(last)?);
        match last.checked_sub(first) {
            Some(0..16_384) => Ok(Self(first..=last)),
            _ => Err(ValidatorsError),
        }
    }
}

/// An Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainerKey(pub [u8; 32]);

impl FromStr for TrainerKey {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        let args = Args::parse_from(["ack-quorum"]);
        assert_eq!((args.grpc_port, args.fault_port, args.metrics_port), (4000, 4003, 9003));
        assert!(args.listen.is_loopback());
    }

    #[test]
    fn validators_are_an_index_or_a_range() {
        assert_eq!("0-15".parse(), Ok(Validators(0..=15)));
        assert_eq!("7".parse(), Ok(Validators(7..=7)));
        for text in ["", "a", "5-4", "0-16384", "-1", "1-", "0-4294967296"] {
            assert!(text.parse::<Validators>().is_err(), "{text}");
        }
    }
}
