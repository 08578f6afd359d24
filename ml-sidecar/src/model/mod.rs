//! Causal language models of the Qwen2 and Llama families.
//!
//! # Contract
//! [`Model::load`] takes weights by their Hugging Face names and keeps them frozen, in one copy, query/key/value and gate/up side by side.
//! What it computes is what transformers computes, to the tolerances of testing/parity. Adapters stay apart from the weights, always.
//!
//! # Why this way
//! Attention is fused (`scaled_dot_product_attention`): the plain form overflows in FP16 and is off by percents in BF16. Sequences are padded
//! on the right only, where causal attention needs no mask.
//!
//! # What it does not protect against
//! Sequences longer than [`ModelConfig::positions`] are computed as well; what a model makes of them is its own affair.

mod block;
mod cache;
mod config;
mod parameters;
mod rope;

pub use cache::KeyValueCache;
pub use config::{CONFIG_BYTES_MAX, ConfigError, Family, ModelConfig};
pub use rope::{Llama3Scaling, Rope};

pub(crate) use block::{Dropout, Span, dot};

use block::Block;
use pol_core::state::Shape;
use tch::{Kind, Tensor};

use crate::{
    adapter::{Adapter, AdapterError, BlockFactors, block_count},
    device::Device,
    precision::Precision,
    torch::TorchError,
    weights::{self, WeightError, WeightSource, as_i64},
};

/// Why a model does not compute.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The adapter is another model's, or on another device. The caller's fault.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A token that the model does not have. The caller's fault: another tokenizer.
    #[error("token {found}, expected below {vocabulary}")]
    Token {
        /// The token.
        found: u32,
        /// Tokens of the model.
        vocabulary: u32,
    },
    /// No token to continue.
    #[error("no tokens")]
    Empty,
    /// A cache that is not empty takes one token at a time. The caller's fault.
    #[error("{found} tokens for a cache that holds some, expected 1")]
    Cache {
        /// Tokens given.
        found: usize,
    },
    /// No memory, or our fault.
    #[error("{0}")]
    Torch(#[from] TorchError),
}

/// A base model on a device, frozen.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    device: Device,
    precision: Precision,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: Tensor,
    /// None: the embedding.
    head: Option<Tensor>,
}

impl Model {
    /// Loads a checkpoint. Memory: [`ModelConfig::parameter_count`] numbers, and little beside.
    ///
    /// # Errors
    /// [`WeightError`]: the checkpoint is not the one of this config, or memory is full.
    pub fn load(
        source: &dyn WeightSource,
        config: ModelConfig,
        device: Device,
        precision: Precision,
    ) -> Result<Self, WeightError> {
        weights::check(source, &config)?;
        let loader = Loader { source, device, precision };
        let shape = config.shape;
        let (vocabulary, hidden) = (as_i64(config.vocabulary.into()), as_i64(shape.hidden().into()));
        let embedding = loader.tensor(&["model.embed_tokens.weight"], &[vocabulary, hidden])?;
        let blocks = (0..block_count(&shape)).map(|block| Block::load(&loader, &config, block)).collect::<Result<_, _>>()?;
        let norm = loader.tensor(&["model.norm.weight"], &[hidden])?;
        let head = if config.tied_head { None } else { Some(loader.tensor(&["lm_head.weight"], &[vocabulary, hidden])?) };
        Ok(Self { config, device, precision, embedding, blocks, norm, head })
    }

    /// What it is.
    pub const fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Shape of its adapters.
    pub const fn shape(&self) -> &Shape {
        &self.config.shape
    }

    /// Where it is.
    pub const fn device(&self) -> Device {
        self.device
    }

