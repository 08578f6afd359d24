//! The public methods, as a client merges them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod common;

use core::num::NonZeroUsize;
use std::sync::Arc;

use alloy_primitives::B256;
use common::{chain, grow, log, update};
use jsonrpsee::RpcModule;
use pol_core::model_head;
use pol_kit::clock::System;
use reth_ai_exex::{
    metrics::Metrics,
    model_log::ModelLog,
    rpc::{PolaiRpc, PolaiServer as _},
    sealer::Sealer,
};
use serde_json::{Value, json};

async fn call(module: &RpcModule<PolaiRpc>, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let (answer, _) = module.raw_json_request(&request, 1).await.unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    answer.get("error").or_else(|| answer.get("result")).unwrap().clone()
}

/// 40 blocks, every fourth with an update, final up to 20.
fn story() -> (tempfile::TempDir, ModelLog, RpcModule<PolaiRpc>) {
    let (directory, log) = log();
    let blocks = grow(&log, 40, 4);
    log.finalize(blocks[19].block).unwrap();
    let module = PolaiRpc::new(log.clone(), None).into_rpc();
    (directory, log, module)
}

fn id(number: u64) -> B256 {
    B256::new(update(number).0)
}

#[tokio::test]
async fn an_update_is_found_by_height_and_by_id_with_its_finality() {
    let (_directory, log, module) = story();
    for (height, finalized) in [(4_u64, true), (20, true), (24, false), (40, false)] {
        let found = call(&module, "polai_updateByHeight", json!([format!("0x{height:x}")])).await;
        let entry = log.snapshot().unwrap().block(height).unwrap().unwrap();
        let expected = json!({
            "updateId": id(height),
            "height": format!("0x{height:x}"),
            "blockHash": entry.block.hash,
            "timestamp": format!("0x{:x}", entry.timestamp),
            "modelHead": B256::new(entry.model_head.0),
            "number": format!("0x{:x}", height / 4),
            "finalized": finalized,
        });
        assert_eq!(found, expected);
        assert_eq!(call(&module, "polai_updateById", json!([id(height)])).await, expected);
    }
    for height in ["0x0", "0x5", "0x29", "0xffffffffffffffff"] {
        assert_eq!(call(&module, "polai_updateByHeight", json!([height])).await, Value::Null);
    }
    assert_eq!(call(&module, "polai_updateById", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn a_range_gives_its_updates_in_order_within_bounds() {
    let (_directory, log, module) = story();
    let heights =
        |answer: &Value| answer.as_array().unwrap().iter().map(|u| u["height"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(heights(&call(&module, "polai_updates", json!(["0x4", "0xc"])).await), ["0x4", "0x8", "0xc"]);
    assert_eq!(heights(&call(&module, "polai_updates", json!(["0x5", "0x7"])).await).len(), 0);
    assert_eq!(heights(&call(&module, "polai_updates", json!(["0x0", "0x270f"])).await).len(), 10);
    for wide in [json!(["0x0", "0x2710"]), json!(["0x0", "0xffffffffffffffff"]), json!(["0x2", "0x1"])] {
        assert_eq!(call(&module, "polai_updates", wide.clone()).await["code"], -32_602, "{wide}");
    }
    grow(&log, 400, 1);
    let page = call(&module, "polai_updates", json!(["0x0", "0x270f"])).await;
    assert_eq!(page.as_array().unwrap().len(), reth_ai_exex::limits::LOG_PAGE);
}

#[tokio::test]
async fn the_model_head_is_told_at_the_head_at_a_height_and_where_it_is_final() {
    let (_directory, log, module) = story();
    let folded = |updates: u64| B256::new(model_head::fold(chain().genesis_head(), (1..=updates).map(|i| update(4 * i))).0);
    let head = call(&module, "polai_modelHead", json!([])).await;
    assert_eq!((&head["height"], &head["modelHead"], &head["updates"]), (&json!("0x28"), &json!(folded(10)), &json!("0xa")));
    assert_eq!(head["blockHash"], json!(log.tip().block.hash));
    assert_eq!(call(&module, "polai_modelHead", json!([null])).await, head);
    assert_eq!(call(&module, "polai_modelHead", json!(["0x9"])).await["modelHead"], json!(folded(2)));
    assert_eq!(call(&module, "polai_modelHead", json!(["0x0"])).await["modelHead"], json!(folded(0)));
    assert_eq!(call(&module, "polai_modelHead", json!(["0x29"])).await, Value::Null);
    let finalized = call(&module, "polai_finalizedModelHead", json!([])).await;
    assert_eq!((&finalized["height"], &finalized["modelHead"]), (&json!("0x14"), &json!(folded(5))));
}

#[tokio::test]
async fn a_reorg_shows_at_once() {
    let (_directory, log, module) = story();
    let back = log.snapshot().unwrap().block(30).unwrap().unwrap().block;
    log.revert(back).unwrap();
    assert_eq!(call(&module, "polai_updateById", json!([id(32)])).await, Value::Null);
    assert_eq!(call(&module, "polai_modelHead", json!([])).await["height"], "0x1e");
}

#[tokio::test]
async fn seal_statistics_are_there_where_a_node_proposes() {
    let (_directory, log, module) = story();
    assert_eq!(call(&module, "polai_sealStatistics", json!([])).await, Value::Null);
    let sealer = Sealer::start(NonZeroUsize::MIN, &chain(), Arc::new(System::new()), Metrics::new()).unwrap();
    let module = PolaiRpc::new(log, Some(sealer.clone())).into_rpc();
    let statistics = call(&module, "polai_sealStatistics", json!([])).await;
    assert_eq!((&statistics["threads"], &statistics["sealed"]), (&json!("0x1"), &json!("0x0")));
    assert_eq!(statistics["hashRate"], json!(format!("0x{:x}", sealer.rate())));
}

#[tokio::test]
async fn the_methods_merge_into_any_other_module() {
    let (_directory, _log, module) = story();
    let mut client = RpcModule::new(());
    client.register_method("eth_chainId", |_, _, _| "0x1").unwrap();
    client.merge(module).unwrap();
    let names: Vec<_> = client.method_names().filter(|name| name.starts_with("polai_")).collect();
    assert_eq!(names.len(), 6, "{names:?}");
}
