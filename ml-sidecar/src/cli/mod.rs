//! The commands of the program.

mod adapter;
mod compute;
mod eval;
mod texts;

pub use adapter::{AdapterCommand, load_adapter};
pub use compute::{Compute, ComputeArgs, ModelArgs};
pub use eval::EvalArgs;
pub use texts::{TEXT_FILE_BYTES_MAX, read_texts};

use clap::{Parser, Subcommand};
use pol_kit::{config::DataDirArgs, exit::Exit, telemetry::LogArgs};

/// Models, LoRA adapters, deltas and the loss gate of POL-AI
#[derive(Debug, Clone, Parser)]
#[command(name = "ml-sidecar", version)]
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
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say which device would compute, and end
    Device,
    /// Loss of a model on texts, with or without an adapter
    Eval(EvalArgs),
    /// Adapters: between the chain's integers and PEFT's folders
    #[command(subcommand)]
    Adapter(AdapterCommand),
}

/// Does what the command says.
///
/// # Errors
/// One line for the operator, with its exit code.
pub fn run(cli: &Cli) -> Result<(), Exit> {
    match &cli.command {
        Command::Device => {
            println!("{}", cli.compute.start()?.device());
            Ok(())
        }
        Command::Eval(args) => eval::run(&cli.compute, args),
        Command::Adapter(command) => adapter::run(&cli.compute, command),
    }
}
