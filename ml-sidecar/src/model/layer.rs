//! One transformer layer.

use pol_core::state::Projection;
use tch::{Kind, Tensor};

use super::{Loader, ModelConfig, cache::LayerCache, rope::Tables};
use crate::{
    adapter::{LayerFactors, Pair},
    torch::TorchError,
    weights::{WeightError, as_i64},
};

/// Sequences in one batch, and where they stand.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) batch: i64,
    pub(crate) length: i64,
    pub(super) tables: Tables,
}

/// Dropout on the inputs of the adapter. One draw per input: query, key and value share theirs, as do gate and up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout(f64);

impl Dropout {
    /// None: what everything but training uses.
    pub(crate) const OFF: Self = Self(0.0);

    /// With this probability (0 to 0.9) a value counts as zero.
    pub(crate) const fn training(probability: f64) -> Self {
        Self(probability.clamp(0.0, 0.9))
    }

    /// `x` with some values zero, the others as they are; and by what they would have to be multiplied for their sum to stay as it is.
    ///
    /// Places are drawn with replacement, so many that each value is hit with the given probability. To draw 5 % of the places takes a
    /// tenth of the time of a draw for every value, which is a quarter of a training step; and going back needs no mask.
    fn apply(self, x: Tensor) -> Result<(Tensor, f64), TorchError> {
        let count = x.numel();
        let draws = if count > 1 { ((1.0 - self.0).ln() / (-1.0 / count as f64).ln_1p()).round() as i64 } else { 0 };
        if draws == 0 {
            return Ok((x, 1.0));
        }
        let places = Tensor::f_randint(as_i64(count as u64), [draws], (Kind::Int64, x.device()))?;
        let dropped = x.f_reshape([-1])?.f_index_fill(0, &places, 0.0)?.f_view_as(&x)?;
        Ok((dropped, 1.0 / (1.0 - self.0)))
    }
}

#[derive(Debug)]
pub(super) struct Layer {
    input_norm: Tensor,
    qkv: Tensor,
    qkv_bias: Option<Tensor>,
    o: Tensor,
    attention_norm: Tensor,
    gate_up: Tensor,
    down: Tensor,
}

impl Layer {
    pub(super) fn load(loader: &Loader<'_>, config: &ModelConfig, layer: u32) -> Result<Self, WeightError> {
        let side = |projection| {
            let (inputs, outputs) = config.shape.dimensions(projection);
            (i64::from(inputs), i64::from(outputs))
        };
        let (hidden, query) = side(Projection::Q);
        let (_, key_value) = side(Projection::K);
        let (_, intermediate) = side(Projection::Gate);
        let all = query + 2 * key_value;
        let name = |name: &str| format!("model.layers.{layer}.{name}");
        let tensor = |names: &[&str], size: &[i64]| {
            let names: Vec<String> = names.iter().map(|part| name(part)).collect();
            loader.tensor(&names.iter().map(String::as_str).collect::<Vec<_>>(), size)
        };
        let qkv = ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"];
        let bias = ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"];
        Ok(Self {
            input_norm: tensor(&["input_layernorm.weight"], &[hidden])?,
            qkv: tensor(&qkv, &[all, hidden])?,
            qkv_bias: if config.has_bias() { Some(tensor(&bias, &[all])?) } else { None },
            o: tensor(&["self_attn.o_proj.weight"], &[hidden, query])?,
            attention_norm: tensor(&["post_attention_layernorm.weight"], &[hidden])?,
            gate_up: tensor(&["mlp.gate_proj.weight", "mlp.up_proj.weight"], &[2 * intermediate, hidden])?,
            down: tensor(&["mlp.down_proj.weight"], &[hidden, intermediate])?,
        })
    }

