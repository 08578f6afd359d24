//! Which device computes, and with which numbers.

use std::{fmt, str::FromStr};

use crate::{
    runtime::{self, cuda_memory, libtorch_version, open_cuda},
    torch,
};

/// What `--device` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// CUDA when it is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device, by index.
    Cuda(usize),
}

/// Not a device. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device {found:?}: expected auto, cpu, cuda or cuda:N")]
pub struct ChoiceError {
    found: String,
}

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                index.map(Self::Cuda).ok_or_else(|| ChoiceError { found: text.to_owned() })
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device that is there. Only [`pick`] makes one, so the CUDA backend is open before the first tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device(tch::Device);

impl Device {
    /// The CPU.
    pub fn cpu() -> Self {
        open_cuda();
        Self(tch::Device::Cpu)
    }

    /// Whether it is a GPU.
    pub fn is_cuda(self) -> bool {
        self.0.is_cuda()
    }

    /// For calls of `tch`.
    pub const fn tch(self) -> tch::Device {
        self.0
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            tch::Device::Cuda(index) => write!(f, "cuda:{index}"),
            _ => f.write_str("cpu"),
        }
    }
}

/// Why a chosen device cannot be had. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The installed LibTorch is the CPU set.
    #[error(
        "device cuda:{index}: this LibTorch {} has no CUDA; install the set with CUDA (scripts/setup --cuda)",
        libtorch_version()
    )]
    NoBackend {
        /// What was asked for.
        index: usize,
    },
    /// No GPU, no driver, or too few GPUs.
    #[error("device cuda:{index}: {found} CUDA devices found; is the NVIDIA driver loaded?")]
    NoDevice {
        /// What was asked for.
        index: usize,
        /// How many there are.
        found: usize,
    },
}

/// Takes the chosen device if it is there.
///
/// # Errors
/// [`DeviceError`], never for [`Choice::Auto`] and [`Choice::Cpu`].
pub fn pick(choice: Choice) -> Result<Device, DeviceError> {
    let backend = open_cuda();
    let found = if backend { torch::cuda_devices() } else { 0 };
    match choice {
        Choice::Cpu => Ok(Device(tch::Device::Cpu)),
        Choice::Auto if found == 0 => Ok(Device(tch::Device::Cpu)),
        Choice::Auto => Ok(Device(tch::Device::Cuda(0))),
        Choice::Cuda(index) if !backend => Err(DeviceError::NoBackend { index }),
        Choice::Cuda(index) if index >= found => Err(DeviceError::NoDevice { index, found }),
        Choice::Cuda(index) => Ok(Device(tch::Device::Cuda(index))),
    }
}

/// Logs what LibTorch found and what was picked.
pub fn log_picked(device: Device, runtime: &runtime::Runtime) {
    let available = open_cuda() && torch::cuda_devices() > 0;
    let memory = match device.0 {
        tch::Device::Cuda(index) => cuda_memory(index).map(|memory| (memory.free, memory.total)),
        _ => main_memory(),
    };
    let (free, total) = memory.map_or((0, 0), |(free, total)| (free >> 20, total >> 20));
    tracing::info!(
        target: "polai::ml", %device, libtorch = libtorch_version(), free_mib = free, total_mib = total,
        threads = runtime.threads, mkl = ?runtime.mkl, "CUDA available: {available}"
    );
}

/// Main memory, bytes: available, in all.
pub fn main_memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((field("MemAvailable:")?, field("MemTotal:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_read_and_others_are_refused() {
        for (text, choice) in
            [("auto", Choice::Auto), ("cpu", Choice::Cpu), ("cuda", Choice::Cuda(0)), ("cuda:3", Choice::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(choice));
        }
        for text in ["", "CUDA", "cuda:", "cuda:-1", "cuda:x", "mps", "gpu"] {
            assert!(text.parse::<Choice>().unwrap_err().to_string().contains("expected auto, cpu, cuda or cuda:N"), "{text}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_when_asked_for_by_name_only() {
        assert!(pick(Choice::Auto).is_ok());
        assert_eq!(pick(Choice::Cpu), Ok(Device::cpu()));
        assert!(pick(Choice::Cuda(63)).is_err());
    }

    #[test]
    fn main_memory_is_known_on_linux() {
        let (free, total) = main_memory().unwrap();
        assert!(free > 0 && free <= total);
    }
}
