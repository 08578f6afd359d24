//! Many signatures over one message, verified together; the bad ones found by halving.

use std::{num::NonZeroU64, sync::Arc};

use pol_core::{
    Hash32,
    bls::{PublicKey, Signature},
};

use super::{Known, Seen};

/// A decoded signature that was not verified, with the key it claims.
pub(super) struct Signed<'a> {
    pub(super) index: u64,
    pub(super) key: &'a Arc<PublicKey>,
    pub(super) seen: &'a Seen,
    pub(super) signature: Signature,
}

/// Those that hold. Costs one pairing and two multi-scalar multiplications when all do; each bad one about log2(n) more.
pub(super) fn verify(root: Hash32, signed: Vec<Signed<'_>>) -> Vec<Known> {
    let pairs: Vec<(&PublicKey, Signature)> = signed.iter().map(|one| (one.key.as_ref(), one.signature)).collect();
    let coefficients = coefficients(pairs.len());
    let mut holds = vec![false; pairs.len()];
    halve(root, &pairs, &coefficients, &mut holds);
    let good = signed.into_iter().zip(holds).filter(|(_, holds)| *holds);
    good.map(|(one, _)| Known { index: one.index, seen: *one.seen, signature: one.signature }).collect()
}

fn halve(root: Hash32, pairs: &[(&PublicKey, Signature)], coefficients: &[NonZeroU64], holds: &mut [bool]) {
    match pairs {
        [] => {}
        // Exact, and all there is when the system gives no random numbers.
        [(key, signature)] => holds.fill(signature.verify(root, key).is_ok()),
        _ if Signature::verify_batch(root, pairs, coefficients).is_ok() => holds.fill(true),
        _ => {
            let middle = pairs.len() / 2;
            let (left, right) = pairs.split_at(middle);
            let (left_holds, right_holds) = holds.split_at_mut(middle);
            halve(root, left, coefficients.get(..middle).unwrap_or_default(), left_holds);
            halve(root, right, coefficients.get(middle..).unwrap_or_default(), right_holds);
        }
    }
}

/// Fresh coefficients; none when the operating system has no randomness, and then every signature is verified alone.
fn coefficients(n: usize) -> Vec<NonZeroU64> {
    (0..n).map_while(|_| Some(NonZeroU64::new(getrandom::u64().ok()?).unwrap_or(NonZeroU64::MIN))).collect()
}
