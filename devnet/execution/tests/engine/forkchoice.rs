//! Heads, reorgs, finality, attributes, and the errors of the Engine API.

use alloy_primitives::{Address, B256};
use pol_core::identity::GenesisSeed;
use serde_json::{Value, json};

use super::{
    driver::{
        Driver, Status,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

#[tokio::test]
async fn a_reorg_moves_state_logs_and_transactions_with_the_head() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    let friend = Address::repeat_byte(0x77);
    let common = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let transaction = wallet.sign(&Ask::transfer(0, friend, 5));
    driver.rpc("eth_sendRawTransaction", json!([raw(&transaction)])).await;
    let left = driver.grow(common.hash(), common.timestamp(), 3, 1).await;
    let balance = || async { driver.rpc("eth_getBalance", json!([friend, "latest"])).await };
    assert_eq!((left[0].transactions(), balance().await), (1, json!("0x5")));
    let filter = driver.rpc("eth_newBlockFilter", json!([])).await;

    // The dropped transaction is back in the pool, and goes into the other branch.
    driver.head(common.hash()).await;
    assert_eq!((driver.block_number().await, balance().await), (1, json!("0x0")));
    assert_eq!(driver.rpc("eth_getTransactionReceipt", json!([transaction.tx_hash()])).await, json!(null));
    let waiting = wait_for(driver, "txpool_status", json!([]), |status| status["pending"] == "0x1").await;
    assert_eq!(waiting["queued"], "0x0");
    let right = driver.grow(common.hash(), common.timestamp() + SLOT, 2, 2).await;
    assert_eq!((right[0].transactions(), balance().await), (1, json!("0x5")));
    let changes = driver.rpc("eth_getFilterChanges", json!([filter])).await;
    assert_eq!(changes, json!([right[0].hash(), right[1].hash()]));

    // Back again, to the longer one.
    driver.head(left[2].hash()).await;
    assert_eq!(driver.block_number().await, 4);
    let receipt = driver.rpc("eth_getTransactionReceipt", json!([transaction.tx_hash()])).await;
    assert_eq!(receipt["blockHash"], json!(left[0].hash()));
}

/// Asks again until the answer is so: what follows the chain does so a moment later.
async fn wait_for(driver: &Driver, method: &str, params: Value, so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let answer = driver.rpc(method, params.clone()).await;
        if so(&answer) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{method} never answers so");
}

#[tokio::test]
async fn what_is_final_stays_and_what_lost_is_forgotten() {
    let home = Home::new();
    let mut node = home.start();
    let driver = &node.driver;
    let main = driver.grow(driver.genesis_hash, driver.genesis_time, 4, 0).await;
    let loser = driver.build(main[0].hash(), main[0].timestamp() + 2 * SLOT, 9).await;
    assert_eq!(driver.new_payload(&loser).await, Status::valid(loser.hash()));
    let hashes: Vec<B256> = main.iter().map(super::driver::Payload::hash).collect();
    let (status, _) = driver.try_forkchoice(hashes[3], hashes[2], hashes[1], Value::Null).await.unwrap();
    assert_eq!(status, Status::valid(hashes[3]));
    for (tag, expected) in [("finalized", hashes[1]), ("safe", hashes[2]), ("latest", hashes[3])] {
        assert_eq!(driver.rpc("eth_getBlockByNumber", json!([tag, false])).await["hash"], json!(expected), "{tag}");
    }
    // The loser is gone, and so is every head that does not stand on what is final.
    assert_eq!(driver.rpc("eth_getBlockByHash", json!([loser.hash(), false])).await, json!(null));
    let (status, _) = driver.try_forkchoice(loser.hash(), B256::ZERO, B256::ZERO, Value::Null).await.unwrap();
    assert_eq!(status.status, "SYNCING");
    for (head, safe, finalized) in [
        (hashes[3], hashes[2], loser.hash()),
        (hashes[3], B256::repeat_byte(7), hashes[1]),
        (hashes[2], hashes[3], hashes[1]),
        (hashes[0], B256::ZERO, B256::ZERO),
    ] {
        let error = driver.try_forkchoice(head, safe, finalized, Value::Null).await.unwrap_err();
        assert_eq!(error.code, -38_002, "{error:?}");
    }
    assert_eq!(driver.head_hash().await, hashes[3], "nothing moved");
    node.kill();
    let node = home.start();
    assert_eq!(node.driver.head_hash().await, hashes[3]);
    assert_eq!(node.driver.rpc("eth_getBlockByNumber", json!(["finalized", false])).await["hash"], json!(hashes[1]));
}

#[tokio::test]
async fn attributes_that_make_no_block_are_an_error_and_the_head_moves_all_the_same() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let first = driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    assert_eq!(driver.new_payload(&first).await, Status::valid(first.hash()));
    let without = |key: &str| {
        let mut attributes = Driver::attributes(first.timestamp() + SLOT, 0);
        attributes.as_object_mut().unwrap().remove(key);
        attributes
    };
    for attributes in [
        Driver::attributes(first.timestamp(), 0),
        Driver::attributes(first.timestamp() + SLOT + 1, 0),
        without("withdrawals"),
        without("parentBeaconBlockRoot"),
    ] {
        let error = driver.try_forkchoice(first.hash(), B256::ZERO, B256::ZERO, attributes).await.unwrap_err();
        assert_eq!(error.code, -38_003, "{error:?}");
    }
    assert_eq!(driver.head_hash().await, first.hash());
}

