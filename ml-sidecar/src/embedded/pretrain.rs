//! The embedded model's weights: drawn from the seed, then trained, all of them, on the built-in corpus.

use std::{collections::BTreeMap, ops::Range};

use pol_core::sha256;
use safetensors::{Dtype, tensor::TensorView};
use tch::{Kind, Tensor};

use super::{Progress, Recipe};
use crate::{
    adapter::to_vec,
    batch::Batch,
    corpus::{Corpus, Topic},
    device::Device,
    model::{ConfigError, Model, ModelConfig, ModelError},
    precision::Precision,
    tokens::{Tokenizer, TokenizerError},
    torch::{TorchError, in_place},
    train::AdamW,
    weights::{WeightError, WeightSource, as_i64, expected},
};

const TAG: &[u8] = b"pol-ai/embedded/v1";
const WARMUP_STEPS: u64 = 20;
const CLIP_NORM: f64 = 1.0;
/// The corpus of `train` is another by its seed.
const CORPUS_OFFSET: u64 = 1 << 40;
/// Only the English topics: so there is much left to learn for the trainers of a devnet.
const TOPICS: &[Topic] = &[
    Topic::Events,
    Topic::Facts,
    Topic::Arithmetic,
    Topic::Trade,
    Topic::Weather,
    Topic::Dialogue,
    Topic::Code,
    Topic::Advice,
    Topic::Travel,
    Topic::Craft,
];

/// Why no weights were made.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// Our config: our fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Our tokenizer: our fault.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Loading what was drawn.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// Computing.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No memory, or our fault.
    #[error("{0}")]
    Torch(#[from] TorchError),
    /// The loss is not finite: our fault.
    #[error("step {step}: the loss is not finite")]
    NotFinite {
        /// The step.
        step: u64,
    },
    /// No safetensors file can be made: our fault.
    #[error(transparent)]
    Safetensors(#[from] safetensors::SafeTensorError),
}

/// Content of the model's `model.safetensors`, FP32.
pub(super) fn weights(
    recipe: &Recipe,
    seed: u64,
    config_json: &str,
    tokenizer_json: &[u8],
    on_step: &mut dyn FnMut(Progress),
) -> Result<Vec<u8>, PretrainError> {
    let config = ModelConfig::parse(config_json)?;
    let tokenizer = Tokenizer::parse(tokenizer_json)?;
    let drawn = Drawn { shapes: expected(&config), seed };
    let model = Model::load(&drawn, config, Device::cpu(), Precision::F32)?;
    let threads = tch::get_num_threads();
    tch::set_num_threads(recipe.threads);
    let trained = train(recipe, seed, &model, &tokenizer, on_step);
    tch::set_num_threads(threads);
    trained?;
    save(&model)
}

fn train(
    recipe: &Recipe,
    seed: u64,
    model: &Model,
    tokenizer: &Tokenizer,
    on_step: &mut dyn FnMut(Progress),
) -> Result<(), PretrainError> {
    let optimizer = AdamW { learning_rate: recipe.learning_rate, weight_decay: 0.1, ..AdamW::default() };
    let mut stream =
        Stream { corpus: Corpus::new(seed.wrapping_add(CORPUS_OFFSET), TOPICS), next: 0, tokenizer, rest: Vec::new() };
    let mut leaves = Vec::new();
    for parameter in model.parameters() {
        let moments = || parameter.tensor.f_zeros_like().map_err(TorchError::from);
        let (first, second) = (moments()?, moments()?);
        leaves.push((parameter.tensor.f_set_requires_grad(true).map_err(TorchError::from)?, first, second));
    }
    for step in 1..=recipe.steps {
        let sequences = (0..recipe.sequences).map(|_| stream.take(recipe.length + 1)).collect::<Result<Vec<_>, _>>()?;
        let Some(batch) = Batch::new(&sequences) else { continue };
        let loss = loss(model, &batch)?;
        let value = loss.f_double_value(&[]).map_err(TorchError::from)?;
        if !value.is_finite() {
            return Err(PretrainError::NotFinite { step });
        }
        let inputs: Vec<&Tensor> = leaves.iter().map(|(leaf, ..)| leaf).collect();
        let gradients = Tensor::f_run_backward(&[loss], &inputs, false, false).map_err(TorchError::from)?;
        update(&optimizer, &mut leaves, gradients, step, rate(recipe, step))?;
        on_step(Progress { step, steps: recipe.steps, loss: value });
    }
    for (mut leaf, ..) in leaves {
        let _ = leaf.requires_grad_(false);
    }
    Ok(())
}

/// Up from zero, then down to a tenth.
fn rate(recipe: &Recipe, step: u64) -> f64 {
    let up = step as f64 / WARMUP_STEPS as f64;
    let down = 1.0 - 0.9 * step as f64 / recipe.steps.max(1) as f64;
    recipe.learning_rate * up.min(down)
}

/// Mean loss, with a graph to all weights.
fn loss(model: &Model, batch: &Batch) -> Result<Tensor, ModelError> {
    let placed = batch.place(model)?;
    let hidden = placed.predicting(model.hidden(&placed.inputs, &placed.span, None, None)?)?;
    let logits = model.head_logits(&hidden)?;
    let loss = logits.f_cross_entropy_loss(&placed.targets, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0);
    Ok(loss.map_err(TorchError::from)?)
}

fn update(
    optimizer: &AdamW,
    leaves: &mut [(Tensor, Tensor, Tensor)],
    gradients: Vec<Tensor>,
    step: u64,
    rate: f64,
) -> Result<(), TorchError> {
    let _guard = tch::no_grad_guard();
    let mut squares = 0.0;
    for gradient in &gradients {
        squares += gradient.f_norm()?.f_double_value(&[])?.powi(2);
    }
    let clip = (CLIP_NORM / (squares.sqrt() + 1e-6)).min(1.0);
    for ((leaf, first, second), mut gradient) in leaves.iter_mut().zip(gradients) {
        in_place(gradient.f_mul_scalar_(clip))?;
        // Norms and biases are pulled nowhere.
        let weight_decay = if leaf.dim() > 1 { optimizer.weight_decay } else { 0.0 };
        AdamW { weight_decay, ..*optimizer }.update(leaf, &gradient, (first, second), step, rate)?;
    }
    Ok(())
}

/// Endless tokens of the corpus, texts one after the other.
struct Stream<'a> {
    corpus: Corpus,
    next: u64,
    tokenizer: &'a Tokenizer,
    rest: Vec<u32>,
}

