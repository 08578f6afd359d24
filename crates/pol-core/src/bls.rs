//! BLS12-381 signatures of the consensus specification (min-pk, proof-of-possession scheme), on blst.
//!
//! # Contract
//! A [`PublicKey`] or [`Signature`] that exists was decoded from its canonical 48 or 96 bytes, lies in the right subgroup and is not
//! the point at infinity. A function that takes one does not check it again, so checks cannot be forgotten or paid twice.
//!
//! # Limits
//! Decoding costs a square root and a subgroup check (tens of microseconds): cache [`PublicKey`]s of the registry, they hold the
//! affine point.
//!
//! # What it does not protect against
//! Aggregates are safe against rogue keys only among keys whose possession was proven: validators' deposits do that.

mod batch;

use core::{fmt, num::NonZeroU64};

use blst::{BLST_ERROR, MultiPoint as _, min_pk};

use crate::{Hash32, text};

pub use batch::{Claim, verify_all};

/// Bytes of a compressed public key.
pub const PUBLIC_KEY_BYTES: usize = 48;
/// Bytes of a compressed signature.
pub const SIGNATURE_BYTES: usize = 96;

/// Bits of a coefficient of [`Signature::verify_batch`].
const COEFFICIENT_BITS: usize = 64;
const DST_SIGNATURE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const DST_POSSESSION: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are not a usable key or signature, or why a signature does not hold. The signer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Not a canonical compressed point.
    #[error("{field}: found bytes that are no canonical compressed point of BLS12-381")]
    Encoding {
        /// Which value.
        field: &'static str,
    },
    /// A point of the curve outside the prime-order subgroup.
    #[error("{field}: found a point outside the prime-order subgroup")]
    Subgroup {
        /// Which value.
        field: &'static str,
    },
    /// The point at infinity.
    #[error("{field}: found the point at infinity")]
    Infinity {
        /// Which value.
        field: &'static str,
    },
    /// The pairing does not hold: another message, another key or another signer set.
    #[error("signature does not hold for this message and these keys")]
    Mismatch,
    /// A secret key of zero, or not below the group order.
    #[error("secret key: found zero or a number not below the group order")]
    SecretKey,
    /// Nothing to aggregate.
    #[error("aggregate: found 0 items, expected at least 1")]
    Empty,
}

const fn decode_error(field: &'static str, error: BLST_ERROR) -> BlsError {
    match error {
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => BlsError::Subgroup { field },
        BLST_ERROR::BLST_PK_IS_INFINITY => BlsError::Infinity { field },
        _ => BlsError::Encoding { field },
    }
}

/// A validated public key with its affine point.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: min_pk::PublicKey,
    bytes: [u8; PUBLIC_KEY_BYTES],
}

impl PublicKey {
    /// Decodes and validates a compressed key.
    ///
    /// # Errors
    /// Not a canonical point, outside the subgroup, or infinity.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, BlsError> {
        let point = min_pk::PublicKey::key_validate(bytes).map_err(|e| decode_error("public key", e))?;
        Ok(Self { point, bytes: *bytes })
    }

    /// The compressed form.
    pub const fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.bytes
    }

    /// Verifies a proof of possession (BLS signature draft, section 3.3.3).
    ///
    /// # Errors
    /// [`BlsError::Mismatch`].
    pub fn verify_possession(&self, proof: &Signature) -> Result<(), BlsError> {
        check(proof.0.verify(false, &self.bytes, DST_POSSESSION, &[], &self.point, false))
    }
}

impl AsRef<Self> for PublicKey {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_hex(f, &self.bytes)
    }
}

/// A validated signature: in the subgroup, not infinity. Says nothing about any message until verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(min_pk::Signature);

impl Signature {
    /// Decodes and validates a compressed signature.
    ///
    /// # Errors
    /// Not a canonical point, outside the subgroup, or infinity.
    pub fn from_bytes(bytes: &[u8; SIGNATURE_BYTES]) -> Result<Self, BlsError> {
        let field = "signature";
        let point = min_pk::Signature::uncompress(bytes).map_err(|e| decode_error(field, e))?;
        point.validate(true).map_err(|e| decode_error(field, e))?;
        Ok(Self(point))
    }

    /// The compressed form.
    pub fn to_bytes(&self) -> [u8; SIGNATURE_BYTES] {
        self.0.compress()
    }

    /// Verifies one signer's signature over a signing root.
    ///
    /// # Errors
    /// [`BlsError::Mismatch`].
    pub fn verify(&self, root: Hash32, key: &PublicKey) -> Result<(), BlsError> {
        check(self.0.verify(false, &root.0, DST_SIGNATURE, &[], &key.point, false))
    }

    /// Sum of signatures over the same message (or any messages).
    ///
    /// # Errors
    /// [`BlsError::Empty`]; [`BlsError::Infinity`] when they cancel out, which honest signatures do not.
    pub fn aggregate(signatures: &[Self]) -> Result<Self, BlsError> {
        let points: Vec<&min_pk::Signature> = signatures.iter().map(|s| &s.0).collect();
        let sum = min_pk::AggregateSignature::aggregate(&points, false).map_err(|_| BlsError::Empty)?.to_signature();
        sum.validate(true).map_err(|e| decode_error("aggregate signature", e))?;
        Ok(Self(sum))
    }

