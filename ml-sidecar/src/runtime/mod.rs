//! How LibTorch runs in this process: threads, waiting, MKL's code path, the CUDA backend.
//!
//! # Contract
//! A program calls [`wait_passively`] first thing in `main`, and [`start`] before its first tensor. A library user who calls neither gets a
//! working LibTorch with as many spinning threads as there are cores; [`crate::device::pick`] opens the CUDA backend by itself.
//!
//! # Why this way
//! The same machine runs an execution and a consensus client. OpenMP's workers spin by default: with busy cores that costs the sidecar 2 to
//! 10 times its speed, and the node its block. And MKL gives processors that are not Intel's its AVX2 code.
//!
//! # What it does not protect against
//! A priority is for the service manager to give (`nice`); memory is bounded by what is loaded, not here.

mod cuda;
mod mkl;

pub use cuda::{CudaMemory, cuda_memory, open_cuda};
pub use mkl::{MKL_VARIABLE, MklPath, mkl_path};

use std::{env, io, num::NonZeroUsize, os::unix::process::CommandExt as _, process::Command, thread};

/// Read by OpenMP when it is loaded, which is before `main`.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
/// Read by GNU's OpenMP at the same time: how often a waiting thread looks before it sleeps.
const SPIN_COUNT: &str = "GOMP_SPINCOUNT";
/// A fraction of a millisecond: waking a thread takes as long as many an operation. A training step of a small model takes a quarter less
/// time than without, and a thread that waits for one without a processor still sleeps soon.
const SPINS: &str = "10000";

/// Threads that leave two cores for the node, at least one.
pub fn default_threads() -> NonZeroUsize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.saturating_sub(2)).unwrap_or(NonZeroUsize::MIN)
}

/// Starts this program anew with `OMP_WAIT_POLICY=passive`, unless the variable is set already (to whatever value), and with a small
/// `GOMP_SPINCOUNT`, unless that is. Returns only when there was nothing to do, or when it failed.
///
/// # Errors
/// The operating system refused; the program may go on, its threads spin.
pub fn wait_passively() -> io::Result<()> {
    if env::var_os(WAIT_POLICY).is_some() {
        return Ok(());
    }
    let program = env::current_exe()?;
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    if env::var_os(SPIN_COUNT).is_none() {
        command.env(SPIN_COUNT, SPINS);
    }
    Err(command.args(arguments).env(WAIT_POLICY, "passive").exec())
}

/// What [`start`] set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// Threads of one operation.
    pub threads: NonZeroUsize,
    /// Code path of the matrix library.
    pub mkl: MklPath,
}

/// Sets the number of threads and opens the CUDA backend if it is there. Called once, before the first tensor.
pub fn start(threads: NonZeroUsize) -> Runtime {
    open_cuda();
    let count = i32::try_from(threads.get()).unwrap_or(i32::MAX);
    tch::set_num_threads(count);
    Runtime { threads, mkl: mkl_path() }
}

/// Version of the LibTorch that this was built against.
pub const fn libtorch_version() -> &'static str {
    env!("POLAI_LIBTORCH_VERSION")
}
