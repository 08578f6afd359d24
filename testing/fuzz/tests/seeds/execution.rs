//! Seeds for what reaches an execution client.

use alloy_consensus::{
    Block, BlockBody, Header, SignableTransaction as _, TxEip1559, TxEip2930, TxEnvelope, TxLegacy,
    constants::{EMPTY_TRANSACTIONS, EMPTY_WITHDRAWALS},
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rpc_types_engine::ExecutionPayload;
use pol_api::{
    convert::{ChainEvent, ChainUpdate, Cursor, Head, View, WatchUpdates},
    execution::v1::{WatchUpdatesRequest, WatchUpdatesResponse},
    prost::Message as _,
};
use pol_core::{Hash32, ModelHead, UpdateId, extra_data::ExtraData, genesis::ChainSpec, identity::GenesisSeed};
use reth_ai_exex::{
    genesis::{GenesisDraft, GenesisParameters},
    wire,
};
use serde_json::{Value, json};

/// An empty AI block and one with an update, unsealed: the seal is not what this parser looks at.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let payload = |update: u8| {
        let parent = B256::repeat_byte(7);
        let extra_data = ExtraData { parent_hash: Hash32(parent.0), update_id: UpdateId([update; 32]) };
        let header = Header {
            parent_hash: parent,
            transactions_root: EMPTY_TRANSACTIONS,
            difficulty: U256::from(1_000),
            number: 1,
            gas_limit: 30_000_000,
            timestamp: 1_000_600,
            extra_data: Bytes::copy_from_slice(&extra_data.encode()),
            nonce: 5_u64.into(),
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::repeat_byte(0xbe)),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let body = BlockBody::<TxEnvelope> { transactions: vec![], ommers: vec![], withdrawals: Some(Default::default()) };
        let trailer = if update == 0 { Vec::new() } else { super::certificate(9) };
        let (payload, _) = wire::join(&Block { header, body }, hash, &trailer).unwrap();
        let ExecutionPayload::V3(payload) = payload else { panic!("V3") };
        serde_json::to_vec(&payload).unwrap()
    };
    vec![payload(0), payload(9)]
}

fn call(method: &str, params: Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string().into_bytes()
}

/// The Engine API, every method that a consensus client uses.
pub(crate) fn engine_calls() -> Vec<Vec<u8>> {
    let root = B256::repeat_byte(0xbe);
    let new_payloads = payloads().into_iter().map(|payload| {
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        call("engine_newPayloadV3", json!([payload, [], root]))
    });
    let state = json!({"headBlockHash": root, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO});
    let withdrawal = json!({"index": "0x0", "validatorIndex": "0x1", "address": Address::repeat_byte(1), "amount": "0x5"});
    let attributes = json!({
        "timestamp": "0xf4246",
        "prevRandao": root,
        "suggestedFeeRecipient": Address::repeat_byte(2),
        "withdrawals": [withdrawal],
        "parentBeaconBlockRoot": root,
    });
    let others = [
        call("engine_forkchoiceUpdatedV3", json!([state, attributes])),
        call("engine_forkchoiceUpdatedV2", json!([state, null])),
        call("engine_getPayloadV3", json!(["0x0000000000000001"])),
        call("engine_getPayloadBodiesByHashV1", json!([[root]])),
        call("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x20"])),
        call("engine_exchangeCapabilities", json!([["engine_newPayloadV3"]])),
    ];
    new_payloads.chain(others).collect()
}

/// One of each kind that the pool takes. Somebody has signed them, whoever it is.
pub(crate) fn transactions() -> Vec<Vec<u8>> {
    let (to, gas_limit, input) = (TxKind::Call(Address::repeat_byte(1)), 21_000, Bytes::from_static(&[1, 2, 3]));
    let signature = Signature::new(U256::from(5), U256::from(7), false);
    let legacy = TxLegacy { chain_id: Some(1337), gas_price: 10, gas_limit, to, ..TxLegacy::default() };
    let listed = TxEip2930 { chain_id: 1337, gas_price: 10, gas_limit, to, input, ..TxEip2930::default() };
    let priced = TxEip1559 { chain_id: 1337, max_fee_per_gas: 10, gas_limit, to, ..TxEip1559::default() };
    let all: [TxEnvelope; 3] =
        [legacy.into_signed(signature).into(), listed.into_signed(signature).into(), priced.into_signed(signature).into()];
    all.iter().map(Encodable2718::encoded_2718).collect()
}

pub(crate) fn calls() -> Vec<Vec<u8>> {
    let candidate = |update: u8, certificate: Vec<u8>| {
        let (update, certificate) = (B256::repeat_byte(update), Bytes::from(certificate));
        json!([{"parentHash": B256::repeat_byte(7), "slot": "0x64", "updateId": update, "certificate": certificate}])
    };
    vec![
        call("polai_setCandidateV1", candidate(9, super::certificate(9))),
        call("polai_setCandidateV1", candidate(0, vec![])),
        call("polai_candidate", json!([B256::repeat_byte(7), "0x64"])),
        call("polai_status", json!([])),
        call("polai_setMode", json!(["dry_run"])),
        call("polai_setMode", json!(["enabled"])),
    ]
}

pub(crate) fn feed() -> Vec<Vec<u8>> {
    let block = Cursor { height: 300, block_hash: Hash32([5; 32]) };
    let head = Head { block, model_head: ModelHead([6; 32]), updates: 70 };
    let update = ChainUpdate {
        block,
        update_id: UpdateId([1; 32]),
        model_head: ModelHead([2; 32]),
        number: 70,
        timestamp: 1_000_600,
        finalized: true,
        result_root: None,
    };
    let requests = [(None, View::Finalized), (Some(block), View::Canonical)]
        .map(|(after, view)| WatchUpdatesRequest::from(WatchUpdates { after, view }).encode_to_vec());
    let events = [ChainEvent::Update(update), ChainEvent::Reverted(head), ChainEvent::Finalized(head)]
        .map(|event| WatchUpdatesResponse::from(event).encode_to_vec());
    requests.into_iter().chain(events).collect()
}

pub(crate) fn genesis() -> Vec<u8> {
    let spec = ChainSpec::parse(core::str::from_utf8(&super::chain_toml()).unwrap()).unwrap();
    let mut parameters = spec.parameters();
    let draft = GenesisDraft::build(&GenesisParameters {
        seed: GenesisSeed::from_bytes([5; 32]),
        genesis_time: parameters.genesis_time,
        chain_id: parameters.chain_id,
        difficulty_floor: parameters.difficulty_floor,
    });
    let draft = draft.unwrap();
    parameters.execution_genesis_hash = Hash32(draft.hash().0);
    let genesis = draft.finish(&ChainSpec::new(&parameters).unwrap()).unwrap();
    genesis.to_json().unwrap().into_bytes()
}
