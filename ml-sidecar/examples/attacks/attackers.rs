//! What attackers send.

use ed25519_dalek::Signer as _;
use eyre::Result;
use ml_sidecar::{
    data::{CorpusSet, SetError, TextSource},
    update::encode_change,
};
use pol_core::{
    delta::{CheckedDelta, RawDelta},
    sha256,
};

use crate::arena::{Arena, Head, claims, dense, key};

/// The attacks, and for comparison nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    None,
    Overfit,
    Flipped,
    Scaled,
    Copied,
    NotANumber,
    OneModule,
    Colluding,
    LabelNoise,
}

impl Attack {
    pub(crate) const ALL: [Self; 9] = [
        Self::None,
        Self::Overfit,
        Self::Flipped,
        Self::Scaled,
        Self::Copied,
        Self::NotANumber,
        Self::OneModule,
        Self::Colluding,
        Self::LabelNoise,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "honest",
            Self::Overfit => "overfit to DEV_TEXTS",
            Self::Flipped => "sign flipped",
            Self::Scaled => "scaled x10",
            Self::Copied => "copied, other key",
            Self::NotANumber => "NaN in a record",
            Self::OneModule => "one module's energy",
            Self::Colluding => "3 collude, flipped x3",
            Self::LabelNoise => "label noise",
        }
    }

    /// An attacker's container. `first` is the first honest delta of the round, which everybody sees.
    pub(crate) fn container(self, arena: &Arena, at: &Head, first: &CheckedDelta, attacker: u64, round: u64) -> Result<RawDelta> {
        let context = &arena.context;
        let own = || arena.train(at, &Arena::texts(attacker), attacker, round);
        let bent = |of: &CheckedDelta, bend: &dyn Fn(u32, i32) -> i32| -> Result<RawDelta> {
            let values = dense(context, of.changes().map(|(index, value)| (index, bend(index, value))));
            let tokens = of.header().claims.tokens_seen;
            raw(&encode_change(context, &claims(at.head, tokens), &key(attacker), &values)?)
        };
        match self {
            Self::None => raw(&own()?),
            Self::Overfit => raw(&arena.train(at, &DevTextsAsData(arena.dev_texts.texts().to_vec()), attacker, round)?),
            Self::Flipped => bent(&own()?, &|_, value| -value),
            Self::Scaled => bent(&own()?, &|_, value| value.saturating_mul(10).clamp(-MOST, MOST)),
            Self::Copied => bent(first, &|_, value| value),
            Self::NotANumber => RawDelta::new(not_a_number(&own()?, attacker)).map_err(Into::into),
            Self::OneModule => one_module(arena, at, attacker, round),
            // Alike in direction and size, so that they stand close together; each with noise of its own, so that none is a copy.
            Self::Colluding => bent(first, &|index, value| {
                let noise = i32::from(sha256(&[&attacker.to_le_bytes(), &index.to_le_bytes()])[0]) - 128;
                (value.saturating_mul(-3) + value / 256 * noise).clamp(-MOST, MOST)
            }),
            Self::LabelNoise => raw(&arena.train(at, &Shuffled(Arena::texts(attacker)), attacker, round)?),
        }
    }
}

/// Just below 64.0.
const MOST: i32 = (1 << 30) - 1;

fn raw(delta: &CheckedDelta) -> Result<RawDelta> {
    Ok(RawDelta::new(delta.as_bytes().to_vec())?)
}

/// The first value of the first record becomes NaN, and the whole is signed again.
fn not_a_number(delta: &CheckedDelta, attacker: u64) -> Vec<u8> {
    let mut bytes = delta.as_bytes().to_vec();
    bytes.truncate(bytes.len() - 64);
    let value = 208 + delta.header().chunk_count.div_ceil(8) as usize + 24;
    bytes[value..value + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    bytes[120..152].copy_from_slice(&key(attacker).verifying_key().to_bytes());
    let signature = key(attacker).sign(&[b"pol-ai/delta/v1".as_slice(), &sha256(&[&bytes])].concat());
    bytes.extend(signature.to_bytes());
    bytes
}

/// All of the change in one projection of one layer, as long as a whole one is.
fn one_module(arena: &Arena, at: &Head, attacker: u64, round: u64) -> Result<RawDelta> {
    let trained = arena.trained(at, &Arena::texts(attacker), attacker, round)?;
    let tensors: Vec<_> = arena.context.shape.tensors().collect();
    // The last projection of the first layer: down.
    let module = tensors[6].module;
    let ranges: Vec<_> = tensors.iter().filter(|tensor| tensor.module == module).map(|tensor| tensor.range.clone()).collect();
    let inside = (0..).zip(trained.residual.units()).filter(|(index, _)| ranges.iter().any(|range| range.contains(index)));
    let inside: Vec<(u32, i32)> = inside.map(|(index, value)| (index, *value)).collect();
    let claims = claims(at.head, trained.delta.header().claims.tokens_seen);
    let cut = |values: Vec<i32>| encode_change(&arena.context, &claims, &key(attacker), &values);
    let first = cut(dense(&arena.context, inside.iter().copied()))?;
    let longer = trained.delta.norm() as f64 / (first.norm() as f64).max(1.0);
    let values = inside
        .into_iter()
        .map(|(index, value)| (index, (f64::from(value) * longer).clamp(-f64::from(MOST), f64::from(MOST)) as i32));
    raw(&cut(dense(&arena.context, values))?)
}

/// The gate's own texts, to be learnt by heart.
#[derive(Debug)]
struct DevTextsAsData(Vec<String>);

impl TextSource for DevTextsAsData {
    fn count(&self) -> u64 {
        self.0.len() as u64
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        let count = self.count();
        self.0.get(number as usize).cloned().ok_or(SetError::Number { number, count })
    }

    fn fingerprint(&self) -> pol_core::Hash32 {
        pol_core::Hash32(sha256(&[self.0.concat().as_bytes()]))
    }
}

/// Words in an order that means nothing.
#[derive(Debug)]
struct Shuffled(CorpusSet);

impl TextSource for Shuffled {
    fn count(&self) -> u64 {
        self.0.count()
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        let text = self.0.get(number)?;
        let mut words: Vec<&str> = text.split_whitespace().collect();
        words.sort_by_key(|word| sha256(&[word.as_bytes(), &number.to_le_bytes()]));
        Ok(words.join(" "))
    }

    fn fingerprint(&self) -> pol_core::Hash32 {
        pol_core::Hash32(sha256(&[b"shuffled", self.0.fingerprint().as_bytes()]))
    }
}
