//! Whatever happens to the process, the chain is as the consensus client left it.

use alloy_primitives::{Address, B256};
use pol_core::identity::GenesisSeed;
use serde_json::{Value, json};

use super::{
    driver::{
        Driver, Payload, Status,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

const FRIEND: Address = Address::repeat_byte(0x77);

/// A block with a transfer.
async fn busy(driver: &Driver, wallet: &Wallet, nonce: u64, parent: B256, timestamp: u64) -> Payload {
    driver.rpc("eth_sendRawTransaction", json!([raw(&wallet.sign(&Ask::transfer(nonce, FRIEND, 3)))])).await;
    let payload = driver.extend(parent, timestamp, 0).await;
    assert_eq!(payload.transactions(), 1);
    payload
}

#[tokio::test]
async fn a_killed_process_comes_back_with_the_same_head_and_goes_on() {
    let home = Home::new();
    let wallet = Wallet::funded(&GenesisSeed::from_bytes(SEED));
    let mut node = home.start();
    let (mut parent, mut timestamp) = (node.driver.genesis_hash, node.driver.genesis_time);
    let mut hashes = vec![parent];
    for number in 1..=15_u64 {
        timestamp += SLOT;
        let payload = busy(&node.driver, &wallet, number - 1, parent, timestamp).await;
        parent = payload.hash();
        hashes.push(parent);
        // Finality follows three behind, so that killing meets every mixture of final and open blocks.
        let finalized = hashes[hashes.len().saturating_sub(4)];
        node.driver.try_forkchoice(parent, finalized, finalized, Value::Null).await.unwrap();
        if number % 3 == 0 {
            assert!(!node.kill().success());
            node = home.start();
        }
        assert_eq!(node.driver.head_hash().await, parent);
        let balance = node.driver.rpc("eth_getBalance", json!([FRIEND, "latest"])).await;
        assert_eq!(balance, json!(format!("{:#x}", 3 * number)));
        let early = node.driver.rpc("eth_getBalance", json!([FRIEND, "0x1"])).await;
        assert_eq!(early, json!("0x3"), "the state of an old block, after a restart too");
    }
    assert!(node.stop().success(), "SIGTERM ends in good order");
}

#[tokio::test]
async fn a_valid_block_that_was_no_head_yet_survives_a_kill() {
    let home = Home::new();
    let mut node = home.start();
    let first = node.driver.build(node.driver.genesis_hash, node.driver.genesis_time + SLOT, 0).await;
    assert_eq!(node.driver.new_payload(&first).await, Status::valid(first.hash()));
    node.kill();
    let node = home.start();
    assert_eq!(node.driver.block_number().await, 0);
    node.driver.head(first.hash()).await;
    assert_eq!(node.driver.block_number().await, 1);
}

#[tokio::test]
async fn twelve_kills_at_any_moment_lose_no_head() {
    kills(12).await;
}

#[tokio::test]
async fn long_two_hundred_kills_at_any_moment_lose_no_head() {
    kills(200).await;
}

/// Kills while blocks are built, imported and made the head, at moments that a seed picks.
async fn kills(rounds: u64) {
    let home = Home::new();
    let mut random = 0x5eed_u64;
    let mut known = home.genesis.chain().genesis_hash();
    let mut timestamp = home.genesis.chain().genesis_time();
    for round in 0..rounds {
        let mut node = home.start();
        assert_eq!(node.driver.head_hash().await, known, "round {round}");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (mut told, mut parent) = (vec![known], known);
        let until = std::time::Duration::from_micros((random >> 33) % 60_000);
        let (driver, steps) = (&node.driver, &mut told);
        let work = async {
            loop {
                timestamp += SLOT;
                let payload = driver.build(parent, timestamp, 0).await;
                driver.new_payload(&payload).await;
                // From here on it may be the head, and from the answer on it is.
                steps.push(payload.hash());
                driver.head(payload.hash()).await;
                parent = payload.hash();
            }
        };
        let _ = tokio::time::timeout(until, work).await;
        node.kill();
        let reopened = home.start();
        let head = reopened.driver.head_hash().await;
        assert!(head == parent || Some(&head) == told.last(), "round {round}: {head} of {told:?}");
        known = head;
    }
}

#[tokio::test]
async fn two_processes_never_share_a_data_directory() {
    let home = Home::new();
    let node = home.start();
    let second = home.command().output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(node.driver.block_number().await, 0);
}
