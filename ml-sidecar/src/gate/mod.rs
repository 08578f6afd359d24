//! The loss gate: is an update good for the model?
//!
//! # Contract
//! [`Gate::judge`] measures the loss of `DEV_TEXTS` with a state and with the state that a change would give, and lets the rule of
//! `pol-core` (section 12 of docs/PROTOCOL.md) decide. Caps come before any loss. Losses with a state are measured once per model head. The
//! adapter is never merged into the weights; nothing is approximated: BF16 on a CPU is refused. A loss of several texts is the sum over their
//! predicted tokens by the number of those.
//!
//! # What it does not protect against
//! The texts are public: a trainer can overfit them and pass. Two machines' losses differ in the fourth digit; the rule is made for that.

mod judgement;
mod measured;

pub use judgement::{Judgement, Ruling};

use std::time::Instant;

use measured::Measured;
use pol_core::{
    ModelHead, UpdateId,
    delta::{Change, check_module_cap, check_norm_cap},
    gate::{NanoNats, SelfTest, TextSet, prefix_order, self_test, verdict},
    params::{GATE_PREFIX_TOKENS_MIN, GATE_TEXTS, SELF_TEST_TEXTS},
    state::State,
};

use crate::{
    adapter::{Adapter, AdapterError},
    loss::TextLoss,
    model::{Model, ModelError},
    precision::PrecisionError,
};

/// Why there is no judgement.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Numbers too coarse for a verdict. The operator's fault.
    #[error(transparent)]
    Precision(#[from] PrecisionError),
    /// Not as many texts as a gate has: our fault.
    #[error("{found} texts, expected {GATE_TEXTS}")]
    Texts {
        /// How many there are.
        found: usize,
    },
    /// A text of which nothing is predicted, in all 512: a tokenizer that makes one token of everything.
    #[error("the texts have no token to predict: another model's tokenizer?")]
    Tokens,
    /// The model's.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The state's: it is another model's.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name; orders the texts of a prefix.
    pub update_id: UpdateId,
    /// The head it applies to.
    pub head: ModelHead,
    /// The state of that head. The caller's to see to.
    pub state: &'a State,
    /// What it changes.
    pub change: &'a Change,
    /// Norms of the changes that were added, oldest first; see [`pol_core::delta::norm_cap`].
    pub norms: &'a [u64],
}

/// Which texts to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All.
    Full,
    /// A member's own prefix of at least so many tokens (2,000 at least).
    Prefix {
        /// Predicted tokens.
        tokens: u64,
        /// The member's key.
        public_key: [u8; 48],
    },
}

/// A model that judges.
#[derive(Debug)]
pub struct Gate {
    model: Model,
    texts: Vec<Vec<u32>>,
    own: [Option<NanoNats>; SELF_TEST_TEXTS],
    self_test: SelfTest,
    tokens_per_second: f64,
    before: Measured,
}

