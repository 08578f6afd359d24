//! Forward and back through a model, for the gradient of its adapter.

use pol_core::state::{Factor, Shape};
use tch::Tensor;

use super::seed::Draws;
use crate::{
    adapter::{BlockFactors, block_parts, block_run},
    batch::PlacedBatch,
    loss::loss_and_gradient,
    model::{Dropout, Model, dot},
    torch::{TorchError, in_place},
};

/// One batch.
pub(super) struct Pass<'a> {
    pub(super) model: &'a Model,
    pub(super) shape: &'a Shape,
    pub(super) flat: &'a Tensor,
    pub(super) batch: &'a PlacedBatch,
    pub(super) dropout: Dropout,
    pub(super) draws: Draws<'a>,
    /// By which the gradient is multiplied.
    pub(super) scale: f64,
}

/// What the batches of a step add up to.
#[derive(Default)]
pub(super) struct Total {
    /// Sum of the losses.
    pub(super) sum: f64,
    /// Gradient, flat; made when the first one is known, so that it does not stand beside all that going back needs.
    pub(super) gradient: Option<Tensor>,
}

/// A block's values as leaves of a graph: they share memory with the flat array.
struct Leaves {
    a: Tensor,
    b: Tensor,
    factors: BlockFactors,
}

impl Pass<'_> {
    /// Keeps everything that going back needs.
    pub(super) fn kept(&self, total: &mut Total) -> Result<(), TorchError> {
        let mut x = self.model.embed(&self.batch.inputs)?;
        let mut leaves = Vec::with_capacity(self.model.depth());
        for block in 0..self.model.depth() {
            let own = self.leaves(block)?;
            x = self.forward(block, &x, &own)?;
            leaves.push((own.a, own.b));
        }
        let hidden = self.batch.predicting(self.model.last_norm(&x)?)?;
        drop(x);
        let (sum, upstream) = loss_and_gradient(self.model, &hidden, &self.batch.targets, self.scale)?;
        let inputs: Vec<&Tensor> = leaves.iter().flat_map(|(a, b)| [a, b]).collect();
        let gradients = Tensor::f_run_backward(&[dot(&hidden, &upstream)?], &inputs, false, false)?;
        for (block, pair) in gradients.chunks(2).enumerate() {
            self.add(block, pair, total)?;
        }
        total.sum += sum;
        Ok(())
    }

    /// Keeps the inputs of the blocks and goes through each of them again, but for its output projection. The same gradient, bit for bit.
    pub(super) fn recomputed(&self, total: &mut Total) -> Result<(), TorchError> {
        let mut inputs = Vec::with_capacity(self.model.depth());
        let last = {
            let _guard = tch::no_grad_guard();
            let mut x = self.model.embed(&self.batch.inputs)?;
            for block in 0..self.model.depth() {
                let next = self.forward(block, &x, &self.leaves(block)?)?;
                inputs.push(std::mem::replace(&mut x, next));
            }
            x
        };
        let last = last.f_set_requires_grad(true)?;
        let hidden = self.batch.predicting(self.model.last_norm(&last)?)?;
        let (sum, upstream) = loss_and_gradient(self.model, &hidden, &self.batch.targets, self.scale)?;
        let mut upstream = first(Tensor::f_run_backward(&[dot(&hidden, &upstream)?], &[&last], false, false)?)?;
        drop((hidden, last));
        while let Some(x) = inputs.pop() {
            let block = inputs.len();
            let x = x.f_set_requires_grad(block > 0)?;
            let own = self.leaves(block)?;
            self.draws.seed_block(block);
            let factors = (&own.factors, self.dropout);
            let inner = self.model.inner(block, &x, &self.batch.span, factors)?;
            let product = self.model.outer_product(block, (&x, &inner), &upstream, factors)?;
            let wanted = [&own.a, &own.b, &x];
            let wanted = if block > 0 { &wanted[..] } else { &wanted[..2] };
            let mut gradients = Tensor::f_run_backward(&[product], wanted, false, false)?;
            if block > 0 {
                upstream = gradients.pop().ok_or_else(lost)?;
            }
            self.add(block, &gradients, total)?;
        }
        total.sum += sum;
        Ok(())
    }

    fn forward(&self, block: usize, x: &Tensor, own: &Leaves) -> Result<Tensor, TorchError> {
        self.draws.seed_block(block);
        let factors = (&own.factors, self.dropout);
        let inner = self.model.inner(block, x, &self.batch.span, factors)?;
        self.model.outer(block, x, &inner, factors)
    }

    fn leaves(&self, block: usize) -> Result<Leaves, TorchError> {
        let (a, b) = block_parts(self.shape, block, self.flat)?;
        let leaf = |part: Tensor| Ok::<_, TorchError>(part.f_detach()?.f_set_requires_grad(true)?);
        let (a, b) = (leaf(a)?, leaf(b)?);
        Ok(Leaves { factors: BlockFactors::new(self.shape, block, &a, &b)?, a, b })
    }

    /// Adds the gradients of a block's A and B where they belong.
    fn add(&self, block: usize, pair: &[Tensor], total: &mut Total) -> Result<(), TorchError> {
        let gradient = match total.gradient.take() {
            Some(gradient) => gradient,
            None => self.flat.f_zeros_like()?,
        };
        for (factor, part) in [Factor::A, Factor::B].into_iter().zip(pair) {
            let (start, length) = block_run(self.shape, block, factor);
            in_place(gradient.f_narrow(0, start, length)?.f_add_(part))?;
        }
        total.gradient = Some(gradient);
        Ok(())
    }
}

fn first(gradients: Vec<Tensor>) -> Result<Tensor, TorchError> {
    gradients.into_iter().next().ok_or_else(lost)
}

fn lost() -> TorchError {
    TorchError::Other("a gradient is missing".to_owned())
}
