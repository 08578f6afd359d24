//! Flags of `polai up`.

use std::path::PathBuf;

use clap::ValueEnum;
use pol_core::params::Preset;

use crate::seed::SeedText;

use super::{
    ExecutionArgs, LighthouseArgs, PortArgs, TrainingArgs,
    genesis::{Quorum, preset},
};

/// Which consensus client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Consensus {
    /// This repository's own, for development.
    Embedded,
    /// A patched Lighthouse: beacon node and validator client, with ack-quorum beside them.
    Lighthouse,
}

/// Flags that only a trainer of this node's own can follow. What stands in .env or the environment for them contradicts nothing.
const OF_TRAINER: [&str; 7] = ["train_data", "steps", "batch", "length", "learning_rate", "recompute", "samples"];

/// What runs, and on which chain. What a chain was made with is asked for only where it is made: later it need not be said again, and a
/// contradiction is refused.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Seed of all genesis keys, 64 hex digits; made and written to .env when there is none
    #[arg(long = "seed", env = "GENESIS_SEED", hide_env_values = true, value_name = "SEED")]
    pub seed: Option<SeedText>,
    /// Unix seconds of slot 0; by default 10 s after everything else is prepared
    #[arg(long, env = "GENESIS_TIME", value_name = "SECONDS")]
    pub genesis_time: Option<u64>,
    /// Validators of a new chain, all of them this node's; by default 1
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16_384), value_name = "NUMBER")]
    pub validators: Option<u32>,
    /// Seconds of a slot of a new chain; by default 3
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600), value_name = "SECONDS")]
    pub slot_seconds: Option<u64>,
    /// Consensus preset of a new chain: minimal (the default, 8 slots an epoch) or mainnet (32)
    #[arg(long, value_parser = preset, value_name = "PRESET")]
    pub preset: Option<Preset>,
    /// ACKs that make a quorum on a new chain: auto (the default, half of the committee) or a number
    #[arg(long, env = "AI_QUORUM", value_name = "QUORUM")]
    pub quorum: Option<Quorum>,
    /// Smallest difficulty of a seal of a new chain; by default 1024
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "DIFFICULTY")]
    pub difficulty_floor: Option<u64>,
    /// Let committees of fewer than four others slash, on a new chain
    #[arg(long)]
    pub dev_slash_small: bool,
    /// The base model of a new chain, as ml-sidecar names them: embedded (the default), smollm2-135m, a folder, a GGUF file, owner/name;
    /// for a chain that is there, where its model is now
    #[arg(long, env = "POLAI_MODEL", value_name = "MODEL")]
    pub model: Option<String>,
    /// The model's tables for a new chain, already made (`polai genesis --model`); by default ml-sidecar is asked
    #[arg(long, value_name = "FILE")]
    pub model_tables: Option<PathBuf>,
    /// What to train on: files and folders (txt, jsonl, parquet), or names of datasets (`ml-sidecar train --list-datasets`); by default the
    /// built-in corpus
    #[arg(long = "data", value_delimiter = ',', value_name = "DATA")]
    pub train_data: Vec<String>,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Trainers elsewhere that this node's validators vouch for: Ed25519 keys of 64 hex digits, at most 4 with this node's own
    #[arg(long = "trainer", value_delimiter = ',', value_parser = trainer, value_name = "KEY")]
    pub trainers: Vec<String>,
    /// Train nothing: the sidecar only judges
    #[arg(long, conflicts_with_all = OF_TRAINER)]
    pub no_train: bool,
    /// No ML sidecar at all: every block is an empty AI block
    #[arg(long, conflicts_with_all = OF_TRAINER)]
    pub no_ai: bool,
    /// Go on in the background once the node is ready
    #[arg(long)]
    pub detach: bool,
    /// Set by --detach for the process that stays
    #[arg(long, hide = true)]
    pub detached: bool,
    /// The execution client.
    #[command(flatten)]
    pub execution: ExecutionArgs,
    /// Consensus client
    #[arg(long, value_enum, default_value = "embedded", value_name = "CLIENT")]
    pub consensus: Consensus,
    /// Of Lighthouse.
    #[command(flatten)]
    pub lighthouse: LighthouseArgs,
    /// Ports.
    #[command(flatten)]
    pub ports: PortArgs,
}

/// Whether the digits are a point of the curve is asked where a signature is checked.
fn trainer(text: &str) -> Result<String, &'static str> {
    let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| text.to_owned()).ok_or("expected 64 hex digits")
}
