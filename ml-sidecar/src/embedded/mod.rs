//! The embedded model: a small Qwen2 model that every machine makes for itself, for devnets and for trying things out.
//!
//! # Contract
//! [`open`] gives the model of a seed, and makes it when it is not in the cache: tokenizer and weights follow from the seed, the
//! built-in corpus and a fixed recipe alone. The folder appears under its name only whole; its files are compared with the hashes that were
//! kept when it was made, and a damaged one is made again. Two processes at once wait for each other. Same seed, same machine: same bytes.
//!
//! # What it does not protect against
//! It is a development model: it has seen 400,000 tokens of made-up English and knows nothing. Processors round differently, so two
//! kinds of machine may make weights that differ in the last digits: a chain of several machines copies the folder of one.

mod pretrain;
mod recipe;
mod tokenizer;

pub use pretrain::PretrainError;
pub use recipe::Recipe;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use pol_core::sha256;
use pol_kit::fs::{Access, write_durably};
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::{CONFIG_FILE, Checkpoint, CheckpointError},
    tokens::{TOKENIZER_FILE, TokenizerError},
    unfinished::Unfinished,
    weights::{WeightError, read_bounded},
};

/// Seed of the model that `--model embedded` stands for.
pub const SEED_DEFAULT: u64 = 0;
const WEIGHTS_FILE: &str = "model.safetensors";
const ABOUT_FILE: &str = "embedded.json";
const FILE_BYTES_MAX: u64 = 256 << 20;
const NOTE: &str = "A development model of POL-AI: small, briefly trained on made-up text. It knows nothing.";

/// Why there is no embedded model.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The cache: no room, no right to write, a broken disk. The operator's to mend.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No tokenizer came of the corpus: our fault.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Making the weights failed: no memory, or our fault.
    #[error("making the embedded model: {0}")]
    Pretrain(#[from] PretrainError),
    /// What was made is no model: our fault.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    move |source| EmbeddedError::Io { path: path.to_owned(), source }
}

/// What is kept beside the model.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    note: String,
    seed: u64,
    recipe: String,
    /// SHA-256 by file, hex.
    files: BTreeMap<String, String>,
}

/// How far the making is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Loss of the last one, nats per token.
    pub loss: f64,
}

/// Where the model of a seed lies, made or not.
pub fn folder(cache: &Path, recipe: &Recipe, seed: u64) -> PathBuf {
    let name = hex::encode(sha256(&[recipe.describe().as_bytes()]));
    cache.join(format!("embedded-{}-{seed}", name.get(..8).unwrap_or_default()))
}

/// The model of a seed, made first when it is not there.
///
/// # Errors
/// [`EmbeddedError`].
pub fn open(cache: &Path, recipe: &Recipe, seed: u64, on_step: &mut dyn FnMut(Progress)) -> Result<Checkpoint, EmbeddedError> {
    let folder = folder(cache, recipe, seed);
    fs::create_dir_all(cache).map_err(at(cache))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;
    match is_whole(&folder, recipe, seed) {
        Ok(true) => {}
        Ok(false) => make(cache, &folder, recipe, seed, on_step)?,
        Err(reason) => {
            tracing::warn!(target: "polai::ml", path = %folder.display(), reason, "the embedded model is damaged: it is made again");
            make(cache, &folder, recipe, seed, on_step)?;
        }
    }
    Ok(Checkpoint::open(&folder)?)
}

/// Whether the model is there; an error says what is wrong with what is there.
fn is_whole(folder: &Path, recipe: &Recipe, seed: u64) -> Result<bool, String> {
    if !folder.exists() {
        return Ok(false);
    }
    let read = |name: &str| read_bounded(&folder.join(name), FILE_BYTES_MAX).map_err(|error| error.to_string());
    let about: About = serde_json::from_slice(&read(ABOUT_FILE)?).map_err(|error| format!("{ABOUT_FILE}: {error}"))?;
    if about.seed != seed || about.recipe != recipe.describe() {
        return Err(format!("{ABOUT_FILE}: another model's"));
    }
    for name in [CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE] {
        if about.files.get(name) != Some(&hex::encode(sha256(&[&read(name)?]))) {
            return Err(format!("{name}: not the file that was made"));
        }
    }
    Ok(true)
}

fn make(cache: &Path, folder: &Path, recipe: &Recipe, seed: u64, on_step: &mut dyn FnMut(Progress)) -> Result<(), EmbeddedError> {
    tracing::info!(target: "polai::ml", seed, steps = recipe.steps, "making the embedded model, once: a development model that knows nothing");
    let tokenizer_json = tokenizer::train(recipe, seed)?;
    let config_json = recipe.config_json();
    let weights = pretrain::weights(recipe, seed, &config_json, &tokenizer_json, on_step)?;
    let files: [(&str, &[u8]); 3] =
        [(CONFIG_FILE, config_json.as_bytes()), (TOKENIZER_FILE, &tokenizer_json), (WEIGHTS_FILE, &weights)];
    let hashes = files.map(|(name, bytes)| (name.to_owned(), hex::encode(sha256(&[bytes])))).into_iter().collect();
    let about = About { note: NOTE.to_owned(), seed, recipe: recipe.describe(), files: hashes };
    let about = serde_json::to_vec_pretty(&about).map_err(|error| at(folder)(error.into()))?;
    let unfinished = Unfinished::begin(cache).map_err(at(cache))?;
    for (name, bytes) in files.into_iter().chain([(ABOUT_FILE, about.as_slice())]) {
        let path = unfinished.path().join(name);
        write_durably(&path, bytes, Access::Everybody).map_err(at(&path))?;
    }
    unfinished.finish(folder).map_err(at(folder))
}

impl From<WeightError> for EmbeddedError {
    fn from(error: WeightError) -> Self {
        Self::Checkpoint(error.into())
    }
}

#[cfg(test)]
mod tests;
