//! Next-token losses of texts.
//!
//! # Contract
//! Evaluation has no dropout: two calls give the same bits. Texts are sorted by length into batches that depend on the lengths alone, so
//! that two evaluations of the same texts pad and round alike. Log-softmax is FP32; a text's losses are summed in FP64 in token order, and the
//! texts' in text order.
//!
//! # What it does not protect against
//! Devices, thread counts and versions of LibTorch round differently, in the seventh digit with FP32.

use tch::{Kind, Tensor};

use crate::{
    adapter::Adapter,
    batch::Batch,
    model::{Model, ModelError},
    torch::{TorchError, in_place},
    weights::as_i64,
};

/// Texts of one batch, at most.
const TEXTS_MAX: usize = 32;
/// Rows (tokens and padding) of one batch, unless one text is longer: what fits a CPU's caches, and what fills a GPU.
const ROWS_CPU: usize = 2_048;
const ROWS_CUDA: usize = 16_384;
/// Bytes of FP32 logits at one time: blocks of up to 32 MiB are used again by the allocator, larger ones come from the system each time, page
/// by page.
const LOGITS_BYTES: u64 = 24 << 20;

/// Loss of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextLoss {
    /// Sum over its predicted tokens, nats.
    pub sum: f64,
    /// Predicted tokens: all but the first.
    pub tokens: usize,
}

/// Losses of texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Losses {
    /// One per text.
    pub texts: Vec<TextLoss>,
}

impl Losses {
    /// Predicted tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.texts.iter().map(|text| text.tokens).sum()
    }

    /// Nats per predicted token; None without one. Not finite when a loss is not.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.texts.iter().map(|text| text.sum).sum();
        let tokens = self.tokens();
        (tokens > 0).then(|| sum / tokens as f64)
    }
}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Predicted tokens so far.
    pub tokens: usize,
    /// Predicted tokens in all.
    pub total_tokens: usize,
    /// Sum of the losses so far, nats. No loss is negative, so the sum at the end is at least this.
    pub sum: f64,
}

impl Model {
    /// Losses of texts, each given as its tokens.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn losses<T: AsRef<[u32]>>(&self, adapter: Option<&Adapter>, texts: &[T]) -> Result<Losses, ModelError> {
        let all = self.losses_while(adapter, texts, &mut |_| true)?;
        Ok(all.unwrap_or_else(|| Losses { texts: Vec::new() }))
    }

    /// The same, as long as `go_on` says so, which is asked after every batch; None when it did not.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn losses_while<T: AsRef<[u32]>>(
        &self,
        adapter: Option<&Adapter>,
        texts: &[T],
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Losses>, ModelError> {
        let _guard = tch::no_grad_guard();
        let factors = adapter.map(|adapter| adapter.factors_for(self)).transpose()?;
        let predicted = |text: &T| text.as_ref().len().saturating_sub(1);
        let mut losses: Vec<_> = texts.iter().map(|text| TextLoss { sum: 0.0, tokens: predicted(text) }).collect();
        let total_tokens = texts.iter().map(predicted).sum();
        let mut progress = Progress { tokens: 0, total_tokens, sum: 0.0 };
        let rows_max = if self.device().is_cuda() { ROWS_CUDA } else { ROWS_CPU };
        for members in plan(&texts.iter().map(predicted).collect::<Vec<_>>(), rows_max) {
            let tokens: Vec<&[u32]> = members.iter().map(|text| texts[*text].as_ref()).collect();
            let Some(batch) = Batch::new(&tokens) else { continue };
            let placed = batch.place(self)?;
            let hidden = placed.predicting(self.hidden(&placed.inputs, &placed.span, factors, None)?)?;
            let values = token_losses(self, &hidden, &placed.targets)?;
            let mut rest = &values[..];
            for text in members {
                let (own, others) = rest.split_at(losses[text].tokens);
                losses[text].sum = own.iter().map(|loss| f64::from(*loss)).sum();
                progress.sum += losses[text].sum;
                rest = others;
            }
            progress.tokens += batch.token_count();
            if !go_on(progress) {
                return Ok(None);
            }
        }
        Ok(Some(Losses { texts: losses }))
    }
}

/// Which texts go together: by length, then by place; those that predict nothing nowhere.
fn plan(lengths: &[usize], rows_max: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).filter(|text| lengths[*text] > 0).collect();
    order.sort_by_key(|text| (lengths[*text], *text));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for text in order {
        // Sorted: a batch is as long as the text that joins it.
        match batches.last_mut() {
            Some(batch) if batch.len() < TEXTS_MAX && (batch.len() + 1).saturating_mul(lengths[text]) <= rows_max => {
                batch.push(text)
            }
            _ => batches.push(vec![text]),
        }
    }
    batches
}

