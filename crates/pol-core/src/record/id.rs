//! `id:` records: which Ed25519 keys speak for a validator.

use super::RecordKey;
use crate::{
    Hash32,
    bls::{BlsError, PublicKey, SecretKey, Signature},
    domains::Domains,
    identity::PeerId,
    params::{DOMAIN_AI_ID, TRAINERS_PER_VALIDATOR},
    ssz::{self, Reader},
};

/// Bytes of an identity record without trainer keys.
pub const ID_FIXED_BYTES: usize = 186;
const VERSION: u8 = 1;

/// Why an identity record is refused. The writer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Wrong length for the number of trainers, or too short to hold it.
    #[error("identity record: found {found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// Unknown version.
    #[error("identity record version: found {found:#04x}, expected 0x01")]
    Version {
        /// Byte found.
        found: u8,
    },
    /// More trainers than a validator may name.
    #[error("identity record trainers: found {found}, expected at most {TRAINERS_PER_VALIDATOR}")]
    TooManyTrainers {
        /// Number found.
        found: usize,
    },
    /// Trainer keys out of order or repeated.
    #[error("identity record trainers: found keys that do not strictly increase")]
    Order,
    /// Stored under a foreign key.
    #[error("identity record key: found a key that does not follow from the value, expected {expected}")]
    Key {
        /// The key that follows.
        expected: RecordKey,
    },
    /// Key or signature.
    #[error("identity record {0}")]
    Bls(#[from] BlsError),
}

/// What the validator signs (SSZ container, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdData {
    /// The validator's compressed BLS key.
    pub public_key: [u8; 48],
    /// Ed25519 key of its libp2p node.
    pub node_key: [u8; 32],
    /// Ed25519 keys of its trainers, strictly increasing, at most 4.
    pub trainers: Vec<[u8; 32]>,
    /// Grows with each renewal; the highest replaces the others.
    pub sequence: u64,
}

impl IdData {
    /// `hash_tree_root`.
    pub fn root(&self) -> Hash32 {
        Hash32(ssz::container4(&[
            ssz::bytes48(&self.public_key),
            self.node_key,
            ssz::list4(&self.trainers),
            ssz::uint64(self.sequence),
        ]))
    }

    /// What the BLS key signs.
    pub fn signing_root(&self, domains: &Domains) -> Hash32 {
        ssz::signing_root(self.root(), domains.ai(DOMAIN_AI_ID))
    }

    fn check(&self) -> Result<(), IdError> {
        if self.trainers.len() > TRAINERS_PER_VALIDATOR {
            return Err(IdError::TooManyTrainers { found: self.trainers.len() });
        }
        if self.trainers.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(IdError::Order) }
    }

    /// Signs the record.
    ///
    /// # Errors
    /// [`IdError::TooManyTrainers`], [`IdError::Order`]; [`IdError::Bls`] when `key` is not the record's own.
    pub fn sign(self, key: &SecretKey, domains: &Domains) -> Result<VerifiedIdRecord, IdError> {
        self.check()?;
        if key.public_key().to_bytes() != self.public_key {
            return Err(BlsError::Mismatch.into());
        }
        let signature = key.sign(self.signing_root(domains)).to_bytes();
        Ok(VerifiedIdRecord(RawIdRecord { data: self, signature }))
    }
}

/// A record whose layout is right and whose signature was not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawIdRecord {
    /// What it claims.
    pub data: IdData,
    /// Compressed BLS signature.
    pub signature: [u8; 96],
}

impl RawIdRecord {
    /// Reads a record's value.
    ///
    /// # Errors
    /// [`IdError`], all but `Key` and `Bls`.
    pub fn decode(value: &[u8]) -> Result<Self, IdError> {
        let found = value.len();
        if found < ID_FIXED_BYTES {
            return Err(IdError::Length { found, expected: ID_FIXED_BYTES });
        }
        let mut reader = Reader(value);
        let [version] = reader.take();
        if version != VERSION {
            return Err(IdError::Version { found: version });
        }
        let (public_key, node_key) = (reader.take(), reader.take());
        let sequence = u64::from_le_bytes(reader.take());
        let [count] = reader.take();
        let count = usize::from(count);
        if count > TRAINERS_PER_VALIDATOR {
            return Err(IdError::TooManyTrainers { found: count });
        }
        let expected = ID_FIXED_BYTES.saturating_add(count.saturating_mul(32));
        if found != expected {
            return Err(IdError::Length { found, expected });
        }
        let trainers = (0..count).map(|_| reader.take()).collect();
        let data = IdData { public_key, node_key, trainers, sequence };
        data.check()?;
        Ok(Self { data, signature: reader.take() })
    }

