//! The bodies for what reaches an execution client: payloads, headers, the AI engine's requests, the feed's requests, genesis.json.

use std::sync::{Arc, LazyLock};

use alloy_consensus::{Header, TxEnvelope};
use alloy_primitives::B256;
use alloy_rpc_types_engine::{CancunPayloadFields, ExecutionPayload, ExecutionPayloadSidecar, ExecutionPayloadV3};
use futures::executor::block_on;
use jsonrpsee::RpcModule;
use pol_api::{
    convert::{ChainEvent, WatchUpdates},
    execution::v1::{WatchUpdatesRequest, WatchUpdatesResponse},
    prost::Message as _,
};
use pol_core::{GenesisId, difficulty::DifficultyRule};
use pol_kit::clock::Manual;
use reth_ai_exex::{
    candidate::{Mode, Register},
    chain::Chain,
    engine::{AiEngine, AiEngineApiServer as _, LIMITS},
    genesis::ExecutionGenesis,
    header,
    limits::CANDIDATES,
    metrics::Metrics,
    model_log::ModelLog,
    server::check_shape,
    wire,
};

use crate::body::explained;

/// Slot 100 of a chain of 6 s slots.
const CLOCK: u64 = 1_000_000 + 600;

fn chain() -> Chain {
    Chain::new(GenesisId([1; 32]), B256::ZERO, 1_000_000, 6, 1_000).expect("a chain")
}

/// A header as another client sends it, and what the checks say to it, alone and on itself as parent.
pub(crate) fn alloy_header(data: &[u8]) {
    let Some(header) = explained(alloy_rlp::decode_exact::<Header>(data)) else { return };
    let core = explained(header::to_core(&header));
    assert_eq!(header::from_core(core.as_ref().unwrap_or(&empty())) == header, core.is_some());
    if let Some(core) = &core {
        assert_eq!(core.encode(), data);
    }
    let rule = DifficultyRule::new(6, 1_000).expect("a rule");
    explained(header::check_alone(&header));
    assert!(explained(header::check_child(&header, header.hash_slow(), &header, &rule)).is_none(), "its own parent");
}

fn empty() -> pol_core::header::Header {
    let header = Header {
        extra_data: vec![0; 64].into(),
        base_fee_per_gas: Some(0),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        number: u64::MAX,
        ..Header::default()
    };
    header::to_core(&header).expect("a header of this chain")
}

/// The first parameter of `engine_newPayloadV3`.
pub(crate) fn engine_payload(data: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<ExecutionPayloadV3>(data) else { return };
    let payload = ExecutionPayload::V3(payload);
    let extra_data = payload.as_v1().extra_data.clone();
    let split = explained(wire::split(payload));
    assert_eq!(split.is_some(), extra_data.len() >= 80);
    let sidecar = ExecutionPayloadSidecar::v3(CancunPayloadFields::new(B256::repeat_byte(0xbe), vec![]));
    if let Some(block) = split.and_then(|split| explained(split.into_block::<TxEnvelope>(&sidecar))) {
        assert_eq!(wire::head_only(&block.block().header).expect("a header of this chain"), extra_data.slice(..80));
        assert_eq!(block.block().header.hash_slow(), block.hash());
    }
}

/// The engine, with its log in a directory that ends with the process.
static ENGINE: LazyLock<(Register, RpcModule<AiEngine>, tempfile::TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let register = Register::new(chain(), Arc::new(Manual::at(CLOCK)), Mode::Enabled, Metrics::new());
    let log = ModelLog::open(directory.path(), &chain(), Metrics::new()).expect("a log");
    let module = AiEngine::new(chain(), register.clone(), log, None).into_rpc();
    (register, module, directory)
});

/// One call of the AI engine, behind the token.
pub(crate) fn ai_engine(data: &[u8]) {
    if explained(check_shape(data, LIMITS.depth, LIMITS.batch)).is_none() {
        return;
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (register, module, _) = &*ENGINE;
    if let Ok((answer, _)) = block_on(module.raw_json_request(text, 1)) {
        let answer: serde_json::Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
    }
    assert!(register.all().len() <= CANDIDATES);
}

/// A request of the feed, and the same bytes as one of its events.
pub(crate) fn watch_updates(data: &[u8]) {
    if let Ok(message) = WatchUpdatesRequest::decode(data)
        && let Some(request) = explained(WatchUpdates::try_from(&message))
    {
        assert_eq!(WatchUpdatesRequest::from(request), message);
    }
    if let Ok(message) = WatchUpdatesResponse::decode(data)
        && let Some(event) = explained(ChainEvent::try_from(&message))
    {
        assert_eq!(WatchUpdatesResponse::from(event), message);
    }
}

/// A whole genesis.json.
pub(crate) fn genesis_json(data: &[u8]) {
    if let Some(genesis) = explained(ExecutionGenesis::read(data)) {
        let text = genesis.to_json().expect("a JSON form");
        assert_eq!(explained(ExecutionGenesis::read(text.as_bytes())), Some(genesis));
    }
}