/// Rows of logits to compute at a time.
fn rows_at_a_time(vocabulary: u32) -> i64 {
    as_i64((LOGITS_BYTES / 4 / u64::from(vocabulary.max(1))).clamp(128, 4_096))
}

/// FP32 losses of targets (rows), predicted from hidden values (rows, hidden). Logits of all rows at once could need gigabytes.
fn token_losses(model: &Model, hidden: &Tensor, targets: &Tensor) -> Result<Vec<f32>, TorchError> {
    let rows = hidden.size().first().copied().unwrap_or(0);
    let mut losses = Vec::new();
    for (start, length) in runs(rows, rows_at_a_time(model.config().vocabulary)) {
        let logits = model.head_logits(&hidden.f_narrow(0, start, length)?)?;
        let (values, ..) = cross_entropy(logits, &targets.f_narrow(0, start, length)?)?;
        losses.extend(crate::adapter::to_vec(&values)?);
    }
    Ok(losses)
}

/// Sum of the losses of targets (rows), in nats, and its gradient by the hidden values (rows, hidden), times `scale`.
///
/// By hand instead of by autograd: the head is frozen, so softmax - one-hot times the head is all there is, and logits need not be kept.
pub(crate) fn loss_and_gradient(
    model: &Model,
    hidden: &Tensor,
    targets: &Tensor,
    scale: f64,
) -> Result<(f64, Tensor), TorchError> {
    let _guard = tch::no_grad_guard();
    let rows = hidden.size().first().copied().unwrap_or(0);
    let (mut sum, mut gradients) = (0.0, Vec::new());
    for (start, length) in runs(rows, rows_at_a_time(model.config().vocabulary)) {
        let logits = model.head_logits(&hidden.f_narrow(0, start, length)?)?;
        let targets = targets.f_narrow(0, start, length)?;
        let (values, mut exponentials, sums) = cross_entropy(logits, &targets)?;
        sum += values.f_sum(Kind::Double)?.f_double_value(&[])?;
        in_place(exponentials.f_div_(&sums))?;
        let minus_one = Tensor::f_full([length, 1], -1.0, (Kind::Float, model.device().tch()))?;
        in_place(exponentials.f_scatter_add_(1, &targets.f_unsqueeze(1)?, &minus_one))?;
        let difference = exponentials.f_to_kind(hidden.f_kind()?)?;
        gradients.push(difference.f_mm(model.head())?.f_mul_scalar_(scale)?);
    }
    Ok((sum, Tensor::f_cat(&gradients, 0)?))
}

/// Losses of targets (rows) by logits (rows, vocabulary), all FP32; and what softmax is made of, in the logits' own memory: the exponentials
/// and their sums (rows, 1).
fn cross_entropy(mut logits: Tensor, targets: &Tensor) -> Result<(Tensor, Tensor, Tensor), TorchError> {
    let greatest = logits.f_amax([-1], true)?;
    in_place(logits.f_sub_(&greatest))?;
    let wanted = logits.f_gather(1, &targets.f_unsqueeze(1)?, false)?;
    let exponentials = logits.f_exp_()?;
    let sums = exponentials.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
    Ok((sums.f_log()?.f_sub(&wanted)?.f_squeeze_dim(-1)?, exponentials, sums))
}

/// Runs of at most `most` that cover `rows`: start and length.
fn runs(rows: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    let step = usize::try_from(most.max(1)).unwrap_or(1);
    (0..rows).step_by(step).map(move |start| (start, most.min(rows - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_and_batches_are_bounded() {
        let lengths: Vec<usize> = (0..100).map(|text| (text * 37) % 83).collect();
        let batches = plan(&lengths, 256);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).filter(|text| lengths[*text] > 0).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch.iter().map(|text| lengths[*text]).max().unwrap();
            assert!(batch.len() <= TEXTS_MAX && (batch.len() == 1 || batch.len() * longest <= 256));
        }
        assert_eq!(plan(&[5_000, 0, 1], 256), vec![vec![2], vec![0]]);
    }

    #[test]
    fn runs_cover_all_rows_once() {
        assert_eq!(runs(10, 4).collect::<Vec<_>>(), [(0, 4), (4, 4), (8, 2)]);
        assert_eq!(runs(0, 4).count(), 0);
        assert_eq!(rows_at_a_time(49_152), 128);
        assert_eq!((rows_at_a_time(1 << 20), rows_at_a_time(16)), (128, 4_096));
    }
}
