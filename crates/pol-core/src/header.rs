//! The execution header (section 3): the 20 fields of Cancun, with a 64-byte `extraData`, a difficulty and a nonce that mean something.
//!
//! Only shape and hashes are decided here. Parent hash inside `extraData`, difficulty, seal and everything Ethereum asks of a header
//! are checks of their own.

use alloy_rlp::{BufMut, Decodable, Encodable};
use sha3::{Digest as _, Keccak256};

use crate::{Hash32, extra_data::ExtraData, params::EXTRA_DATA_BYTES, wire::WireHead};

/// Why bytes are not a header. Always the fault of whoever sent them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A field is missing, too long, or not in its only encoding.
    #[error("header field {field}: found {found}, expected its canonical RLP")]
    Field {
        /// Name of the field; `header` for the list around them.
        field: &'static str,
        /// What RLP decoding found.
        found: alloy_rlp::Error,
    },
    /// Bytes after the 20th field: another fork's header, or none.
    #[error("header: found {found} bytes after the 20th field, expected none")]
    FieldsLeft {
        /// Bytes left inside the list.
        found: usize,
    },
    /// Bytes after the header.
    #[error("header: found {found} bytes after it, expected none")]
    BytesLeft {
        /// Bytes left after the list.
        found: usize,
    },
}

/// An execution header. Field names are those of the execution specification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the execution specification defines the fields")]
pub struct Header {
    pub parent_hash: Hash32,
    pub ommers_hash: Hash32,
    pub beneficiary: [u8; 20],
    pub state_root: Hash32,
    pub transactions_root: Hash32,
    pub receipts_root: Hash32,
    pub logs_bloom: [u8; 256],
    /// Expected number of hashes of the seal; below 2^64 on this chain.
    pub difficulty: u64,
    pub number: u64,
    pub gas_limit: u64,
    pub gas_used: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// See [`ExtraData`].
    pub extra_data: [u8; EXTRA_DATA_BYTES],
    /// prevRandao.
    pub mix_hash: Hash32,
    /// Eight bytes BE in every encoding, never a stripped integer.
    pub nonce: u64,
    /// Wei.
    pub base_fee_per_gas: u64,
    pub withdrawals_root: Hash32,
    pub blob_gas_used: u64,
    pub excess_blob_gas: u64,
    pub parent_beacon_block_root: Hash32,
}

impl Header {
    /// RLP of the header.
    pub fn encode(&self) -> Vec<u8> {
        self.rlp(self.nonce, &self.extra_data)
    }

