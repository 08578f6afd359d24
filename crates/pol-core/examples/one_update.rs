//! One update's life: genesis, delta, ACKs, certificate, sealed block, import, fold. No network, no files, no model.
//!
//! `cargo run -p pol-core --example one_update`

#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "an example may stop loudly")]

use core::{num::NonZeroUsize, sync::atomic::AtomicBool};

use ed25519_dalek::SigningKey;
use pol_core::{
    Hash32, UpdateId,
    ack::{AckData, RawCertificate, VerifiedAck, pick},
    block::{BlockContext, check_payload},
    bls::PublicKey,
    committee::{QuorumRule, ack_quorum},
    delta::{Checked, Claims, Profile, decode, encode},
    extra_data::ExtraData,
    gate::{NanoNats, SelfTest, TextSet, verdict},
    genesis::{ChainParameters, ChainSpec},
    identity::GenesisSeed,
    params::{Preset, SELF_TEST_TEXTS},
    seal::{Miner, target},
    state::{Ancestry, Shape, State, fold},
    wire::WireHead,
};

fn chain() -> ChainSpec {
    ChainSpec::new(&ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 3,
        chain_id: 1_337_001,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 4_096,
        manifest_hash: Hash32([3; 32]),
        shape: Shape::new(4, 128, 128, 64, 352).unwrap(),
        dev_texts_hash: Hash32([4; 32]),
        reference_losses: [NanoNats::new(2_000_000_000).unwrap(); SELF_TEST_TEXTS],
        profile: Profile::F16x20,
        dev_slash_small: true,
    })
    .unwrap()
}

fn main() {
    let chain = chain();
    let (context, domains) = (chain.delta_context(), chain.domains());
    let (head, mut state) = (chain.genesis_head(), State::initial(&context.genesis_id, context.shape));
    println!("genesis    {}: {}", context.genesis_id, context.shape);

    // 1. A trainer changes the adapter and encodes the largest changes.
    let change: Vec<i32> = (0_i32..).take(state.values().len()).map(|i| (i * 7_919) % 5_000 - 2_500).collect();
    let claims = Claims { model_head: head, slot: 1, samples: Hash32::ZERO, inner_steps: 20, tokens_seen: 40_960 };
    let container = encode(&context, &claims, &change).unwrap().sign(&SigningKey::from_bytes(&[7; 32])).into_bytes();

    // 2. A member decodes it, applies it to its copy of the state and asks the gate.
    let Checked::Delta(delta) = decode(&container, &context).unwrap() else { return };
    let update_id = delta.update_id();
    let result_root = state.clone().apply(&delta.into()).unwrap().root;
    let (before, after) = (NanoNats::new(2_000_000_000), NanoNats::new(1_990_000_000));
    println!("delta      {update_id}: {} bytes, {:?}", container.len(), verdict(before, after, TextSet::Full, SelfTest::Full));

    // 3. Members sign; the proposer counts and builds the certificate.
    let seed = GenesisSeed::from_bytes([9; 32]);
    let members: Vec<_> = (0..4).map(|i| seed.validator_key(i).unwrap()).collect();
    let keys: Vec<PublicKey> = members.iter().map(|key| key.public_key()).collect();
    let quorum = ack_quorum(QuorumRule::Auto, keys.len());
    let data = AckData { update_id, model_head: head, result_root };
    let acks: Vec<VerifiedAck> = members.iter().take(3).map(|key| VerifiedAck::sign(data, key, &domains).unwrap()).collect();
    let candidate: Option<UpdateId> = pick([(update_id, acks.len())], quorum);
    let certificate = RawCertificate::build(keys.len(), acks.iter().enumerate()).unwrap().encode();
    println!("candidate  {} with {} of {} ACKs, quorum {quorum}", candidate.unwrap(), acks.len(), keys.len());

    // 4. The block carries the id, a seal and the certificate.
    let parent_hash = Hash32([5; 32]);
    let extra_data = ExtraData { parent_hash, update_id };
    let difficulty = chain.difficulty().floor();
    let seal_hash = Hash32([6; 32]); // of the whole header, which this example does not have
    let miner = Miner::new(NonZeroUsize::MIN);
    let sealed = miner.search(&seal_hash, &target(difficulty).unwrap(), &AtomicBool::new(false)).unwrap();
    let head_bytes = WireHead { extra_data, nonce: sealed.nonce, difficulty }.encode();
    let wire = [head_bytes.as_slice(), &certificate].concat();
    println!("sealed     nonce {} at difficulty {difficulty}, {} bytes on the wire", sealed.nonce, wire.len());

    // 5. Every beacon node checks it from the block and its ancestors alone.
    let at = BlockContext { parent_head: head, committee: &keys, quorum: QuorumRule::Auto, domains: &domains };
    let block = check_payload(&wire, parent_hash, &at).unwrap();
    println!("imported   model head {}", block.model_head);

    // 6. Once final, every node folds the same bytes into the same state.
    let transition = fold(&context, &head, &update_id, Some(&container), |_| None, |_| Ancestry::Not).unwrap();
    let followed = state.follow(&transition, &[]).unwrap();
    assert_eq!(followed.root, block.certificate.unwrap().data().result_root);
    println!("followed   {:?}, root {}", followed.outcome, followed.root);

    // 7. A reorg takes it back by what was recorded.
    assert_eq!(state.undo(&followed.undo), Ok(State::initial(&context.genesis_id, context.shape).root()));
}
