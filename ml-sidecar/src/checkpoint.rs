//! A base model as it lies on disk: config, tokenizer, weights.

use std::path::Path;

use crate::{
    device::{Choice, Device},
    model::{CONFIG_BYTES_MAX, ConfigError, Model, ModelConfig},
    precision::{Precision, PrecisionError},
    tokens::{Tokenizer, TokenizerError},
    torch::TorchError,
    weights::{GgufWeights, Safetensors, WeightError, WeightSource, read_bounded},
};

/// Name of the config in a model folder.
pub const CONFIG_FILE: &str = "config.json";

/// Why a model cannot be opened or loaded. The operator's to mend: another model, another device.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not the config of a model that can be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No tokenizer, or another model's.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Files that are missing, damaged or another model's; or memory is full.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// Numbers that are not to be used on the device.
    #[error(transparent)]
    Precision(#[from] PrecisionError),
}

/// A base model, opened and checked, its weights not yet in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// What it is.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its weights.
    pub weights: Box<dyn WeightSource>,
}

impl Checkpoint {
    /// Opens a folder in Hugging Face's layout: `config.json`, `tokenizer.json`, safetensors in one file or in shards.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = read_bounded(&folder.join(CONFIG_FILE), CONFIG_BYTES_MAX)?;
        let config = ModelConfig::parse(&String::from_utf8_lossy(&config))?;
        Self::new(config, Tokenizer::open(folder)?, Box::new(Safetensors::open(folder)?))
    }

    /// Opens a GGUF file, which holds all three.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open_gguf(path: &Path) -> Result<Self, CheckpointError> {
        let weights = GgufWeights::open(path)?;
        let config = ModelConfig::parse(&weights.config_json())?;
        let tokenizer = Tokenizer::parse(&weights.tokenizer_json()?)?;
        Self::new(config, tokenizer, Box::new(weights))
    }

    /// Puts together what was read elsewhere, when it belongs together.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn new(config: ModelConfig, tokenizer: Tokenizer, weights: Box<dyn WeightSource>) -> Result<Self, CheckpointError> {
        tokenizer.check_fits(config.vocabulary)?;
        crate::weights::check(&*weights, &config)?;
        Ok(Self { config, tokenizer, weights })
    }

    /// A text's tokens, at most as many as the model has positions.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`].
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, CheckpointError> {
        let mut tokens = self.tokenizer.encode(text)?;
        tokens.truncate(self.config.positions as usize);
        Ok(tokens)
    }

    /// Loads the weights, by default with the numbers that suit the device.
    ///
    /// # Errors
    /// [`CheckpointError::Precision`], [`CheckpointError::Weights`].
    pub fn load(&self, device: Device, precision: Option<Precision>) -> Result<Model, CheckpointError> {
        let default = Precision::default_for(device, self.config.family, self.weights.precision());
        let precision = precision.unwrap_or(default).check(device)?;
        Ok(Model::load(&*self.weights, self.config.clone(), device, precision)?)
    }
}

/// Does work on the device; and when its memory is full and nobody asked for that device by name, again on the CPU.
///
/// # Errors
/// The work's.
pub fn with_fallback<T, E: std::error::Error + 'static>(
    choice: Choice,
    device: Device,
    mut work: impl FnMut(Device) -> Result<T, E>,
) -> Result<T, E> {
    match work(device) {
        Err(error) if choice == Choice::Auto && is_out_of_gpu_memory(&error) => {
            tracing::warn!(target: "polai::ml", %device, %error, "the GPU's memory is full: going on with the CPU");
            work(Device::cpu())
        }
        other => other,
    }
}

/// Whether a full GPU is at the root of an error.
pub fn is_out_of_gpu_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(TorchError::CudaOutOfMemory(_))) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelError;

    fn full() -> CheckpointError {
        WeightError::from(TorchError::CudaOutOfMemory("CUDA out of memory".to_owned())).into()
    }

    #[test]
    fn a_full_gpu_falls_back_to_the_cpu_unless_it_was_asked_for_by_name() {
        let mut tries = 0;
        let mut work = |_| {
            tries += 1;
            if tries % 2 == 1 { Err(full()) } else { Ok(tries) }
        };
        assert_eq!(with_fallback(Choice::Auto, Device::cpu(), &mut work).unwrap(), 2);
        assert!(with_fallback(Choice::Cuda(0), Device::cpu(), &mut work).unwrap_err().to_string().contains("out of GPU memory"));
    }

    #[test]
    fn a_full_gpu_is_seen_through_every_error_around_it() {
        let torch = || TorchError::CudaOutOfMemory(String::new());
        assert!(is_out_of_gpu_memory(&torch()));
        assert!(is_out_of_gpu_memory(&full()));
        assert!(is_out_of_gpu_memory(&ModelError::from(crate::adapter::AdapterError::from(torch()))));
        assert!(is_out_of_gpu_memory(&crate::train::TrainError::from(ModelError::from(torch()))));
        assert!(!is_out_of_gpu_memory(&ModelError::from(TorchError::OutOfMemory(String::new()))));
    }
}
