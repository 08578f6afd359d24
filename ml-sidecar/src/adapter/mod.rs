//! LoRA adapters: the chain's integers as factors that a model computes with.
//!
//! # Contract
//! An adapter is one FP32 array in the flat order of section 6.1 of docs/PROTOCOL.md (all A, then all B). Integers become floats by
//! `value * 2^-24` and floats integers by rounding to the nearest, ties to even: exact both ways for every magnitude up to 1.0. Above it
//! FP32 has fewer digits than the state: the state holds the truth, the floats are made from it.
//!
//! # What it does not protect against
//! It knows shapes, not origins: that an adapter is the chain's is shown by its `resultRoot`.

mod factors;
mod merge;
mod peft;
mod state_file;

pub(crate) use factors::{BlockFactors, Pair, RANK, block_count, block_parts, block_run};
pub use merge::{MergeError, merge};
pub use peft::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, PeftError, export, import};
pub use state_file::{StateFileError, read_state, write_state};

use std::cell::OnceCell;

use pol_core::state::{Shape, State, VALUE_LIMIT, ValuesError};
use tch::{Kind, Tensor};

use crate::{device::Device, model::Model, torch::TorchError};

/// Units in 1.0.
const UNITS: f64 = 16_777_216.0;

/// Why something is no adapter, or none for this model.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Another model's. The caller's fault.
    #[error("adapter: its shape is {found:?}, the model's is {expected:?}")]
    Shape {
        /// Shape of the adapter.
        found: Shape,
        /// Shape of the model's adapters.
        expected: Shape,
    },
    /// On another device than the model. The caller's fault.
    #[error("adapter: it is on {found}, the model on {expected}")]
    Device {
        /// Where the adapter is.
        found: Device,
        /// Where the model is.
        expected: Device,
    },
    /// NaN or infinity: training has diverged, or a file is bad.
    #[error("adapter: value {index} is not finite")]
    NotFinite {
        /// Flat index.
        index: usize,
    },
    /// Not a list of values for this shape, or a value of 64.0 or beyond.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// No memory, or our fault.
    #[error("{0}")]
    Torch(#[from] TorchError),
}

/// An adapter on a device, ready to be computed with.
#[derive(Debug)]
pub struct Adapter {
    shape: Shape,
    device: Device,
    flat: Tensor,
    /// Made when first computed with: a trainer never needs them.
    blocks: OnceCell<Vec<BlockFactors>>,
}

impl Adapter {
    /// The adapter that a state is.
    ///
    /// # Errors
    /// [`AdapterError::Torch`].
    pub fn from_state(state: &State, device: Device) -> Result<Self, AdapterError> {
        let values = Tensor::f_from_slice(state.values()).map_err(TorchError::from)?;
        let flat = scaled(&values, device)?;
        Ok(Self::of(*state.shape(), flat, device))
    }

    /// An adapter from units of 2^-24 in flat order.
    ///
    /// # Errors
    /// [`AdapterError::Values`], [`AdapterError::Torch`].
    pub fn from_units(shape: Shape, units: &[i32], device: Device) -> Result<Self, AdapterError> {
        check_length(&shape, units.len())?;
        let values = Tensor::f_from_slice(units).map_err(TorchError::from)?;
        Ok(Self::of(shape, scaled(&values, device)?, device))
    }

    /// An adapter from floats in flat order.
    ///
    /// # Errors
    /// [`AdapterError::Values`], [`AdapterError::NotFinite`], [`AdapterError::Torch`].
    pub fn from_values(shape: Shape, values: &[f32], device: Device) -> Result<Self, AdapterError> {
        check_length(&shape, values.len())?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(AdapterError::NotFinite { index });
        }
        let flat = Tensor::f_from_slice(values).map_err(TorchError::from)?;
        Ok(Self::of(shape, flat.f_to(device.tch()).map_err(TorchError::from)?, device))
    }

    /// Takes a flat FP32 tensor on the device, which nothing else changes later.
    pub(crate) const fn of(shape: Shape, flat: Tensor, device: Device) -> Self {
        Self { shape, device, flat, blocks: OnceCell::new() }
    }

    /// Its shape.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All values in flat order.
    ///
    /// # Errors
    /// [`AdapterError::Torch`].
    pub fn values(&self) -> Result<Vec<f32>, AdapterError> {
        Ok(to_vec(&self.flat)?)
    }

    /// All values in flat order, each the nearest unit (ties to even).
    ///
    /// # Errors
    /// [`AdapterError::NotFinite`], [`AdapterError::Values`]: training has diverged.
    pub fn to_units(&self) -> Result<Vec<i32>, AdapterError> {
        units(&self.values()?)
    }

    /// The state that it is, each value to the nearest unit.
    ///
    /// # Errors
    /// As [`Adapter::to_units`].
    pub fn to_state(&self) -> Result<State, AdapterError> {
        Ok(State::from_values(self.shape, self.to_units()?)?)
    }

    /// Where it is.
    pub const fn device(&self) -> Device {
        self.device
    }

    /// All values in flat order, on its device.
    pub(crate) const fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Its factors, when it is this model's.
    pub(crate) fn factors_for(&self, model: &Model) -> Result<&[BlockFactors], AdapterError> {
        if self.shape != *model.shape() {
            return Err(AdapterError::Shape { found: self.shape, expected: *model.shape() });
        }
        if self.device != model.device() {
            return Err(AdapterError::Device { found: self.device, expected: model.device() });
        }
        if let Some(blocks) = self.blocks.get() {
            return Ok(blocks);
        }
        let _guard = tch::no_grad_guard();
        let block = |block| {
            let (a, b) = block_parts(&self.shape, block, &self.flat)?;
            BlockFactors::new(&self.shape, block, &a, &b)
        };
        let blocks = (0..block_count(&self.shape)).map(block).collect::<Result<_, TorchError>>()?;
        Ok(self.blocks.get_or_init(|| blocks))
    }
}

/// Floats as units of 2^-24, each to the nearest, ties to even.
///
/// # Errors
/// [`AdapterError::NotFinite`], [`AdapterError::Values`] for one of 64.0 or beyond.
pub fn units(values: &[f32]) -> Result<Vec<i32>, AdapterError> {
    let unit = |(index, value): (usize, &f32)| {
        if !value.is_finite() {
            return Err(AdapterError::NotFinite { index });
        }
        // Exact: a product of an FP32 number and a power of two, in FP64. Saturates, and then is refused.
        let unit = (f64::from(*value) * UNITS).round_ties_even() as i32;
        if unit.unsigned_abs() >= VALUE_LIMIT.unsigned_abs() {
            return Err(ValuesError::Bound { index: u32::try_from(index).unwrap_or(u32::MAX), value: unit }.into());
        }
        Ok(unit)
    };
    values.iter().enumerate().map(unit).collect()
}

fn check_length(shape: &Shape, found: usize) -> Result<(), ValuesError> {
    let expected = usize::try_from(shape.value_count()).unwrap_or(usize::MAX);
    if found == expected { Ok(()) } else { Err(ValuesError::Length { found, expected }) }
}

/// Integers times 2^-24, on the device.
fn scaled(values: &Tensor, device: Device) -> Result<Tensor, TorchError> {
    Ok(values.f_to_kind(Kind::Float)?.f_mul_scalar(1.0 / UNITS)?.f_to(device.tch())?)
}

/// An FP32 tensor's values, from whatever device.
pub(crate) fn to_vec(flat: &Tensor) -> Result<Vec<f32>, TorchError> {
    let flat = flat.f_to(tch::Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut values, flat.numel())?;
    Ok(values)
}

#[cfg(test)]
mod tests;
