//! Signed envelopes around DHT values (section 7): who wrote the bytes, on which chain, and when.
//!
//! # Contract
//! An envelope is libp2p's `SignedEnvelope` (RFC 0002) by an Ed25519 key, in its one canonical encoding, at most
//! [`MAX_ENVELOPE_BYTES`] long. Its payload is `sealed_at u64 LE (unix seconds) || value`. The signature's domain carries the genesis id,
//! so that no envelope of another chain opens.
//!
//! # What it does not protect against
//! Anybody may put another's value into an envelope of his own, with another `sealed_at`. A value that matters carries its writer's own
//! BLS signature, or binds the envelope's signer (announcements).

use libp2p::{
    core::SignedEnvelope,
    identity::{Keypair, PublicKey},
};
use pol_core::GenesisId;

/// Longest envelope, checked before anything else is looked at.
pub const MAX_ENVELOPE_BYTES: usize = 1_024;
/// Payload type of a record's envelope.
pub const PAYLOAD_TYPE: &[u8] = b"/pol-ai/record/1";
const SEALED_AT_BYTES: usize = 8;

/// Why bytes are not an envelope of this chain. The peer's fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than any envelope.
    #[error("envelope: found {found} bytes, expected at most {MAX_ENVELOPE_BYTES}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// No protobuf message of an envelope with a key that libp2p knows.
    #[error("envelope: found bytes that are no signed envelope")]
    Encoding,
    /// The same message in another encoding: unknown fields, other order, padded numbers.
    #[error("envelope: found an encoding that is not the canonical one")]
    NotCanonical,
    /// Signed by a key of another kind.
    #[error("envelope key: found a key that is not Ed25519")]
    KeyType,
    /// Made for another purpose.
    #[error("envelope payload type: found another one, expected /pol-ai/record/1")]
    PayloadType,
    /// Too short to say when it was sealed.
    #[error("envelope payload: found {found} bytes, expected at least {SEALED_AT_BYTES}")]
    Payload {
        /// Bytes found.
        found: usize,
    },
    /// Forged, or sealed on another chain: the two cannot be told apart.
    #[error("envelope signature does not hold for this payload on this chain")]
    Signature,
}

/// This node could not sign: libp2p's key refused. Our fault; does not happen with Ed25519 keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key cannot sign.
    #[error("envelope: this node's key cannot sign")]
    Key,
    /// The value does not fit.
    #[error("envelope: found {found} bytes after sealing, expected at most {MAX_ENVELOPE_BYTES}")]
    TooLong {
        /// Bytes the envelope would have.
        found: usize,
    },
}

/// An opened envelope: its signature holds on this chain. Says nothing about the value yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Ed25519 key of the signer.
    pub signer: [u8; 32],
    /// When the signer says that it sealed the value, unix seconds. The receiver bounds it.
    pub sealed_at: u64,
    /// The record's value.
    pub value: Vec<u8>,
}

fn domain(genesis_id: GenesisId) -> String {
    format!("pol-ai/record/v1/{genesis_id}")
}

/// Seals `value` at `now` (unix seconds) for the chain.
///
/// # Errors
/// [`SealError`], ours.
pub fn seal(keypair: &Keypair, genesis_id: GenesisId, now: u64, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let payload = [&now.to_le_bytes(), value].concat();
    let envelope =
        SignedEnvelope::new(keypair, domain(genesis_id), PAYLOAD_TYPE.to_vec(), payload).map_err(|_| SealError::Key)?;
    let bytes = envelope.into_protobuf_encoding();
    if bytes.len() > MAX_ENVELOPE_BYTES { Err(SealError::TooLong { found: bytes.len() }) } else { Ok(bytes) }
}

/// Opens an envelope of this chain.
///
/// # Errors
/// [`EnvelopeError`], each variant.
pub fn open(bytes: &[u8], genesis_id: GenesisId) -> Result<Envelope, EnvelopeError> {
    let envelope = decode(bytes)?;
    let (payload, key) = envelope.payload_and_signing_key(domain(genesis_id), PAYLOAD_TYPE).map_err(|error| match error {
        libp2p::core::signed_envelope::ReadPayloadError::UnexpectedPayloadType { .. } => EnvelopeError::PayloadType,
        libp2p::core::signed_envelope::ReadPayloadError::InvalidSignature => EnvelopeError::Signature,
    })?;
    let signer = ed25519(key)?;
    let (sealed_at, value) =
        payload.split_first_chunk::<SEALED_AT_BYTES>().ok_or(EnvelopeError::Payload { found: payload.len() })?;
    Ok(Envelope { signer, sealed_at: u64::from_le_bytes(*sealed_at), value: value.to_vec() })
}