    pub(super) fn forward(
        &self,
        config: &ModelConfig,
        x: &Tensor,
        span: &Span,
        factors: Option<&LayerFactors>,
        dropout: Dropout,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor, TorchError> {
        let normed = norm(x, &self.input_norm, config.norm_epsilon)?;
        let qkv = normed.f_linear(&self.qkv, self.qkv_bias.as_ref())?;
        let qkv = adapt(qkv, &normed, factors.map(|factors| &factors.qkv), dropout)?;
        let attended = attend(config, &qkv, span, cache)?;
        let x = x.f_addmm(&attended, &self.o.f_tr()?)?;
        let x = adapt(x, &attended, factors.map(|factors| &factors.o), dropout)?;

        let normed = norm(&x, &self.attention_norm, config.norm_epsilon)?;
        let gate_up = normed.f_linear(&self.gate_up, None::<&Tensor>)?;
        let gate_up = adapt(gate_up, &normed, factors.map(|factors| &factors.gate_up), dropout)?;
        let [gate, up] = halves(&gate_up, i64::from(config.shape.intermediate()))?;
        let product = gate.f_silu()?.f_mul(&up)?;
        let x = x.f_addmm(&product, &self.down.f_tr()?)?;
        adapt(x, &product, factors.map(|factors| &factors.down), dropout)
    }
}

/// RMS norm, in FP32 whatever `x` is.
pub(super) fn norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor, TorchError> {
    Ok(x.f_rms_norm(weight.size(), Some(weight), epsilon)?)
}

/// Adds an adapter's output to `base`, in FP32: `base + (x A^T) B^T`, with alpha / r inside B.
fn adapt(base: Tensor, x: &Tensor, pair: Option<&Pair>, dropout: Dropout) -> Result<Tensor, TorchError> {
    let Some(pair) = pair else { return Ok(base) };
    let kind = base.f_kind()?;
    let (x, scale) = dropout.apply(x.f_to_kind(Kind::Float)?)?;
    let inner = x.f_mm(&pair.a)?;
    let inner = if scale == 1.0 { inner } else { inner.f_mul_scalar(scale)? };
    Ok(base.f_to_kind(Kind::Float)?.f_addmm(&inner, &pair.b)?.f_to_kind(kind)?)
}

fn halves(both: &Tensor, width: i64) -> Result<[Tensor; 2], TorchError> {
    let parts = both.f_split_with_sizes([width, width], -1)?;
    parts.try_into().map_err(|_| TorchError::Other("a split in two gave another number of parts".to_owned()))
}

/// Causal attention over (batch * length, query + 2 * `key_value`); gives (batch * length, query).
fn attend(config: &ModelConfig, qkv: &Tensor, span: &Span, cache: Option<&mut LayerCache>) -> Result<Tensor, TorchError> {
    let [heads, key_value_heads, width] = [config.heads, config.key_value_heads, config.head_dimension].map(i64::from);
    let (batch, length) = (span.batch, span.length);
    let all = qkv.f_view([batch, length, heads + 2 * key_value_heads, width])?;
    let parts = all.f_split_with_sizes([heads + key_value_heads, key_value_heads], 2)?;
    let [turning, value] = &parts[..] else { return Err(TorchError::Other("a split in two".to_owned())) };
    let turned = span.tables.rotate(turning)?.f_split_with_sizes([heads, key_value_heads], 2)?;
    let [query, key] = &turned[..] else { return Err(TorchError::Other("a split in two".to_owned())) };
    let (query, mut key, mut value) = (query.f_transpose(1, 2)?, key.f_transpose(1, 2)?, value.f_transpose(1, 2)?);
    let mut causal = length > 1;
    if let Some(cache) = cache {
        (key, value) = cache.extend(key, value)?;
        causal = causal && key.size().get(2) == Some(&length);
    }
    // CUDA's FP32 kernel does not share heads by itself; without this it would fall back to the plain form.
    let repeats = heads / key_value_heads;
    let share = repeats > 1 && !(qkv.device().is_cuda() && qkv.f_kind()? == Kind::Float);
    if repeats > 1 && !share {
        key = key.f_repeat_interleave_self_int(repeats, 1, None)?;
        value = value.f_repeat_interleave_self_int(repeats, 1, None)?;
    }
    let out = Tensor::f_scaled_dot_product_attention(&query, &key, &value, None::<&Tensor>, 0.0, causal, None, share)?;
    Ok(out.f_transpose(1, 2)?.f_reshape([batch * length, heads * width])?)
}
