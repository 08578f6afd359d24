//! Deltas that harm, made of honest ones or of nothing.

use ed25519_dalek::{Signer as _, SigningKey};
use pol_core::{
    Hash32, ModelHead,
    delta::{Change, Checked, CheckedDelta, Claims, Context, RawDelta, encode},
    sha256,
    state::Projection,
};

/// 32.0 in units: what is already there may be added, and the sum has to stay below 64.0.
const MOST: i32 = 1 << 29;

/// A container that must be a sound delta.
///
/// # Panics
/// It is none.
pub fn honest(context: &Context, bytes: &[u8]) -> CheckedDelta {
    match RawDelta::from_slice(bytes).and_then(|raw| raw.check(context)) {
        Ok(Checked::Delta(delta)) => delta,
        other => panic!("an honest delta: {other:?}"),
    }
}

/// The delta with every change turned into another, signed by somebody.
///
/// # Panics
/// Nothing is left of it.
pub fn bent(context: &Context, of: &CheckedDelta, key: &SigningKey, bend: impl Fn(i32) -> i32) -> Vec<u8> {
    let values = dense(context, of, bend);
    encode(context, &of.header().claims, &values).expect("a delta").sign(key).into_bytes()
}

/// The delta on another model head, and only a part of it: one step of so many in the same direction.
///
/// # Panics
/// Nothing is left of it.
pub fn step(context: &Context, of: &CheckedDelta, head: ModelHead, steps: i32, key: &SigningKey) -> CheckedDelta {
    let claims = Claims { model_head: head, ..of.header().claims };
    let values = dense(context, of, |value| value / steps);
    honest(context, encode(context, &claims, &values).expect("a delta").sign(key).as_bytes())
}

fn dense(context: &Context, of: &CheckedDelta, bend: impl Fn(i32) -> i32) -> Vec<i32> {
    let mut values = vec![0; context.shape.value_count() as usize];
    for (index, value) in of.changes() {
        values[index as usize] = bend(value);
    }
    values
}

/// As it is, under another key: a copy.
pub fn copied(context: &Context, of: &CheckedDelta, key: &SigningKey) -> Vec<u8> {
    bent(context, of, key, |value| value)
}

/// Downhill becomes uphill.
pub fn flipped(context: &Context, of: &CheckedDelta, key: &SigningKey) -> Vec<u8> {
    bent(context, of, key, |value| -value)
}

/// So many times as far.
pub fn scaled(context: &Context, of: &CheckedDelta, key: &SigningKey, by: i32) -> Vec<u8> {
    bent(context, of, key, |value| value.saturating_mul(by).clamp(-MOST, MOST))
}

/// The first value of the first record is NaN; everything else is as it should be, the signature too.
pub fn not_a_number(of: &CheckedDelta, key: &SigningKey) -> Vec<u8> {
    let mut bytes = of.as_bytes().to_vec();
    bytes.truncate(bytes.len() - 64);
    let value = 208 + of.header().chunk_count.div_ceil(8) as usize + 24;
    bytes[value..value + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    bytes[120..152].copy_from_slice(key.verifying_key().as_bytes());
    let signature = key.sign(&[b"pol-ai/delta/v1".as_slice(), &sha256(&[&bytes])].concat());
    bytes.extend(signature.to_bytes());
    bytes
}

/// Pseudo-random changes of about `size` units wherever `wanted` says so.
fn noise(context: &Context, salt: &str, size: i32, wanted: impl Fn(u32) -> bool) -> Vec<i32> {
    let value = |index: u32| {
        let [a, b, ..] = sha256(&[salt.as_bytes(), &index.to_le_bytes()]);
        let value = size / 2 + size / 256 * i32::from(a);
        if b & 1 == 0 { value } else { -value }
    };
    (0..context.shape.value_count()).map(|index| if wanted(index) { value(index) } else { 0 }).collect()
}

/// All of the change in one projection of one layer, and as long as the honest one.
///
/// # Panics
/// The projection is too small for one record.
pub fn single_module(context: &Context, of: &CheckedDelta, key: &SigningKey) -> Vec<u8> {
    let is_inside = |index| {
        context.shape.module_of(index).is_some_and(|(module, _)| module.layer == 1 && module.projection == Projection::Down)
    };
    let count = (0..context.shape.value_count()).filter(|index| is_inside(*index)).count();
    let size = Change::from(of.clone()).norm() as f64 / (count.min(20) as f64).sqrt();
    let values = noise(context, "single module", size as i32, is_inside);
    encode(context, &of.header().claims, &values).expect("a delta").sign(key).into_bytes()
}

/// A delta of the right form that nobody trained.
///
/// # Panics
/// Never.
pub fn random(context: &Context, head: ModelHead, salt: &str, key: &SigningKey) -> Vec<u8> {
    let claims = Claims { model_head: head, slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 1 };
    encode(context, &claims, &noise(context, salt, 1 << 14, |_| true)).expect("a delta").sign(key).into_bytes()
}
