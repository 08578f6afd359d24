//! Token sequences side by side.

use tch::Tensor;

use crate::{
    model::{Model, ModelError, Span},
    torch::TorchError,
    weights::as_i64,
};

/// Sequences of tokens, padded on the right to the longest. Every token but the first of a sequence is predicted from those before it.
///
/// Padding stands behind what it could change: causal attention does not look at it, and no loss is taken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Tokens that go in: all of a sequence but the last; (sequences * length), padded with zeros.
    inputs: Vec<u32>,
    /// Tokens to be predicted, sequence by sequence.
    targets: Vec<u32>,
    /// Where in `inputs` they are predicted; None: everywhere.
    places: Option<Vec<i64>>,
    sequences: i64,
    length: i64,
}

impl Batch {
    /// Puts sequences together. Those of fewer than two tokens predict nothing and are left out; None when none is left.
    pub fn new<T: AsRef<[u32]>>(sequences: &[T]) -> Option<Self> {
        let sequences: Vec<&[u32]> = sequences.iter().map(AsRef::as_ref).filter(|tokens| tokens.len() > 1).collect();
        let length = sequences.iter().map(|tokens| tokens.len()).max()?.saturating_sub(1);
        let mut inputs = Vec::with_capacity(sequences.len().saturating_mul(length));
        let (mut targets, mut places) = (Vec::new(), Vec::new());
        for tokens in &sequences {
            let Some((_, before)) = tokens.split_last() else { continue };
            let start = inputs.len();
            places.extend((start..start.saturating_add(before.len())).map(|place| as_i64(place as u64)));
            targets.extend_from_slice(&tokens[1..]);
            inputs.extend_from_slice(before);
            inputs.resize(start.saturating_add(length), 0);
        }
        let places = if places.len() == inputs.len() { None } else { Some(places) };
        let (sequences, length) = (as_i64(sequences.len() as u64), as_i64(length as u64));
        Some(Self { inputs, targets, places, sequences, length })
    }

    /// Tokens that it predicts.
    pub const fn token_count(&self) -> usize {
        self.targets.len()
    }

    /// Tokens that it computes, padding included.
    pub const fn row_count(&self) -> usize {
        self.inputs.len()
    }

    /// Onto the model's device, tokens checked.
    pub(crate) fn place(&self, model: &Model) -> Result<PlacedBatch, ModelError> {
        let device = model.device().tch();
        let places = self.places.as_ref().map(|places| Tensor::f_from_slice(places)?.f_to(device));
        Ok(PlacedBatch {
            inputs: model.token_tensor(&self.inputs)?,
            targets: model.token_tensor(&self.targets)?,
            places: places.transpose().map_err(TorchError::from)?,
            span: model.span(self.sequences, self.length, 0)?,
        })
    }
}

/// A batch on a device.
#[derive(Debug)]
pub(crate) struct PlacedBatch {
    pub(crate) inputs: Tensor,
    pub(crate) targets: Tensor,
    places: Option<Tensor>,
    pub(crate) span: Span,
}

impl PlacedBatch {
    /// The rows of (batch * length, width) at which something is predicted. Differentiable.
    pub(crate) fn predicting(&self, hidden: Tensor) -> Result<Tensor, TorchError> {
        match &self.places {
            None => Ok(hidden),
            Some(places) => Ok(hidden.f_index_select(0, places)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_predicted_once() {
        let batch = Batch::new(&[vec![1, 2, 3], vec![4, 5, 6, 7]]).unwrap();
        assert_eq!((&batch.inputs[..], &batch.targets[..]), (&[1, 2, 0, 4, 5, 6][..], &[2, 3, 5, 6, 7][..]));
        assert_eq!((batch.places.as_deref(), batch.sequences, batch.length), (Some(&[0, 1, 3, 4, 5][..]), 2, 3));
        let even = Batch::new(&[vec![1, 2, 3], vec![4, 5, 6]]).unwrap();
        assert_eq!((even.places, even.targets, even.length), (None, vec![2, 3, 5, 6], 2));
    }

    #[test]
    fn sequences_that_predict_nothing_are_left_out() {
        assert_eq!(Batch::new(&[vec![], vec![1]]), None);
        assert_eq!(Batch::new::<Vec<u32>>(&[]), None);
        assert_eq!(Batch::new(&[vec![], vec![1, 2], vec![3]]), Batch::new(&[vec![1, 2]]));
    }
}