    /// Reads a value and checks that it lies under its own key.
    ///
    /// # Errors
    /// [`IdError`], all but `Bls`.
    pub fn decode_at(key: &RecordKey, value: &[u8]) -> Result<Self, IdError> {
        let record = Self::decode(value)?;
        let expected = record.key();
        if *key == expected { Ok(record) } else { Err(IdError::Key { expected }) }
    }

    /// The DHT key this record belongs under.
    pub fn key(&self) -> RecordKey {
        RecordKey::Id { peer: PeerId::of_bytes(&self.data.public_key) }
    }

    /// The value's bytes.
    pub fn to_value(&self) -> Vec<u8> {
        let count = u8::try_from(self.data.trainers.len()).unwrap_or(u8::MAX);
        let mut value = vec![VERSION];
        value.extend_from_slice(&self.data.public_key);
        value.extend_from_slice(&self.data.node_key);
        value.extend_from_slice(&self.data.sequence.to_le_bytes());
        value.push(count);
        value.extend(self.data.trainers.iter().flatten());
        value.extend_from_slice(&self.signature);
        value
    }

    /// Decodes the key and verifies the signature.
    ///
    /// # Errors
    /// [`IdError::Bls`].
    pub fn verify(self, domains: &Domains) -> Result<VerifiedIdRecord, IdError> {
        let key = PublicKey::from_bytes(&self.data.public_key)?;
        let signature = Signature::from_bytes(&self.signature)?;
        signature.verify(self.data.signing_root(domains), &key)?;
        Ok(VerifiedIdRecord(self))
    }
}

/// A record that the validator itself signed. Whether that validator is active is the beacon state's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdRecord(RawIdRecord);

impl VerifiedIdRecord {
    /// What was signed.
    pub const fn data(&self) -> &IdData {
        &self.0.data
    }

    /// The record.
    pub const fn raw(&self) -> &RawIdRecord {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenesisId;

    fn chain(name: u8) -> Domains {
        Domains::new(GenesisId([name; 32]), Hash32([4; 32]))
    }

    fn record(trainers: Vec<[u8; 32]>) -> Result<VerifiedIdRecord, IdError> {
        let key = SecretKey::from_bytes(&[3; 32]).unwrap();
        let data = IdData { public_key: key.public_key().to_bytes(), node_key: [1; 32], trainers, sequence: 4 };
        data.sign(&key, &chain(2))
    }

    #[test]
    fn an_identity_survives_its_bytes_with_zero_to_four_trainers() {
        for count in 0..=4_u8 {
            let signed = record((0..count).map(|i| [i; 32]).collect()).unwrap();
            let value = signed.raw().to_value();
            let raw = RawIdRecord::decode_at(&signed.raw().key(), &value).unwrap();
            assert_eq!(raw.clone().verify(&chain(2)), Ok(signed));
            assert_eq!(raw.verify(&chain(1)), Err(IdError::Bls(BlsError::Mismatch)));
            for length in (0..400).filter(|l| *l != value.len()) {
                let mut other = value.clone();
                other.resize(length, 0);
                assert!(RawIdRecord::decode(&other).is_err());
            }
        }
    }

    #[test]
    fn five_trainers_repeats_and_disorder_are_refused() {
        assert_eq!(record((0..5).map(|i| [i; 32]).collect()), Err(IdError::TooManyTrainers { found: 5 }));
        assert_eq!(record(vec![[1; 32], [1; 32]]), Err(IdError::Order));
        assert_eq!(record(vec![[2; 32], [1; 32]]), Err(IdError::Order));
        let foreign = IdData { public_key: [0; 48], node_key: [0; 32], trainers: vec![], sequence: 0 };
        let key = SecretKey::from_bytes(&[3; 32]).unwrap();
        assert_eq!(foreign.sign(&key, &chain(0)), Err(IdError::Bls(BlsError::Mismatch)));
    }

    #[test]
    fn an_identity_under_another_key_is_refused() {
        let signed = record(vec![]).unwrap();
        let foreign = RecordKey::Id { peer: PeerId([0; 8]) };
        let expected = signed.raw().key();
        assert_eq!(RawIdRecord::decode_at(&foreign, &signed.raw().to_value()), Err(IdError::Key { expected }));
    }
}