impl Stream<'_> {
    fn take(&mut self, count: usize) -> Result<Vec<u32>, TokenizerError> {
        while self.rest.len() < count {
            self.rest.extend(self.tokenizer.encode(&self.corpus.get(self.next))?);
            // Token 0 ends a text.
            self.rest.push(0);
            self.next = self.next.wrapping_add(1);
        }
        Ok(self.rest.drain(..count).collect())
    }
}

/// Weights before training, each drawn from its name and the seed: the same on every machine.
#[derive(Debug)]
struct Drawn {
    shapes: BTreeMap<String, Vec<u64>>,
    seed: u64,
}

impl WeightSource for Drawn {
    fn names(&self) -> Vec<&str> {
        self.shapes.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<u64>> {
        self.shapes.get(name).cloned()
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn rows(&self, name: &str, rows: Range<u64>) -> Result<Tensor, WeightError> {
        let shape = self.shape(name).unwrap_or_default();
        let mut sides = vec![as_i64(rows.end.saturating_sub(rows.start))];
        sides.extend(shape.iter().skip(1).map(|side| as_i64(*side)));
        let on_cpu = (Kind::Float, tch::Device::Cpu);
        let [_, columns] = shape[..] else {
            let value = if name.ends_with(".bias") { 0.0 } else { 1.0 };
            return Ok(Tensor::f_full(&sides[..], value, on_cpu).map_err(TorchError::from)?);
        };
        let values: Vec<f32> = rows.flat_map(|row| self.row(name, row, columns)).collect();
        let flat = Tensor::f_from_slice(&values).map_err(TorchError::from)?;
        Ok(flat.f_view(&sides[..]).map_err(TorchError::from)?)
    }
}

impl Drawn {
    /// Uniform, with the variance that keeps a layer's output as large as its input; embeddings smaller, for they are the head too.
    fn row(&self, name: &str, row: u64, columns: u64) -> Vec<f32> {
        let bound = if name.contains("embed") { 0.04 } else { (1.0 / columns.max(1) as f64).sqrt() };
        let block =
            |block: u64| sha256(&[TAG, &self.seed.to_le_bytes(), name.as_bytes(), &row.to_le_bytes(), &block.to_le_bytes()]);
        let value = |word: &[u8; 4]| ((f64::from(u32::from_le_bytes(*word)) / 2_147_483_648.0 - 1.0) * bound) as f32;
        let values = (0..columns.div_ceil(8)).flat_map(|index| block(index).as_chunks().0.iter().map(value).collect::<Vec<_>>());
        values.take(usize::try_from(columns).unwrap_or(usize::MAX)).collect()
    }
}

/// All tensors under their Hugging Face names.
fn save(model: &Model) -> Result<Vec<u8>, PretrainError> {
    let mut tensors = Vec::new();
    for parameter in model.parameters() {
        let mut start = 0;
        for (name, rows) in parameter.parts {
            let part =
                parameter.tensor.f_detach().and_then(|tensor| tensor.f_narrow(0, start, rows)).map_err(TorchError::from)?;
            let sides = part.size().iter().map(|side| usize::try_from(*side).unwrap_or_default()).collect::<Vec<_>>();
            let bytes: Vec<u8> = to_vec(&part)?.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((name, sides, bytes));
            start += rows;
        }
    }
    let views = tensors.iter().map(|(name, sides, bytes)| Ok((name, TensorView::new(Dtype::F32, sides.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    Ok(safetensors::serialize(views, Some(metadata))?)
}
