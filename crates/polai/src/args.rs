//! What `polai` is told.

use std::{num::NonZeroU16, path::PathBuf, str::FromStr};

use clap::{Parser, Subcommand};
use pol_core::{committee::QuorumRule, identity::GenesisSeed, params::Preset};
use pol_kit::config::DataDirArgs;

/// POL-AI: a chain that trains a model
///
/// `polai genesis` makes the folder that pol-execution, pol-beacon and pol-dht start from. Exit codes: 0 done, 1 failure, 2 something an
/// operator has to mend, said in one line.
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
    /// Make the genesis folder: chain.toml, genesis.json, testnet/{config.yaml,genesis.ssz}, and a JWT secret of this node's own
    ///
    /// The same seed, time and options give the same bytes of every file but the secret. Done twice, it changes nothing; a folder of
    /// another chain is refused.
    Genesis(GenesisArgs),
}

/// Inputs of genesis (docs/PROTOCOL.md sections 2.1 and 5).
#[derive(Debug, Clone, clap::Args)]
pub struct GenesisArgs {
    /// Seed of all genesis keys, 64 hex digits: for devnets, who knows it holds every key
    #[arg(long = "seed", env = "GENESIS_SEED", hide_env_values = true, value_name = "SEED")]
    pub seed: GenesisSeed,
    /// Unix seconds of slot 0; by default soon (30 s from now)
    #[arg(long, env = "GENESIS_TIME", value_name = "SECONDS")]
    pub genesis_time: Option<u64>,
    /// Validators at genesis; more join by deposit
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16_384), value_name = "NUMBER")]
    pub validators: u32,
    /// Seconds of a slot
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600), value_name = "SECONDS")]
    pub slot_seconds: u64,
    /// Consensus preset: minimal (8 slots an epoch) or mainnet (32)
    #[arg(long, default_value = "minimal", value_parser = preset, value_name = "PRESET")]
    pub preset: Preset,
    /// Chain id of transactions
    #[arg(long, default_value_t = 1337, value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991), value_name = "ID")]
    pub chain_id: u64,
    /// ACKs that make a quorum: auto (half of the committee) or a number
    #[arg(long, env = "AI_QUORUM", default_value = "auto", value_name = "QUORUM")]
    pub quorum: Quorum,
    /// Smallest difficulty of a seal; a seal should take less than 1/400 of a slot on the weakest machine
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..), value_name = "DIFFICULTY")]
    pub difficulty_floor: u64,
    /// Let committees of fewer than four others slash: only where all validators are one operator's
    #[arg(long)]
    pub dev_slash_small: bool,
    /// What the chain must know of its base model and the gate's texts, as TOML tables `[model]` and `[gate]` (their keys are chain.toml's)
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
}

fn preset(text: &str) -> Result<Preset, String> {
    match text {
        "minimal" => Ok(Preset::Minimal),
        "mainnet" => Ok(Preset::Mainnet),
        _ => Err("expected minimal or mainnet".to_owned()),
    }
}

/// How many ACKs make a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum(pub QuorumRule);

impl FromStr for Quorum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(QuorumRule::Auto));
        }
        let number = text.parse().ok().filter(|number: &NonZeroU16| number.get() <= 512);
        number.map(|number| Self(QuorumRule::Fixed(number))).ok_or_else(|| "expected auto or a number from 1 to 512".to_owned())
    }
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
