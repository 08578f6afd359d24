#![allow(clippy::arithmetic_side_effects)]

use core::sync::atomic::AtomicBool;

use super::*;
use crate::{
    ResultRoot,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    wire::WireHead,
};

const PARENT: Hash32 = Hash32([7; 32]);
const HEAD: ModelHead = ModelHead([8; 32]);
const UPDATE: UpdateId = UpdateId([9; 32]);

fn domains() -> Domains {
    Domains::new(crate::GenesisId([3; 32]), Hash32([4; 32]))
}

fn committee(n: u8) -> Vec<PublicKey> {
    (1..=n).map(|i| SecretKey::from_bytes(&[i; 32]).unwrap().public_key()).collect()
}

fn trailer(signers: &[u8], n: usize) -> Vec<u8> {
    let data = AckData { update_id: UPDATE, model_head: HEAD, result_root: ResultRoot([1; 32]) };
    let acks: Vec<VerifiedAck> = signers
        .iter()
        .map(|i| VerifiedAck::sign(data, &SecretKey::from_bytes(&[i + 1; 32]).unwrap(), &domains()).unwrap())
        .collect();
    let seats = signers.iter().map(|i| usize::from(*i)).zip(&acks);
    RawCertificate::build(n, seats).unwrap().encode()
}

fn wire(update_id: UpdateId, trailer: &[u8]) -> Vec<u8> {
    let head = WireHead { extra_data: ExtraData { parent_hash: PARENT, update_id }, nonce: 1, difficulty: 2 };
    [&head.encode(), trailer].concat()
}

fn check(extra_data: &[u8], committee: &[PublicKey]) -> Result<CheckedBlock, Refused> {
    let context = BlockContext { parent_head: HEAD, committee, quorum: QuorumRule::Auto, domains: &domains() };
    check_payload(extra_data, PARENT, &context)
}

#[test]
fn an_ai_block_with_a_quorum_advances_the_head_and_an_empty_one_keeps_it() {
    let seats = committee(4);
    let ai = check(&wire(UPDATE, &trailer(&[0, 2], 4)), &seats).unwrap();
    assert_eq!(ai.model_head, model_head::child(HEAD, UPDATE));
    assert_eq!(ai.certificate.unwrap().data().result_root, ResultRoot([1; 32]));
    let empty = check(&wire(UpdateId::ZERO, &[]), &seats).unwrap();
    assert_eq!((empty.model_head, empty.certificate), (HEAD, None));
}

#[test]
fn only_a_named_update_without_a_valid_certificate_is_slashable() {
    let seats = committee(4);
    let fault = |bytes: Vec<u8>| check(&bytes, &seats).unwrap_err().certificate_fault;
    assert!(fault(wire(UPDATE, &[])), "missing");
    assert!(fault(wire(UPDATE, &trailer(&[0], 4))), "short of quorum");
    assert!(fault(wire(UPDATE, &trailer(&[0, 1], 3))), "of another committee");
    assert!(fault(wire(UPDATE, &[0; 100])), "of no committee's length");
    assert!(fault(wire(UPDATE, &trailer(&[1, 2], 9))), "another length");
    assert!(fault(wire(UpdateId([1; 32]), &trailer(&[0, 2], 4))), "for another update");
    assert!(!fault(wire(UpdateId::ZERO, &trailer(&[0, 2], 4))), "an empty block with a trailer is invalid, no more");
    assert!(!fault(wire(UpdateId::ZERO, &[0; 100])));
    assert!(!fault(vec![1; 79]));
    assert!(fault(wire(UPDATE, &[0; 433])), "longer than 512 bytes");
    for trailer in [vec![], trailer(&[0, 2], 4), trailer(&[0], 4), vec![0; 433]] {
        let mut elsewhere = wire(UPDATE, &trailer);
        elsewhere[0] ^= 1;
        assert!(!fault(elsewhere), "another parent hash, whatever follows");
    }
}

fn sealed_child(update_id: UpdateId) -> (Header, ParentSeal, DifficultyRule) {
    let rule = DifficultyRule::new(3, 64).unwrap();
    let parent = ParentSeal { difficulty: 64, timestamp: 300 };
    let mut header = Header {
        parent_hash: PARENT,
        ommers_hash: Hash32::ZERO,
        beneficiary: [0; 20],
        state_root: Hash32::ZERO,
        transactions_root: Hash32::ZERO,
        receipts_root: Hash32::ZERO,
        logs_bloom: [0; 256],
        difficulty: 64,
        number: 1,
        gas_limit: 30_000_000,
        gas_used: 0,
        timestamp: 303,
        extra_data: ExtraData { parent_hash: PARENT, update_id }.encode(),
        mix_hash: Hash32::ZERO,
        nonce: 0,
        base_fee_per_gas: 7,
        withdrawals_root: Hash32::ZERO,
        blob_gas_used: 0,
        excess_blob_gas: 0,
        parent_beacon_block_root: Hash32::ZERO,
    };
    seal(&mut header);
    (header, parent, rule)
}

fn seal(header: &mut Header) {
    let target = seal::target(header.difficulty).unwrap();
    let miner = seal::Miner::new(core::num::NonZeroUsize::MIN);
    header.nonce = miner.search(&header.seal_hash(), &target, &AtomicBool::new(false)).unwrap().nonce;
}

#[test]
fn a_header_needs_layout_difficulty_and_seal() {
    let (header, parent, rule) = sealed_child(UPDATE);
    assert_eq!(check_header(&header, PARENT, parent, &rule), Ok(UPDATE));
    let mut unsealed = header.clone();
    unsealed.nonce = (0..).find(|n| seal::verify(&header.seal_hash(), *n, 64).is_err()).unwrap();
    assert!(matches!(check_header(&unsealed, PARENT, parent, &rule), Err(HeaderRuleError::Seal(_))));
    let mut easy = header.clone();
    easy.difficulty = 63;
    assert!(matches!(check_header(&easy, PARENT, parent, &rule), Err(HeaderRuleError::Difficulty(_))));
    let mut orphan = header.clone();
    orphan.parent_hash = Hash32::ZERO;
    assert!(matches!(check_header(&orphan, PARENT, parent, &rule), Err(HeaderRuleError::Parent { .. })));
    assert!(matches!(check_header(&orphan, Hash32::ZERO, parent, &rule), Err(HeaderRuleError::ExtraData(_))));
    let mut late = header;
    late.timestamp = 304;
    assert!(matches!(check_header(&late, PARENT, parent, &rule), Err(HeaderRuleError::Difficulty(_))));
}
