//! A full disk.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

use super::{
    driver::Status,
    process::{Home, SLOT},
};

#[tokio::test]
async fn a_full_disk_refuses_blocks_keeps_the_head_and_recovers_without_a_restart() {
    let home = Home::new();
    let mut node = home.start_to_starve();
    let driver = &node.driver;
    let first = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let known = driver.build(first.hash(), first.timestamp() + SLOT, 0).await;
    assert_eq!(driver.new_payload(&known).await, Status::valid(known.hash()));

    node.limit_files(Some(1));
    let next = driver.build(first.hash(), first.timestamp() + SLOT, 1).await;
    for _ in 0..3 {
        // VALID would be a lie, INVALID too.
        let params = json!([next.inner, [], next.beacon_root]);
        let error = driver.try_engine("engine_newPayloadV3", params).await.unwrap_err();
        assert_eq!(error.code, -32_603, "{error:?}");
        let error = driver.try_forkchoice(known.hash(), B256::ZERO, B256::ZERO, Value::Null).await.unwrap_err();
        assert_eq!(error.code, -32_603, "{error:?}");
        assert_eq!(driver.head_hash().await, first.hash());
        driver.rpc("eth_getBalance", json!([Address::ZERO, "latest"])).await;
    }

    node.limit_files(None);
    assert_eq!(driver.new_payload(&next).await, Status::valid(next.hash()));
    driver.head(known.hash()).await;
    driver.head(next.hash()).await;
    assert_eq!(driver.rpc("eth_getBlockByNumber", json!(["0x1", false])).await["hash"], json!(first.hash()));
    node.kill();
    let node = home.start();
    assert_eq!(node.driver.head_hash().await, next.hash());
    node.driver.head(known.hash()).await;
}
