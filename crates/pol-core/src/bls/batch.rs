//! Many signature checks for little more than half the price, with the same verdicts.
//!
//! # Why this way
//! Every claim is weighted with 127 bits and the weighted sum is checked with one final exponentiation. The weights are a hash of the
//! whole batch, so that whoever chooses the claims cannot choose them to cancel out, and the same batch always gives the same
//! answer. When the sum does not hold, claims are checked one by one: a refusal names the claim and never comes from the batch alone.

use blst::{BLST_ERROR, MultiPoint as _, blst_scalar, min_pk};

use super::{BlsError, DST_SIGNATURE, PublicKey, Signature, check};
use crate::{Hash32, sha256};

const TAG: &[u8] = b"pol-ai/bls-batch/v1";
const WEIGHT_BITS: usize = 128;
/// Flag of the point at infinity in the first byte of a compressed point.
const INFINITY: u8 = 0x40;

fn sum<'k>(keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<min_pk::PublicKey, BlsError> {
    let points: Vec<min_pk::PublicKey> = keys.into_iter().map(|k| k.point).collect();
    match points.as_slice() {
        [] => Err(BlsError::Empty),
        [one] => Ok(*one),
        many => Ok(many.add().to_public_key()),
    }
}

impl PublicKey {
    /// Sum of keys, compressed (`eth_aggregate_pubkeys` of the consensus specification). Keys that cancel out give the point at
    /// infinity, which is no usable key.
    ///
    /// # Errors
    /// [`BlsError::Empty`].
    pub fn aggregate<'k>(keys: impl IntoIterator<Item = &'k Self>) -> Result<[u8; super::PUBLIC_KEY_BYTES], BlsError> {
        Ok(sum(keys)?.compress())
    }
}

/// "All of these keys signed this root": not verified yet.
#[derive(Debug, Clone)]
pub struct Claim {
    root: Hash32,
    key: min_pk::PublicKey,
    signature: Signature,
}

impl Claim {
    /// A claim that [`Signature::fast_aggregate_verify`] would judge.
    ///
    /// # Errors
    /// [`BlsError::Empty`] without keys; [`BlsError::Mismatch`] when the keys cancel out: no signature holds for their sum.
    pub fn new<'k>(root: Hash32, keys: impl IntoIterator<Item = &'k PublicKey>, signature: Signature) -> Result<Self, BlsError> {
        let key = sum(keys)?;
        let [first, ..] = key.compress();
        if first & INFINITY == 0 { Ok(Self { root, key, signature }) } else { Err(BlsError::Mismatch) }
    }

    /// Verifies this claim alone.
    ///
    /// # Errors
    /// [`BlsError::Mismatch`].
    pub fn verify(&self) -> Result<(), BlsError> {
        check(self.signature.0.verify(false, &self.root.0, DST_SIGNATURE, &[], &self.key, false))
    }
}

/// Verifies all claims; the same verdict as [`Claim::verify`] on each, except with probability 2^-127. No claims: they all hold.
///
/// # Errors
/// Position of the first claim that does not hold.
pub fn verify_all(claims: &[Claim]) -> Result<(), usize> {
    if claims.len() > 1 && holds_together(claims) {
        return Ok(());
    }
    claims.iter().position(|claim| claim.verify().is_err()).map_or(Ok(()), Err)
}

fn holds_together(claims: &[Claim]) -> bool {
    let weights = weights(claims);
    let roots: Vec<&[u8]> = claims.iter().map(|c| c.root.0.as_slice()).collect();
    let keys: Vec<&min_pk::PublicKey> = claims.iter().map(|c| &c.key).collect();
    let signatures: Vec<&min_pk::Signature> = claims.iter().map(|c| &c.signature.0).collect();
    let verdict = min_pk::Signature::verify_multiple_aggregate_signatures(
        &roots,
        DST_SIGNATURE,
        &keys,
        false,
        &signatures,
        false,
        &weights,
        WEIGHT_BITS,
    );
    verdict == BLST_ERROR::BLST_SUCCESS
}

fn weights(claims: &[Claim]) -> Vec<blst_scalar> {
    let leaf = |claim: &Claim| sha256(&[&claim.root.0, &claim.key.serialize(), &claim.signature.0.serialize()]);
    let leaves: Vec<[u8; 32]> = claims.iter().map(leaf).collect();
    let seed = sha256(&[TAG, leaves.as_flattened()]);
    let weight = |(position, _): (usize, &Claim)| {
        let digest = sha256(&[&seed, &position.to_le_bytes()]);
        let mut scalar = blst_scalar::default();
        for (to, from) in scalar.b.iter_mut().zip(digest).take(WEIGHT_BITS / 8) {
            *to = from;
        }
        // Never zero: a weight of zero would let its claim through unchecked.
        if let Some(low) = scalar.b.first_mut() {
            *low |= 1;
        }
        scalar
    };
    claims.iter().enumerate().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bls::SecretKey;

    fn secret(i: u8) -> SecretKey {
        SecretKey::from_bytes(&[i; 32]).unwrap()
    }

    fn claim(signers: &[u8], message: u8, signed: u8) -> Claim {
        let keys: Vec<PublicKey> = signers.iter().map(|i| secret(*i).public_key()).collect();
        let signatures: Vec<Signature> = signers.iter().map(|i| secret(*i).sign(Hash32([signed; 32]))).collect();
        Claim::new(Hash32([message; 32]), &keys, Signature::aggregate(&signatures).unwrap()).unwrap()
    }

    #[test]
    fn a_batch_holds_exactly_when_each_claim_holds() {
        let good: Vec<Claim> = (1..=6).map(|i| claim(&[i, i + 10, i + 20], i, i)).collect();
        for n in 0..=good.len() {
            assert_eq!(verify_all(&good[..n]), Ok(()), "{n} claims");
        }
        for bad in 0..good.len() {
            let mut claims = good.clone();
            claims[bad] = claim(&[3, 4], 9, 8);
            assert_eq!(verify_all(&claims), Err(bad));
            claims[5] = claim(&[3], 9, 8);
            assert_eq!(verify_all(&claims), Err(bad.min(5)), "the first of two is named");
        }
    }

    #[test]
    fn two_wrong_signatures_that_cancel_out_in_a_plain_sum_are_refused() {
        // Each carries the other's signature: the sum of the two is right, neither claim is.
        let (a, b) = (claim(&[1], 1, 1), claim(&[2], 2, 2));
        let swapped = [Claim { signature: b.signature, ..a.clone() }, Claim { signature: a.signature, ..b }];
        assert_eq!(verify_all(&swapped), Err(0));
    }

    #[test]
    fn keys_that_cancel_out_make_no_claim_and_sum_to_infinity() {
        let key = secret(9).public_key();
        let mut negative = key.to_bytes();
        negative[0] ^= 0x20;
        let negative = PublicKey::from_bytes(&negative).unwrap();
        let any = secret(9).sign(Hash32([1; 32]));
        assert_eq!(Claim::new(Hash32([1; 32]), [&key, &negative], any).unwrap_err(), BlsError::Mismatch);
        assert_eq!(Claim::new(Hash32([1; 32]), [], any).unwrap_err(), BlsError::Empty);
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        assert_eq!(PublicKey::aggregate([&key, &negative]), Ok(infinity));
        assert_eq!(PublicKey::aggregate([&key]), Ok(key.to_bytes()));
        assert_eq!(PublicKey::aggregate([]), Err(BlsError::Empty));
    }
}
