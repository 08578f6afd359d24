//! Keys and values of the tokens so far, for generating text.

use tch::Tensor;

use crate::torch::TorchError;

/// Keys and values of one sequence. It belongs to one model and one adapter; its memory grows with every token.
#[derive(Debug, Default)]
pub struct KeyValueCache {
    layers: Vec<LayerCache>,
    length: i64,
}

/// Keys and values of one layer: (1, heads, length, `head_dimension`) each.
#[derive(Debug, Default)]
pub(crate) struct LayerCache(Option<(Tensor, Tensor)>);

impl KeyValueCache {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tokens in it.
    pub(crate) const fn len(&self) -> i64 {
        self.length
    }

    /// Whether there is no token in it.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut LayerCache {
        if self.layers.len() <= index {
            self.layers.resize_with(index.saturating_add(1), LayerCache::default);
        }
        &mut self.layers[index]
    }

    pub(crate) const fn advance(&mut self, tokens: i64) {
        self.length = self.length.saturating_add(tokens);
    }
}

impl LayerCache {
    /// Adds keys and values at the end; gives all of them.
    pub(crate) fn extend(&mut self, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor), TorchError> {
        let all = match self.0.take() {
            None => (key, value),
            Some((keys, values)) => (Tensor::f_cat(&[keys, key], 2)?, Tensor::f_cat(&[values, value], 2)?),
        };
        self.0 = Some((all.0.shallow_clone(), all.1.shallow_clone()));
        Ok(all)
    }
}
