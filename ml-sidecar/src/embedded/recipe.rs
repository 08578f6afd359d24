//! What the embedded model is and how it is made.

use serde_json::json;

/// Everything that a model follows from, but for the seed. Another recipe is another model, in another folder of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Tokens of the vocabulary.
    pub vocabulary: u32,
    /// Layers.
    pub layers: u32,
    /// Texts of the corpus that the tokenizer is made from.
    pub tokenizer_texts: u64,
    /// Training steps.
    pub steps: u64,
    /// Sequences of a step.
    pub sequences: usize,
    /// Predicted tokens of a sequence.
    pub length: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Threads; a part of the recipe, so that no flag changes the bytes.
    pub threads: i32,
}

impl Default for Recipe {
    /// The model that people get.
    fn default() -> Self {
        Self {
            vocabulary: 2_048,
            layers: 4,
            tokenizer_texts: 1_500,
            steps: 250,
            sequences: 16,
            length: 96,
            learning_rate: 4e-3,
            threads: 2,
        }
    }
}

/// Width of the residual stream.
const HIDDEN: u32 = 128;
const INTERMEDIATE: u32 = 352;
const HEADS: u32 = 4;
const KEY_VALUE_HEADS: u32 = 2;

impl Recipe {
    /// It in words, for hashes and for people.
    pub fn describe(&self) -> String {
        format!("pol-ai/embedded/v2 {self:?} {}", self.config_json())
    }

    /// The model's `config.json`.
    pub(super) fn config_json(&self) -> String {
        let config = json!({
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_act": "silu",
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": self.layers,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_VALUE_HEADS,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": true,
            "bos_token_id": null,
            "eos_token_id": 0,
            "torch_dtype": "float32",
        });
        config.to_string()
    }
}
