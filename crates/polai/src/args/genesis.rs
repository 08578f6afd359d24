//! Flags of `polai genesis`.

use std::{fmt, num::NonZeroU16, path::PathBuf, str::FromStr};

use pol_core::{committee::QuorumRule, identity::GenesisSeed, params::Preset};

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

pub(super) fn preset(text: &str) -> Result<Preset, String> {
    match text {
        "minimal" => Ok(Preset::Minimal),
        "mainnet" => Ok(Preset::Mainnet),
        _ => Err("expected minimal or mainnet".to_owned()),
    }
}

/// How many ACKs make a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum(pub QuorumRule);

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            QuorumRule::Auto => f.write_str("auto"),
            QuorumRule::Fixed(number) => number.fmt(f),
        }
    }
}

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
