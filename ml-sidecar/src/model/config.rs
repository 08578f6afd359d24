//! What a model is, from its `config.json`.

use pol_core::state::{Shape, ShapeError};
use serde::Deserialize;
use serde_json::Value;

use super::rope::Rope;

/// Longest `config.json` that is looked at, bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
const VOCABULARY_MAX: u32 = 1 << 20;
const HEADS_MAX: u32 = 1 << 10;
const HEAD_DIMENSION_MAX: u32 = 1 << 10;
const POSITIONS_MAX: u32 = 1 << 24;

/// A family of architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Qwen2, Qwen2.5 and what was distilled into them: a bias on query, key and value.
    Qwen2,
    /// Llama 2 and 3, SmolLM, TinyLlama: no biases.
    Llama,
}

/// A model that this crate can run. Every number is in range.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Architecture.
    pub family: Family,
    /// Tokens of the embedding; the tokenizer may have fewer.
    pub vocabulary: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub key_value_heads: u32,
    /// Width of a head; even.
    pub head_dimension: u32,
    /// Epsilon of the norms.
    pub norm_epsilon: f64,
    /// Rotary positions.
    pub rope: Rope,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Longest sequence the model was made for, tokens.
    pub positions: u32,
    /// First token of a text, for tokenizers that add none themselves.
    pub begin_token: Option<u32>,
    /// Tokens that end a text.
    pub end_tokens: Vec<u32>,
    /// Shape of its adapter, and with it the widths.
    pub shape: Shape,
}

/// Why a `config.json` is not one of a model that can be run. The operator's to mend: another model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a field of another type.
    #[error("config.json: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that must be there.
    #[error("config.json: {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A number out of range.
    #[error("config.json: {field} is {found}, expected {expected}")]
    Range {
        /// The field.
        field: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A well-formed config of something that is not implemented here.
    #[error("config.json: {field} is {found}: not supported, {hint}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// The value.
        found: String,
        /// What is supported.
        hint: &'static str,
    },
    /// The adapter of such a model is not one of this protocol.
    #[error("config.json: {0}")]
    Shape(#[from] ShapeError),
}

/// The fields that matter, as Hugging Face writes them.
#[derive(Debug, Deserialize)]
struct Raw {
    model_type: Option<String>,
    vocab_size: Option<u32>,
    hidden_size: Option<u32>,
    intermediate_size: Option<u32>,
    num_hidden_layers: Option<u32>,
    num_attention_heads: Option<u32>,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    hidden_act: Option<String>,
    rms_norm_eps: Option<f64>,
    max_position_embeddings: Option<u32>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    quantization_config: Option<Value>,
    bos_token_id: Option<Value>,
    eos_token_id: Option<Value>,
}

impl ModelConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the field.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: Raw = serde_json::from_str(text)?;
        let family = family(&raw)?;
        refuse_unsupported(&raw, family)?;
        let heads = ranged("num_attention_heads", raw.num_attention_heads, 1, HEADS_MAX)?;
        let key_value_heads = ranged("num_key_value_heads", raw.num_key_value_heads.or(Some(heads)), 1, heads)?;
        if !heads.is_multiple_of(key_value_heads) {
            return Err(range("num_key_value_heads", key_value_heads, format!("a divisor of {heads} heads")));
        }
        let hidden = raw.hidden_size.ok_or(ConfigError::Missing { field: "hidden_size" })?;
        if raw.head_dim.is_none() && !hidden.is_multiple_of(heads) {
            return Err(range("hidden_size", hidden, format!("a multiple of {heads} heads")));
        }
        let head_dimension = ranged("head_dim", raw.head_dim.or(Some(hidden / heads)), 2, HEAD_DIMENSION_MAX)?;
        if !head_dimension.is_multiple_of(2) {
            return Err(range("head_dim", head_dimension, "an even number".to_owned()));
        }
        // Both factors are at most 2^10.
        let (query, key_value) = (heads * head_dimension, key_value_heads * head_dimension);
        let layers = raw.num_hidden_layers.ok_or(ConfigError::Missing { field: "num_hidden_layers" })?;
        let intermediate = raw.intermediate_size.ok_or(ConfigError::Missing { field: "intermediate_size" })?;
        let vocabulary = ranged("vocab_size", raw.vocab_size, 1, VOCABULARY_MAX)?;
        let default_positions = if family == Family::Qwen2 { 32_768 } else { 2_048 };
        let positions = raw.max_position_embeddings.or(Some(default_positions));
        Ok(Self {
            family,
            vocabulary,
            heads,
            key_value_heads,
            head_dimension,
            norm_epsilon: epsilon(raw.rms_norm_eps)?,
            rope: Rope::parse(raw.rope_parameters.as_ref(), raw.rope_scaling.as_ref(), raw.rope_theta)?,
            tied_head: raw.tie_word_embeddings.unwrap_or(false),
            positions: ranged("max_position_embeddings", positions, 1, POSITIONS_MAX)?,
            begin_token: tokens("bos_token_id", raw.bos_token_id.as_ref(), vocabulary)?.first().copied(),
            end_tokens: tokens("eos_token_id", raw.eos_token_id.as_ref(), vocabulary)?,
            shape: Shape::new(layers, hidden, query, key_value, intermediate)?,
        })
    }

    /// Whether query, key and value have a bias.
    pub const fn has_bias(&self) -> bool {
        matches!(self.family, Family::Qwen2)
    }

    /// Parameters of the base model.
    pub fn parameter_count(&self) -> u64 {
        let shape = &self.shape;
        let [hidden, query, key_value, intermediate, layers, vocabulary] =
            [shape.hidden(), shape.query(), shape.key_value(), shape.intermediate(), shape.layers(), self.vocabulary]
                .map(u64::from);
        let bias = if self.has_bias() { query + 2 * key_value } else { 0 };
        let layer = 2 * hidden * query + 2 * hidden * key_value + 3 * hidden * intermediate + 2 * hidden + bias;
        let embeddings = if self.tied_head { 1 } else { 2 };
        layers * layer + embeddings * vocabulary * hidden + hidden
    }
}

