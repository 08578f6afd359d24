//! The tables of chain.toml that only the holder of the base model can fill in.

use serde::{Deserialize, Serialize};

use super::{CHAIN_TOML_BYTES_MAX, GenesisError, file::hash};
use crate::{Hash32, gate::NanoNats, params::SELF_TEST_TEXTS, state::Shape};

/// What a chain must know of its base model: `[model]` and `[gate]` of chain.toml (section 2.1), also as a file of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseModel {
    /// Hash of the model's manifest.
    pub manifest_hash: Hash32,
    /// Shape of the adapter.
    pub shape: Shape,
    /// Hash of the gate's texts.
    pub dev_texts_hash: Hash32,
    /// Losses of the first texts on the model.
    pub reference_losses: [NanoNats; SELF_TEST_TEXTS],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    model: ModelTable,
    gate: GateTable,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    manifest_hash: String,
    layers: u32,
    hidden: u32,
    query: u32,
    key_value: u32,
    intermediate: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateTable {
    dev_texts_hash: String,
    reference_losses: Vec<i64>,
}

impl BaseModel {
    /// Reads the two tables.
    ///
    /// # Errors
    /// [`GenesisError`]: length, TOML, hashes, shape, losses.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        if text.len() > CHAIN_TOML_BYTES_MAX {
            return Err(GenesisError::TooLong { found: text.len() });
        }
        let Tables { model, gate } = toml::from_str(text)?;
        Self::of_tables(&model, &gate)
    }

    /// Writes them.
    pub fn to_toml(&self) -> String {
        let (model, gate) = self.tables();
        // Text and numbers below 2^63: this cannot fail; an empty text would be refused by every reader.
        toml::to_string(&Tables { model, gate }).unwrap_or_default()
    }

    pub(super) fn of_tables(model: &ModelTable, gate: &GateTable) -> Result<Self, GenesisError> {
        Ok(Self {
            manifest_hash: hash("model.manifest_hash", &model.manifest_hash)?,
            shape: Shape::new(model.layers, model.hidden, model.query, model.key_value, model.intermediate)?,
            dev_texts_hash: hash("gate.dev_texts_hash", &gate.dev_texts_hash)?,
            reference_losses: losses(&gate.reference_losses)?,
        })
    }

    pub(super) fn tables(&self) -> (ModelTable, GateTable) {
        let model = ModelTable {
            manifest_hash: self.manifest_hash.to_string(),
            layers: self.shape.layers(),
            hidden: self.shape.hidden(),
            query: self.shape.query(),
            key_value: self.shape.key_value(),
            intermediate: self.shape.intermediate(),
        };
        let reference_losses = self.reference_losses.iter().map(|loss| loss.get()).collect();
        (model, GateTable { dev_texts_hash: self.dev_texts_hash.to_string(), reference_losses })
    }
}

fn losses(found: &[i64]) -> Result<[NanoNats; SELF_TEST_TEXTS], GenesisError> {
    let numbers: [i64; SELF_TEST_TEXTS] = found.try_into().map_err(|_| GenesisError::ReferenceLosses { found: found.len() })?;
    if let Some((position, found)) = numbers.iter().enumerate().find(|(_, n)| NanoNats::new(**n).is_none()) {
        return Err(GenesisError::Loss { position, found: *found });
    }
    Ok(numbers.map(|n| NanoNats::new(n).unwrap_or(NanoNats::MAX)))
}
