//! A transformer layer as two residual blocks: attention, feed-forward.

use pol_core::state::Projection;
use tch::{Kind, Tensor};

use super::{Loader, ModelConfig, cache::LayerCache, rope::Tables};
use crate::{
    adapter::{BlockFactors, Pair, RANK},
    torch::{TorchError, in_place},
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
pub(crate) struct Dropout {
    probability: f64,
    is_training: bool,
}

impl Dropout {
    /// None: what everything but training uses.
    pub(crate) const OFF: Self = Self { probability: 0.0, is_training: false };

    /// With this probability (0 to 0.9) a value counts as zero.
    pub(crate) const fn training(probability: f64) -> Self {
        Self { probability: probability.clamp(0.0, 0.9), is_training: true }
    }

    /// Makes some values of `x` zero, in place; gives by what the others would have to be multiplied for their sum to stay as it is.
    ///
    /// Places are drawn with replacement, so many that each value is hit with the given probability. To draw 5 % of the places takes a
    /// tenth of the time of a draw for every value, which is a quarter of a training step; and going back needs no mask.
    fn apply(self, x: &mut Tensor) -> Result<f64, TorchError> {
        let count = x.numel();
        let draws = if count > 1 { ((1.0 - self.probability).ln() / (-1.0 / count as f64).ln_1p()).round() as i64 } else { 0 };
        if draws == 0 {
            return Ok(1.0);
        }
        let places = Tensor::f_randint(as_i64(count as u64), [draws], (Kind::Int64, x.device()))?;
        in_place(x.f_view([-1])?.f_index_fill_(0, &places, 0.0))?;
        Ok(1.0 / (1.0 - self.probability))
    }
}

/// `x + output(inner(norm(x)))`, with adapters on the projections that `inner` begins with and on `output`.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) norm: Tensor,
    pub(super) input: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) output: Tensor,
    pub(super) is_attention: bool,
}

impl Block {
    /// Loads attention (even blocks) or feed-forward (odd ones).
    pub(super) fn load(loader: &Loader<'_>, config: &ModelConfig, block: usize) -> Result<Self, WeightError> {
        let side = |projection| {
            let (inputs, outputs) = config.shape.dimensions(projection);
            (i64::from(inputs), i64::from(outputs))
        };
        let (hidden, query) = side(Projection::Q);
        let (_, key_value) = side(Projection::K);
        let (_, intermediate) = side(Projection::Gate);
        let all = query + 2 * key_value;
        let tensor = |names: &[&str], size: &[i64]| {
            let names: Vec<String> = names.iter().map(|name| format!("model.layers.{}.{name}", block / 2)).collect();
            loader.tensor(&names.iter().map(String::as_str).collect::<Vec<_>>(), size)
        };
        if block.is_multiple_of(2) {
            let qkv = ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"];
            let bias = ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"];
            return Ok(Self {
                norm: tensor(&["input_layernorm.weight"], &[hidden])?,
                input: tensor(&qkv, &[all, hidden])?,
                bias: if config.has_bias() { Some(tensor(&bias, &[all])?) } else { None },
                output: tensor(&["self_attn.o_proj.weight"], &[hidden, query])?,
                is_attention: true,
            });
        }
        Ok(Self {
            norm: tensor(&["post_attention_layernorm.weight"], &[hidden])?,
            input: tensor(&["mlp.gate_proj.weight", "mlp.up_proj.weight"], &[2 * intermediate, hidden])?,
            bias: None,
            output: tensor(&["mlp.down_proj.weight"], &[hidden, intermediate])?,
            is_attention: false,
        })
    }

