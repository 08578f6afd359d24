//! Training steps of a LoRA adapter.
//!
//! # Contract
//! [`Trainer::step`] does what transformers and PEFT do with the same batch: mean loss over the predicted tokens, gradients of the adapter
//! alone, clipping, AdamW. With one seed the same steps give the same bits on the same machine with the same threads; where it resumes is
//! told by the number of steps, there is no other state of chance. A step that fails leaves the adapter as it was.
//!
//! # Why this way
//! All factors are one flat array: one optimizer for all, and a difference of two adapters is a difference of two arrays. Chance comes from
//! (seed, step, batch, block) alone, so that [`TrainerOptions::recompute`] can draw the same dropout masks twice.
//!
//! # What it does not protect against
//! Batches are trusted to be worth learning from. Only one training step at a time runs in a process: LibTorch has one random generator.

mod backward;
mod optimizer;
mod restrict;
mod seed;

pub use optimizer::{AdamW, OptimizerState};

use pol_core::{params::LORA_DROPOUT_PPM, state::Shape};
use tch::{Kind, Tensor};

use crate::{
    adapter::{Adapter, AdapterError},
    batch::Batch,
    device::Device,
    model::{Dropout, Model, ModelError},
    torch::{TorchError, in_place},
};

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainerOptions {
    /// The optimizer.
    pub optimizer: AdamW,
    /// Steps over which the learning rate grows to its full value; 0: none.
    pub warmup_steps: u64,
    /// Gradients of a greater L2 norm are scaled down to it.
    pub clip_norm: f64,
    /// Probability with which an adapter's input counts as zero.
    pub dropout: f64,
    /// Where chance begins.
    pub seed: u64,
    /// Keep only the inputs of the blocks and compute the rest again: less memory for more time.
    pub recompute: bool,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            optimizer: AdamW::default(),
            warmup_steps: 10,
            clip_norm: 1.0,
            dropout: f64::from(LORA_DROPOUT_PPM) / 1e6,
            seed: 0,
            recompute: false,
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Number of this step, from 1.
    pub number: u64,
    /// Loss before it, nats per predicted token, with dropout.
    pub loss: f64,
    /// Predicted tokens.
    pub tokens: usize,
    /// L2 norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Nothing to predict in the batches. The caller's fault.
    #[error("a training step without a token to predict")]
    Empty,
    /// Loss or gradient is NaN or infinite: the adapter has diverged, or a precision does not fit the model.
    #[error("step {step}: loss {loss}, gradient norm {gradient_norm}: not finite")]
    NotFinite {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its gradient's norm.
        gradient_norm: f64,
    },
    /// An optimizer's state of another adapter. The caller's fault.
    #[error("optimizer state of {found} values, expected {expected}")]
    State {
        /// Values in it.
        found: usize,
        /// Values of the adapter.
        expected: usize,
    },
    /// The model's.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter's.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// No memory, or our fault.
    #[error("{0}")]
    Torch(#[from] TorchError),
}

/// An adapter in training.
#[derive(Debug)]
pub struct Trainer {
    options: TrainerOptions,
    shape: Shape,
    device: Device,
    flat: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    steps: u64,
    /// 1 where values are trained, 0 where they are frozen; None: all are trained.
    mask: Option<Tensor>,
}

impl Trainer {
    /// Begins with an adapter, which stays as it is.
    ///
    /// # Errors
    /// [`TrainError::Torch`].
    pub fn new(adapter: &Adapter, options: TrainerOptions) -> Result<Self, TrainError> {
        let _guard = tch::no_grad_guard();
        let flat = adapter.flat().f_detach_copy().map_err(TorchError::from)?;
        let zeros = || flat.f_zeros_like().map_err(TorchError::from);
        let (first_moment, second_moment) = (zeros()?, zeros()?);
        let (shape, device) = (*adapter.shape(), adapter.device());
        Ok(Self { options, shape, device, flat, first_moment, second_moment, steps: 0, mask: None })
    }

    /// Goes on from an adapter and what [`Trainer::optimizer_state`] gave with it.
    ///
    /// # Errors
    /// [`TrainError::State`], [`TrainError::Torch`].
    pub fn resume(adapter: &Adapter, options: TrainerOptions, state: &OptimizerState) -> Result<Self, TrainError> {
        let mut trainer = Self::new(adapter, options)?;
        trainer.restore(state)?;
        Ok(trainer)
    }

    /// Takes moments and number of steps over; the adapter is the one that they were made with.
    ///
    /// # Errors
    /// [`TrainError::State`], [`TrainError::Torch`].
    pub fn restore(&mut self, state: &OptimizerState) -> Result<(), TrainError> {
        let expected = self.flat.numel();
        for (moment, values) in [(&mut self.first_moment, &state.first), (&mut self.second_moment, &state.second)] {
            if values.len() != expected {
                return Err(TrainError::State { found: values.len(), expected });
            }
            let values = Tensor::f_from_slice(values).map_err(TorchError::from)?;
            moment.f_copy_(&values).map_err(TorchError::from)?;
        }
        self.steps = state.steps;
        Ok(())
    }

    /// Moments and number of steps: with the adapter's values all that a trainer is.
    ///
    /// # Errors
    /// [`TrainError::Torch`].
    pub fn optimizer_state(&self) -> Result<OptimizerState, TrainError> {
        let first = crate::adapter::to_vec(&self.first_moment)?;
        Ok(OptimizerState { steps: self.steps, first, second: crate::adapter::to_vec(&self.second_moment)? })
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// [`TrainError::Torch`].
    pub fn adapter(&self) -> Result<Adapter, TrainError> {
        let flat = self.flat.f_detach_copy().map_err(TorchError::from)?;
        Ok(Adapter::of(self.shape, flat, self.device))
    }

    /// Steps done.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// One step on the tokens of all batches; several batches need the memory of one.
    ///
    /// # Errors
    /// [`TrainError`]; the adapter is as before.
    pub fn step(&mut self, model: &Model, batches: &[Batch]) -> Result<Step, TrainError> {
        let tokens: usize = batches.iter().map(Batch::token_count).sum();
        if tokens == 0 {
            return Err(TrainError::Empty);
        }
        // Checks shape and device, as for any other use of an adapter.
        self.fits(model)?;
        let number = self.steps.saturating_add(1);
        let (sum, gradient) = self.accumulate(model, batches, 1.0 / tokens as f64, number)?;
        let gradient = self.restricted(gradient)?;
        let loss = sum / tokens as f64;
        let gradient_norm = gradient.f_norm().and_then(|norm| norm.f_double_value(&[])).map_err(TorchError::from)?;
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step: number, loss, gradient_norm });
        }
        let learning_rate = self.learning_rate(number);
        self.update(number, learning_rate, (gradient, gradient_norm))?;
        self.steps = number;
        Ok(Step { number, loss, tokens, gradient_norm, learning_rate })
    }

    fn learning_rate(&self, step: u64) -> f64 {
        let full = self.options.optimizer.learning_rate;
        if step >= self.options.warmup_steps { full } else { full * step as f64 / self.options.warmup_steps as f64 }
    }

    /// Sum of the losses, and the gradient, flat.
    fn accumulate(&self, model: &Model, batches: &[Batch], scale: f64, step: u64) -> Result<(f64, Tensor), TrainError> {
        let generator = seed::Generator::lock();
        let dropout = Dropout::training(self.options.dropout);
        let mut total = backward::Total::default();
        for (index, batch) in batches.iter().enumerate() {
            if batch.token_count() == 0 {
                continue;
            }
            let placed = batch.place(model)?;
            let draws = generator.draws(self.options.seed, step, index);
            let pass = backward::Pass { model, shape: &self.shape, flat: &self.flat, batch: &placed, dropout, draws, scale };
            if self.options.recompute {
                pass.recomputed(&mut total)?
            } else {
                pass.kept(&mut total)?
            };
        }
        let gradient = total.gradient.ok_or(TrainError::Empty)?;
        Ok((total.sum, gradient))
    }

    fn update(&mut self, step: u64, learning_rate: f64, (mut gradient, norm): (Tensor, f64)) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        // torch.nn.utils.clip_grad_norm_, to the letter.
        let clip = self.options.clip_norm / (norm + 1e-6);
        if clip < 1.0 {
            in_place(gradient.f_mul_scalar_(clip))?;
        }
        let moments = (&mut self.first_moment, &mut self.second_moment);
        self.options.optimizer.update(&mut self.flat, &gradient, moments, step, learning_rate)
    }

    fn fits(&self, model: &Model) -> Result<(), AdapterError> {
        if self.shape != *model.shape() {
            return Err(AdapterError::Shape { found: self.shape, expected: *model.shape() });
        }
        if self.device != model.device() {
            return Err(AdapterError::Device { found: self.device, expected: model.device() });
        }
        debug_assert_eq!(self.flat.kind(), Kind::Float);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
