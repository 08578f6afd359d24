//! Nodes among themselves: a whole chain over devp2p, every seal checked on the way.

use std::time::Instant;

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::{
    ai::extend_with,
    driver::quantity,
    process::{Home, Process},
};

/// Tells a node of a head that it does not have, until it has it.
async fn follow(node: &Process, head: B256) {
    loop {
        let (status, _) = node.driver.try_forkchoice(head, B256::ZERO, B256::ZERO, Value::Null).await.unwrap();
        match status.status.as_str() {
            "VALID" => return,
            "SYNCING" => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            other => panic!("{other}: {}", status.error),
        }
    }
}

async fn synced(blocks: u64) {
    let home = Home::new();
    let node = home.start();
    let named = extend_with(&node.driver, node.driver.genesis_hash, B256::repeat_byte(6), 0).await;
    let tip = node.driver.grow(named.hash(), named.timestamp(), blocks, 0).await.pop().unwrap();
    let other = Home::of(home.genesis.clone());
    let other = other.start_with(&["--trusted-peers", &node.enode().await]);
    let start = Instant::now();
    follow(&other, tip.hash()).await;
    println!("{blocks} blocks over devp2p in {:?}", start.elapsed());
    assert_eq!(other.driver.head_hash().await, tip.hash());
    let named = other.wait_for("polai_updateById", json!([B256::repeat_byte(6)]), |found| !found.is_null()).await;
    assert_eq!(quantity(&named["height"]), 1);
    let head = node.wait_for("polai_modelHead", json!([]), |head| quantity(&head["height"]) == blocks + 1).await;
    assert_eq!(other.driver.rpc("polai_modelHead", json!([])).await, head);
    assert!(other.metric("polai_execution_headers_total{result=\"accepted\"}").await >= blocks as f64, "seals were checked");
}

#[tokio::test]
async fn a_node_that_comes_late_gets_the_chain_from_its_peer() {
    synced(60).await;
}

#[tokio::test]
async fn long_a_thousand_blocks_are_synced() {
    synced(1_000).await;
}

#[tokio::test]
async fn blocks_that_a_kill_lost_come_from_a_trusted_peer() {
    let home = Home::new();
    let mut node = home.start();
    let other = Home::of(home.genesis.clone());
    let other = other.start();
    let run = node.driver.grow(node.driver.genesis_hash, node.driver.genesis_time, 10, 0).await;
    for payload in &run {
        other.driver.new_payload(payload).await;
    }
    other.driver.head(run[9].hash()).await;
    node.kill();
    let node = home.start_with(&["--trusted-peers", &other.enode().await]);
    follow(&node, run[9].hash()).await;
    assert_eq!(node.driver.block_number().await, 10);
}