fn decode(bytes: &[u8]) -> Result<SignedEnvelope, EnvelopeError> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(EnvelopeError::TooLong { found: bytes.len() });
    }
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).map_err(|_| EnvelopeError::Encoding)?;
    // One envelope, one byte string: otherwise every relay could mint fresh copies of a record.
    if envelope.clone().into_protobuf_encoding() != bytes {
        return Err(EnvelopeError::NotCanonical);
    }
    Ok(envelope)
}

fn ed25519(key: &PublicKey) -> Result<[u8; 32], EnvelopeError> {
    key.clone().try_into_ed25519().map(|key| key.to_bytes()).map_err(|_| EnvelopeError::KeyType)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAIN: GenesisId = GenesisId([7; 32]);

    fn key() -> Keypair {
        Keypair::ed25519_from_bytes([3; 32]).unwrap()
    }

    fn signer() -> [u8; 32] {
        key().public().try_into_ed25519().unwrap().to_bytes()
    }

    #[test]
    fn an_envelope_opens_on_its_own_chain_only() {
        let bytes = seal(&key(), CHAIN, 99, b"value").unwrap();
        assert_eq!(open(&bytes, CHAIN), Ok(Envelope { signer: signer(), sealed_at: 99, value: b"value".to_vec() }));
        assert_eq!(open(&bytes, GenesisId([8; 32])), Err(EnvelopeError::Signature));
    }

    #[test]
    fn an_oversize_envelope_is_refused_by_its_length_alone() {
        for length in [MAX_ENVELOPE_BYTES + 1, 10_240] {
            assert_eq!(open(&vec![0xff; length], CHAIN), Err(EnvelopeError::TooLong { found: length }));
        }
        let overhead = seal(&key(), CHAIN, 1, &[0; 600]).unwrap().len() - 600;
        let fits = MAX_ENVELOPE_BYTES - overhead;
        let bytes = seal(&key(), CHAIN, 1, &vec![0; fits]).unwrap();
        assert_eq!(bytes.len(), MAX_ENVELOPE_BYTES);
        assert!(open(&bytes, CHAIN).is_ok());
        let found = MAX_ENVELOPE_BYTES + 1;
        assert_eq!(seal(&key(), CHAIN, 1, &vec![0; fits + 1]), Err(SealError::TooLong { found }));
    }

    #[test]
    fn another_encoding_of_a_good_envelope_is_refused() {
        let bytes = seal(&key(), CHAIN, 99, b"value").unwrap();
        // An unknown field (number 9, varint 0), which protobuf skips.
        let unknown = [bytes.as_slice(), &[0x48, 0x00]].concat();
        assert_eq!(open(&unknown, CHAIN), Err(EnvelopeError::NotCanonical));
        // The first field's length as a padded varint.
        let padded = [&[bytes[0], bytes[1] | 0x80, 0x00], &bytes[2..]].concat();
        assert_eq!(open(&padded, CHAIN), Err(EnvelopeError::NotCanonical));
    }

    #[test]
    fn a_payload_of_another_type_or_without_a_time_is_refused() {
        let other = SignedEnvelope::new(&key(), domain(CHAIN), b"/other".to_vec(), vec![0; 9]).unwrap();
        assert_eq!(open(&other.into_protobuf_encoding(), CHAIN), Err(EnvelopeError::PayloadType));
        let short = SignedEnvelope::new(&key(), domain(CHAIN), PAYLOAD_TYPE.to_vec(), vec![0; 7]).unwrap();
        assert_eq!(open(&short.into_protobuf_encoding(), CHAIN), Err(EnvelopeError::Payload { found: 7 }));
    }

    proptest! {
        #[test]
        fn any_value_survives_sealing(value in proptest::collection::vec(any::<u8>(), 0..700), now: u64) {
            let opened = open(&seal(&key(), CHAIN, now, &value).unwrap(), CHAIN).unwrap();
            prop_assert_eq!(opened, Envelope { signer: signer(), sealed_at: now, value });
        }

        #[test]
        fn an_envelope_with_any_byte_changed_is_refused(position: proptest::sample::Index, flip in 1..=255_u8) {
            let mut bytes = seal(&key(), CHAIN, 5, b"a value").unwrap();
            let at = position.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(open(&bytes, CHAIN).is_err());
        }

        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_100)) {
            prop_assert!(open(&bytes, CHAIN).is_err());
        }
    }
}
