//! The AI path: a candidate goes into the next block, whatever is wrong with it never disturbs the consensus client.

use alloy_primitives::{B256, Bytes};
use pol_kit::clock::{Clock as _, System};
use serde_json::{Value, json};

use super::{
    driver::{Driver, Payload, Status, quantity},
    process::{Home, Process, SLOT},
};

pub fn certificate() -> Bytes {
    [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0b1110_0001], &[0x33; 96]].concat().into()
}

pub fn push(parent: B256, slot: u64, update: B256) -> Value {
    let certificate = if update.is_zero() { Bytes::new() } else { certificate() };
    json!([{"parentHash": parent, "slot": format!("{slot:#x}"), "updateId": update, "certificate": certificate}])
}

/// The slot after the clock's.
pub fn next_slot(driver: &Driver) -> u64 {
    (System::new().unix_seconds() - driver.genesis_time) / SLOT + 1
}

/// A block that names an update, imported and the head.
pub async fn extend_with(driver: &Driver, parent: B256, update: B256, salt: u8) -> Payload {
    let slot = next_slot(driver);
    driver.ai("polai_setCandidateV1", push(parent, slot, update)).await.unwrap();
    driver.extend(parent, driver.genesis_time + slot * SLOT, salt).await
}

#[tokio::test]
async fn a_candidate_shows_up_in_the_next_block_and_in_the_public_methods() {
    let home = Home::new();
    let node = home.start();
    let (driver, update) = (&node.driver, B256::repeat_byte(0xab));
    let payload = extend_with(driver, driver.genesis_hash, update, 0).await;
    assert_eq!(&payload.extra_data()[32..64], update.as_slice());
    assert_eq!(&payload.extra_data()[80..], certificate().as_ref());
    let named = node.wait_for("polai_updateByHeight", json!(["0x1"]), |answer| !answer.is_null()).await;
    assert_eq!((&named["updateId"], &named["blockHash"]), (&json!(update), &json!(payload.hash())));
    // Reth's numbers and ours on one page.
    assert!(node.metric("polai_execution_model_log_height ").await >= 1.0);
    assert!(node.metric("reth_blockchain_tree_canonical_chain_height ").await >= 1.0);
}

/// Waits until the sealer has made so many blocks.
async fn sealed(node: &Process, blocks: u64) {
    node.wait_for("polai_sealStatistics", json!([]), |answer| quantity(&answer["sealed"]) >= blocks).await;
}

#[tokio::test]
async fn a_payload_follows_a_candidate_that_comes_changes_or_goes() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let (parent, slot) = (driver.genesis_hash, next_slot(driver));
    let timestamp = driver.genesis_time + slot * SLOT;
    let mut blocks = 0;
    let [one, two, three] = [1, 2, 3].map(B256::repeat_byte);
    for (pushes, expected) in [(vec![one], one), (vec![one, two], two), (vec![one, B256::ZERO], B256::ZERO), (vec![three], three)]
    {
        driver.ai("polai_setCandidateV1", push(parent, slot, B256::ZERO)).await.unwrap();
        let (_, id) = driver.try_forkchoice(parent, B256::ZERO, B256::ZERO, Driver::attributes(timestamp, 0)).await.unwrap();
        blocks += 1;
        sealed(&node, blocks).await;
        for update in pushes {
            driver.ai("polai_setCandidateV1", push(parent, slot, update)).await.unwrap();
            blocks += 1;
            sealed(&node, blocks).await;
        }
        // Sealed is not yet handed over; what is asked for twice is the same.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        for _ in 0..2 {
            let payload = driver.engine("engine_getPayloadV3", json!([id])).await;
            let extra = payload["executionPayload"]["extraData"].as_str().unwrap();
            assert_eq!(extra[2 + 64..2 + 128].parse::<B256>().unwrap(), expected);
            assert_eq!((extra.len() - 2) / 2, if expected.is_zero() { 80 } else { 80 + 131 });
        }
        blocks = quantity(&driver.rpc("polai_sealStatistics", json!([])).await["sealed"]);
    }
}

#[tokio::test]
async fn wrong_candidates_and_floods_give_an_empty_block_and_never_an_error() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let (parent, slot) = (driver.genesis_hash, next_slot(driver));
    for (push, reason) in
        [(push(parent, slot - 2, B256::repeat_byte(1)), "expired"), (push(parent, slot + 50, B256::repeat_byte(1)), "early")]
    {
        let refused = driver.ai("polai_setCandidateV1", push).await.unwrap_err();
        assert_eq!((refused.code, refused.data), (-39_001, json!(reason)));
    }
    for number in 0..40 {
        let other = B256::with_last_byte(number);
        driver.ai("polai_setCandidateV1", push(other, slot, B256::repeat_byte(1))).await.unwrap();
    }
    let payload = driver.build(parent, driver.genesis_time + slot * SLOT, 0).await;
    assert_eq!(payload.extra_data().len(), 80);
    assert_eq!(driver.new_payload(&payload).await, Status::valid(payload.hash()));
}

#[tokio::test]
async fn a_node_without_sealer_follows_and_builds_nothing() {
    let home = Home::new();
    let first = {
        let node = home.start();
        let driver = &node.driver;
        driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await
    };
    let node = home.start_with(&["--ai-engine.seal.off"]);
    let driver = &node.driver;
    assert_eq!(driver.new_payload(&first).await, Status::valid(first.hash()));
    let attributes = Driver::attributes(driver.genesis_time + 2 * SLOT, 0);
    let (status, id) = driver.try_forkchoice(first.hash(), B256::ZERO, B256::ZERO, attributes).await.unwrap();
    assert_eq!(status, Status::valid(first.hash()));
    assert!(driver.try_engine("engine_getPayloadV3", json!([id])).await.is_err());
    assert_eq!(driver.rpc("polai_sealStatistics", json!([])).await, json!(null));
}
