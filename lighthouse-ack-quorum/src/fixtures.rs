//! A small chain with known keys, for the tests of this crate (unit and integration alike) and its bench.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::{collections::BTreeMap, sync::Arc};

use ed25519_dalek::SigningKey;
use lighthouse_ack_quorum::{
    collector::Seen,
    members::{Committee, Keys, Members, Validator},
};
use pol_core::{
    Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    bls::{PublicKey, SecretKey},
    committee::QuorumRule,
    delta::{Checked, Claims, Profile, encode},
    domains::Domains,
    extra_data::ExtraData,
    fault::SignedHeader,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    params::Preset,
    ssz::BeaconBlockHeader,
    state::Shape,
    wire::{self, WireHead},
};

pub const NOW_MS: u64 = 1_800_000_000_000;

/// Chain number `name`; 3 chunks, one-second slots.
pub fn spec_of(name: u64, quorum: QuorumRule) -> ChainSpec {
    ChainSpec::new(&ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 1,
        chain_id: name,
        genesis_validators_root: Hash32([4; 32]),
        execution_genesis_hash: Hash32([5; 32]),
        quorum,
        difficulty_floor: 1_000,
        manifest_hash: Hash32([6; 32]),
        shape: Shape::new(2, 40, 40, 20, 110).unwrap(),
        dev_texts_hash: Hash32([7; 32]),
        reference_losses: [NanoNats::new(1).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    })
    .unwrap()
}

pub fn spec() -> ChainSpec {
    spec_of(1, QuorumRule::Auto)
}

pub fn domains() -> Domains {
    spec().domains()
}

/// Secret key of validator `index`.
pub fn secret(index: u64) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(index + 1).to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

pub fn public(index: u64) -> [u8; 48] {
    secret(index).public_key().to_bytes()
}

pub fn key_of(index: u64) -> Option<Arc<PublicKey>> {
    (index < 2_000).then(|| Arc::new(secret(index).public_key()))
}

pub fn validators(indices: impl IntoIterator<Item = u64>) -> Vec<Validator> {
    indices.into_iter().map(|index| Validator { index, public_key: public(index) }).collect()
}

pub fn committee(epoch: u64, indices: impl IntoIterator<Item = u64>, keys: &mut Keys) -> Committee {
    Committee::draw(epoch, &validators(indices), Hash32([9; 32]), Preset::Minimal, keys).unwrap()
}

/// Validators 0..n in every epoch around `current`.
pub fn members(n: u64, current: u64) -> Members {
    let mut keys = Keys::default();
    let epochs = current.saturating_sub(9)..=current + 1;
    let committees: Vec<_> = epochs.map(|epoch| Arc::new(committee(epoch, 0..n, &mut keys))).collect();
    Members::default().advance(current, committees)
}

pub fn data(update: u8, head: u8, root: u8) -> AckData {
    AckData { update_id: UpdateId([update; 32]), model_head: ModelHead([head; 32]), result_root: ResultRoot([root; 32]) }
}

pub fn ack(index: u64, data: AckData) -> Seen {
    Seen { ack: *VerifiedAck::sign(data, &secret(index), &domains()).unwrap().raw(), first_seen_ms: NOW_MS }
}

/// A kind-0 delta; two of the same seed and different slots are near-copies of each other.
pub fn delta(seed: u64, head: ModelHead, slot: u64) -> Checked {
    delta_in(&spec(), seed, head, slot)
}

pub fn delta_in(spec: &ChainSpec, seed: u64, head: ModelHead, slot: u64) -> Checked {
    let context = spec.delta_context();
    let values = usize::try_from(context.shape.value_count()).unwrap();
    let change: Vec<i32> = (0..values).map(|i| if i as u64 % 97 == seed % 97 { 2_000 } else { 0 }).collect();
    let claims = Claims { model_head: head, slot, samples: Hash32([3; 32]), inner_steps: 1, tokens_seen: 1 };
    encode(&context, &claims, &change).unwrap().sign(&SigningKey::from_bytes(&[7; 32])).check(&context).unwrap()
}

/// `extra_data` of a payload on `parent_hash`.
pub fn extra_data(parent_hash: [u8; 32], update_id: UpdateId, trailer: &[u8]) -> Vec<u8> {
    let extra_data = ExtraData { parent_hash: Hash32(parent_hash), update_id };
    let mut bytes = WireHead { extra_data, nonce: 1, difficulty: 1_000 }.encode().to_vec();
    bytes.extend_from_slice(trailer);
    bytes
}

pub fn wire_ok(bytes: &[u8]) -> bool {
    wire::Wire::decode(bytes).is_ok()
}

/// A header that its proposer signed.
pub fn signed_header(slot: u64, proposer_index: u64, body: u8) -> SignedHeader {
    let header = BeaconBlockHeader {
        slot,
        proposer_index,
        parent_root: Hash32([1; 32]),
        state_root: Hash32([2; 32]),
        body_root: Hash32([body; 32]),
    };
    let mut signed = SignedHeader { header, signature: [0; 96] };
    signed.signature = secret(proposer_index).sign(signed.signing_root(&domains())).to_bytes();
    signed
}

pub type Registry = BTreeMap<u64, Arc<PublicKey>>;
