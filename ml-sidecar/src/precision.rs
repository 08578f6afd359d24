//! Which numbers a model computes with.

use std::{fmt, str::FromStr};

use tch::Kind;

use crate::{device::Device, model::Family};

/// Numbers of the base model. Norms, softmax, losses and the adapter are FP32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, the range of FP32.
    Bf16,
    /// 16 bits, more digits and less range.
    F16,
}

/// Numbers that are not to be used there. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrecisionError {
    /// CPUs compute with FP16 four times more slowly than with FP32.
    #[error("fp16 on the CPU: slower than fp32 and less exact; take fp32")]
    F16OnCpu,
    /// Losses of BF16 on a CPU are too far off for a verdict.
    #[error("bf16 on the CPU is for training only: the gate needs fp32")]
    GateInBf16OnCpu,
    /// No such name.
    #[error("precision {0:?}: expected fp32, bf16 or fp16")]
    Name(String),
}

impl Precision {
    /// What a model computes with when nobody says otherwise: FP32 on the CPU. On a GPU the stored numbers, but FP16 for Llama models
    /// (closer to FP32 than BF16 is) and BF16 for Qwen2, whose activations may leave FP16's range: a gate may take FP16 there after
    /// its self-test has passed with it.
    pub fn default_for(device: Device, family: Family, stored: Self) -> Self {
        match (device.is_cuda(), stored, family) {
            (false, _, _) | (true, Self::F32, _) => Self::F32,
            (true, _, Family::Llama) => Self::F16,
            (true, _, Family::Qwen2) => Self::Bf16,
        }
    }

    /// # Errors
    /// [`PrecisionError::F16OnCpu`].
    pub fn check(self, device: Device) -> Result<Self, PrecisionError> {
        if self == Self::F16 && !device.is_cuda() { Err(PrecisionError::F16OnCpu) } else { Ok(self) }
    }

    /// # Errors
    /// [`PrecisionError`]: a gate does not judge with these numbers on this device.
    pub fn check_for_gate(self, device: Device) -> Result<Self, PrecisionError> {
        if self == Self::Bf16 && !device.is_cuda() { Err(PrecisionError::GateInBf16OnCpu) } else { self.check(device) }
    }

    /// For calls of `tch`.
    pub const fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::F16 => Kind::Half,
        }
    }
}

impl FromStr for Precision {
    type Err = PrecisionError;

    fn from_str(text: &str) -> Result<Self, PrecisionError> {
        match text {
            "fp32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::F16),
            _ => Err(PrecisionError::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "fp32",
            Self::Bf16 => "bf16",
            Self::F16 => "fp16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_never_computes_in_fp16_and_never_judges_in_bf16() {
        let cpu = Device::cpu();
        for stored in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(Precision::default_for(cpu, Family::Llama, stored), Precision::F32);
        }
        assert_eq!(Precision::F16.check(cpu), Err(PrecisionError::F16OnCpu));
        assert_eq!(Precision::Bf16.check(cpu), Ok(Precision::Bf16));
        assert_eq!(Precision::Bf16.check_for_gate(cpu), Err(PrecisionError::GateInBf16OnCpu));
        assert_eq!(Precision::F32.check_for_gate(cpu), Ok(Precision::F32));
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("int8".parse::<Precision>().unwrap_err().to_string().contains("expected fp32"));
    }
}
