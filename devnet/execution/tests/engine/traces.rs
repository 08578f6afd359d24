//! Traces.

use alloy_primitives::{Address, Bytes, hex};
use pol_core::identity::GenesisSeed;
use serde_json::json;

use super::{
    driver::{
        quantity,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

/// Counts down from 10,000: 70,001 steps.
const LOOP: [u8; 24] = hex!("600d80600b6000396000f3" "6127105b600190038060035700");

#[tokio::test]
async fn a_trace_larger_than_its_bound_is_refused_and_its_calls_are_still_told() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    let contract: Address = wallet.address.create(0);
    let asks = [
        Ask::create(0, Bytes::copy_from_slice(&LOOP)),
        Ask { gas: 1_000_000, ..Ask::transfer(1, contract, 0) },
        Ask::transfer(2, Address::repeat_byte(1), 7),
    ];
    let mut hashes = Vec::new();
    for ask in &asks {
        let hash = driver.rpc("eth_sendRawTransaction", json!([raw(&wallet.sign(ask))])).await;
        hashes.push(hash);
    }
    let block = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    assert_eq!(block.transactions(), 3);
    for options in [json!({}), json!({"enableMemory": true}), json!({"disableStack": true, "limit": 5})] {
        let refused = driver.try_rpc("debug_traceTransaction", json!([hashes[1], options])).await.unwrap_err();
        assert_eq!(refused.code, -32_005, "{refused:?}");
    }
    let gas = driver.rpc("eth_getTransactionReceipt", json!([hashes[1]])).await["gasUsed"].clone();
    let calls = driver.rpc("debug_traceTransaction", json!([hashes[1], {"tracer": "callTracer"}])).await;
    assert_eq!((&calls["gasUsed"], &calls["to"]), (&gas, &json!(contract)));
    // The one behind it in the block runs on the state that it left.
    let after = driver.rpc("debug_traceTransaction", json!([hashes[2], {"tracer": "callTracer"}])).await;
    assert_eq!((quantity(&after["value"]), quantity(&after["gasUsed"])), (7, 21_000));
    let unknown = driver.try_rpc("debug_traceTransaction", json!([hashes[1], {"tracer": "prestateTracer"}])).await.unwrap_err();
    assert_eq!(unknown.code, -32_602, "{unknown:?}");
}