impl Gate {
    /// Takes a model and the tokens of `DEV_TEXTS`, and runs the self-test against the chain's reference losses. Without references
    /// (no chain) this machine's own losses are taken as true.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn new(model: Model, texts: Vec<Vec<u32>>, references: Option<&[NanoNats; SELF_TEST_TEXTS]>) -> Result<Self, GateError> {
        model.precision().check_for_gate(model.device())?;
        if texts.len() != GATE_TEXTS {
            return Err(GateError::Texts { found: texts.len() });
        }
        let first = texts.get(..SELF_TEST_TEXTS).unwrap_or_default();
        let start = Instant::now();
        let losses = model.losses(None, first)?;
        let tokens_per_second = losses.tokens() as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let mut own = [None; SELF_TEST_TEXTS];
        for (place, loss) in own.iter_mut().zip(&losses.texts) {
            *place = mean(std::slice::from_ref(loss)).map_or(NanoNats::new(0), nano_nats);
        }
        let self_test = references.map_or_else(|| own_self_test(&own), |references| self_test(&own, references));
        let before = Measured::default();
        Ok(Self { model, texts, own, self_test, tokens_per_second, before })
    }

    /// What this machine may say.
    pub const fn self_test(&self) -> SelfTest {
        self.self_test
    }

    /// Losses of the self-test's texts on this machine: the reference losses of a chain that is made here. None: not finite.
    pub const fn own_losses(&self) -> &[Option<NanoNats>; SELF_TEST_TEXTS] {
        &self.own
    }

    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The texts that this machine can measure in so many seconds: all, or a prefix. Never fewer than the 2,000 tokens that a verdict needs.
    pub fn within(&self, seconds: f64, head: &ModelHead, public_key: [u8; 48]) -> Extent {
        let all: u64 = self.texts.iter().map(|text| predicted(text)).sum();
        let passes = if self.before.knows(head) { 1.0 } else { 2.0 };
        let possible = self.tokens_per_second * seconds / passes;
        if all as f64 <= possible { Extent::Full } else { Extent::Prefix { tokens: possible as u64, public_key } }
    }

    /// Judges a change.
    ///
    /// # Errors
    /// [`GateError`]: there is no judgement. A bad update is none of them.
    pub fn judge(&mut self, candidate: &Candidate<'_>, extent: Extent) -> Result<Judgement, GateError> {
        let start = Instant::now();
        let seconds = || start.elapsed().as_secs_f64();
        let empty = Judgement::unmeasured(self.self_test, self.model.device(), self.model.precision());
        let norm = check_norm_cap(candidate.change.norm(), candidate.norms);
        if let Err(cap) = norm.and_then(|()| check_module_cap(candidate.change, candidate.state.shape())) {
            return Ok(Judgement { ruling: Ruling::OverCap(cap), seconds: seconds(), ..empty });
        }
        let mut child = candidate.state.clone();
        let result_root = match child.apply(candidate.change) {
            Ok(applied) => applied.root,
            Err(error) => return Ok(Judgement { ruling: Ruling::AddsZero(error), seconds: seconds(), ..empty }),
        };
        let (order, texts) = self.choose(candidate.update_id, extent);
        let before = self.before(candidate, &order)?;
        let after = self.measure(&Adapter::from_state(&child, self.model.device())?, &order)?;
        let (before, after) = (mean(&before).ok_or(GateError::Tokens)?, mean(&after).ok_or(GateError::Tokens)?);
        let tokens = order.iter().filter_map(|text| self.texts.get(*text)).map(|text| predicted(text)).sum();
        let texts = if texts == TextSet::Full { texts } else { TextSet::Prefix { tokens } };
        let ruling = Ruling::Loss(verdict(nano_nats(before), nano_nats(after), texts, self.self_test));
        let losses = Some((before, after));
        Ok(Judgement { ruling, losses, texts, tokens, result_root: Some(result_root), seconds: seconds(), ..empty })
    }

    /// Measures the losses with a head's state on all texts, so that the first candidate on it need not wait for them.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn measure_before(&mut self, head: ModelHead, state: &State) -> Result<(), GateError> {
        let (order, root) = ((0..self.texts.len()).collect::<Vec<_>>(), state.root());
        let missing = self.before.missing(head, root, &order);
        if !missing.is_empty() {
            let losses = self.measure(&Adapter::from_state(state, self.model.device())?, &missing)?;
            self.before.keep(head, root, &missing, &losses);
        }
        Ok(())
    }

    /// Texts to measure, in the order in which their losses are added.
    fn choose(&self, update_id: UpdateId, extent: Extent) -> (Vec<usize>, TextSet) {
        let Extent::Prefix { tokens: wanted, public_key } = extent else {
            return ((0..self.texts.len()).collect(), TextSet::Full);
        };
        let wanted = wanted.max(GATE_PREFIX_TOKENS_MIN);
        let count = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let (mut order, mut tokens) = (Vec::new(), 0_u64);
        for text in prefix_order(update_id, &public_key, count) {
            if tokens >= wanted {
                break;
            }
            let text = text as usize;
            tokens = tokens.saturating_add(self.texts.get(text).map_or(0, |tokens| predicted(tokens)));
            order.push(text);
        }
        (order, TextSet::Prefix { tokens })
    }

    fn before(&mut self, candidate: &Candidate<'_>, order: &[usize]) -> Result<Vec<TextLoss>, GateError> {
        let root = candidate.state.root();
        let missing = self.before.missing(candidate.head, root, order);
        if !missing.is_empty() {
            let losses = self.measure(&Adapter::from_state(candidate.state, self.model.device())?, &missing)?;
            self.before.keep(candidate.head, root, &missing, &losses);
        }
        Ok(self.before.get(candidate.head, order))
    }

    /// Losses of some texts, in that order.
    fn measure(&self, adapter: &Adapter, order: &[usize]) -> Result<Vec<TextLoss>, GateError> {
        let texts: Vec<&[u32]> = order.iter().filter_map(|text| self.texts.get(*text)).map(Vec::as_slice).collect();
        Ok(self.model.losses(Some(adapter), &texts)?.texts)
    }
}

/// All first losses finite: nothing else can be said of a machine that is compared with itself.
fn own_self_test(own: &[Option<NanoNats>; SELF_TEST_TEXTS]) -> SelfTest {
    let known = own.map(|loss| loss.unwrap_or(NanoNats::MAX));
    self_test(own, &known)
}

const fn predicted(tokens: &[u32]) -> u64 {
    tokens.len().saturating_sub(1) as u64
}

/// Nats per predicted token; None without one.
fn mean(losses: &[TextLoss]) -> Option<f64> {
    let (sum, tokens) = losses.iter().fold((0.0, 0), |(sum, tokens), loss| (sum + loss.sum, tokens + loss.tokens));
    (tokens > 0).then(|| sum / tokens as f64)
}

fn nano_nats(loss: f64) -> Option<NanoNats> {
    NanoNats::from_f64_bits(loss.to_bits())
}

#[cfg(test)]
mod tests;
