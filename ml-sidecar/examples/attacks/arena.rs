//! Where attackers and the others meet: one model, one gate, one state.

use std::{collections::BTreeMap, path::Path};

use ed25519_dalek::SigningKey;
use eyre::{OptionExt as _, Result};
use ml_sidecar::{
    adapter::Adapter,
    checkpoint::Checkpoint,
    corpus::Corpus,
    data::{CorpusSet, TextSource},
    device::Device,
    embedded::{self, Recipe},
    gate::{Candidate, Extent, Gate, Judgement},
    local,
    session::{self, Author, Plan, Session, Trained},
    texts::DevTexts,
    train::{AdamW, TrainerOptions},
    update::Residual,
};
use pol_core::{
    GenesisId, Hash32, ModelHead, UpdateId,
    delta::{Change, CheckedDelta, Claims, Context, Profile, SparseChange},
    state::State,
};

/// Texts of a trainer.
const TEXTS: u64 = 4_000;
/// Texts that nobody trains on.
const HELD_OUT: u64 = 96;
/// Seed of those.
const HELD_OUT_SEED: u64 = 777;

/// The arena.
pub(crate) struct Arena {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) gate: Gate,
    pub(crate) context: Context,
    pub(crate) dev_texts: DevTexts,
    held_out: Vec<Vec<u32>>,
    plan: Plan,
}

impl Arena {
    pub(crate) fn new(cache: &Path, steps: u64) -> Result<Self> {
        let checkpoint = embedded::open(cache, &Recipe::default(), embedded::SEED_DEFAULT, &mut |_| {})?;
        let dev_texts = DevTexts::embedded();
        let tokens = |text: &String| checkpoint.tokens(text);
        let gate_tokens = dev_texts.texts().iter().map(tokens).collect::<Result<_, _>>()?;
        let gate = Gate::new(checkpoint.load(Device::cpu(), None)?, gate_tokens, None)?;
        let unseen = Corpus::new(HELD_OUT_SEED, &[]);
        let held_out = (0..HELD_OUT).map(|text| checkpoint.tokens(&unseen.get(text))).collect::<Result<_, _>>()?;
        let context = Context { genesis_id: GenesisId([7; 32]), shape: checkpoint.config.shape, profile: Profile::F16x20 };
        let optimizer = AdamW { learning_rate: 4e-3, ..AdamW::default() };
        let options = TrainerOptions { optimizer, warmup_steps: 2, ..TrainerOptions::default() };
        let plan = Plan { steps, refining_steps: steps, sequences: 8, length: 64, options };
        Ok(Self { checkpoint, gate, context, dev_texts, held_out, plan })
    }

    /// The texts of an honest trainer.
    pub(crate) fn texts(trainer: u64) -> CorpusSet {
        CorpusSet::new(trainer, &[], TEXTS)
    }

    /// A delta that was trained, on whatever texts.
    pub(crate) fn train(&self, at: &Head, texts: &dyn TextSource, trainer: u64, round: u64) -> Result<CheckedDelta> {
        Ok(self.trained(at, texts, trainer, round)?.delta)
    }

    /// The same, with all that was trained.
    pub(crate) fn trained(&self, at: &Head, texts: &dyn TextSource, trainer: u64, round: u64) -> Result<Trained> {
        let plan = Plan { options: TrainerOptions { seed: trainer * 1_000 + round, ..self.plan.options }, ..self.plan };
        let session = Session { model: self.gate.model(), checkpoint: &self.checkpoint, texts, plan };
        let key = local::key(trainer);
        let author = Author { context: &self.context, head: at.head, slot: round, key: &key };
        Ok(session::run(&session, &at.state, Residual::new(self.context.shape), &author, &mut |_| {})?)
    }

    /// What a gate of a node says.
    pub(crate) fn judge(&mut self, at: &Head, update_id: UpdateId, change: &Change) -> Result<Judgement> {
        let candidate = Candidate { update_id, head: at.head, state: &at.state, change, norms: &at.norms };
        Ok(self.gate.judge(&candidate, Extent::Full)?)
    }

    /// Loss of texts that nobody trains on.
    pub(crate) fn held_out(&self, state: &State) -> Result<f64> {
        let adapter = Adapter::from_state(state, Device::cpu())?;
        let losses = self.gate.model().losses(Some(&adapter), &self.held_out)?;
        losses.mean().ok_or_eyre("held-out texts without a token")
    }
}

/// Where the model stands.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) head: ModelHead,
    pub(crate) state: State,
    pub(crate) norms: Vec<u64>,
    number: u8,
}

impl Head {
    pub(crate) fn genesis(context: &Context) -> Self {
        let state = State::initial(&context.genesis_id, context.shape);
        Self { head: context.genesis_id.into(), state, norms: Vec::new(), number: 0 }
    }

    /// The state with a change; nothing when it would add zero.
    pub(crate) fn with(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.number = self.number.wrapping_add(1);
        next.head = ModelHead([next.number; 32]);
        if next.state.apply(change).is_ok() {
            next.norms.push(change.norm());
        }
        next
    }
}

/// The claims of an attacker.
pub(crate) const fn claims(head: ModelHead, tokens_seen: u32) -> Claims {
    Claims { model_head: head, slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen }
}

/// Values by flat index.
pub(crate) fn dense(context: &Context, values: impl IntoIterator<Item = (u32, i32)>) -> Vec<i32> {
    let mut dense = vec![0; context.shape.value_count() as usize];
    for (index, value) in values {
        dense[index as usize] = value;
    }
    dense
}

/// What there is without a defence: the mean of all that came, coordinate by coordinate.
pub(crate) fn mean(deltas: &[CheckedDelta]) -> Result<Change> {
    let mut sums: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (index, value) in deltas.iter().flat_map(CheckedDelta::changes) {
        let (sum, count) = sums.entry(index).or_default();
        (*sum, *count) = (*sum + i64::from(value), *count + 1);
    }
    let list = sums.into_iter().map(|(index, (sum, count))| Ok((index, i32::try_from(sum / count)?)));
    let list = list.collect::<Result<Vec<_>, std::num::TryFromIntError>>()?;
    Ok(Change::Sparse(SparseChange::new(list.into_iter().filter(|(_, value)| *value != 0).collect())?))
}

/// A key for whoever signs by hand.
pub(crate) fn key(trainer: u64) -> SigningKey {
    local::key(trainer)
}
