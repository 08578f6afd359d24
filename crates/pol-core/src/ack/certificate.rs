//! The certificate: resultRoot, seats and one aggregate signature, in the trailer of an AI block (section 8).

use super::{AckData, VerifiedAck};
use crate::{
    ModelHead, ResultRoot, UpdateId,
    bls::{BlsError, PublicKey, SIGNATURE_BYTES, Signature},
    committee::{SeatBits, SeatError},
    domains::Domains,
    ssz::Reader,
};

/// Bytes of a certificate without its seat bits: root 32, n 2, signature 96.
pub const CERTIFICATE_FIXED_BYTES: usize = 130;

/// Why a certificate is refused. The proposer's fault, who must have checked it before signing (reason 1 of section 11); never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Too short to hold `n`, or not the length that `n` gives.
    #[error("certificate: found {found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected: for this `n`, or the shortest possible when `n` is missing.
        expected: usize,
    },
    /// `n` or the bits.
    #[error("certificate {0}")]
    Seats(#[from] SeatError),
    /// Another committee's size.
    #[error("certificate n: found {found} seats, expected the committee's {expected}")]
    Committee {
        /// `n` of the certificate.
        found: usize,
        /// Seats of the epoch's committee.
        expected: usize,
    },
    /// Fewer seats than the quorum.
    #[error("certificate: found {found} ACKs, expected at least the quorum of {expected}")]
    Quorum {
        /// Bits set.
        found: usize,
        /// The quorum.
        expected: usize,
    },
    /// Key or signature.
    #[error("certificate {0}")]
    Bls(#[from] BlsError),
    /// While building: an ACK speaks of another update, head or root than the first.
    #[error("certificate: found ACKs for different (update, head, root), expected one")]
    Mixed,
}

/// A certificate whose layout is right and which was not checked against a committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawCertificate {
    /// Root of the state after the update, as the members computed it.
    pub result_root: ResultRoot,
    /// Who signed.
    pub seats: SeatBits,
    /// Compressed aggregate signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl RawCertificate {
    /// Reads the trailer of a wire form.
    ///
    /// # Errors
    /// [`CertificateError::Length`], [`CertificateError::Seats`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        let shortest = CERTIFICATE_FIXED_BYTES.saturating_add(1);
        if bytes.len() < shortest {
            return Err(CertificateError::Length { found: bytes.len(), expected: shortest });
        }
        let mut reader = Reader(bytes);
        let result_root = ResultRoot(reader.take());
        let n = usize::from(u16::from_le_bytes(reader.take()));
        SeatBits::new(n)?;
        let expected = CERTIFICATE_FIXED_BYTES.saturating_add(n.div_ceil(8));
        if bytes.len() != expected {
            return Err(CertificateError::Length { found: bytes.len(), expected });
        }
        let (bits, signature) = reader.0.split_at_checked(n.div_ceil(8)).unwrap_or_default();
        Ok(Self { result_root, seats: SeatBits::from_bytes(n, bits)?, signature: Reader(signature).take() })
    }

    /// Builds a certificate from single ACKs, given by seat of a committee of `n`.
    ///
    /// The caller has looked up that each ACK's key is the key of its seat; [`Self::verify`] would tell. A seat that comes twice counts once.
    ///
    /// # Errors
    /// [`CertificateError::Seats`] for a bad `n` or seat, [`CertificateError::Mixed`], [`CertificateError::Bls`] for no ACK at all.
    pub fn build<'a>(n: usize, acks: impl IntoIterator<Item = (usize, &'a VerifiedAck)>) -> Result<Self, CertificateError> {
        let mut seats = SeatBits::new(n)?;
        let mut signatures = Vec::new();
        let mut signed: Option<AckData> = None;
        for (seat, ack) in acks {
            if signed.get_or_insert(*ack.data()) != ack.data() {
                return Err(CertificateError::Mixed);
            }
            if seats.get(seat) {
                continue;
            }
            if !seats.set(seat) {
                return Err(SeatError::BeyondEnd { bit: seat, n }.into());
            }
            signatures.push(*ack.signature());
        }
        let data = signed.ok_or(BlsError::Empty)?;
        let signature = Signature::aggregate(&signatures)?.to_bytes();
        Ok(Self { result_root: data.result_root, seats, signature })
    }

    /// The trailer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let n = u16::try_from(self.seats.seats()).unwrap_or_default();
        let parts: [&[u8]; 4] = [&self.result_root.0, &n.to_le_bytes(), self.seats.to_bytes(), &self.signature];
        parts.concat()
    }

    /// Checks the certificate for `update_id` on `model_head` against the committee of the block's epoch, keys by seat.
    ///
    /// Cheap tests come first: size, quorum, then one subgroup check and one pairing.
    ///
    /// # Errors
    /// [`CertificateError::Committee`], [`CertificateError::Quorum`], [`CertificateError::Bls`].
    pub fn verify<K: AsRef<PublicKey>>(
        &self,
        update_id: UpdateId,
        model_head: ModelHead,
        committee: &[K],
        quorum: usize,
        domains: &Domains,
    ) -> Result<VerifiedCertificate, CertificateError> {
        if self.seats.seats() != committee.len() {
            return Err(CertificateError::Committee { found: self.seats.seats(), expected: committee.len() });
        }
        let found = self.seats.count();
        if found < quorum.max(1) {
            return Err(CertificateError::Quorum { found, expected: quorum.max(1) });
        }
        let data = AckData { update_id, model_head, result_root: self.result_root };
        let signers = committee.iter().enumerate().filter(|(seat, _)| self.seats.get(*seat)).map(|(_, key)| key.as_ref());
        let signature = Signature::from_bytes(&self.signature)?;
        signature.fast_aggregate_verify(data.signing_root(domains), signers)?;
        Ok(VerifiedCertificate { raw: *self, data })
    }
}

