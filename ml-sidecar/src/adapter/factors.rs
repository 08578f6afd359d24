//! Factors in the form that layers compute with.

use pol_core::{
    params::{LORA_ALPHA, LORA_RANK},
    state::{Factor, Projection, Shape},
};
use tch::Tensor;

use crate::torch::TorchError;

const RANK: i64 = LORA_RANK as i64;
const SCALE: f64 = LORA_ALPHA as f64 / LORA_RANK as f64;

/// Factors of one or several projections that share their input.
#[derive(Debug)]
pub(crate) struct Pair {
    /// A, transposed: (in, 8 * projections).
    pub(crate) a: Tensor,
    /// B, transposed and scaled by alpha / r: (8 * projections, out of all); block-diagonal.
    pub(crate) b: Tensor,
}

/// Factors of one layer.
#[derive(Debug)]
pub(crate) struct LayerFactors {
    pub(crate) qkv: Pair,
    pub(crate) o: Pair,
    pub(crate) gate_up: Pair,
    pub(crate) down: Pair,
}

/// All A values of one layer, and all B values: two runs of the flat array.
pub(crate) fn layer_parts(shape: &Shape, layer: u32, flat: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
    let part = |factor| {
        let (start, length) = layer_run(shape, layer, factor);
        flat.f_narrow(0, start, length)
    };
    Ok((part(Factor::A)?, part(Factor::B)?))
}

/// Where the A (or B) values of a layer lie: start and length.
pub(crate) fn layer_run(shape: &Shape, layer: u32, factor: Factor) -> (i64, i64) {
    let per_layer: i64 = Projection::ALL.map(|projection| values(shape, projection, factor)).iter().sum();
    let before = if factor == Factor::A { 0 } else { i64::from(shape.a_count()) };
    (before + i64::from(layer) * per_layer, per_layer)
}

fn values(shape: &Shape, projection: Projection, factor: Factor) -> i64 {
    let (inputs, outputs) = shape.dimensions(projection);
    RANK * i64::from(if factor == Factor::A { inputs } else { outputs })
}

/// Projections that share their input, in flat order.
const GROUPS: [&[Projection]; 4] = {
    use Projection::{Down, Gate, K, O, Q, Up, V};
    [&[Q, K, V], &[O], &[Gate, Up], &[Down]]
};

impl LayerFactors {
    /// From a layer's A values and B values, each one run. Differentiable in both: one split each, so that going back is one copy.
    pub(crate) fn new(shape: &Shape, a: &Tensor, b: &Tensor) -> Result<Self, TorchError> {
        let size = |factor| Projection::ALL.map(|projection| values(shape, projection, factor));
        let mut a = a.f_split_with_sizes(size(Factor::A), 0)?.into_iter();
        let mut b = b.f_split_with_sizes(size(Factor::B), 0)?.into_iter();
        let mut pair = |group: &[Projection]| pair(shape, group, &mut a, &mut b);
        let [qkv, o, gate_up, down] = GROUPS;
        Ok(Self { qkv: pair(qkv)?, o: pair(o)?, gate_up: pair(gate_up)?, down: pair(down)? })
    }
}

/// Factors of the next projections, which share their input.
fn pair(
    shape: &Shape,
    group: &[Projection],
    a: &mut impl Iterator<Item = Tensor>,
    b: &mut impl Iterator<Item = Tensor>,
) -> Result<Pair, TorchError> {
    let (mut rows, mut blocks) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    for (projection, (a, b)) in group.iter().zip(a.zip(b)) {
        let (inputs, outputs) = shape.dimensions(*projection);
        rows.push(a.f_view([RANK, i64::from(inputs)])?);
        blocks.push(b.f_view([i64::from(outputs), RANK])?);
    }
    let a = if let [one] = &rows[..] { one.f_tr()? } else { Tensor::f_cat(&rows, 0)?.f_tr()? };
    let b =
        if let [one] = &blocks[..] { one.f_mul_scalar(SCALE)? } else { Tensor::f_block_diag(&blocks)?.f_mul_scalar(SCALE)? };
    Ok(Pair { a, b: b.f_tr()? })
}
