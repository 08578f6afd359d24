//! Blocks, restarts, kills, reorgs, finality: Reth's chain, and the model log that follows it.

use std::time::Instant;

use alloy_primitives::{Address, B256, U256};
use pol_core::identity::GenesisSeed;
use serde_json::{Value, json};

use super::{
    ai::extend_with,
    driver::{
        Driver, Status, quantity,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

const FRIEND: Address = Address::repeat_byte(0x77);

#[tokio::test]
async fn a_block_carries_what_the_pool_has_and_is_sealed() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    for nonce in 0..100 {
        driver.rpc("eth_sendRawTransaction", json!([raw(&wallet.sign(&Ask::transfer(nonce, FRIEND, 1_000)))])).await;
    }
    let start = Instant::now();
    let payload = driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let built = start.elapsed();
    assert_eq!(driver.new_payload(&payload).await, Status::valid(payload.hash()));
    println!("100 transfers: sealed payload {built:?} after forkchoiceUpdated, newPayload {:?}", start.elapsed() - built);
    driver.head(payload.hash()).await;
    assert_eq!((payload.number(), payload.transactions(), payload.extra_data().len()), (1, 100, 80));
    let balance = driver.rpc("eth_getBalance", json!([FRIEND, "latest"])).await;
    assert_eq!(balance, json!(format!("{:#x}", U256::from(100_000))));
    let block = driver.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["extraData"].as_str().unwrap().len(), 2 + 128);
    assert_eq!(quantity(&block["difficulty"]), 256);
    assert_eq!(driver.rpc("eth_getBlockByNumber", json!(["pending", false])).await, Value::Null, "nothing unsealed leaves");
}

#[tokio::test]
async fn after_a_stop_the_head_and_the_model_log_are_there() {
    let home = Home::new();
    let mut node = home.start();
    let run = node.driver.grow(node.driver.genesis_hash, node.driver.genesis_time, 10, 0).await;
    let named = extend_with(&node.driver, run[9].hash(), B256::repeat_byte(5), 0).await;
    let head = node.wait_for("polai_modelHead", json!([]), |head| quantity(&head["height"]) == 11).await;
    assert!(node.stop().success(), "SIGTERM ends in good order");
    let node = home.start();
    assert_eq!(node.driver.head_hash().await, named.hash());
    assert_eq!(node.wait_for("polai_modelHead", json!([]), |head| quantity(&head["height"]) == 11).await, head);
    let next = node.driver.extend(named.hash(), named.timestamp() + SLOT, 0).await;
    assert_eq!(next.number(), 12);
}

#[tokio::test]
async fn what_a_kill_lost_comes_back_with_the_same_payloads() {
    let home = Home::new();
    let mut node = home.start();
    let mut run = node.driver.grow(node.driver.genesis_hash, node.driver.genesis_time, 12, 0).await;
    run.push(extend_with(&node.driver, run[11].hash(), B256::repeat_byte(5), 0).await);
    let head = node.wait_for("polai_modelHead", json!([]), |head| quantity(&head["height"]) == 13).await;
    assert!(!node.kill().success());
    let node = home.start();
    let left = node.driver.block_number().await;
    assert!(left <= 13);
    // What is lost is unknown: SYNCING, until the consensus client has given it again.
    if left < 13 {
        let (status, _) = node.driver.try_forkchoice(run[12].hash(), B256::ZERO, B256::ZERO, Value::Null).await.unwrap();
        assert_eq!(status.status, "SYNCING");
    }
    for payload in &run {
        assert_eq!(node.driver.new_payload(payload).await, Status::valid(payload.hash()));
    }
    node.driver.head(run[12].hash()).await;
    assert_eq!(node.wait_for("polai_modelHead", json!([]), |head| quantity(&head["height"]) == 13).await, head);
}

#[tokio::test]
async fn a_reorg_takes_updates_out_and_finality_keeps_them() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let common = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let [ours, theirs] = [7, 8].map(B256::repeat_byte);
    let left = extend_with(driver, common.hash(), ours, 1).await;
    node.wait_for("polai_updateById", json!([ours]), |found| !found.is_null()).await;
    let head = driver.rpc("polai_modelHead", json!([])).await;

    let right = extend_with(driver, common.hash(), theirs, 2).await;
    node.wait_for("polai_updateById", json!([theirs]), |found| !found.is_null()).await;
    assert_eq!(driver.rpc("polai_updateById", json!([ours])).await, json!(null));
    assert_ne!(driver.rpc("polai_modelHead", json!([])).await["modelHead"], head["modelHead"]);
    assert_eq!(driver.head_hash().await, right.hash());

    driver.head(left.hash()).await;
    node.wait_for("polai_updateById", json!([ours]), |found| !found.is_null()).await;
    assert_eq!(driver.rpc("polai_modelHead", json!([])).await, head, "the model's past depends on the chain alone");

    let last = driver.grow(left.hash(), left.timestamp(), 2, 0).await.pop().unwrap();
    let (status, _) = driver.try_forkchoice(last.hash(), left.hash(), left.hash(), Value::Null).await.unwrap();
    assert_eq!(status, Status::valid(last.hash()));
    let is_final = |head: &Value| quantity(&head["height"]) == 2;
    let finalized = node.wait_for("polai_finalizedModelHead", json!([]), is_final).await;
    assert_eq!(finalized["modelHead"], head["modelHead"]);
    assert_eq!(driver.rpc("polai_updateById", json!([ours])).await["finalized"], json!(true));
}

#[tokio::test]
async fn a_dev_chain_drives_itself_through_the_same_rules() {
    let home = Home::new();
    let node = home.start_with(&["--dev", "--dev.block-time", "500ms"]);
    node.wait_for("eth_blockNumber", json!([]), |number| quantity(number) >= 3).await;
    let genesis: &Driver = &node.driver;
    let mut parent = genesis.genesis_hash;
    for number in 1..=3_u64 {
        let block = genesis.rpc("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
        assert_eq!(block["parentHash"], json!(parent));
        assert!(block["extraData"].as_str().unwrap().starts_with(&format!("{parent}")), "{block}");
        assert_eq!((quantity(&block["timestamp"]) - genesis.genesis_time) % SLOT, 0);
        parent = block["hash"].as_str().unwrap().parse().unwrap();
    }
}

#[tokio::test]
async fn a_chain_that_is_none_of_ours_is_the_operators_mistake() {
    let home = Home::new();
    let output = home.command().arg("--chain").arg("mainnet").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let node = home.start();
    let second = home.command().args(["--http.port", "0", "--authrpc.port", "0", "--port", "0"]).output().unwrap();
    assert!(!second.status.success());
    assert_eq!(node.driver.block_number().await, 0);
}
