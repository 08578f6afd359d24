//! Small chains, keys and containers for this crate's tests.

use ed25519_dalek::SigningKey;

use super::{Checked, CheckedDelta, Claims, Context, Profile, encode};
use crate::{GenesisId, Hash32, ModelHead, sha256, state::Shape};

/// 3 chunks, the last one short.
pub(crate) fn shape() -> Shape {
    Shape::new(2, 40, 40, 20, 110).unwrap()
}

/// Another shape with as many values, hence the same chunks.
pub(crate) fn sibling_shape() -> Shape {
    Shape::new(2, 30, 44, 39, 118).unwrap()
}

pub(crate) fn context() -> Context {
    Context { genesis_id: GenesisId([0xab; 32]), shape: shape(), profile: Profile::F16x20 }
}

pub(crate) fn context_q2() -> Context {
    Context { profile: Profile::Q2x48, ..context() }
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn claims(model_head: ModelHead) -> Claims {
    Claims { model_head, slot: 5, samples: Hash32([3; 32]), inner_steps: 64, tokens_seen: 1_000 }
}

/// A deterministic change: every value non-zero, the largest ones among the first 200 of each chunk, so that two of them share
/// some coordinates (about a tenth in profile 1, a quarter in profile 2).
pub(crate) fn dense_change(seed: u64, shape: &Shape) -> Vec<i32> {
    let mut values = Vec::new();
    for counter in 0_u64.. {
        let digest = sha256(&[&seed.to_le_bytes(), &counter.to_le_bytes()]);
        for word in digest.as_chunks::<4>().0 {
            let shift = if values.len() % 4_096 < 200 { 9 } else { 14 };
            values.push(i32::from_le_bytes(*word) >> shift | 1);
        }
        if values.len() >= usize::try_from(shape.value_count()).unwrap() {
            break;
        }
    }
    values.truncate(usize::try_from(shape.value_count()).unwrap());
    values
}

/// A change with the given values and zeros elsewhere.
pub(crate) fn change_of(list: &[(u32, i32)], shape: &Shape) -> Vec<i32> {
    let mut values = vec![0; usize::try_from(shape.value_count()).unwrap()];
    for (index, value) in list {
        values[usize::try_from(*index).unwrap()] = *value;
    }
    values
}

pub(crate) fn delta_of(context: &Context, claims: &Claims, change: &[i32]) -> CheckedDelta {
    match encode(context, claims, change).unwrap().sign(&key(7)).check(context).unwrap() {
        Checked::Delta(delta) => delta,
        other => panic!("not a delta: {other:?}"),
    }
}

pub(crate) fn delta(seed: u64, head: ModelHead) -> CheckedDelta {
    delta_of(&context(), &claims(head), &dense_change(seed, &shape()))
}
