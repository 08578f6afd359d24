//! Training of a few values, all others frozen: what a sparse delta can carry.

use tch::Tensor;

use super::{AdamW, TrainError, Trainer, TrainerOptions};
use crate::{adapter::Adapter, torch::TorchError};

impl Trainer {
    /// Begins with an adapter of which only the values with these flat indices are trained; weight decay is off, so that the others stay as they
    /// are, bit for bit. Indices beyond the adapter count as none.
    ///
    /// # Errors
    /// [`TrainError::Torch`].
    pub fn of_values(adapter: &Adapter, options: TrainerOptions, indices: &[u32]) -> Result<Self, TrainError> {
        let optimizer = AdamW { weight_decay: 0.0, ..options.optimizer };
        let mut trainer = Self::new(adapter, TrainerOptions { optimizer, ..options })?;
        let mut mask = vec![0.0_f32; adapter.shape().value_count() as usize];
        for index in indices {
            if let Some(place) = mask.get_mut(*index as usize) {
                *place = 1.0;
            }
        }
        let mask = Tensor::f_from_slice(&mask).and_then(|mask| mask.f_to(adapter.device().tch()));
        trainer.mask = Some(mask.map_err(TorchError::from)?);
        Ok(trainer)
    }

    /// The gradient without the values that are frozen.
    pub(super) fn restricted(&self, gradient: Tensor) -> Result<Tensor, TorchError> {
        match &self.mask {
            None => Ok(gradient),
            Some(mask) => Ok(gradient.f_mul(mask)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::Batch,
        fixtures::{QWEN2, adapter, model, tokens},
    };

    #[test]
    fn values_that_were_not_named_stay_as_they_are_bit_for_bit() {
        let model = model(QWEN2);
        let start = adapter(&model, "start");
        let named = [3, 1_000, model.shape().a_count() + 7, u32::MAX];
        let mut trainer = Trainer::of_values(&start, TrainerOptions::default(), &named).unwrap();
        let batch = Batch::new(&[tokens(&model, "restrict", 20)]).unwrap();
        let first = trainer.step(&model, std::slice::from_ref(&batch)).unwrap();
        assert!(first.gradient_norm > 0.0);
        trainer.step(&model, &[batch]).unwrap();
        let pairs = start.values().unwrap().into_iter().zip(trainer.adapter().unwrap().values().unwrap());
        let moved: Vec<usize> = pairs.enumerate().filter(|(_, (a, b))| a.to_bits() != b.to_bits()).map(|(i, _)| i).collect();
        assert_eq!(moved, named[..3].iter().map(|index| *index as usize).collect::<Vec<_>>());
    }
}
