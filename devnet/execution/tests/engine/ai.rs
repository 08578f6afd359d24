//! The AI path: a candidate goes into the next block, whatever is wrong with it never disturbs the consensus client.

use alloy_primitives::{B256, Bytes};
use pol_kit::clock::{Clock as _, System};
use serde_json::{Value, json};

use super::{
    driver::{Driver, Status},
    process::{Home, SLOT},
};

fn certificate() -> Bytes {
    [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0b1110_0001], &[0x33; 96]].concat().into()
}

fn push(parent: B256, slot: u64, update: B256) -> Value {
    let certificate = if update.is_zero() { Bytes::new() } else { certificate() };
    json!([{"parentHash": parent, "slot": format!("{slot:#x}"), "updateId": update, "certificate": certificate}])
}

/// The slot after the clock's.
fn next_slot(driver: &Driver) -> u64 {
    (System::new().unix_seconds() - driver.genesis_time) / SLOT + 1
}

#[tokio::test]
async fn a_candidate_shows_up_in_the_next_block_and_in_the_public_methods() {
    let home = Home::new();
    let node = home.start();
    let (driver, update) = (&node.driver, B256::repeat_byte(0xab));
    let (parent, slot) = (driver.genesis_hash, next_slot(driver));
    let timestamp = driver.genesis_time + slot * SLOT;
    assert_eq!(driver.ai("polai_setCandidateV1", push(parent, slot, update)).await.unwrap()["status"], "held");
    let payload = driver.extend(parent, timestamp, 0).await;
    assert_eq!(&payload.extra_data()[32..64], update.as_slice());
    assert_eq!(&payload.extra_data()[80..], certificate().as_ref());
    for _ in 0..200 {
        if driver.rpc("polai_updateByHeight", json!(["0x1"])).await != json!(null) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let named = driver.rpc("polai_updateByHeight", json!(["0x1"])).await;
    assert_eq!((&named["updateId"], &named["blockHash"]), (&json!(update), &json!(payload.hash())));
}

#[tokio::test]
async fn a_payload_follows_every_change_of_its_candidate() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let (parent, slot) = (driver.genesis_hash, next_slot(driver));
    let timestamp = driver.genesis_time + slot * SLOT;
    let attributes = Driver::attributes(timestamp, 0);
    let (_, id) = driver.try_forkchoice(parent, B256::ZERO, B256::ZERO, attributes).await.unwrap();
    let names = || async {
        let payload = driver.engine("engine_getPayloadV3", json!([id])).await;
        let extra = payload["executionPayload"]["extraData"].as_str().unwrap().to_owned();
        (extra[2 + 64..2 + 128].parse::<B256>().unwrap(), (extra.len() - 2) / 2)
    };
    assert_eq!(names().await, (B256::ZERO, 80));
    for update in [B256::repeat_byte(1), B256::repeat_byte(2), B256::ZERO, B256::repeat_byte(3)] {
        driver.ai("polai_setCandidateV1", push(parent, slot, update)).await.unwrap();
        let (found, length) = names().await;
        assert_eq!((found, length), (update, if update.is_zero() { 80 } else { 80 + 131 }));
        assert_eq!(names().await, (found, length), "the same question, the same answer");
    }
    driver.ai("polai_setMode", json!(["disabled"])).await.unwrap();
    assert_eq!(names().await, (B256::ZERO, 80));
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
