#![allow(clippy::arithmetic_side_effects)]

use std::sync::LazyLock;

use alloy_consensus::{BlockBody, TxEnvelope};
use alloy_rpc_types_engine::{CancunPayloadFields, ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3};
use pol_core::UpdateId;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{certificate, chain, child, genesis};

fn block(update: u8) -> (Block<TxEnvelope>, B256) {
    let body = BlockBody { transactions: vec![], ommers: vec![], withdrawals: Some(Default::default()) };
    let header = Header { transactions_root: alloy_consensus::constants::EMPTY_TRANSACTIONS, ..child(&genesis(), update) };
    let header = crate::fixtures::seal_draft(header, &genesis(), UpdateId([update; 32]));
    let hash = header.hash_slow();
    (Block { header, body }, hash)
}

fn joined(update: u8) -> (ExecutionPayload, ExecutionPayloadSidecar) {
    let (block, hash) = block(update);
    let trailer = if update == 0 { Bytes::new() } else { certificate() };
    join(&block, hash, &trailer).unwrap()
}

fn with_extra_data(payload: &ExecutionPayload, extra_data: &[u8]) -> ExecutionPayload {
    let mut payload = payload.clone();
    payload.set_extra_data(Bytes::copy_from_slice(extra_data));
    payload
}

fn into_block(payload: ExecutionPayload, sidecar: &ExecutionPayloadSidecar) -> Result<HashedBlock<TxEnvelope>, SplitError> {
    split(payload)?.into_block(sidecar)
}

#[test]
fn a_block_goes_out_with_its_certificate_and_comes_back_the_same() {
    for update in [0, 9] {
        let (payload, sidecar) = joined(update);
        assert!(matches!(payload, ExecutionPayload::V3(_)));
        let extra_data = payload.as_v1().extra_data.clone();
        assert_eq!(extra_data.len(), if update == 0 { 80 } else { 80 + 131 });
        let split = split(payload).unwrap();
        assert_eq!(split.trailer().len() + 80, extra_data.len());
        assert_eq!(split.head().extra_data.update_id, UpdateId([update; 32]));
        let (back, hash) = split.into_block::<TxEnvelope>(&sidecar).unwrap().into_parts();
        assert_eq!((back, hash), block(update));
    }
}

#[test]
fn what_comes_back_passes_the_header_rules() {
    let (payload, sidecar) = joined(9);
    let hashed = into_block(payload, &sidecar).unwrap();
    let parent = genesis();
    let checked = header::check_child(&hashed.block().header, parent.hash_slow(), &parent, chain().difficulty());
    assert_eq!(checked, Ok(UpdateId([9; 32])));
}

#[test]
fn fewer_than_80_bytes_are_refused_before_anything_else() {
    let (payload, _) = joined(9);
    let whole = payload.as_v1().extra_data.clone();
    for length in 0..80 {
        let error = split(with_extra_data(&payload, &whole[..length])).unwrap_err();
        assert!(matches!(error, SplitError::Wire(WireError::Short { found }) if found == length), "{error}");
    }
}

#[test]
fn whatever_follows_the_80_bytes_is_ignored_on_the_way_in() {
    let (payload, sidecar) = joined(9);
    let head = payload.as_v1().extra_data.slice(..80);
    for trailer in [vec![], vec![0xff; 1], vec![0; 131], vec![7; 10_000]] {
        let extra_data = [&head, trailer.as_slice()].concat();
        let hashed = into_block(with_extra_data(&payload, &extra_data), &sidecar).unwrap();
        assert_eq!(hashed.hash(), payload.block_hash());
        assert_eq!(hashed.block().header.extra_data.len(), 64);
    }
}

#[test]
fn a_block_hash_over_the_wire_form_is_refused() {
    let (mut payload, sidecar) = joined(9);
    let (block, _) = block(9);
    for wrong in [payload.as_v1().extra_data.clone(), payload.as_v1().extra_data.slice(..80), Bytes::new()] {
        let hash = Header { extra_data: wrong, ..block.header.clone() }.hash_slow();
        payload.set_block_hash(hash);
        let error = into_block(payload.clone(), &sidecar).unwrap_err();
        assert!(matches!(error, SplitError::BlockHash { found, .. } if found == hash), "{error}");
    }
}

#[test]
fn every_bit_of_the_80_bytes_is_under_the_block_hash() {
    let (payload, sidecar) = joined(9);
    let whole = payload.as_v1().extra_data.to_vec();
    for bit in 0..80 * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = into_block(with_extra_data(&payload, &flipped), &sidecar).unwrap_err();
        assert!(matches!(error, SplitError::BlockHash { .. }), "bit {bit}: {error}");
    }
}