#[tokio::test]
async fn the_errors_of_the_engine_api_have_the_specifications_codes() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let good = driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let state = json!({"headBlockHash": driver.genesis_hash, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO});
    let mut attributes = Driver::attributes(driver.genesis_time + SLOT, 0);
    attributes.as_object_mut().unwrap().remove("parentBeaconBlockRoot");
    for (method, params, code) in [
        ("engine_getPayloadV3", json!(["0x0000000000000001"]), -38_001),
        ("engine_newPayloadV1", json!([good.json()]), -38_005),
        ("engine_forkchoiceUpdatedV2", json!([state, attributes]), -38_005),
        ("engine_newPayloadV3", json!([good.json(), []]), -32_602),
        ("engine_newPayloadV9", json!([]), -32_601),
        ("engine_getPayloadBodiesByRangeV1", json!(["0x0", "0x1"]), -32_602),
        ("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x1000"]), -38_004),
    ] {
        let error = driver.try_engine(method, params).await.unwrap_err();
        assert_eq!(error.code, code, "{method}: {error:?}");
    }
    let capabilities = driver.engine("engine_exchangeCapabilities", json!([[]])).await;
    assert!(capabilities.as_array().unwrap().contains(&json!("engine_newPayloadV3")));
    let us = json!({"code": "XX", "name": "test", "version": "1", "commit": "00000000"});
    assert_eq!(driver.engine("engine_getClientVersionV1", json!([us])).await[0]["name"], "pol-execution");
    let imported = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let bodies = driver.engine("engine_getPayloadBodiesByHashV1", json!([[imported.hash(), B256::repeat_byte(1)]])).await;
    assert_eq!((bodies[0]["withdrawals"].as_array().unwrap().len(), &bodies[1]), (1, &json!(null)));
    let bodies = driver.engine("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x20"])).await;
    assert_eq!(bodies.as_array().unwrap().len(), 1);
    let (zero, _) = driver.try_forkchoice(B256::ZERO, B256::ZERO, B256::ZERO, Value::Null).await.unwrap();
    assert!(zero.is_invalid(None, ""));
}

#[tokio::test]
async fn nobody_without_the_secret_is_heard() {
    let home = Home::new();
    let node = home.start();
    let urls = node.driver.urls.clone();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_exchangeCapabilities", "params": [[]]});
    let client = reqwest::Client::new();
    for url in [urls.auth, urls.ai_engine] {
        let answer = client.post(&url).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401);
        let wrong = pol_kit::jwt::Secret::from_bytes([1; 32]).token(0).unwrap();
        let answer = client.post(&url).bearer_auth(wrong).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401);
    }
}
