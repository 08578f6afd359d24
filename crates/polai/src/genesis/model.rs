//! What a chain must know of its base model: two tables of chain.toml, written by whoever has the model.

use std::{fs::File, io::Read as _, path::Path};

use pol_core::{
    Hash32,
    gate::NanoNats,
    params::SELF_TEST_TEXTS,
    state::{Shape, ShapeError},
};
use serde::Deserialize;

/// Bytes of such a file, at most.
const BYTES_MAX: u64 = 64 << 10;

/// A file that says nothing usable about a model. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Too long to be one.
    #[error("more than {BYTES_MAX} bytes, expected the tables [model] and [gate]")]
    Length,
    /// Not text, or not TOML, or other keys.
    #[error("{0}")]
    Toml(String),
    /// A hash.
    #[error("{field}: expected 64 lower-case hex digits")]
    Hash {
        /// The key.
        field: &'static str,
    },
    /// The adapter's shape.
    #[error("[model]: {0}")]
    Shape(#[from] ShapeError),
    /// Losses.
    #[error("gate.reference_losses: expected {SELF_TEST_TEXTS} numbers of nano-nats, 0 to 10^12 each")]
    Losses,
}

/// The checked tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPart {
    /// Hash of the base model's manifest.
    pub manifest_hash: Hash32,
    /// Shape of the adapter.
    pub shape: Shape,
    /// Hash of the gate's texts.
    pub dev_texts_hash: Hash32,
    /// Losses of the first texts.
    pub reference_losses: [NanoNats; SELF_TEST_TEXTS],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    model: Model,
    gate: Gate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    manifest_hash: String,
    layers: u32,
    hidden: u32,
    query: u32,
    key_value: u32,
    intermediate: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {
    dev_texts_hash: String,
    reference_losses: Vec<i64>,
}

impl ModelPart {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            return Err(ModelError::Length);
        }
        let text = String::from_utf8(bytes).map_err(|_| ModelError::Toml("not UTF-8 text".to_owned()))?;
        Self::parse(&text)
    }

    /// Reads the tables.
    ///
    /// # Errors
    /// [`ModelError`], all but `Io` and `Length`.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let Tables { model, gate } = toml::from_str(text).map_err(|error| ModelError::Toml(error.message().to_owned()))?;
        let hash = |field, text: &str| text.parse::<Hash32>().map_err(|_| ModelError::Hash { field });
        let losses: Option<Vec<NanoNats>> = gate.reference_losses.iter().map(|loss| NanoNats::new(*loss)).collect();
        Ok(Self {
            manifest_hash: hash("model.manifest_hash", &model.manifest_hash)?,
            shape: Shape::new(model.layers, model.hidden, model.query, model.key_value, model.intermediate)?,
            dev_texts_hash: hash("gate.dev_texts_hash", &gate.dev_texts_hash)?,
            reference_losses: losses.and_then(|losses| losses.try_into().ok()).ok_or(ModelError::Losses)?,
        })
    }
}
