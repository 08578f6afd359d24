//! AdamW on one flat array.

use tch::Tensor;

use crate::torch::{TorchError, in_place};

/// AdamW with PyTorch's update, term by term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Full learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Keeps the divisor from zero.
    pub epsilon: f64,
    /// Decay of the values, per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { learning_rate: 1e-4, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// What an optimizer remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizerState {
    /// Steps done.
    pub steps: u64,
    /// First moments, flat order.
    pub first: Vec<f32>,
    /// Second moments, flat order.
    pub second: Vec<f32>,
}

impl AdamW {
    /// One update of `values`; `step` counts from 1.
    pub(crate) fn update(
        &self,
        values: &mut Tensor,
        gradient: &Tensor,
        (first, second): (&mut Tensor, &mut Tensor),
        step: u64,
        learning_rate: f64,
    ) -> Result<(), TorchError> {
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let (correction1, correction2) = (1.0 - self.beta1.powi(power), 1.0 - self.beta2.powi(power));
        in_place(values.f_mul_scalar_(1.0 - learning_rate * self.weight_decay))?;
        in_place(first.f_lerp_(gradient, 1.0 - self.beta1))?;
        in_place(second.f_mul_scalar_(self.beta2)?.f_addcmul_(&gradient.f_mul_scalar(1.0 - self.beta2)?, gradient))?;
        let mut divisor = second.f_sqrt()?;
        in_place(divisor.f_div_scalar_(correction2.sqrt())?.f_add_scalar_(self.epsilon))?;
        in_place(values.f_addcdiv_(&first.f_mul_scalar(-learning_rate / correction1)?, &divisor))
    }
}
