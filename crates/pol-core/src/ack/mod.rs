//! ACKs and certificates: how a committee lets an update into a block (sections 7 and 8).
//!
//! # Contract
//! Stages are types: bytes -> [`RawAck`] (layout) -> [`VerifiedAck`] (key valid, signature holds); trailer -> [`RawCertificate`] ->
//! [`VerifiedCertificate`]. Whether a verified ACK's key has a seat in the epoch's committee is asked when counting, because only
//! the beacon state knows.
//!
//! # What it does not protect against
//! A member that signs without evaluating: its signature looks like any other.

mod certificate;

pub use certificate::{CERTIFICATE_FIXED_BYTES, CertificateError, RawCertificate, VerifiedCertificate, pick};

use crate::{
    Hash32, ModelHead, ResultRoot, UpdateId,
    bls::{BlsError, PublicKey, SecretKey, Signature},
    domains::Domains,
    identity::PeerId,
    params::DOMAIN_AI_ACK,
    record::RecordKey,
    ssz::{self, Reader},
};

/// Bytes of an ACK record's value.
pub const ACK_VALUE_BYTES: usize = 241;
/// Version byte of an ACK record: the one byte that the original's ACK consisted of.
pub const ACK_VERSION: u8 = 0x01;

/// What a member signs: "on this head, this update gives this state, and it passed my gate".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckData {
    /// The update.
    pub update_id: UpdateId,
    /// The head it applies to.
    pub model_head: ModelHead,
    /// Merkle root of the state after it.
    pub result_root: ResultRoot,
}

impl AckData {
    /// `hash_tree_root` of the container of three `Bytes32`.
    pub fn root(&self) -> Hash32 {
        Hash32(ssz::container4(&[self.update_id.0, self.model_head.0, self.result_root.0, [0; 32]]))
    }

    /// What the BLS key signs on this chain.
    pub fn signing_root(&self, domains: &Domains) -> Hash32 {
        ssz::signing_root(self.root(), domains.ai(DOMAIN_AI_ACK))
    }
}

/// Why an ACK record is refused. The writer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Wrong length.
    #[error("ACK value: found {found} bytes, expected {ACK_VALUE_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Unknown version byte.
    #[error("ACK version: found {found:#04x}, expected {ACK_VERSION:#04x}")]
    Version {
        /// Byte found.
        found: u8,
    },
    /// The zero id names no update.
    #[error("ACK update id: found the zero id, expected the id of an update")]
    ZeroUpdate,
    /// The record lies under a key that does not follow from it.
    #[error("ACK key: found a key that does not follow from the value, expected {expected}")]
    Key {
        /// The key that follows from the value.
        expected: RecordKey,
    },
    /// Key or signature.
    #[error("ACK {0}")]
    Bls(#[from] BlsError),
}

/// An ACK whose layout is right and whose signature was not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawAck {
    /// What it claims to sign.
    pub data: AckData,
    /// The claimed signer's compressed key.
    pub public_key: [u8; 48],
    /// The compressed signature.
    pub signature: [u8; 96],
}

impl RawAck {
    /// Reads a record's value.
    ///
    /// # Errors
    /// [`AckError::Length`], [`AckError::Version`], [`AckError::ZeroUpdate`].
    pub fn decode(value: &[u8]) -> Result<Self, AckError> {
        let bytes: &[u8; ACK_VALUE_BYTES] = value.try_into().map_err(|_| AckError::Length { found: value.len() })?;
        let mut reader = Reader(bytes);
        let [version] = reader.take();
        if version != ACK_VERSION {
            return Err(AckError::Version { found: version });
        }
        let data = AckData {
            update_id: UpdateId(reader.take()),
            model_head: ModelHead(reader.take()),
            result_root: ResultRoot(reader.take()),
        };
        if data.update_id.is_zero() {
            return Err(AckError::ZeroUpdate);
        }
        Ok(Self { data, public_key: reader.take(), signature: reader.take() })
    }

    /// Reads a record's value and checks that it lies under its own key.
    ///
    /// # Errors
    /// As [`Self::decode`], and [`AckError::Key`].
    pub fn decode_at(key: &RecordKey, value: &[u8]) -> Result<Self, AckError> {
        let ack = Self::decode(value)?;
        let expected = ack.key();
        if *key == expected { Ok(ack) } else { Err(AckError::Key { expected }) }
    }

