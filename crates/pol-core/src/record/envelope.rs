//! The envelope around every record: libp2p's signed envelope (its RFC 0002) with an Ed25519 key, in one canonical encoding.
//!
//! # Why here
//! Node and trainer sign envelopes in different processes. Protobuf allows many encodings of one message; records are compared,
//! hashed and kept as evidence, so exactly one is accepted, and it is the one that libp2p's own libraries write.
//!
//! # What it does not protect against
//! The envelope says who passed a value on and when; who *made* it is told by the signature inside (ACKs, identities, fault votes).

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::{GenesisId, params::ENVELOPE_BYTES_MAX, ssz::Reader};

const DOMAIN: &str = "pol-ai/record/v1/";
const PAYLOAD_TYPE: &[u8] = b"/pol-ai/record/1";
/// Field 1, 36 bytes: a libp2p public key, itself field 1 = Ed25519, field 2 of 32 bytes.
const KEY_HEAD: [u8; 6] = [0x0a, 36, 0x08, 0x01, 0x12, 32];
/// Field 5, 64 bytes.
const SIGNATURE_HEAD: [u8; 2] = [0x2a, 64];
/// Bytes of the payload before the value: when it was sealed.
const SEALED_AT_BYTES: usize = 8;

/// Why bytes are no envelope of this chain. The sender's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than any record's envelope.
    #[error("envelope: found {found} bytes, expected at most {ENVELOPE_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not the canonical encoding of a signed envelope with an Ed25519 key and our payload type.
    #[error("envelope: found another encoding, key type or payload type than libp2p's for {}", PAYLOAD_TYPE.escape_ascii())]
    Encoding,
    /// The signature does not hold for this chain: a forgery, or a record of another genesis.
    #[error("envelope: signature does not hold under its key on this chain")]
    Signature,
}

/// An opened envelope: its signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The Ed25519 key that signed.
    pub signer: [u8; 32],
    /// Unix seconds, as the signer claims. Receivers refuse values too far in the future and count a record's life from it.
    pub sealed_at: u64,
    /// The record's value, not yet looked at.
    pub value: Vec<u8>,
}

fn varint(mut value: usize, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    into.push(u8::try_from(value).unwrap_or(0));
}

fn prefixed(bytes: &[u8], into: &mut Vec<u8>) {
    varint(bytes.len(), into);
    into.extend_from_slice(bytes);
}

/// What is signed: domain, payload type and payload, each with its length in front.
fn signed_bytes(genesis_id: GenesisId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prefixed(format!("{DOMAIN}{genesis_id}").as_bytes(), &mut bytes);
    prefixed(PAYLOAD_TYPE, &mut bytes);
    prefixed(payload, &mut bytes);
    bytes
}

fn encode(signer: &[u8; 32], payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut bytes = KEY_HEAD.to_vec();
    bytes.extend_from_slice(signer);
    bytes.push(0x12);
    prefixed(PAYLOAD_TYPE, &mut bytes);
    bytes.push(0x1a);
    prefixed(payload, &mut bytes);
    bytes.extend_from_slice(&SIGNATURE_HEAD);
    bytes.extend_from_slice(signature);
    bytes
}

impl Envelope {
    /// Seals a record's value at `now` (unix seconds) for one chain. Values are at most 402 bytes.
    pub fn seal(key: &SigningKey, genesis_id: GenesisId, now: u64, value: &[u8]) -> Vec<u8> {
        let payload = [&now.to_le_bytes(), value].concat();
        let signature = key.sign(&signed_bytes(genesis_id, &payload)).to_bytes();
        encode(&key.verifying_key().to_bytes(), &payload, &signature)
    }

    /// Opens an envelope: length, encoding, then the signature under the strict rule.
    ///
    /// # Errors
    /// [`EnvelopeError`], each variant.
    pub fn open(bytes: &[u8], genesis_id: GenesisId) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLong { found: bytes.len() });
        }
        // Where the variable part begins and ends follows from the fixed parts around it.
        let (head, signature) = bytes.split_last_chunk::<64>().ok_or(EnvelopeError::Encoding)?;
        let signer: [u8; 32] = head.get(6..38).and_then(|key| key.try_into().ok()).ok_or(EnvelopeError::Encoding)?;
        let payload = payload_of(head).ok_or(EnvelopeError::Encoding)?;
        if encode(&signer, payload, signature) != bytes {
            return Err(EnvelopeError::Encoding);
        }
        let key = VerifyingKey::from_bytes(&signer).map_err(|_| EnvelopeError::Signature)?;
        key.verify_strict(&signed_bytes(genesis_id, payload), &Signature::from_bytes(signature))
            .map_err(|_| EnvelopeError::Signature)?;
        let (_, value) = payload.split_at_checked(SEALED_AT_BYTES).ok_or(EnvelopeError::Encoding)?;
        Ok(Self { signer, sealed_at: u64::from_le_bytes(Reader(payload).take()), value: value.to_vec() })
    }
}

/// The payload inside everything before the signature: after key, payload type and a length of one or two bytes.
fn payload_of(head: &[u8]) -> Option<&[u8]> {
    let at = KEY_HEAD.len().checked_add(32)?.checked_add(PAYLOAD_TYPE.len())?.checked_add(3)?;
    let rest = head.get(at..)?;
    let (first, _) = rest.split_first()?;
    let payload = rest.get(if first & 0x80 == 0 { 1 } else { 2 }..)?;
    payload.strip_suffix(&SIGNATURE_HEAD).filter(|payload| payload.len() >= SEALED_AT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: GenesisId = GenesisId([7; 32]);

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    #[test]
    fn a_value_of_any_record_size_survives_its_envelope() {
        for length in [0, 1, 77, 119, 120, 121, 186, 241, 314, 402] {
            let value = vec![9; length];
            let sealed = Envelope::seal(&key(), CHAIN, 1_800_000_000, &value);
            let opened = Envelope::open(&sealed, CHAIN).unwrap();
            assert_eq!(opened, Envelope { signer: key().verifying_key().to_bytes(), sealed_at: 1_800_000_000, value });
        }
    }

    #[test]
    fn an_envelope_of_another_chain_is_refused() {
        let sealed = Envelope::seal(&key(), CHAIN, 1, b"value");
        assert_eq!(Envelope::open(&sealed, GenesisId([8; 32])), Err(EnvelopeError::Signature));
    }

    #[test]
    fn every_other_length_and_every_flipped_bit_is_refused() {
        let sealed = Envelope::seal(&key(), CHAIN, 1, &[5; 241]);
        for length in (0..sealed.len()).chain(sealed.len() + 1..1_100) {
            let mut other = sealed.clone();
            other.resize(length, 0);
            assert!(Envelope::open(&other, CHAIN).is_err(), "{length}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(Envelope::open(&other, CHAIN).is_err(), "bit {bit}");
        }
        assert_eq!(Envelope::open(&[0; 1_025], CHAIN), Err(EnvelopeError::TooLong { found: 1_025 }));
    }

    #[test]
    fn a_longer_varint_for_the_same_length_is_refused() {
        let sealed = Envelope::seal(&key(), CHAIN, 1, &[5; 77]);
        let at = 6 + 32 + 3 + PAYLOAD_TYPE.len();
        assert_eq!(usize::from(sealed[at - 1]), 0x1a);
        assert_eq!(usize::from(sealed[at]), 85);
        let other = [&sealed[..at], &[85 | 0x80, 0], &sealed[at + 1..]].concat();
        assert_eq!(Envelope::open(&other, CHAIN), Err(EnvelopeError::Encoding));
    }
}
