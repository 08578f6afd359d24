//! The header's `extraData` (section 3): `parentHash (32) || updateID (32)`.
//!
//! It binds the update to one place in the chain: a sealed header cannot be re-used on another parent, and the update id is under
//! the proof of work. It says nothing about whether the update deserves its place; that is the certificate's part (section 8).

use crate::{Hash32, UpdateId, params::EXTRA_DATA_BYTES};

/// Why bytes are not the `extraData` they should be. Always the fault of whoever made the block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtraDataError {
    /// Not exactly 64 bytes.
    #[error("extraData: found {found} bytes, expected {EXTRA_DATA_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The first half is not the hash of the block's own parent.
    #[error("extraData bytes 0..32: found parent hash {found}, expected {expected}")]
    ParentHash {
        /// Parent hash in `extraData`.
        found: Hash32,
        /// Parent hash of the header or payload.
        expected: Hash32,
    },
}

/// The decoded `extraData`. Every 64 bytes decode to one value, and back to the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraData {
    /// Must equal the parent hash of the header it stands in: see [`ExtraData::check`].
    pub parent_hash: Hash32,
    /// The update that this block accepts; all zero in an empty AI block.
    pub update_id: UpdateId,
}

impl ExtraData {
    /// The genesis block's: 64 zero bytes.
    pub const GENESIS: Self = Self { parent_hash: Hash32::ZERO, update_id: UpdateId::ZERO };

    /// `extraData` of an empty AI block on `parent_hash`.
    pub const fn empty(parent_hash: Hash32) -> Self {
        Self { parent_hash, update_id: UpdateId::ZERO }
    }

    /// True when the block names no update.
    pub fn is_empty(&self) -> bool {
        self.update_id.is_zero()
    }

    /// The 64 bytes.
    pub const fn encode(&self) -> [u8; EXTRA_DATA_BYTES] {
        let mut bytes = [0; EXTRA_DATA_BYTES];
        let (parent, update) = bytes.split_at_mut(32);
        parent.copy_from_slice(self.parent_hash.as_bytes());
        update.copy_from_slice(self.update_id.as_bytes());
        bytes
    }

    /// Reads exactly 64 bytes. The parent hash is not yet checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, ExtraDataError> {
        let exact = <&[u8; EXTRA_DATA_BYTES]>::try_from(bytes).map_err(|_| ExtraDataError::Length { found: bytes.len() })?;
        Ok(Self::from(exact))
    }

    /// Refuses an `extraData` that was made for another parent than `parent_hash`, the header's or payload's own.
    pub fn check(&self, parent_hash: &Hash32) -> Result<(), ExtraDataError> {
        if self.parent_hash == *parent_hash {
            Ok(())
        } else {
            Err(ExtraDataError::ParentHash { found: self.parent_hash, expected: *parent_hash })
        }
    }
}

impl From<&[u8; EXTRA_DATA_BYTES]> for ExtraData {
    fn from(bytes: &[u8; EXTRA_DATA_BYTES]) -> Self {
        let mut data = Self::GENESIS;
        let (parent, update) = bytes.split_at(32);
        data.parent_hash.0.copy_from_slice(parent);
        data.update_id.0.copy_from_slice(update);
        data
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parent_hash_comes_first_and_the_update_id_second() {
        let data = ExtraData { parent_hash: Hash32([1; 32]), update_id: UpdateId([2; 32]) };
        assert_eq!(data.encode()[..32], [1; 32]);
        assert_eq!(data.encode()[32..], [2; 32]);
    }

    #[test]
    fn genesis_is_64_zero_bytes_and_names_no_update() {
        assert_eq!(ExtraData::GENESIS.encode(), [0; 64]);
        assert!(ExtraData::GENESIS.is_empty());
    }

    #[test]
    fn an_empty_ai_block_still_names_its_parent() {
        let data = ExtraData::empty(Hash32([7; 32]));
        assert!(data.is_empty());
        assert_eq!(data.check(&Hash32([7; 32])), Ok(()));
    }

    #[test]
    fn every_length_but_64_is_refused_by_its_length() {
        for length in (0..=600).filter(|n| *n != 64) {
            assert_eq!(ExtraData::decode(&vec![0xff; length]), Err(ExtraDataError::Length { found: length }));
        }
    }

    proptest! {
        #[test]
        fn every_64_bytes_decode_and_encode_to_themselves(bytes in prop::collection::vec(any::<u8>(), 64)) {
            prop_assert_eq!(ExtraData::decode(&bytes).unwrap().encode().to_vec(), bytes);
        }

        #[test]
        fn extra_data_of_another_parent_is_refused(parent in any::<[u8; 32]>(), bit in 0usize..256) {
            let mut other = Hash32(parent);
            other.0[bit / 8] ^= 1 << (bit % 8);
            let found = Hash32(parent);
            let expected = other;
            prop_assert_eq!(ExtraData::empty(found).check(&other), Err(ExtraDataError::ParentHash { found, expected }));
        }
    }
}