    /// Verifies an aggregate of signatures by all of `keys` over one signing root (`FastAggregateVerify`).
    ///
    /// Keys are added with one shared inversion per level, which is why this is no slower than adding them one by one.
    ///
    /// # Errors
    /// [`BlsError::Empty`] without keys, else [`BlsError::Mismatch`].
    pub fn fast_aggregate_verify<'k>(&self, root: Hash32, keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<(), BlsError> {
        let points: Vec<min_pk::PublicKey> = keys.into_iter().map(|k| k.point).collect();
        if points.is_empty() {
            return Err(BlsError::Empty);
        }
        let sum = points.as_slice().add().to_public_key();
        check(self.0.verify(false, &root.0, DST_SIGNATURE, &[], &sum, false))
    }

    /// Verifies several signers' signatures over one signing root with one pairing: the sum of `coefficient * signature` against the
    /// sum of `coefficient * key`. On a refusal at least one of them does not hold; halves tell which.
    ///
    /// `coefficients`, one per signature, come fresh from the operating system: whoever can guess them can make wrong signatures cancel
    /// out. A wrong one passes with a probability of 2^-64.
    ///
    /// # Errors
    /// [`BlsError::Empty`] without signatures, else [`BlsError::Mismatch`], also when there are fewer coefficients than signatures.
    pub fn verify_batch(root: Hash32, signed: &[(&PublicKey, Self)], coefficients: &[NonZeroU64]) -> Result<(), BlsError> {
        if signed.is_empty() {
            return Err(BlsError::Empty);
        }
        let coefficients = coefficients.get(..signed.len()).ok_or(BlsError::Mismatch)?;
        let scalars: Vec<u8> = coefficients.iter().flat_map(|number| number.get().to_le_bytes()).collect();
        let keys: Vec<min_pk::PublicKey> = signed.iter().map(|(key, _)| key.point).collect();
        let signatures: Vec<min_pk::Signature> = signed.iter().map(|(_, signature)| signature.0).collect();
        let key = keys.as_slice().mult(&scalars, COEFFICIENT_BITS).to_public_key();
        let signature = signatures.as_slice().mult(&scalars, COEFFICIENT_BITS).to_signature();
        check(signature.verify(false, &root.0, DST_SIGNATURE, &[], &key, false))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_hex(f, &self.to_bytes())
    }
}

const fn check(result: BLST_ERROR) -> Result<(), BlsError> {
    match result {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        _ => Err(BlsError::Mismatch),
    }
}

/// A secret key; wiped from memory on drop, never printed.
#[derive(Clone)]
pub struct SecretKey(min_pk::SecretKey);