    /// Reads exactly one header, in its only encoding: integers without leading zeros, all lengths exact, nothing left over.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, HeaderError> {
        let at = &mut alloy_rlp::Header::decode_bytes(&mut bytes, true)
            .map_err(|found| HeaderError::Field { field: "header", found })?;
        if !bytes.is_empty() {
            return Err(HeaderError::BytesLeft { found: bytes.len() });
        }
        let header = Self {
            parent_hash: Hash32(field(at, "parent_hash")?),
            ommers_hash: Hash32(field(at, "ommers_hash")?),
            beneficiary: field(at, "beneficiary")?,
            state_root: Hash32(field(at, "state_root")?),
            transactions_root: Hash32(field(at, "transactions_root")?),
            receipts_root: Hash32(field(at, "receipts_root")?),
            logs_bloom: field(at, "logs_bloom")?,
            difficulty: field(at, "difficulty")?,
            number: field(at, "number")?,
            gas_limit: field(at, "gas_limit")?,
            gas_used: field(at, "gas_used")?,
            timestamp: field(at, "timestamp")?,
            extra_data: field(at, "extra_data")?,
            mix_hash: Hash32(field(at, "mix_hash")?),
            nonce: u64::from_be_bytes(field(at, "nonce")?),
            base_fee_per_gas: field(at, "base_fee_per_gas")?,
            withdrawals_root: Hash32(field(at, "withdrawals_root")?),
            blob_gas_used: field(at, "blob_gas_used")?,
            excess_blob_gas: field(at, "excess_blob_gas")?,
            parent_beacon_block_root: Hash32(field(at, "parent_beacon_block_root")?),
        };
        if at.is_empty() { Ok(header) } else { Err(HeaderError::FieldsLeft { found: at.len() }) }
    }

    /// The ordinary hash of the whole header.
    pub fn block_hash(&self) -> Hash32 {
        keccak256(&[&self.encode()])
    }

    /// What the seal is made over: the hash of the header with nonce 0, whatever its nonce is.
    pub fn seal_hash(&self) -> Hash32 {
        keccak256(&[&self.rlp(0, &self.extra_data)])
    }

    /// The part of the header that Engine API payloads lack, as it travels in their `extra_data` (section 4).
    pub fn wire_head(&self) -> WireHead {
        WireHead { extra_data: ExtraData::from(&self.extra_data), nonce: self.nonce, difficulty: self.difficulty }
    }

    /// RLP with another nonce or `extraData`; the latter so that tests can hash Ethereum's own headers.
    fn rlp(&self, nonce: u64, extra_data: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(768);
        self.parent_hash.0.encode(&mut payload);
        self.ommers_hash.0.encode(&mut payload);
        self.beneficiary.encode(&mut payload);
        self.state_root.0.encode(&mut payload);
        self.transactions_root.0.encode(&mut payload);
        self.receipts_root.0.encode(&mut payload);
        self.logs_bloom.encode(&mut payload);
        self.difficulty.encode(&mut payload);
        self.number.encode(&mut payload);
        self.gas_limit.encode(&mut payload);
        self.gas_used.encode(&mut payload);
        self.timestamp.encode(&mut payload);
        extra_data.encode(&mut payload);
        self.mix_hash.0.encode(&mut payload);
        nonce.to_be_bytes().encode(&mut payload);
        self.base_fee_per_gas.encode(&mut payload);
        self.withdrawals_root.0.encode(&mut payload);
        self.blob_gas_used.encode(&mut payload);
        self.excess_blob_gas.encode(&mut payload);
        self.parent_beacon_block_root.0.encode(&mut payload);

        let mut rlp = Vec::with_capacity(768);
        alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut rlp);
        rlp.put_slice(&payload);
        rlp
    }
}

fn field<T: Decodable>(at: &mut &[u8], field: &'static str) -> Result<T, HeaderError> {
    T::decode(at).map_err(|found| HeaderError::Field { field, found })
}