    /// Everything before the output projection.
    pub(super) fn inner(
        &self,
        config: &ModelConfig,
        x: &Tensor,
        span: &Span,
        (factors, dropout): (Option<&BlockFactors>, Dropout),
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor, TorchError> {
        let normed = norm(x, &self.norm, config.norm_epsilon)?;
        let projected = normed.f_linear(&self.input, self.bias.as_ref())?;
        let projected = adapt(projected, &normed, factors.map(|factors| &factors.inner), dropout)?;
        drop(normed);
        if self.is_attention {
            return attend(config, projected, span, cache);
        }
        let [gate, up] = halves(&projected, i64::from(config.shape.intermediate()))?;
        Ok(gate.f_silu()?.f_mul(&up)?)
    }

    /// The output projection, added to the block's input.
    pub(super) fn outer(
        &self,
        x: &Tensor,
        inner: &Tensor,
        (factors, dropout): (Option<&BlockFactors>, Dropout),
    ) -> Result<Tensor, TorchError> {
        let base = x.f_addmm(inner, &self.output.f_tr()?)?;
        adapt(base, &self.for_adapter(inner, dropout)?, factors.map(|factors| &factors.outer), dropout)
    }

    /// What dropout may change: attention needs its output when it goes back, the product of gate and up is needed by nobody.
    fn for_adapter(&self, inner: &Tensor, dropout: Dropout) -> Result<Tensor, TorchError> {
        Ok(if self.is_attention && dropout.probability > 0.0 {
            inner.f_to_dtype(Kind::Float, false, true)?
        } else {
            inner.shallow_clone()
        })
    }

    /// A number whose gradients by `x`, `inner` and the factors are those of the block's output, given that of the output. It is not the scalar
    /// product of the two: the product with the frozen weights, which is the dear part, is left out, since nothing depends on its value.
    ///
    /// `x` is in it, so that what goes around the block and what goes through it are added in the order of an unbroken graph.
    pub(super) fn outer_product(
        &self,
        x: &Tensor,
        inner: &Tensor,
        upstream: &Tensor,
        (factors, dropout): (&BlockFactors, Dropout),
    ) -> Result<Tensor, TorchError> {
        let by_inner = {
            let _guard = tch::no_grad_guard();
            upstream.f_mm(&self.output)?
        };
        let frozen = dot(inner, &by_inner)?;
        let adapted = adapter_output(&self.for_adapter(inner, dropout)?, &factors.outer, dropout)?;
        let product = frozen.f_add(&dot(&adapted, &upstream.f_to_kind(Kind::Float)?)?)?;
        Ok(if x.requires_grad() { product.f_add(&dot(x, upstream)?)? } else { product })
    }
}

/// Scalar product of two tensors of one shape.
pub(crate) fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor, TorchError> {
    Ok(a.f_reshape([-1])?.f_dot(&b.f_reshape([-1])?)?)
}

/// RMS norm, in FP32 whatever `x` is.
pub(super) fn norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor, TorchError> {
    Ok(x.f_rms_norm(weight.size(), Some(weight), epsilon)?)
}

/// Adds an adapter's output to `base`, in FP32: `base + (x A^T) B^T`, with alpha / r inside B. In place: nobody has seen `base`, and going
/// back does not need it.
fn adapt(base: Tensor, x: &Tensor, pair: Option<&Pair>, dropout: Dropout) -> Result<Tensor, TorchError> {
    let Some(pair) = pair else { return Ok(base) };
    let kind = base.f_kind()?;
    let inner = adapter_inner(x, pair, dropout)?;
    let mut base = base.f_to_kind(Kind::Float)?;
    if dropout.is_training {
        // Whether gradients are wanted or not, so that a block computed twice gives the same bits twice.
        return Ok(base.f_addmm_(&inner, &pair.b)?.f_to_kind(kind)?);
    }
    // Without the zeros beside the diagonal blocks: half the time, but dear to go back through.
    let (mut column, mut row) = (0, 0);
    for width in &pair.widths {
        let b = pair.b.f_narrow(0, row, RANK)?.f_narrow(1, column, *width)?;
        in_place(base.f_narrow(1, column, *width)?.f_addmm_(&inner.f_narrow(1, row, RANK)?, &b))?;
        (column, row) = (column + width, row + RANK);
    }
    Ok(base.f_to_kind(kind)?)
}

/// `(x A^T) B^T`, FP32.
fn adapter_output(x: &Tensor, pair: &Pair, dropout: Dropout) -> Result<Tensor, TorchError> {
    Ok(adapter_inner(x, pair, dropout)?.f_mm(&pair.b)?)
}

/// `x A^T`, FP32. Dropout changes `x` itself: it has been used for all else, and no step back needs it as it was.
fn adapter_inner(x: &Tensor, pair: &Pair, dropout: Dropout) -> Result<Tensor, TorchError> {
    let mut x = x.f_to_kind(Kind::Float)?;
    let scale = dropout.apply(&mut x)?;
    let inner = x.f_mm(&pair.a)?;
    Ok(if scale == 1.0 { inner } else { inner.f_mul_scalar(scale)? })
}

fn halves(both: &Tensor, width: i64) -> Result<[Tensor; 2], TorchError> {
    let parts = both.f_split_with_sizes([width, width], -1)?;
    parts.try_into().map_err(|_| TorchError::Other("a split in two gave another number of parts".to_owned()))
}

/// Causal attention over (batch * length, query + 2 * `key_value`); gives (batch * length, query).
fn attend(config: &ModelConfig, qkv: Tensor, span: &Span, cache: Option<&mut LayerCache>) -> Result<Tensor, TorchError> {
    let [heads, key_value_heads, width] = [config.heads, config.key_value_heads, config.head_dimension].map(i64::from);
    let (batch, length) = (span.batch, span.length);
    let all = qkv.f_view([batch, length, heads + 2 * key_value_heads, width])?;
    let parts = all.f_split_with_sizes([heads + key_value_heads, key_value_heads], 2)?;
    let [turning, value] = &parts[..] else { return Err(TorchError::Other("a split in two".to_owned())) };
    let turned = span.tables.rotate(turning)?.f_split_with_sizes([heads, key_value_heads], 2)?;
    let [query, key] = &turned[..] else { return Err(TorchError::Other("a split in two".to_owned())) };
    // A copy of the values, so that going back does not keep query and key as they were before they were turned.
    let (query, mut key, mut value) =
        (query.f_transpose(1, 2)?, key.f_transpose(1, 2)?, value.f_contiguous()?.f_transpose(1, 2)?);
    let is_cuda_fp32 = qkv.device().is_cuda() && qkv.f_kind()? == Kind::Float;
    drop((qkv, all));
    let mut causal = length > 1;
    if let Some(cache) = cache {
        (key, value) = cache.extend(key, value)?;
        causal = causal && key.size().get(2) == Some(&length);
    }
    // CUDA's FP32 kernel does not share heads by itself; without this it would fall back to the plain form.
    let repeats = heads / key_value_heads;
    let share = repeats > 1 && !is_cuda_fp32;
    if repeats > 1 && !share {
        key = key.f_repeat_interleave_self_int(repeats, 1, None)?;
        value = value.f_repeat_interleave_self_int(repeats, 1, None)?;
    }
    let out = Tensor::f_scaled_dot_product_attention(&query, &key, &value, None::<&Tensor>, 0.0, causal, None, share)?;
    Ok(out.f_transpose(1, 2)?.f_reshape([batch * length, heads * width])?)
}