#[test]
fn every_other_field_of_a_payload_is_under_the_block_hash() {
    let (payload, sidecar) = joined(9);
    type Change = fn(&mut ExecutionPayloadV3);
    let changes: [(&str, Change); 15] = [
        ("parentHash", |p| p.payload_inner.payload_inner.parent_hash.0[0] ^= 1),
        ("feeRecipient", |p| p.payload_inner.payload_inner.fee_recipient.0[0] ^= 1),
        ("stateRoot", |p| p.payload_inner.payload_inner.state_root.0[0] ^= 1),
        ("receiptsRoot", |p| p.payload_inner.payload_inner.receipts_root.0[0] ^= 1),
        ("logsBloom", |p| p.payload_inner.payload_inner.logs_bloom.0[0] ^= 1),
        ("prevRandao", |p| p.payload_inner.payload_inner.prev_randao.0[0] ^= 1),
        ("blockNumber", |p| p.payload_inner.payload_inner.block_number ^= 1),
        ("gasLimit", |p| p.payload_inner.payload_inner.gas_limit ^= 1),
        ("gasUsed", |p| p.payload_inner.payload_inner.gas_used ^= 1),
        ("timestamp", |p| p.payload_inner.payload_inner.timestamp ^= 1),
        ("baseFeePerGas", |p| p.payload_inner.payload_inner.base_fee_per_gas += U256::from(1)),
        ("blockHash", |p| p.payload_inner.payload_inner.block_hash.0[0] ^= 1),
        ("withdrawals", |p| p.payload_inner.withdrawals.push(Default::default())),
        ("blobGasUsed", |p| p.blob_gas_used ^= 1),
        ("excessBlobGas", |p| p.excess_blob_gas ^= 1),
    ];
    for (field, change) in changes {
        let ExecutionPayload::V3(mut changed) = payload.clone() else { panic!() };
        change(&mut changed);
        let error = into_block(ExecutionPayload::V3(changed), &sidecar).unwrap_err();
        assert!(matches!(error, SplitError::BlockHash { .. }), "{field}: {error}");
    }
    let other_root = ExecutionPayloadSidecar::v3(CancunPayloadFields::new(B256::ZERO, vec![]));
    assert!(matches!(into_block(payload, &other_root), Err(SplitError::BlockHash { .. })));
}

#[test]
fn transactions_that_are_none_and_a_base_fee_beyond_64_bits_are_refused() {
    let (payload, sidecar) = joined(9);
    for transaction in [vec![], vec![0xff], vec![2, 0xc0], vec![0xc0]] {
        let mut bad = payload.clone();
        bad.transactions_mut().push(transaction.into());
        assert!(matches!(into_block(bad, &sidecar), Err(SplitError::Payload(_))));
    }
    let mut bad = payload;
    bad.set_base_fee_per_gas(U256::from(1_u128 << 64));
    assert!(matches!(into_block(bad, &sidecar), Err(SplitError::Payload(_))));
}

#[test]
fn payloads_v1_and_v2_split_but_make_no_header_of_this_chain() {
    let (ExecutionPayload::V3(v3), _) = joined(9) else { panic!() };
    let v2: ExecutionPayloadV2 = v3.payload_inner;
    let v1: ExecutionPayloadV1 = v2.payload_inner.clone();
    for payload in [ExecutionPayload::V1(v1), ExecutionPayload::V2(v2)] {
        let split = split(payload).unwrap();
        assert_eq!(split.trailer().len(), 131);
        let (found, sidecar) = (split.payload().block_hash(), ExecutionPayloadSidecar::none());
        let error = split.into_block::<TxEnvelope>(&sidecar).unwrap_err();
        assert!(matches!(error, SplitError::BlockHash { found: claimed, .. } if claimed == found), "{error}");
    }
}

#[test]
fn a_certificate_without_update_or_an_update_without_certificate_never_leaves() {
    let (empty, hash) = block(0);
    assert!(matches!(join(&empty, hash, &certificate()), Err(JoinError::Wire(WireError::CertificateWithoutUpdate { .. }))));
    let (ai, hash) = block(9);
    assert!(matches!(join(&ai, hash, &[]), Err(JoinError::Wire(WireError::CertificateMissing { .. }))));
    for length in [1, 130, 195, 432, 433, 10_000] {
        assert!(matches!(join(&ai, hash, &vec![0; length]), Err(JoinError::Wire(_))), "{length}");
    }
    assert_eq!(head_only(&ai.header).unwrap().len(), 80);
}

#[test]
fn a_header_of_another_chain_has_no_wire_form() {
    let (mut ai, hash) = block(9);
    ai.header.extra_data = Bytes::from_static(b"geth");
    assert!(matches!(join(&ai, hash, &certificate()), Err(JoinError::Header(_))));
    assert!(matches!(head_only(&ai.header), Err(JoinError::Header(_))));
}

static JOINED: LazyLock<(ExecutionPayload, ExecutionPayloadSidecar)> = LazyLock::new(|| joined(0));

proptest! {
    #[test]
    fn no_extra_data_makes_splitting_panic(extra_data in proptest::collection::vec(any::<u8>(), 0..600)) {
        let payload = with_extra_data(&JOINED.0, &extra_data);
        match into_block(payload.clone(), &JOINED.1) {
            Ok(_) => prop_assert_eq!(&extra_data[..80], &payload.as_v1().extra_data[..80]),
            Err(SplitError::Wire(_)) => prop_assert!(extra_data.len() < 80),
            Err(error) => prop_assert!(matches!(error, SplitError::BlockHash { .. }), "{}", error),
        }
    }
}
