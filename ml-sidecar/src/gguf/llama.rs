//! Llama in GGUF's words: names, sizes, and rows in another order.

use serde_json::json;

use super::{
    error::{GgufError, TensorFault},
    header::{Header, Value},
    tensor::Tensor,
};

/// Layers, at most: those of the protocol's adapters.
const LAYERS_MAX: u32 = 256;
const WIDTH_MAX: u32 = 1 << 16;

/// What a Llama model is, from its metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaLikeConfig {
    /// Width of the residual stream.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub key_value_heads: u32,
    /// Width of a head.
    pub head_dimension: u32,
    /// Width of the MLP.
    pub intermediate: u32,
    /// Tokens of the embedding.
    pub vocabulary: u32,
    /// Longest sequence it was made for, tokens.
    pub context: u32,
    /// Base of the rotary positions.
    pub rope_theta: f64,
    /// Epsilon of the norms.
    pub norm_epsilon: f64,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// First token of a text.
    pub begin_token: Option<u32>,
    /// Token that ends a text.
    pub end_token: Option<u32>,
}

impl LlamaLikeConfig {
    /// Reads it out of a header.
    pub(super) fn read(header: &Header) -> Result<Self, GgufError> {
        expect_text(header, "general.architecture", &["llama"])?;
        if header.values.contains_key("llama.rope.scaling.type") {
            expect_text(header, "llama.rope.scaling.type", &["none"])?;
        }
        if header.number("llama.expert_count").is_some_and(|experts| experts > 0) {
            let found = "a mixture of experts".to_owned();
            return Err(GgufError::Value { key: "llama.expert_count", found, expected: "none".to_owned() });
        }
        let hidden = sized(header, "llama.embedding_length", WIDTH_MAX)?;
        let heads = sized(header, "llama.attention.head_count", hidden)?;
        let key_value_heads = match header.values.get("llama.attention.head_count_kv") {
            None => heads,
            Some(_) => sized(header, "llama.attention.head_count_kv", heads)?,
        };
        let head_dimension = header.number("llama.attention.key_length").unwrap_or(hidden / heads);
        let rotated = header.number("llama.rope.dimension_count").unwrap_or(head_dimension);
        if head_dimension == 0 || head_dimension > WIDTH_MAX || !head_dimension.is_multiple_of(2) || rotated != head_dimension {
            let expected = format!("the whole head of {head_dimension}, an even number");
            return Err(GgufError::Value { key: "llama.rope.dimension_count", found: rotated.to_string(), expected });
        }
        let embedding = header.tensors.get("token_embd.weight").map(Tensor::shape);
        let Some([vocabulary, _]) = embedding else {
            return Err(GgufError::Key { key: "token_embd.weight".to_owned(), expected: "a matrix" });
        };
        Ok(Self {
            hidden,
            layers: sized(header, "llama.block_count", LAYERS_MAX)?,
            heads,
            key_value_heads,
            head_dimension,
            intermediate: sized(header, "llama.feed_forward_length", WIDTH_MAX)?,
            vocabulary: u32::try_from(*vocabulary).map_err(|_| out_of_range("token_embd.weight", *vocabulary))?,
            context: sized(header, "llama.context_length", u32::MAX)?,
            rope_theta: float(header, "llama.rope.freq_base").unwrap_or(Ok(10_000.0))?,
            norm_epsilon: float(header, "llama.attention.layer_norm_rms_epsilon").unwrap_or(Ok(1e-5))?,
            tied_head: !header.tensors.contains_key("output.weight"),
            begin_token: header.number("tokenizer.ggml.bos_token_id"),
            end_token: header.number("tokenizer.ggml.eos_token_id"),
        })
    }

    /// The same as Hugging Face's `config.json`.
    pub fn to_json(&self) -> String {
        let value = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dimension,
            "intermediate_size": self.intermediate,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_epsilon,
            "tie_word_embeddings": self.tied_head,
            "bos_token_id": self.begin_token,
            "eos_token_id": self.end_token,
        });
        value.to_string()
    }
}

/// Order of a tensor's rows in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// As everybody has them.
    Plain,
    /// Within each head of so many rows the two halves are interleaved.
    Interleaved(u64),
}

impl RowOrder {
    /// The order of this tensor, and that its rows are whole heads.
    pub(super) fn of(name: &str, tensor: &Tensor, config: &LlamaLikeConfig) -> Result<Self, GgufError> {
        let heads = match name.rsplit_once("attn_").map(|(_, last)| last) {
            Some("q.weight") => config.heads,
            Some("k.weight") => config.key_value_heads,
            _ => return Ok(Self::Plain),
        };
        let head = u64::from(config.head_dimension);
        if tensor.rows() == head * u64::from(heads) {
            return Ok(Self::Interleaved(head));
        }
        let reason = TensorFault::Heads { rows: tensor.rows(), heads, head_dimension: config.head_dimension };
        Err(GgufError::Tensor { name: name.to_owned(), reason })
    }

    /// Rows of the file that hold those rows.
    pub(super) const fn cover(self, first: u64, end: u64) -> (u64, u64) {
        match self {
            Self::Plain => (first, end),
            Self::Interleaved(head) => (first / head * head, end.next_multiple_of(head)),
        }
    }

    /// The row of the file that is row `row`.
    pub(super) const fn place(self, row: u64) -> u64 {
        match self {
            Self::Plain => row,
            Self::Interleaved(head) => {
                let (within, half) = (row % head, head / 2);
                row - within + within % half * 2 + within / half
            }
        }
    }
}

/// The Hugging Face name of a tensor.
pub(super) fn hugging_face_name(name: &str, layers: u32) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let number: u32 = layer.parse().ok().filter(|number| *number < layers)?;
    let part = match part {
        "attn_norm.weight" => "input_layernorm.weight",
        "attn_q.weight" => "self_attn.q_proj.weight",
        "attn_k.weight" => "self_attn.k_proj.weight",
        "attn_v.weight" => "self_attn.v_proj.weight",
        "attn_output.weight" => "self_attn.o_proj.weight",
        "ffn_norm.weight" => "post_attention_layernorm.weight",
        "ffn_gate.weight" => "mlp.gate_proj.weight",
        "ffn_up.weight" => "mlp.up_proj.weight",
        "ffn_down.weight" => "mlp.down_proj.weight",
        _ => return None,
    };
    Some(format!("model.layers.{number}.{part}"))
}

fn out_of_range(key: &'static str, found: impl ToString) -> GgufError {
    GgufError::Value { key, found: found.to_string(), expected: "a size that a model can have".to_owned() }
}

fn sized(header: &Header, key: &'static str, most: u32) -> Result<u32, GgufError> {
    let missing = || GgufError::Key { key: key.to_owned(), expected: "a positive number" };
    let found = header.number(key).ok_or_else(missing)?;
    if (1..=most).contains(&found) {
        return Ok(found);
    }
    Err(GgufError::Value { key, found: found.to_string(), expected: format!("1 ..= {most}") })
}

fn float(header: &Header, key: &'static str) -> Option<Result<f64, GgufError>> {
    Some(match header.values.get(key)? {
        Value::Float(found) if found.is_finite() && *found > 0.0 => Ok(*found),
        found => Err(GgufError::Value { key, found: format!("{found:?}"), expected: "a positive float".to_owned() }),
    })
}

fn expect_text(header: &Header, key: &'static str, allowed: &[&str]) -> Result<(), GgufError> {
    let found = header.text(key).ok_or_else(|| GgufError::Key { key: key.to_owned(), expected: "a text" })?;
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(GgufError::Value { key, found: found.to_owned(), expected: allowed.join(" or ") })
}
