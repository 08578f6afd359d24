//! What `polai` is told.

mod execution;
mod genesis;
mod lighthouse;
mod ports;
mod training;
mod up;

use clap::{Parser, Subcommand};
use pol_kit::config::DataDirArgs;

pub use execution::{ExecutionArgs, ExecutionClient};
pub use genesis::{GenesisArgs, Quorum};
pub use lighthouse::LighthouseArgs;
pub use ports::{NamedPort, PortArgs, Ports};
pub use training::TrainingArgs;
pub use up::{Consensus, UpArgs};

/// POL-AI: a chain that trains a model
///
/// `polai up` makes a chain and runs a whole node of it: DHT, execution client, beacon node, ML sidecar. Exit codes: 0 done, 1 failure or a
/// finding, 2 something an operator has to mend, said in one line.
#[derive(Debug, Clone, Parser)]
#[command(name = "polai", version)]
pub struct Args {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run a node in this folder, and make its chain when there is none; Ctrl-C stops all of it
    Up(Box<UpArgs>),
    /// Make what `up` needs, and start nothing: model, seed, chain, JWT secret, trainer's key, keystores for Lighthouse; for containers
    ///
    /// The seed, whose validators these are and the trainer's public key are written to .env of the folder, where every process finds its own.
    /// Done twice, it changes nothing.
    Prepare(Box<UpArgs>),
    /// Give an execution client again what a crash took from it, until stopped: what `up` does by itself, for nodes that run otherwise
    Refeed(RefeedArgs),
    /// Stop the node that runs in this folder
    Down,
    /// Show how the node does: slot, head, finality, AI blocks, quorum, losses, peers, health
    Status(StatusArgs),
    /// Show what a part of the node has logged, or all of them
    Logs(LogsArgs),
    /// Check the whole chain again: headers, seals, certificates, model heads, model state
    Verify(VerifyArgs),
    /// Look for what is wrong on this machine and in this folder
    Doctor(DoctorArgs),
    /// List all variables of all programs, with defaults and meanings; the list is a valid .env file
    Env,
    /// Delete the chain of this folder; .env and models stay
    Reset(ResetArgs),
    /// Make the genesis folder: chain.toml, genesis.json, testnet/{config.yaml,genesis.ssz}, and a JWT secret of this node's own
    ///
    /// The same seed, time and options give the same bytes of every file but the secret. Done twice, it changes nothing; a folder of
    /// another chain is refused.
    Genesis(GenesisArgs),
}

/// Whom to ask, and whom to feed.
#[derive(Debug, Clone, clap::Args)]
pub struct RefeedArgs {
    /// The Beacon API
    #[arg(long, env = "BEACON_URL", default_value = "http://127.0.0.1:3500", value_name = "URL")]
    pub beacon: String,
    /// The Engine API; its secret is the folder's, in secrets_data
    #[arg(long, env = "EXECUTION_ENDPOINT", default_value = "http://127.0.0.1:8551", value_name = "URL")]
    pub engine: String,
}

/// How the status is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct StatusArgs {
    /// Once, instead of every second; also when the output is no terminal
    #[arg(long)]
    pub once: bool,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogsArgs {
    /// pol-dht, pol-execution (pol-reth), pol-beacon (lighthouse-bn, lighthouse-vc, ack-quorum), ml-sidecar or polai; all of them when there is none
    #[arg(value_name = "PART")]
    pub part: Option<String>,
    /// Go on with what comes
    #[arg(long, short)]
    pub follow: bool,
    /// So many lines of what there is
    #[arg(long, short = 'n', default_value_t = 40, value_name = "NUMBER")]
    pub lines: usize,
}

/// How a chain is checked.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// Ports of the node; of a running one they are known.
    #[command(flatten)]
    pub ports: PortArgs,
}

/// What is looked at.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// Ports that a node would use.
    #[command(flatten)]
    pub ports: PortArgs,
}

/// What is deleted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ResetArgs {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_refuses_what_is_out_of_range() {
        Args::command().debug_assert();
        let with = |more: &[&str]| {
            let seed = "01".repeat(32);
            let base = ["polai", "genesis", "--seed", &seed, "--model", "m.toml"];
            Args::try_parse_from(base.iter().chain(more)).is_ok()
        };
        assert!(with(&[]) && with(&["--quorum", "3"]) && with(&["--preset", "mainnet"]));
        for wrong in [["--validators", "0"], ["--quorum", "0"], ["--quorum", "513"], ["--slot-seconds", "0"], ["--preset", "x"]] {
            assert!(!with(&wrong), "{wrong:?}");
        }
    }
}
