//! The bodies for what reaches `pol-execution` itself: calls of its Engine API, signed transactions.

use std::sync::{Arc, LazyLock};

use alloy_eips::eip2718::Encodable2718 as _;
use jsonrpsee::RpcModule;
use pol_core::identity::GenesisSeed;
use pol_execution::{
    args::DevArgs,
    chain::{Chain, History},
    dev,
    engine::{Engine, EngineApiServer as _},
    limits::ENGINE,
    payload::{Parts, Payloads},
    pool::{self, Pool},
};
use pol_kit::clock::Manual;
use reth_ai_exex::{
    candidate::{Mode, Register},
    metrics::Metrics,
    server::check_shape,
};
use tokio::runtime::Runtime;

use crate::body::explained;

const GENESIS_TIME: u64 = 1_000_000;

struct Client {
    runtime: Runtime,
    chain: Chain,
    module: RpcModule<Engine>,
    _directory: tempfile::TempDir,
}

/// A client on its genesis that cannot seal, its chain in a directory that ends with the process.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let dev = DevArgs { block_time: 6, seed: GenesisSeed::from_bytes([7; 32]), chain_id: 1337 };
    let genesis = dev::new_genesis(&dev, GENESIS_TIME).expect("a genesis");
    let rules = *genesis.chain();
    let chain = Chain::open(directory.path(), genesis, History::default(), Metrics::new()).expect("a chain");
    let clock = Arc::new(Manual::at(GENESIS_TIME + 600));
    let register = Register::new(rules, clock.clone(), Mode::Enabled, Metrics::new());
    let (chain_of_parts, pool) = (chain.clone(), Pool::new(chain.clone()));
    let parts = Parts { chain: chain_of_parts, pool, register, sealer: None, clock, gas_limit: 30_000_000 };
    let (payloads, _runner) = Payloads::new(parts);
    Client { runtime, module: Engine::new(chain.clone(), payloads).into_rpc(), chain, _directory: directory }
});

/// One call of the Engine API, behind the token. Nobody seals here, so no block can come of it.
pub(crate) fn engine_api(data: &[u8]) {
    if explained(check_shape(data, ENGINE.depth, ENGINE.batch)).is_none() {
        return;
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let client = &*CLIENT;
    if let Ok((answer, _)) = client.runtime.block_on(client.module.raw_json_request(text, 1)) {
        let answer: serde_json::Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
        assert_ne!(answer["error"]["code"], -32_603, "an internal error: {answer}");
        assert_ne!(answer["result"]["status"], "VALID", "an unsealed block: {answer}");
    }
    assert_eq!(client.chain.head().data.hash, client.chain.genesis().chain().genesis_hash());
}

/// A transaction as a wallet or the network sends it.
pub(crate) fn transaction(data: &[u8]) {
    if let Some(transaction) = explained(pool::decode(data)) {
        assert_eq!(transaction.encoded_2718(), data);
    }
}
