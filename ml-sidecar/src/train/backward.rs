//! Forward and back through a model, for the gradient of its adapter.

use pol_core::state::{Factor, Shape};
use tch::Tensor;

use super::seed::Draws;
use crate::{
    adapter::{LayerFactors, layer_parts, layer_run},
    batch::PlacedBatch,
    loss::loss_and_gradient,
    model::{Dropout, Model},
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

/// A layer's values as leaves of a graph: they share memory with the flat array.
struct Leaves {
    a: Tensor,
    b: Tensor,
}

impl Pass<'_> {
    /// Keeps everything that going back needs. Adds to `gradient`; gives the sum of the losses.
    pub(super) fn kept(&self, gradient: &mut Tensor) -> Result<f64, TorchError> {
        let mut x = self.model.embed(&self.batch.inputs)?;
        let mut leaves = Vec::with_capacity(self.model.depth());
        for layer in 0..self.model.depth() {
            let own = self.leaves(layer)?;
            x = self.layer(layer, &x, &own)?;
            leaves.push(own);
        }
        let hidden = self.batch.predicting(self.model.last_norm(&x)?)?;
        drop(x);
        let (sum, upstream) = loss_and_gradient(self.model, &hidden, &self.batch.targets, self.scale)?;
        let inputs: Vec<&Tensor> = leaves.iter().flat_map(|own| [&own.a, &own.b]).collect();
        let gradients = back(&hidden, &upstream, &inputs)?;
        for (layer, pair) in gradients.chunks(2).enumerate() {
            self.add(layer, pair, gradient)?;
        }
        Ok(sum)
    }

    /// Keeps the inputs of the layers and goes through each of them again. The same gradient, bit for bit.
    pub(super) fn recomputed(&self, gradient: &mut Tensor) -> Result<f64, TorchError> {
        let mut inputs = Vec::with_capacity(self.model.depth());
        let last = {
            let _guard = tch::no_grad_guard();
            let mut x = self.model.embed(&self.batch.inputs)?;
            for layer in 0..self.model.depth() {
                let next = self.layer(layer, &x, &self.leaves(layer)?)?;
                inputs.push(std::mem::replace(&mut x, next));
            }
            x
        };
        let last = last.f_set_requires_grad(true)?;
        let hidden = self.batch.predicting(self.model.last_norm(&last)?)?;
        let (sum, upstream) = loss_and_gradient(self.model, &hidden, &self.batch.targets, self.scale)?;
        let mut upstream = first(back(&hidden, &upstream, &[&last])?)?;
        drop((hidden, last));
        while let Some(x) = inputs.pop() {
            let layer = inputs.len();
            let x = x.f_set_requires_grad(layer > 0)?;
            let own = self.leaves(layer)?;
            let out = self.layer(layer, &x, &own)?;
            let inputs = [&own.a, &own.b, &x];
            let mut gradients = back(&out, &upstream, if layer > 0 { &inputs } else { &inputs[..2] })?;
            if layer > 0 {
                upstream = gradients.pop().ok_or_else(lost)?;
            }
            self.add(layer, &gradients, gradient)?;
        }
        Ok(sum)
    }

    fn layer(&self, layer: usize, x: &Tensor, own: &Leaves) -> Result<Tensor, TorchError> {
        self.draws.seed_layer(layer);
        let factors = LayerFactors::new(self.shape, &own.a, &own.b)?;
        self.model.layer(layer, x, &self.batch.span, Some(&factors), self.dropout, None)
    }

    fn leaves(&self, layer: usize) -> Result<Leaves, TorchError> {
        let (a, b) = layer_parts(self.shape, number(layer), self.flat)?;
        let leaf = |part: Tensor| Ok::<_, TorchError>(part.f_detach()?.f_set_requires_grad(true)?);
        Ok(Leaves { a: leaf(a)?, b: leaf(b)? })
    }

    /// Adds the gradients of a layer's A and B where they belong.
    fn add(&self, layer: usize, pair: &[Tensor], gradient: &mut Tensor) -> Result<(), TorchError> {
        for (factor, part) in [Factor::A, Factor::B].into_iter().zip(pair) {
            let (start, length) = layer_run(self.shape, number(layer), factor);
            in_place(gradient.f_narrow(0, start, length)?.f_add_(part))?;
        }
        Ok(())
    }
}

/// Gradients of `inputs`, given that of `output`: those of the scalar product of the two.
fn back(output: &Tensor, upstream: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>, TorchError> {
    let product = output.f_flatten(0, -1)?.f_dot(&upstream.f_flatten(0, -1)?)?;
    Ok(Tensor::f_run_backward(&[product], inputs, false, false)?)
}

fn first(gradients: Vec<Tensor>) -> Result<Tensor, TorchError> {
    gradients.into_iter().next().ok_or_else(lost)
}

fn lost() -> TorchError {
    TorchError::Other("a gradient is missing".to_owned())
}

fn number(layer: usize) -> u32 {
    u32::try_from(layer).unwrap_or(u32::MAX)
}