impl SecretKey {
    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    /// [`BlsError::SecretKey`] for zero or a number not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        min_pk::SecretKey::from_bytes(bytes).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// The 32 big-endian bytes. The caller wipes them.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// EIP-2333 `derive_master_SK`.
    ///
    /// # Errors
    /// [`BlsError::SecretKey`] for a seed below 32 bytes.
    pub fn derive_master(seed: &[u8]) -> Result<Self, BlsError> {
        min_pk::SecretKey::derive_master_eip2333(seed).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// EIP-2333 `derive_child_SK`.
    #[must_use]
    pub fn derive_child(&self, index: u32) -> Self {
        Self(self.0.derive_child_eip2333(index))
    }

    /// The public key. The group's generator times a valid secret is never infinity.
    pub fn public_key(&self) -> PublicKey {
        let point = self.0.sk_to_pk();
        PublicKey { point, bytes: point.compress() }
    }

    /// Signs a signing root. Whether it *may* be signed is the guard's decision, not this function's.
    pub fn sign(&self, root: Hash32) -> Signature {
        Signature(self.0.sign(&root.0, DST_SIGNATURE, &[]))
    }

    /// Proof of possession (BLS signature draft, section 3.3.2).
    pub fn prove_possession(&self) -> Signature {
        Signature(self.0.sign(&self.public_key().bytes, DST_POSSESSION, &[]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(i: u8) -> SecretKey {
        SecretKey::from_bytes(&[i; 32]).unwrap()
    }

    #[test]
    fn an_aggregate_holds_for_exactly_its_signers_and_message() {
        let root = Hash32([7; 32]);
        let keys: Vec<SecretKey> = (1..=5).map(key).collect();
        let public: Vec<PublicKey> = keys.iter().map(SecretKey::public_key).collect();
        let signatures: Vec<Signature> = keys.iter().map(|k| k.sign(root)).collect();
        let sum = Signature::aggregate(&signatures).unwrap();
        assert_eq!(sum.fast_aggregate_verify(root, &public), Ok(()));
        assert_eq!(sum.fast_aggregate_verify(root, &public[1..]), Err(BlsError::Mismatch));
        assert_eq!(sum.fast_aggregate_verify(Hash32([8; 32]), &public), Err(BlsError::Mismatch));
        assert_eq!(sum.fast_aggregate_verify(root, &[]), Err(BlsError::Empty));
        assert_eq!(Signature::aggregate(&[]), Err(BlsError::Empty));
    }

    #[test]
    fn a_batch_holds_only_when_each_of_its_signatures_does() {
        let root = Hash32([7; 32]);
        let coefficients: Vec<NonZeroU64> = (1..=70).map(|i| NonZeroU64::new(i << 40 | 0xfedc_ba98 ^ i).unwrap()).collect();
        for n in [1, 2, 3, 31, 32, 33, 64, 70] {
            let keys: Vec<PublicKey> = (1..=n).map(|i| key(i).public_key()).collect();
            let mut signed: Vec<(&PublicKey, Signature)> = keys.iter().zip(1..).map(|(k, i)| (k, key(i).sign(root))).collect();
            assert_eq!(Signature::verify_batch(root, &signed, &coefficients), Ok(()), "{n}");
            assert_eq!(Signature::verify_batch(Hash32([8; 32]), &signed, &coefficients), Err(BlsError::Mismatch));
            let last = signed.len() - 1;
            assert_eq!(Signature::verify_batch(root, &signed, &coefficients[..last]), Err(BlsError::Mismatch));
            signed[last].1 = key(99).sign(root);
            assert_eq!(Signature::verify_batch(root, &signed, &coefficients), Err(BlsError::Mismatch), "{n}");
        }
        assert_eq!(Signature::verify_batch(root, &[], &coefficients), Err(BlsError::Empty));
    }

    #[test]
    fn two_wrong_signatures_whose_sum_is_right_do_not_pass_a_batch() {
        // Each signs with the other's key: the plain sums agree, the weighted ones do not.
        let root = Hash32([7; 32]);
        let (a, b) = (key(1), key(2));
        let (public_a, public_b) = (a.public_key(), b.public_key());
        let swapped = [(&public_a, b.sign(root)), (&public_b, a.sign(root))];
        let coefficients = [NonZeroU64::new(3).unwrap(), NonZeroU64::new(5).unwrap()];
        let sum = Signature::aggregate(&[swapped[0].1, swapped[1].1]).unwrap();
        assert_eq!(sum.fast_aggregate_verify(root, [&public_a, &public_b]), Ok(()));
        assert_eq!(Signature::verify_batch(root, &swapped, &coefficients), Err(BlsError::Mismatch));
    }

    #[test]
    fn a_repeated_key_counts_twice_in_the_sum() {
        let root = Hash32([7; 32]);
        let (k, s) = (key(3).public_key(), key(3).sign(root));
        let twice = Signature::aggregate(&[s, s]).unwrap();
        assert_eq!(twice.fast_aggregate_verify(root, [&k, &k]), Ok(()));
        assert_eq!(twice.fast_aggregate_verify(root, [&k]), Err(BlsError::Mismatch));
    }

    #[test]
    fn the_point_at_infinity_is_neither_key_nor_signature() {
        let mut key = [0; 48];
        key[0] = 0xc0;
        assert_eq!(PublicKey::from_bytes(&key), Err(BlsError::Infinity { field: "public key" }));
        let mut signature = [0; 96];
        signature[0] = 0xc0;
        assert_eq!(Signature::from_bytes(&signature), Err(BlsError::Infinity { field: "signature" }));
    }

    #[test]
    fn keys_that_cancel_out_prove_nothing() {
        // The negative of a key is the key with the sign bit flipped; their sum is infinity.
        let k = key(9).public_key();
        let mut negative = k.to_bytes();
        negative[0] ^= 0x20;
        let negative = PublicKey::from_bytes(&negative).unwrap();
        let any = key(9).sign(Hash32([1; 32]));
        assert_eq!(any.fast_aggregate_verify(Hash32([1; 32]), [&k, &negative]), Err(BlsError::Mismatch));
        // A partial sum may pass through infinity without harm.
        let three = [&k, &negative, &k];
        assert_eq!(any.fast_aggregate_verify(Hash32([1; 32]), three), Ok(()));
    }

    #[test]
    fn possession_is_proven_by_the_key_itself_only() {
        let (a, b) = (key(1), key(2));
        assert_eq!(a.public_key().verify_possession(&a.prove_possession()), Ok(()));
        assert_eq!(a.public_key().verify_possession(&b.prove_possession()), Err(BlsError::Mismatch));
        assert_eq!(a.prove_possession().verify(Hash32([0; 32]), &a.public_key()), Err(BlsError::Mismatch));
    }

    #[test]
    fn secrets_out_of_range_are_refused_and_never_printed() {
        assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), BlsError::SecretKey);
        assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), BlsError::SecretKey);
        assert_eq!(format!("{:?}", key(1)), "SecretKey(..)");
    }
}
