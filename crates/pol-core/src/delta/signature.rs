//! The trainer's Ed25519 signature under the strict rule (section 14).

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::{error::DeltaError, header::SIGNATURE_BYTES};
use crate::UpdateId;

const TAG: &[u8; 15] = b"pol-ai/delta/v1";

/// `"pol-ai/delta/v1" || H(everything before the signature)`.
pub(super) const fn message(digest: &[u8; 32]) -> [u8; 47] {
    let mut message = [0; 47];
    let (tag, rest) = message.split_at_mut(TAG.len());
    tag.copy_from_slice(TAG);
    rest.copy_from_slice(digest);
    message
}

/// Both hashes of a container in one pass: of everything before the signature, and of everything.
pub(super) fn hashes(container: &[u8]) -> ([u8; 32], UpdateId) {
    let (signed, signature) = container.split_at(container.len().saturating_sub(SIGNATURE_BYTES));
    let midstate = Sha256::new().chain_update(signed);
    let digest = midstate.clone().finalize().into();
    (digest, UpdateId(midstate.chain_update(signature).finalize().into()))
}

/// Canonical S, canonical key and R, neither of small order, cofactorless equation.
pub(super) fn verify(trainer: &[u8; 32], digest: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), DeltaError> {
    let key = canonical_key(trainer)?;
    key.verify_strict(&message(digest), &Signature::from_bytes(signature)).map_err(|_| DeltaError::Signature)
}

/// `verify_strict` compares R as bytes, hence canonically, but takes a key whose y is not reduced: that is refused here.
fn canonical_key(bytes: &[u8; 32]) -> Result<VerifyingKey, DeltaError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| DeltaError::Key)?;
    if key.to_edwards().compress().as_bytes() != bytes {
        return Err(DeltaError::Key);
    }
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    /// Little-endian 2^255 - 19 + k.
    fn field_prime_plus(k: u8) -> [u8; 32] {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + k;
        bytes[31] = 0x7f;
        bytes
    }

    #[test]
    fn a_key_with_an_unreduced_coordinate_is_refused_although_the_library_takes_it() {
        let taken: Vec<[u8; 32]> = (0..19)
            .map(field_prime_plus)
            .filter(|bytes| VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak()))
            .collect();
        assert!(!taken.is_empty());
        for bytes in taken {
            assert_eq!(canonical_key(&bytes).unwrap_err(), DeltaError::Key);
        }
    }

    #[test]
    fn bytes_that_are_no_point_are_no_key() {
        let no_point = (0..=255).map(|b| [b; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err()).unwrap();
        assert_eq!(canonical_key(&no_point).unwrap_err(), DeltaError::Key);
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // y = 1 is the neutral element: with R neutral and S = 0 the plain equation holds for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(verify(&neutral, &[5; 32], &signature), Err(DeltaError::Signature));
    }

    #[test]
    fn a_signature_with_s_plus_the_group_order_is_refused() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let digest = [9; 32];
        let mut signature = key.sign(&message(&digest)).to_bytes();
        assert_eq!(verify(&key.verifying_key().to_bytes(), &digest, &signature), Ok(()));
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0_u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_eq!(verify(&key.verifying_key().to_bytes(), &digest, &signature), Err(DeltaError::Signature));
    }
}