fn family(raw: &Raw) -> Result<Family, ConfigError> {
    match raw.model_type.as_deref() {
        Some("qwen2") => Ok(Family::Qwen2),
        Some("llama") => Ok(Family::Llama),
        None => Err(ConfigError::Missing { field: "model_type" }),
        Some(other) => Err(unsupported("model_type", other, "only qwen2 and llama are")),
    }
}

fn refuse_unsupported(raw: &Raw, family: Family) -> Result<(), ConfigError> {
    if let Some(config) = &raw.quantization_config {
        return Err(unsupported("quantization_config", config, "take the model's unquantised weights"));
    }
    if let Some(activation) = raw.hidden_act.as_deref().filter(|name| *name != "silu") {
        return Err(unsupported("hidden_act", activation, "only silu is"));
    }
    if raw.attention_bias == Some(true) && family == Family::Llama {
        return Err(unsupported("attention_bias", true, "only Llama models without it are"));
    }
    if raw.mlp_bias == Some(true) {
        return Err(unsupported("mlp_bias", true, "only models without it are"));
    }
    if raw.use_sliding_window == Some(true) {
        return Err(unsupported("use_sliding_window", true, "only full attention is"));
    }
    match raw.layer_types.iter().flatten().find(|kind| *kind != "full_attention") {
        Some(kind) => Err(unsupported("layer_types", kind, "only full_attention is")),
        None => Ok(()),
    }
}

fn epsilon(found: Option<f64>) -> Result<f64, ConfigError> {
    let epsilon = found.unwrap_or(1e-6);
    if epsilon > 0.0 && epsilon <= 0.1 { Ok(epsilon) } else { Err(range("rms_norm_eps", epsilon, "0 to 0.1".to_owned())) }
}

/// A token id, a list of them, or nothing. At most 16 count: no model has more.
fn tokens(field: &'static str, value: Option<&Value>, vocabulary: u32) -> Result<Vec<u32>, ConfigError> {
    let list = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().take(16).collect(),
        Some(one) => vec![one],
    };
    let token = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id < vocabulary);
        id.ok_or_else(|| range(field, value, format!("token ids below {vocabulary}")))
    };
    list.into_iter().map(token).collect()
}

fn ranged(field: &'static str, found: Option<u32>, least: u32, most: u32) -> Result<u32, ConfigError> {
    let found = found.ok_or(ConfigError::Missing { field })?;
    if (least..=most).contains(&found) { Ok(found) } else { Err(range(field, found, format!("{least} to {most}"))) }
}

pub(super) fn range(field: &'static str, found: impl ToString, expected: String) -> ConfigError {
    ConfigError::Range { field, found: found.to_string(), expected }
}

pub(super) fn unsupported(field: &'static str, found: impl ToString, hint: &'static str) -> ConfigError {
    ConfigError::Unsupported { field, found: found.to_string(), hint }
}

#[cfg(test)]
mod tests;