/// A certificate that a committee's quorum really signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedCertificate {
    raw: RawCertificate,
    data: AckData,
}

impl VerifiedCertificate {
    /// The bytes' form.
    pub const fn raw(&self) -> &RawCertificate {
        &self.raw
    }

    /// What the members signed.
    pub const fn data(&self) -> &AckData {
        &self.data
    }
}

/// The candidate a proposer takes: most ACKs among those that reach the quorum, ties to the smaller id (section 10).
pub fn pick(candidates: impl IntoIterator<Item = (UpdateId, usize)>, quorum: usize) -> Option<UpdateId> {
    candidates
        .into_iter()
        .filter(|(_, acks)| *acks >= quorum.max(1))
        .min_by_key(|(id, acks)| (core::cmp::Reverse(*acks), *id))
        .map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{chain, data},
        *,
    };
    use crate::bls::SecretKey;

    struct Seat(PublicKey);

    impl AsRef<PublicKey> for Seat {
        fn as_ref(&self) -> &PublicKey {
            &self.0
        }
    }

    fn committee(n: u8) -> (Vec<SecretKey>, Vec<Seat>) {
        let keys: Vec<SecretKey> = (1..=n).map(|i| SecretKey::from_bytes(&[i; 32]).unwrap()).collect();
        let seats = keys.iter().map(|k| Seat(k.public_key())).collect();
        (keys, seats)
    }

    fn certificate(keys: &[SecretKey], signers: &[usize]) -> RawCertificate {
        let acks: Vec<(usize, VerifiedAck)> =
            signers.iter().map(|i| (*i, VerifiedAck::sign(data(), &keys[*i], &chain(1)).unwrap())).collect();
        RawCertificate::build(keys.len(), acks.iter().map(|(i, a)| (*i, a))).unwrap()
    }

    #[test]
    fn a_quorum_of_acks_makes_a_certificate_that_verifies() {
        for n in [1, 2, 3, 8, 9, 17] {
            let (keys, seats) = committee(n);
            let signers: Vec<usize> = (0..keys.len()).step_by(2).collect();
            let raw = certificate(&keys, &signers);
            assert_eq!(RawCertificate::decode(&raw.encode()), Ok(raw));
            let verified = raw.verify(data().update_id, data().model_head, &seats, signers.len(), &chain(1)).unwrap();
            assert_eq!(verified.data(), &data());
        }
    }

    #[test]
    fn a_certificate_short_of_quorum_of_another_size_or_for_another_message_is_refused() {
        let (keys, seats) = committee(5);
        let raw = certificate(&keys, &[0, 3]);
        let (id, head) = (data().update_id, data().model_head);
        assert_eq!(raw.verify(id, head, &seats, 3, &chain(1)), Err(CertificateError::Quorum { found: 2, expected: 3 }));
        assert_eq!(raw.verify(id, head, &seats[1..], 2, &chain(1)), Err(CertificateError::Committee { found: 5, expected: 4 }));
        let mismatch = Err(CertificateError::Bls(BlsError::Mismatch));
        assert_eq!(raw.verify(UpdateId([9; 32]), head, &seats, 2, &chain(1)), mismatch);
        assert_eq!(raw.verify(id, ModelHead([9; 32]), &seats, 2, &chain(1)), mismatch);
        assert_eq!(raw.verify(id, head, &seats, 2, &chain(2)), mismatch);
        let mut other = raw;
        other.result_root = ResultRoot([9; 32]);
        assert_eq!(other.verify(id, head, &seats, 2, &chain(1)), mismatch);
        let mut other = raw;
        other.seats.set(1);
        assert_eq!(other.verify(id, head, &seats, 2, &chain(1)), mismatch, "a seat that did not sign");
    }

    #[test]
    fn a_certificate_that_nobody_signed_never_passes_even_with_a_quorum_of_zero() {
        let (keys, seats) = committee(2);
        let mut raw = certificate(&keys, &[0]);
        raw.seats = SeatBits::new(2).unwrap();
        let verdict = raw.verify(data().update_id, data().model_head, &seats, 0, &chain(1));
        assert_eq!(verdict, Err(CertificateError::Quorum { found: 0, expected: 1 }));
    }

    #[test]
    fn every_length_but_the_one_of_n_is_refused() {
        let (keys, _) = committee(9);
        let bytes = certificate(&keys, &[0, 8]).encode();
        for length in (0..=600).filter(|l| *l != bytes.len()) {
            let mut other = bytes.clone();
            other.resize(length, 0);
            assert!(matches!(RawCertificate::decode(&other), Err(CertificateError::Length { found, .. }) if found == length));
        }
    }

    #[test]
    fn acks_for_different_roots_do_not_mix() {
        let (keys, _) = committee(2);
        let other = AckData { result_root: ResultRoot([8; 32]), ..data() };
        let acks =
            [VerifiedAck::sign(data(), &keys[0], &chain(1)).unwrap(), VerifiedAck::sign(other, &keys[1], &chain(1)).unwrap()];
        assert_eq!(RawCertificate::build(2, acks.iter().enumerate()), Err(CertificateError::Mixed));
        assert!(RawCertificate::build(2, []).is_err());
        let twice = RawCertificate::build(2, [(0, &acks[0]), (0, &acks[0])]).unwrap();
        assert_eq!(twice.seats.count(), 1);
        assert!(RawCertificate::build(2, [(2, &acks[0])]).is_err());
    }

    #[test]
    fn the_candidate_with_most_acks_is_picked_and_ties_go_to_the_smaller_id() {
        let id = |b| UpdateId([b; 32]);
        assert_eq!(pick([(id(3), 2), (id(1), 1), (id(2), 2)], 2), Some(id(2)));
        assert_eq!(pick([(id(3), 2), (id(1), 3)], 4), None);
        assert_eq!(pick([(id(3), 0)], 0), None);
        assert_eq!(pick([], 1), None);
    }
}