    /// Numbers it computes with.
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Logits after every token of one sequence: (tokens, vocabulary), FP32, on the model's device.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn logits(&self, adapter: Option<&Adapter>, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let _guard = tch::no_grad_guard();
        let hidden = self.run(adapter, tokens, None)?;
        Ok(self.head_logits(&hidden)?)
    }

    /// Logits of the token that follows: (vocabulary), FP32. The cache takes the tokens in: first a whole prompt, then one at a time.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn next_logits(
        &self,
        adapter: Option<&Adapter>,
        tokens: &[u32],
        cache: &mut KeyValueCache,
    ) -> Result<Tensor, ModelError> {
        let _guard = tch::no_grad_guard();
        if !cache.is_empty() && tokens.len() != 1 {
            return Err(ModelError::Cache { found: tokens.len() });
        }
        let hidden = self.run(adapter, tokens, Some(cache))?;
        let last = hidden.f_narrow(0, as_i64(tokens.len() as u64).saturating_sub(1), 1).map_err(TorchError::from)?;
        Ok(self.head_logits(&last)?.f_squeeze_dim(0).map_err(TorchError::from)?)
    }

    fn run(&self, adapter: Option<&Adapter>, tokens: &[u32], cache: Option<&mut KeyValueCache>) -> Result<Tensor, ModelError> {
        if tokens.is_empty() {
            return Err(ModelError::Empty);
        }
        let factors = adapter.map(|adapter| adapter.factors_for(self)).transpose()?;
        let ids = self.token_tensor(tokens)?;
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        let span = self.span(1, as_i64(tokens.len() as u64), start)?;
        Ok(self.hidden(&ids, &span, factors, cache)?)
    }

    /// Tokens as a tensor on the model's device, each of them checked.
    pub(crate) fn token_tensor(&self, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let vocabulary = self.config.vocabulary;
        if let Some(&found) = tokens.iter().find(|token| **token >= vocabulary) {
            return Err(ModelError::Token { found, vocabulary });
        }
        let ids: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
        let ids = Tensor::f_from_slice(&ids).map_err(TorchError::from)?;
        Ok(ids.f_to(self.device.tch()).map_err(TorchError::from)?)
    }

    /// Positions of `batch` sequences of `length` tokens from `start`.
    pub(crate) fn span(&self, batch: i64, length: i64, start: i64) -> Result<Span, TorchError> {
        let tables = self.config.rope.tables(i64::from(self.config.head_dimension), start, length, self.device.tch())?;
        Ok(Span { batch, length, tables })
    }

    /// The last norm's output for token ids (batch * length): (batch * length, hidden), without dropout or gradients.
    pub(crate) fn hidden(
        &self,
        ids: &Tensor,
        span: &Span,
        factors: Option<&[BlockFactors]>,
        mut cache: Option<&mut KeyValueCache>,
    ) -> Result<Tensor, TorchError> {
        let mut x = self.embed(ids)?;
        for index in 0..self.depth() {
            let factors = (factors.and_then(|factors| factors.get(index)), Dropout::OFF);
            let block = self.block(index)?;
            let cache = cache.as_deref_mut().filter(|_| index.is_multiple_of(2)).map(|cache| cache.layer(index / 2));
            let inner = block.inner(&self.config, &x, span, factors, cache)?;
            x = block.outer(&x, &inner, factors)?;
        }
        if let Some(cache) = cache {
            cache.advance(span.length);
        }
        self.last_norm(&x)
    }

    /// Embeddings of token ids: (ids, hidden).
    pub(crate) fn embed(&self, ids: &Tensor) -> Result<Tensor, TorchError> {
        Ok(self.embedding.f_index_select(0, ids)?)
    }

    /// What a block computes before its output projection, from (batch * length, hidden). In training.
    pub(crate) fn inner(
        &self,
        block: usize,
        x: &Tensor,
        span: &Span,
        factors: (&BlockFactors, Dropout),
    ) -> Result<Tensor, TorchError> {
        self.block(block)?.inner(&self.config, x, span, (Some(factors.0), factors.1), None)
    }

    /// A block's output, from its input and what [`Self::inner`] gave. In training.
    pub(crate) fn outer(
        &self,
        block: usize,
        x: &Tensor,
        inner: &Tensor,
        factors: (&BlockFactors, Dropout),
    ) -> Result<Tensor, TorchError> {
        self.block(block)?.outer(x, inner, (Some(factors.0), factors.1))
    }

    /// See [`Block::outer_product`].
    pub(crate) fn outer_product(
        &self,
        block: usize,
        (x, inner): (&Tensor, &Tensor),
        upstream: &Tensor,
        factors: (&BlockFactors, Dropout),
    ) -> Result<Tensor, TorchError> {
        self.block(block)?.outer_product(x, inner, upstream, factors)
    }

    fn block(&self, index: usize) -> Result<&Block, TorchError> {
        self.blocks.get(index).ok_or_else(|| TorchError::Other(format!("no block {index}")))
    }

    /// Blocks: two a layer.
    pub(crate) const fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The norm after the last block.
    pub(crate) fn last_norm(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        block::norm(x, &self.norm, self.config.norm_epsilon)
    }

    /// The matrix that turns hidden values into logits: (vocabulary, hidden).
    pub(crate) fn head(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// FP32 logits of hidden values (rows, hidden).
    pub(crate) fn head_logits(&self, hidden: &Tensor) -> Result<Tensor, TorchError> {
        Ok(hidden.f_linear(self.head(), None::<&Tensor>)?.f_to_kind(Kind::Float)?)
    }
}

/// Takes tensors out of a source, onto the device.
pub(crate) struct Loader<'a> {
    source: &'a dyn WeightSource,
    device: Device,
    precision: Precision,
}

impl Loader<'_> {
    /// The named tensors below each other, as one.
    fn tensor(&self, names: &[&str], size: &[i64]) -> Result<Tensor, WeightError> {
        let _guard = tch::no_grad_guard();
        let target = Tensor::f_empty(size, (self.precision.kind(), self.device.tch())).map_err(TorchError::from)?;
        let mut row = 0_i64;
        for name in names {
            let rows = self.source.shape(name).and_then(|shape| shape.first().copied()).map_or(0, as_i64);
            let mut part = target.f_narrow(0, row, rows).map_err(TorchError::from)?;
            weights::read_into(self.source, name, &mut part)?;
            row = row.saturating_add(rows);
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests;