/// Keccak-256 over the concatenation of `parts`: Ethereum's hash, with the original padding, not SHA3-256.
pub fn keccak256(parts: &[&[u8]]) -> Hash32 {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash32(hasher.finalize().into())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn hash(s: &str) -> Hash32 {
        s.parse().unwrap()
    }

    const BLOOM: &str = "\
        906bcea33100b8441a4a0c5de35d59013308c3016c15ce661e9b0a186622e4714485c58587058601d718be14d7ba0d80be199318\
        a800aefd47c7e06a0bad75262008cd48504b192bae365d0bce04e17e405c56db06fc3c988e020544d96c45d90e0f31684246873f\
        3018d2178148ff757625f37115d0a724a81cee37c63b2210884dae5e07432398b1dc31431fea424644d36649e140ac5cea31e25d\
        28b02ba8061e0d1c8bad6f320f7473ccaa12ceb844f9c63ac80fa005ecf30c4c01082278e192b20b60230782070e0dc26769d136\
        36b0c413cd250594531735e26010e54d89ff6048ca0002b019ecbda696d1eb060d7dde60f3b2f4cb4e4182f885d137b1";

    /// Ethereum mainnet, block 20,013,090 (3 June 2024), without its `extraData` of 24 bytes.
    fn mainnet() -> Header {
        Header {
            parent_hash: hash("b2b49c99cba41ed96ab53ff2b172cd867b7d6784fe8ca3c147d211529cde4482"),
            ommers_hash: hash("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
            beneficiary: crate::text::any_hex("beneficiary", "4838B106FCe9647Bdf1E7877BF73cE8B0BAD5f97").unwrap(),
            state_root: hash("62a02785cda0dc514aee2019d96eaefaee29d40428971940e21965805aa5136d"),
            transactions_root: hash("6365226abe9c20b7754d2b71212edf4815dd6ae80f8e0086ce051f126cc5e478"),
            receipts_root: hash("52b0138ad6cd29a7b8eab45da3fdbf3ac8ac19b9ea4b0fa85effff7c730b6c83"),
            logs_bloom: crate::text::lower_hex("logs_bloom", BLOOM).unwrap(),
            difficulty: 0,
            number: 20_013_090,
            gas_limit: 30_000_000,
            gas_used: 13_875_029,
            timestamp: 1_717_439_363,
            extra_data: [0; 64],
            mix_hash: hash("221ee008a8c5aafb557a4654110c3aeb8ae9c3af0f5ff7271edc7c91b2d95e07"),
            nonce: 0,
            base_fee_per_gas: 13_726_822_059,
            withdrawals_root: hash("b18681663754565d0a1b2ba18ee9519e184905f59dfc5edd846fa5909772e1df"),
            blob_gas_used: 393_216,
            excess_blob_gas: 262_144,
            parent_beacon_block_root: hash("87c7c94ff2fdca52510b51b932364c1fae94cb20cc9657e6de84f19921745603"),
        }
    }

    fn header() -> Header {
        let extra_data = ExtraData { parent_hash: mainnet().parent_hash, update_id: crate::UpdateId([9; 32]) }.encode();
        Header { extra_data, difficulty: 0x0102_0304, nonce: 5, ..mainnet() }
    }

    #[test]
    fn a_mainnet_header_has_its_public_hash() {
        let hash = keccak256(&[&mainnet().rlp(0, b"Titan (titanbuilder.xyz)")]);
        assert_eq!(hash.to_string(), "b5f712d1c6eab970b927eac6e3f1704f297d4acfc860f2b243f61e1771aab3ff");
    }

    #[test]
    fn keccak_has_the_original_padding() {
        assert_eq!(keccak256(&[]).to_string(), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(keccak256(&[b"a", b"b"]), keccak256(&[b"ab"]));
    }

    #[test]
    fn the_seal_hash_ignores_the_nonce_and_nothing_else() {
        let sealed = header();
        let unsealed = Header { nonce: 0, ..header() };
        assert_eq!(sealed.seal_hash(), unsealed.block_hash());
        assert_ne!(sealed.seal_hash(), sealed.block_hash());
        let changed = |change: fn(&mut Header)| {
            let mut other = header();
            change(&mut other);
            other.seal_hash() != sealed.seal_hash()
        };
        assert!(changed(|h| h.difficulty += 1));
        assert!(changed(|h| h.timestamp += 1));
        assert!(changed(|h| h.extra_data[63] ^= 1));
        assert!(changed(|h| h.mix_hash.0[0] ^= 1));
        assert!(!changed(|h| h.nonce += 1));
    }

    #[test]
    fn the_wire_head_carries_what_the_payload_lacks() {
        let head = header().wire_head();
        assert_eq!(head.extra_data.encode(), header().extra_data);
        assert_eq!((head.nonce, head.difficulty), (5, 0x0102_0304));
    }

    #[test]
    fn a_shortened_header_is_refused_at_every_length() {
        let rlp = header().encode();
        for length in 0..rlp.len() {
            assert!(Header::decode(&rlp[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn bytes_after_the_header_are_refused() {
        let rlp = [&header().encode()[..], &[0x80]].concat();
        assert_eq!(Header::decode(&rlp), Err(HeaderError::BytesLeft { found: 1 }));
    }

    /// The header's list with its payload changed.
    fn with_payload(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut payload = header().encode()[3..].to_vec();
        change(&mut payload);
        let mut rlp = Vec::new();
        alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut rlp);
        rlp.extend(payload);
        rlp
    }

    #[test]
    fn a_header_of_another_fork_is_refused() {
        let more = with_payload(|payload| payload.extend([0xa0].into_iter().chain([7; 32])));
        assert_eq!(Header::decode(&more), Err(HeaderError::FieldsLeft { found: 33 }));
        let fewer = with_payload(|payload| payload.truncate(payload.len() - 33));
        let found = alloy_rlp::Error::InputTooShort;
        assert_eq!(Header::decode(&fewer), Err(HeaderError::Field { field: "parent_beacon_block_root", found }));
    }

    #[test]
    fn a_string_in_place_of_the_list_is_refused() {
        let expected = HeaderError::Field { field: "header", found: alloy_rlp::Error::UnexpectedString };
        assert_eq!(Header::decode(&[0x82, 1, 2]), Err(expected));
    }

    /// Byte offset of the difficulty in the payload: after 33, 33, 21, 33, 33, 33 and 259 bytes.
    const DIFFICULTY_AT: usize = 445;

    #[test]
    fn a_difficulty_with_a_leading_zero_or_above_64_bits_is_refused() {
        let zero = with_payload(|payload| payload[DIFFICULTY_AT + 1] = 0);
        let found = alloy_rlp::Error::LeadingZero;
        assert_eq!(Header::decode(&zero), Err(HeaderError::Field { field: "difficulty", found }));
        let nine_bytes = with_payload(|payload| {
            payload.splice(DIFFICULTY_AT..DIFFICULTY_AT + 5, [0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        });
        let found = alloy_rlp::Error::Overflow;
        assert_eq!(Header::decode(&nine_bytes), Err(HeaderError::Field { field: "difficulty", found }));
    }

    #[test]
    fn extra_data_of_any_other_length_is_refused() {
        let mainnet = header().rlp(5, b"Titan (titanbuilder.xyz)");
        let found = alloy_rlp::Error::UnexpectedLength;
        assert_eq!(Header::decode(&mainnet), Err(HeaderError::Field { field: "extra_data", found }));
        for length in (0..=600).filter(|n| *n != 64) {
            let refused = Header::decode(&header().rlp(5, &vec![0xff; length]));
            assert!(matches!(refused, Err(HeaderError::Field { field: "extra_data", .. })), "{length} bytes: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn every_header_round_trips(
            hashes in vec(any::<[u8; 32]>(), 8), numbers in vec(any::<u64>().prop_map(|n| n >> (n % 64)), 9),
            beneficiary: [u8; 20], bloom in vec(any::<u8>(), 256), extra in vec(any::<u8>(), 64),
        ) {
            let header = Header {
                parent_hash: Hash32(hashes[0]), ommers_hash: Hash32(hashes[1]), beneficiary, state_root: Hash32(hashes[2]),
                transactions_root: Hash32(hashes[3]), receipts_root: Hash32(hashes[4]), logs_bloom: bloom.try_into().unwrap(),
                difficulty: numbers[0], number: numbers[1], gas_limit: numbers[2], gas_used: numbers[3], timestamp: numbers[4],
                extra_data: extra.try_into().unwrap(), mix_hash: Hash32(hashes[5]), nonce: numbers[5], base_fee_per_gas: numbers[6],
                withdrawals_root: Hash32(hashes[6]), blob_gas_used: numbers[7], excess_blob_gas: numbers[8],
                parent_beacon_block_root: Hash32(hashes[7]),
            };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(at in 0usize..800, bit in 0u8..8) {
            let mut rlp = header().encode();
            let index = at % rlp.len();
            rlp[index] ^= 1 << bit;
            if let Ok(decoded) = Header::decode(&rlp) {
                prop_assert_eq!(decoded.encode(), rlp);
            }
        }
    }
}