    /// Short name of the claimed signer.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_bytes(&self.public_key)
    }

    /// The DHT key this record belongs under.
    pub fn key(&self) -> RecordKey {
        RecordKey::ack(self.data.update_id, self.peer_id())
    }

    /// The value's bytes.
    pub fn to_value(&self) -> [u8; ACK_VALUE_BYTES] {
        let fields = [ACK_VERSION]
            .into_iter()
            .chain(self.data.update_id.0)
            .chain(self.data.model_head.0)
            .chain(self.data.result_root.0)
            .chain(self.public_key)
            .chain(self.signature);
        ssz::filled(fields)
    }

    /// Decodes the key and verifies the signature.
    ///
    /// # Errors
    /// [`AckError::Bls`].
    pub fn verify(&self, domains: &Domains) -> Result<VerifiedAck, AckError> {
        let key = PublicKey::from_bytes(&self.public_key)?;
        self.verify_with(&key, domains)
    }

    /// As [`Self::verify`] with a cached key, which must be the record's own.
    ///
    /// # Errors
    /// [`AckError::Bls`]; [`BlsError::Mismatch`] too when `key` is another key.
    pub fn verify_with(&self, key: &PublicKey, domains: &Domains) -> Result<VerifiedAck, AckError> {
        if key.to_bytes() != self.public_key {
            return Err(BlsError::Mismatch.into());
        }
        let signature = Signature::from_bytes(&self.signature)?;
        signature.verify(self.data.signing_root(domains), key)?;
        Ok(VerifiedAck { raw: *self, signature })
    }
}

/// An ACK whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedAck {
    raw: RawAck,
    signature: Signature,
}

impl VerifiedAck {
    /// Signs. The caller's guard has decided and synced that this may be signed (one result root per update and head).
    ///
    /// # Errors
    /// [`AckError::ZeroUpdate`]: there is nothing to acknowledge.
    pub fn sign(data: AckData, key: &SecretKey, domains: &Domains) -> Result<Self, AckError> {
        if data.update_id.is_zero() {
            return Err(AckError::ZeroUpdate);
        }
        let signature = key.sign(data.signing_root(domains));
        let raw = RawAck { data, public_key: key.public_key().to_bytes(), signature: signature.to_bytes() };
        Ok(Self { raw, signature })
    }

    /// What was signed.
    pub const fn data(&self) -> &AckData {
        &self.raw.data
    }

    /// The signer's compressed key.
    pub const fn public_key(&self) -> &[u8; 48] {
        &self.raw.public_key
    }

    /// The signature, ready to aggregate.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The record.
    pub const fn raw(&self) -> &RawAck {
        &self.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenesisId;

    pub(super) fn chain(name: u8) -> Domains {
        Domains::new(GenesisId([name; 32]), Hash32([4; 32]))
    }

    pub(super) fn data() -> AckData {
        AckData { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) }
    }

    #[test]
    fn an_ack_survives_its_record_and_holds_on_its_own_chain_only_even_with_the_same_validators() {
        let key = SecretKey::from_bytes(&[5; 32]).unwrap();
        let ack = VerifiedAck::sign(data(), &key, &chain(9)).unwrap();
        let raw = RawAck::decode_at(&ack.raw().key(), &ack.raw().to_value()).unwrap();
        assert_eq!(raw.verify(&chain(9)), Ok(ack));
        assert_eq!(raw.verify(&chain(8)), Err(AckError::Bls(BlsError::Mismatch)));
        let other = SecretKey::from_bytes(&[6; 32]).unwrap().public_key();
        assert_eq!(raw.verify_with(&other, &chain(9)), Err(AckError::Bls(BlsError::Mismatch)));
    }

    #[test]
    fn an_ack_of_any_other_length_version_or_the_zero_update_is_refused() {
        let key = SecretKey::from_bytes(&[5; 32]).unwrap();
        let value = VerifiedAck::sign(data(), &key, &chain(0)).unwrap().raw().to_value();
        for length in 0..=600 {
            let mut bytes = value.to_vec();
            bytes.resize(length, 0);
            if length != ACK_VALUE_BYTES {
                assert_eq!(RawAck::decode(&bytes), Err(AckError::Length { found: length }));
            }
        }
        for version in (0..=255).filter(|v| *v != ACK_VERSION) {
            let mut bytes = value;
            bytes[0] = version;
            assert_eq!(RawAck::decode(&bytes), Err(AckError::Version { found: version }));
        }
        let mut bytes = value;
        bytes[1..33].fill(0);
        assert_eq!(RawAck::decode(&bytes), Err(AckError::ZeroUpdate));
        let nothing = AckData { update_id: UpdateId::ZERO, ..data() };
        assert_eq!(VerifiedAck::sign(nothing, &key, &chain(0)), Err(AckError::ZeroUpdate));
    }

    #[test]
    fn an_ack_under_another_key_is_refused() {
        let key = SecretKey::from_bytes(&[5; 32]).unwrap();
        let ack = VerifiedAck::sign(data(), &key, &chain(0)).unwrap();
        let foreign = RecordKey::ack(UpdateId([7; 32]), ack.raw().peer_id());
        let expected = ack.raw().key();
        assert_eq!(RawAck::decode_at(&foreign, &ack.raw().to_value()), Err(AckError::Key { expected }));
    }

    #[test]
    fn any_flipped_bit_breaks_an_ack() {
        let key = SecretKey::from_bytes(&[5; 32]).unwrap();
        let value = VerifiedAck::sign(data(), &key, &chain(0)).unwrap().raw().to_value();
        for bit in 0..value.len() * 8 {
            let mut bytes = value;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = RawAck::decode(&bytes).and_then(|raw| raw.verify(&chain(0)));
            assert!(verdict.is_err(), "bit {bit}");
        }
    }
}
