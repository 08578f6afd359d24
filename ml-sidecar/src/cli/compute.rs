//! Flags of everything that computes, and what follows from them.

use std::num::NonZeroUsize;

use clap::Args;
use pol_kit::exit::{Exit, OrUsage as _};

use crate::{
    checkpoint,
    device::{self, Choice, Device},
    precision::Precision,
    runtime,
};

/// Flags of everything that computes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ComputeArgs {
    /// Device: auto, cpu, cuda or cuda:N
    #[arg(long, env = "POLAI_DEVICE", default_value_t = Choice::Auto, value_name = "DEVICE", global = true)]
    pub device: Choice,
    /// Threads of one operation; by default all cores but two, at least one
    #[arg(long, env = "POLAI_THREADS", value_name = "N", global = true)]
    pub threads: Option<NonZeroUsize>,
    /// Numbers of the base model: fp32, bf16 or fp16; by default those that suit the device
    #[arg(long, env = "POLAI_PRECISION", value_name = "PRECISION", global = true)]
    pub precision: Option<Precision>,
}

/// LibTorch, set up, with its device.
#[derive(Debug, Clone, Copy)]
pub struct Compute {
    choice: Choice,
    device: Device,
}

impl ComputeArgs {
    /// Sets LibTorch up and takes the device. Before the first tensor, once.
    ///
    /// # Errors
    /// The device is not there: the operator's fault.
    pub fn start(&self) -> Result<Compute, Exit> {
        let runtime = runtime::start(self.threads.unwrap_or_else(runtime::default_threads));
        let device = device::pick(self.device).or_usage()?;
        device::log_picked(device, &runtime);
        Ok(Compute { choice: self.device, device })
    }
}

impl Compute {
    /// The device.
    pub const fn device(&self) -> Device {
        self.device
    }

    /// What the operator said about it.
    pub const fn choice(&self) -> Choice {
        self.choice
    }

    /// Does work on the device; on the CPU when the GPU's memory is full and the device was not asked for by name.
    ///
    /// # Errors
    /// The work's.
    pub fn run<T, E: std::error::Error + 'static>(&self, work: impl FnMut(Device) -> Result<T, E>) -> Result<T, E> {
        checkpoint::with_fallback(self.choice, self.device, work)
    }
}
