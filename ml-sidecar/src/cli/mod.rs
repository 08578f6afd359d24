//! The commands of the program.

use std::num::NonZeroUsize;

use clap::{Args, Parser, Subcommand};
use pol_kit::{config::DataDirArgs, exit::Exit, telemetry::LogArgs};

use crate::{
    device::{self, Choice, Device},
    runtime,
};

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

/// Flags of everything that computes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ComputeArgs {
    /// Device: auto, cpu, cuda or cuda:N
    #[arg(long, env = "POLAI_DEVICE", default_value_t = Choice::Auto, value_name = "DEVICE", global = true)]
    pub device: Choice,
    /// Threads of one operation; by default all cores but two, at least one
    #[arg(long, env = "POLAI_THREADS", value_name = "N", global = true)]
    pub threads: Option<NonZeroUsize>,
}

impl ComputeArgs {
    /// Sets LibTorch up and takes the device. Before the first tensor, once.
    ///
    /// # Errors
    /// The device is not there: the operator's fault.
    pub fn start(&self) -> Result<Device, Exit> {
        let runtime = runtime::start(self.threads.unwrap_or_else(runtime::default_threads));
        let device = device::pick(self.device).map_err(Exit::usage)?;
        device::log_picked(device, &runtime);
        Ok(device)
    }
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say which device would compute, and end
    Device,
}

/// Does what the command says.
///
/// # Errors
/// One line for the operator, with its exit code.
pub fn run(cli: &Cli) -> Result<(), Exit> {
    match cli.command {
        Command::Device => {
            let device = cli.compute.start()?;
            println!("{device}");
            Ok(())
        }
    }
}
