//! A model's weights as they lie in memory: for whoever makes a model.

use pol_core::state::Projection;
use tch::Tensor;

use super::{Model, block::Block};
use crate::weights::as_i64;

/// One tensor in memory, and the checkpoint's tensors that it is made of, from the first row on.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// It shares its memory with the model.
    pub(crate) tensor: Tensor,
    /// Hugging Face name and rows (values, of a vector).
    pub(crate) parts: Vec<(String, i64)>,
}

impl Model {
    /// All weights, each once.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let whole = |name: &str, tensor: &Tensor| Parameter {
            parts: vec![(name.to_owned(), tensor.size().first().copied().unwrap_or(0))],
            tensor: tensor.shallow_clone(),
        };
        let mut all = vec![whole("model.embed_tokens.weight", &self.embedding), whole("model.norm.weight", &self.norm)];
        all.extend(self.head.as_ref().map(|head| whole("lm_head.weight", head)));
        for (index, block) in self.blocks.iter().enumerate() {
            let prefix = format!("model.layers.{}.", index / 2);
            all.extend(self.block_parameters(block, &prefix));
        }
        all
    }

    fn block_parameters(&self, block: &Block, prefix: &str) -> Vec<Parameter> {
        let rows = |projection| as_i64(self.config.shape.dimensions(projection).1.into());
        let parameter = |tensor: &Tensor, parts: &[(&str, i64)]| Parameter {
            tensor: tensor.shallow_clone(),
            parts: parts.iter().map(|(name, rows)| (format!("{prefix}{name}"), *rows)).collect(),
        };
        let hidden = rows(Projection::O);
        if !block.is_attention {
            let inner = [("mlp.gate_proj.weight", rows(Projection::Gate)), ("mlp.up_proj.weight", rows(Projection::Up))];
            return vec![
                parameter(&block.norm, &[("post_attention_layernorm.weight", hidden)]),
                parameter(&block.input, &inner),
                parameter(&block.output, &[("mlp.down_proj.weight", hidden)]),
            ];
        }
        let [query, key, value] = [Projection::Q, Projection::K, Projection::V].map(rows);
        let weights = [("self_attn.q_proj.weight", query), ("self_attn.k_proj.weight", key), ("self_attn.v_proj.weight", value)];
        let biases = [("self_attn.q_proj.bias", query), ("self_attn.k_proj.bias", key), ("self_attn.v_proj.bias", value)];
        let mut all = vec![
            parameter(&block.norm, &[("input_layernorm.weight", hidden)]),
            parameter(&block.input, &weights),
            parameter(&block.output, &[("self_attn.o_proj.weight", hidden)]),
        ];
        all.extend(block.bias.as_ref().map(|bias| parameter(bias, &biases)));
        all
    }
}
