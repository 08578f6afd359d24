//! Proof of work (section 3): a nonce under which `K(sealHash || nonce BE)` is no larger than the target.
//!
//! [`verify`] is the rule, on the well-kept `sha3` crate. [`Miner`] searches with our own many-nonces-at-once Keccak ([`Engine`]) and
//! confirms every find by the same `sha3` crate, so that a fault in the fast code could cost time, never a wrong seal.
//!
//! The seal makes a header cost work once. It adds no weight to fork choice and is no protection against anyone who can pay for it.

mod lanes;
mod search;
mod target;

pub use lanes::Engine;
pub use search::{Miner, Sealed};
pub use target::{Target, target};

use crate::{Hash32, header::keccak256};

/// Why a seal is refused. The fault of the block's producer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Difficulty 0 has no target.
    #[error("difficulty: found 0, expected at least 1")]
    ZeroDifficulty,
    /// The hash is larger than the target.
    #[error("seal of nonce {nonce}: found hash {found}, expected at most {expected}")]
    AboveTarget {
        /// The header's nonce.
        nonce: u64,
        /// `K(sealHash || nonce)`.
        found: Hash32,
        /// The target of the header's difficulty.
        expected: Target,
    },
}

/// Checks the seal of a header with this [seal hash](crate::header::Header::seal_hash).
///
/// Whether `difficulty` is the one the parent demands is [another check](crate::difficulty::DifficultyRule::check).
pub fn verify(seal_hash: &Hash32, nonce: u64, difficulty: u64) -> Result<(), SealError> {
    let expected = target(difficulty)?;
    let found = digest(seal_hash, nonce);
    if expected.admits(&found) { Ok(()) } else { Err(SealError::AboveTarget { nonce, found, expected }) }
}

fn digest(seal_hash: &Hash32, nonce: u64) -> Hash32 {
    keccak256(&[seal_hash.as_bytes(), &nonce.to_be_bytes()])
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn difficulty_zero_is_refused() {
        assert_eq!(verify(&Hash32::ZERO, 0, 0), Err(SealError::ZeroDifficulty));
    }

    #[test]
    fn every_nonce_seals_difficulty_one() {
        for nonce in [0, 1, u64::MAX] {
            assert_eq!(verify(&Hash32([5; 32]), nonce, 1), Ok(()));
        }
    }

    #[test]
    fn a_hash_above_the_target_is_refused_with_both_numbers() {
        let seal_hash = Hash32([6; 32]);
        let refused = verify(&seal_hash, 9, u64::MAX);
        let expected = target(u64::MAX).unwrap();
        assert_eq!(refused, Err(SealError::AboveTarget { nonce: 9, found: digest(&seal_hash, 9), expected }));
    }

    #[test]
    fn the_seal_is_over_the_seal_hash_and_the_big_endian_nonce() {
        let mut message = vec![6; 32];
        message.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(digest(&Hash32([6; 32]), 0x0102_0304_0506_0708), keccak256(&[&message]));
    }

    #[test]
    fn about_one_nonce_in_difficulty_seals() {
        let valid = (0..100_000).filter(|nonce| verify(&Hash32([7; 32]), *nonce, 100).is_ok()).count();
        assert!((850..1_150).contains(&valid), "{valid} of 100000 nonces at difficulty 100"); // five standard deviations
    }
}
