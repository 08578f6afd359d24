//! Records for tests, honest and not.
#![allow(clippy::as_conversions, clippy::arithmetic_side_effects)]

use libp2p::identity::Keypair;
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, RawAck, VerifiedAck},
    bls::SecretKey,
    domains::Domains,
    identity::PeerId,
    record::{IdData, RecordKey},
};

use crate::{
    envelope,
    validators::{EpochSlot, Validator, ValidatorSet},
    verify::{Body, Held, Known, RawRecord, Standing, Unavailable, VerifiedRecord, VerifyError, entry_hash},
};

pub(crate) const CHAIN: GenesisId = GenesisId([0xc1; 32]);
pub(crate) fn domains() -> Domains {
    Domains::new(CHAIN, Hash32([0x67; 32]))
}
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn bls(i: u8) -> SecretKey {
    SecretKey::from_bytes(&[i; 32]).unwrap()
}

pub(crate) fn node(i: u8) -> Keypair {
    Keypair::ed25519_from_bytes([i; 32]).unwrap()
}

pub(crate) fn ed25519(i: u8) -> [u8; 32] {
    node(i).public().try_into_ed25519().unwrap().to_bytes()
}

/// Validators with the BLS keys 1..=n and the registry indices 1..=n.
pub(crate) fn validators(n: u8) -> ValidatorSet {
    let mut builder = ValidatorSet::empty(domains()).successor();
    let all: Vec<Validator> =
        (1..=n).map(|i| Validator { index: u64::from(i), public_key: bls(i).public_key().to_bytes() }).collect();
    builder.add(EpochSlot::Current, &all).unwrap();
    builder.finish().unwrap()
}

pub(crate) fn ack_data(update: u8, root: u8) -> AckData {
    AckData { update_id: UpdateId([update; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([root; 32]) }
}

pub(crate) fn ack(member: u8, update: u8, root: u8) -> RawAck {
    *VerifiedAck::sign(ack_data(update, root), &bls(member), &domains()).unwrap().raw()
}

pub(crate) fn identity(member: u8, trainers: &[u8], sequence: u64) -> (RecordKey, Vec<u8>) {
    let mut trainers: Vec<[u8; 32]> = trainers.iter().map(|i| ed25519(*i)).collect();
    trainers.sort_unstable();
    let data = IdData { public_key: bls(member).public_key().to_bytes(), node_key: ed25519(member), trainers, sequence };
    let signed = data.sign(&bls(member), &domains()).unwrap();
    (signed.raw().key(), signed.raw().to_value())
}

/// A store that holds nothing.
pub(crate) struct Nothing;

impl Known for Nothing {
    fn validators_naming(&self, _: &[u8; 32], _: u64) -> Result<Vec<PeerId>, Unavailable> {
        Ok(Vec::new())
    }

    fn held(&self, _: &RecordKey, _: &[u8; 32], _: u64) -> Result<Option<Held>, Unavailable> {
        Ok(None)
    }
}

/// All stages at `now`, of a value sealed by node `by` at `sealed_at`.
pub(crate) fn accept_at(
    (key, value): (&RecordKey, &[u8]),
    by: u8,
    sealed_at: u64,
    set: &ValidatorSet,
    known: &impl Known,
    now: u64,
) -> Result<VerifiedRecord, VerifyError> {
    let envelope = envelope::seal(&node(by), CHAIN, sealed_at, value).unwrap();
    RawRecord::new(&key.to_bytes(), &envelope)?.open(CHAIN, now)?.verify(set, known, now)
}

/// As [`accept_at`] with the seal at [`NOW`], which is also the time.
pub(crate) fn accept(
    key: &RecordKey,
    value: &[u8],
    set: &ValidatorSet,
    known: &impl Known,
) -> Result<VerifiedRecord, VerifyError> {
    accept_at((key, value), 1, NOW, set, known, NOW)
}

/// An ACK as the verifier would return it, of a made-up validator and without its 1.5 ms of pairings: for tests of the store, which never
/// looks at BLS signatures.
pub(crate) fn cheap_ack(update_id: UpdateId, validator: u64, standing: Standing, now: u64) -> VerifiedRecord {
    let mut public_key = [0; 48];
    public_key[..8].copy_from_slice(&validator.to_be_bytes());
    let data = AckData { update_id, ..ack_data(1, 3) };
    // Bytes that do not compress, like real signatures.
    let mut signature = [0; 96];
    for (chunk, salt) in signature.chunks_mut(32).zip(0_u8..) {
        chunk.copy_from_slice(&pol_core::sha256(&[&update_id.0, &public_key, &[salt]]));
    }
    let raw = RawAck { data, public_key, signature };
    let (key, value) = (raw.key(), raw.to_value());
    let envelope = envelope::seal(&node(1), CHAIN, now, &value).unwrap();
    let start = envelope.windows(value.len()).position(|part| part == value).unwrap();
    thread_local!(static BODY: VerifiedAck = VerifiedAck::sign(ack_data(1, 1), &bls(1), &domains()).unwrap());
    VerifiedRecord {
        key,
        body: Body::Ack(BODY.with(|body| *body)),
        value: start..start + value.len(),
        sealed_at: now,
        expires_at: now + 3_600,
        signer: ed25519(1),
        standing,
        owner: PeerId::of_bytes(&public_key),
        entry: entry_hash(&key, &value),
        envelope,
    }
}

/// A distinct update id per number.
pub(crate) fn update(number: u64) -> UpdateId {
    UpdateId(pol_core::sha256(&[&number.to_le_bytes()]))
}
