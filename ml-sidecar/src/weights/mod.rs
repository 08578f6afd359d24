//! Where a model's tensors come from, and that they are the ones its config asks for.
//!
//! # Contract
//! A [`WeightSource`] knows its tensors by their Hugging Face names, whatever the file format, and hands out runs of rows. [`check`] compares
//! it with what a config asks for before any memory is taken; [`read_into`] fills a tensor block by block, so that loading needs hardly more
//! memory than the model, and refuses what is not finite.
//!
//! # What it does not protect against
//! Well-formed weights that are bad, or another model's of the same shape: a chain's manifest hash is for that.

mod gguf;
mod safetensors;

pub use gguf::GgufWeights;
pub(crate) use gguf::is_gguf;
pub(crate) use safetensors::read_bounded;
pub use safetensors::{HEADER_BYTES_MAX, SHARDS_MAX, Safetensors};

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use tch::{Kind, Tensor};

use crate::{
    model::{Family, ModelConfig},
    precision::Precision,
    torch::TorchError,
};

/// Bytes that are read at once: few, so that what is freed between two tensors leaves no holes that no tensor fits.
const BLOCK_BYTES: usize = 256 << 10;

/// Why weights cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// A file cannot be read, or became shorter while it was. The operator's to mend.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that is not what its name says. The fault of whoever made it.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Only a pickle checkpoint is there. Reading one runs code in it.
    #[error("{}: a pickle checkpoint; it is never read: take or make a safetensors one", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// No weights at all.
    #[error("{}: no model.safetensors and no model.safetensors.index.json", path.display())]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// A tensor that the config asks for.
    #[error("tensor {name} is missing; the config asks for shape {expected:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<u64>,
    },
    /// A tensor that the config does not know: another architecture, or a bias that would be lost.
    #[error("tensor {name} is unexpected: the config has no place for it")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    Misshaped {
        /// Its name.
        name: String,
        /// Shape in the file.
        found: Vec<u64>,
        /// Shape by the config.
        expected: Vec<u64>,
    },
    /// A type of numbers that is no weight's.
    #[error("tensor {name} is of type {found}, expected F32, F16 or BF16")]
    Kind {
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// NaN or infinity.
    #[error("tensor {name} holds a value that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
    },
    /// No memory, or our fault.
    #[error("{0}")]
    Torch(#[from] TorchError),
}

/// A checkpoint in whatever format. Names, shapes and the order of rows are Hugging Face's.
pub trait WeightSource: std::fmt::Debug + Send + Sync {
    /// Names of all tensors.
    fn names(&self) -> Vec<&str>;

    /// Shape of a tensor; None when there is none of this name.
    fn shape(&self, name: &str) -> Option<Vec<u64>>;

    /// What most of its numbers are stored as.
    fn precision(&self) -> Precision;

    /// Rows of a tensor (values, of a vector): a CPU tensor, FP32, FP16 or BF16, of shape (rows, columns) or (rows).
    ///
    /// # Errors
    /// [`WeightError`]. Callers ask for names that exist and rows within the shape.
    fn rows(&self, name: &str, rows: Range<u64>) -> Result<Tensor, WeightError>;
}

/// Old Llama checkpoints carry tables that follow from the config; transformers ignores them too.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// Names and shapes of a model's tensors.
pub fn expected(config: &ModelConfig) -> BTreeMap<String, Vec<u64>> {
    let shape = &config.shape;
    let [hidden, query, key_value, intermediate, vocabulary] =
        [shape.hidden(), shape.query(), shape.key_value(), shape.intermediate(), config.vocabulary].map(u64::from);
    let mut all = BTreeMap::new();
    all.insert("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden]);
    all.insert("model.norm.weight".to_owned(), vec![hidden]);
    if !config.tied_head {
        all.insert("lm_head.weight".to_owned(), vec![vocabulary, hidden]);
    }
    for layer in 0..shape.layers() {
        let mut add = |name: &str, sides: &[u64]| all.insert(format!("model.layers.{layer}.{name}"), sides.to_vec());
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
        for (name, outputs) in [("q", query), ("k", key_value), ("v", key_value)] {
            add(&format!("self_attn.{name}_proj.weight"), &[outputs, hidden]);
            if config.family == Family::Qwen2 {
                add(&format!("self_attn.{name}_proj.bias"), &[outputs]);
            }
        }
        add("self_attn.o_proj.weight", &[hidden, query]);
        add("mlp.gate_proj.weight", &[intermediate, hidden]);
        add("mlp.up_proj.weight", &[intermediate, hidden]);
        add("mlp.down_proj.weight", &[hidden, intermediate]);
    }
    all
}

/// Compares a checkpoint with a config: nothing missing, nothing unexpected, every shape right.
///
/// # Errors
/// [`WeightError::Missing`], [`WeightError::Unexpected`], [`WeightError::Misshaped`], the first by name.
pub fn check(source: &dyn WeightSource, config: &ModelConfig) -> Result<(), WeightError> {
    let expected = expected(config);
    for (name, sides) in &expected {
        match source.shape(name) {
            None => return Err(WeightError::Missing { name: name.clone(), expected: sides.clone() }),
            Some(found) if found != *sides => {
                return Err(WeightError::Misshaped { name: name.clone(), found, expected: sides.clone() });
            }
            Some(_) => {}
        }
    }
    let mut names = source.names();
    names.sort_unstable();
    match names.into_iter().find(|name| !expected.contains_key(*name) && !is_derived(name)) {
        Some(name) => Err(WeightError::Unexpected { name: name.to_owned() }),
        None => Ok(()),
    }
}

/// Copies a tensor into `target`, which has its shape, whatever type and device it is of.
///
/// # Errors
/// [`WeightError::NotFinite`], and what the source says.
pub fn read_into(source: &dyn WeightSource, name: &str, target: &mut Tensor) -> Result<(), WeightError> {
    let sides = source.shape(name).ok_or_else(|| WeightError::Missing { name: name.to_owned(), expected: Vec::new() })?;
    let rows = sides.first().copied().unwrap_or(0);
    let block = (BLOCK_BYTES as u64 / 4).checked_div(row_values(&sides)).unwrap_or(1).clamp(1, rows.max(1));
    let mut start = 0;
    while start < rows {
        let end = start.saturating_add(block).min(rows);
        let values = source.rows(name, start..end)?;
        if !is_finite(&values)? {
            return Err(WeightError::NotFinite { name: name.to_owned() });
        }
        let mut part = target.f_narrow(0, as_i64(start), as_i64(end.saturating_sub(start))).map_err(TorchError::from)?;
        part.f_copy_(&values).map_err(TorchError::from)?;
        start = end;
    }
    Ok(())
}

/// Whether every value is finite. A sum that is finite is a sum of finite values, and takes one pass.
pub(crate) fn is_finite(values: &Tensor) -> Result<bool, TorchError> {
    if values.f_sum(Kind::Float)?.f_double_value(&[])?.is_finite() {
        return Ok(true);
    }
    Ok(values.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
}

/// Values of a row.
fn row_values(sides: &[u64]) -> u64 {
    sides.iter().skip(1).fold(1, |product, side| product.saturating_mul(*side))
}

pub(crate) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
