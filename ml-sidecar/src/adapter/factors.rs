//! Factors in the form that layers compute with.

use pol_core::{
    params::{LORA_ALPHA, LORA_RANK},
    state::{Factor, Projection, Shape},
};
use tch::Tensor;

use crate::torch::TorchError;

/// Rows of an A factor, columns of a B factor.
pub(crate) const RANK: i64 = LORA_RANK as i64;
const SCALE: f64 = LORA_ALPHA as f64 / LORA_RANK as f64;

/// Factors of one or several projections that share their input.
#[derive(Debug)]
pub(crate) struct Pair {
    /// A, transposed: (in, 8 * projections).
    pub(crate) a: Tensor,
    /// B, transposed and scaled by alpha / r: (8 * projections, out of all); block-diagonal.
    pub(crate) b: Tensor,
    /// Outputs of each projection.
    pub(crate) widths: Vec<i64>,
}

/// Factors of one residual block: attention or feed-forward.
#[derive(Debug)]
pub(crate) struct BlockFactors {
    /// Of the projections that read the block's input: query, key, value; or gate, up.
    pub(crate) inner: Pair,
    /// Of the one that writes its output: o; or down.
    pub(crate) outer: Pair,
}

/// Projections of a block that read its input, and the one that writes its output, in flat order. A layer is two blocks.
const fn projections(block: usize) -> (&'static [Projection], Projection) {
    if block.is_multiple_of(2) {
        (&[Projection::Q, Projection::K, Projection::V], Projection::O)
    } else {
        (&[Projection::Gate, Projection::Up], Projection::Down)
    }
}

/// Blocks of an adapter.
pub(crate) const fn block_count(shape: &Shape) -> usize {
    shape.layers() as usize * 2
}

/// All A values of a block, and all B values: two runs of the flat array.
pub(crate) fn block_parts(shape: &Shape, block: usize, flat: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
    let part = |factor| {
        let (start, length) = block_run(shape, block, factor);
        flat.f_narrow(0, start, length)
    };
    Ok((part(Factor::A)?, part(Factor::B)?))
}

/// Where the A (or B) values of a block lie: start and length.
pub(crate) fn block_run(shape: &Shape, block: usize, factor: Factor) -> (i64, i64) {
    let length = |block| sizes(shape, block, factor).iter().sum::<i64>();
    let layer = i64::try_from(block / 2).unwrap_or(i64::MAX);
    let before = if factor == Factor::A { 0 } else { i64::from(shape.a_count()) };
    let within = if block.is_multiple_of(2) { 0 } else { length(0) };
    (before + layer * (length(0) + length(1)) + within, length(block))
}

/// Values of each projection of a block, in flat order.
fn sizes(shape: &Shape, block: usize, factor: Factor) -> Vec<i64> {
    let (inner, outer) = projections(block);
    let values = |projection: &Projection| {
        let (inputs, outputs) = shape.dimensions(*projection);
        RANK * i64::from(if factor == Factor::A { inputs } else { outputs })
    };
    inner.iter().chain([&outer]).map(values).collect()
}

impl BlockFactors {
    /// From a block's A values and B values, each one run. Differentiable in both: one split each, so that going back is one copy.
    pub(crate) fn new(shape: &Shape, block: usize, a: &Tensor, b: &Tensor) -> Result<Self, TorchError> {
        let (inner, outer) = projections(block);
        let mut a = a.f_split_with_sizes(sizes(shape, block, Factor::A), 0)?.into_iter();
        let mut b = b.f_split_with_sizes(sizes(shape, block, Factor::B), 0)?.into_iter();
        Ok(Self { inner: pair(shape, inner, &mut a, &mut b)?, outer: pair(shape, &[outer], &mut a, &mut b)? })
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
    let widths = group.iter().map(|projection| i64::from(shape.dimensions(*projection).1)).collect();
    Ok(Pair { a, b: b.f_tr()?, widths })
}
