//! Everything that is wrong with a payload is found by the check that is meant for it, and blamed on the right ancestor.

use alloy_primitives::{B64, B256, Bytes, U256};
use serde_json::json;

use super::{
    driver::{Payload, Status, forge},
    process::{Home, SLOT, blamed_again, blamed_for_child, in_its_words},
};

#[tokio::test]
async fn a_forged_header_field_is_refused_with_its_name_even_when_it_is_sealed_anew() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let parent = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let good = driver.build(parent.hash(), parent.timestamp() + SLOT, 0).await;
    let blame = Some(parent.hash());
    type Change = fn(&mut alloy_consensus::Header);
    let cases: [(&str, Change); 12] = [
        ("number", |header| header.number += 1),
        ("gasLimit", |header| header.gas_limit += header.gas_limit / 1024),
        ("gasUsed", |header| header.gas_used = header.gas_limit + 1),
        ("gasUsed", |header| header.gas_used += 1),
        ("stateRoot", |header| header.state_root = B256::repeat_byte(1)),
        ("receiptsRoot", |header| header.receipts_root = B256::repeat_byte(1)),
        ("logsBloom", |header| header.logs_bloom.0[7] = 1),
        ("baseFeePerGas", |header| header.base_fee_per_gas = header.base_fee_per_gas.map(|fee| fee + 1)),
        ("excessBlobGas", |header| header.excess_blob_gas = Some(131_072)),
        ("blobGasUsed", |header| header.blob_gas_used = Some(131_072)),
        ("difficulty", |header| header.difficulty += U256::from(1)),
        ("timestamp", |header| header.timestamp += 1),
    ];
    for (about, change) in cases {
        let forged = forge::sealed(&good, change);
        let status = driver.new_payload(&forged).await;
        assert!(status.is_invalid(blame, in_its_words(about)), "{about}: {status:?}");
        // Remembered: the same answer without the work, for itself and for its children.
        let again = driver.new_payload(&forged).await;
        assert!(again.is_invalid(blamed_again(parent.hash()), ""), "{about}: {again:?}");
        let child = forge::unsealed(&good, |block| block.header.parent_hash = forged.hash());
        let child = forge::unsealed(&child, |block| block.header.extra_data = [forged.hash(), B256::ZERO].concat().into());
        let status = driver.new_payload(&child).await;
        assert!(status.is_invalid(blamed_for_child(parent.hash()), in_its_words("parent")), "{about}: {status:?}");
    }
    // The beacon root and the randomness are the consensus client's: nothing to compare with, but the root changes the state.
    let root = forge::sealed(&good, |header| header.parent_beacon_block_root = Some(B256::repeat_byte(9)));
    assert!(driver.new_payload(&root).await.is_invalid(blame, in_its_words("stateRoot")));
    assert_eq!(driver.new_payload(&good).await, Status::valid(good.hash()));
}

#[tokio::test]
async fn a_wrong_seal_or_first_half_is_refused_though_the_hash_is_right() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let good = driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let blame = Some(driver.genesis_hash);
    let bad_seal = (1..).map(|add| {
        forge::unsealed(&good, |block| {
            block.header.nonce = B64::from(u64::from(block.header.nonce).wrapping_add(add).to_be_bytes())
        })
    });
    // One in 256 other nonces is a seal too, and then the block is a valid one.
    let refused = futures::future::join_all(bad_seal.take(16).map(|forged| async move { driver.new_payload(&forged).await }));
    let refused = refused.await.into_iter().filter(|status| status.is_invalid(blame, in_its_words("seal"))).count();
    assert!(refused >= 12, "{refused} of 16");
    let other_half = forge::sealed(&good, |header| header.extra_data = Bytes::from(vec![9; 64]));
    let status = driver.new_payload(&other_half).await;
    assert!(status.is_invalid(blame, in_its_words("extraData")), "{status:?}");
}

#[tokio::test]
async fn what_is_no_block_is_refused_without_blame_and_not_remembered() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let good = driver.build(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let extra = good.extra_data().to_vec();
    let with = |extra: Vec<u8>| {
        let mut payload = good.clone();
        payload.inner.payload_inner.payload_inner.extra_data = extra.into();
        payload
    };
    for length in [0, 32, 64, 79] {
        let status = driver.new_payload(&with(extra[..length].to_vec())).await;
        assert!(status.is_invalid(None, ""), "{length} bytes: {status:?}");
    }
    let mut altered = extra.clone();
    altered[70] ^= 1;
    assert!(driver.new_payload(&with(altered)).await.is_invalid(None, in_its_words("block hash")));
    let mut wrong = good.clone();
    wrong.inner.payload_inner.payload_inner.transactions = vec![Bytes::from_static(b"\x02nonsense")];
    let status = driver.new_payload(&wrong).await;
    assert!(status.is_invalid(None, ""), "{status:?}");
    let blobs = driver.engine("engine_newPayloadV3", json!([good.inner, [B256::repeat_byte(1)], good.beacon_root])).await;
    assert_eq!((&blobs["status"], &blobs["latestValidHash"]), (&json!("INVALID"), &json!(null)));
    // Every one of them had the good block's hash. A trailer is the beacon node's to judge.
    let trailed = with([extra, vec![1, 2, 3]].concat());
    assert_eq!(driver.new_payload(&trailed).await, Status::valid(good.hash()));
}

#[tokio::test]
async fn a_block_without_parent_is_syncing_and_valid_once_the_parent_came() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let run = driver.grow(driver.genesis_hash, driver.genesis_time, 3, 0).await;
    drop(node);
    // Another node of the same chain.
    home.forget_chain();
    let node = home.start();
    let driver = &node.driver;
    let statuses = |order: &[usize]| order.iter().map(|index| run[*index].clone()).collect::<Vec<Payload>>();
    for payload in statuses(&[2, 1]) {
        let status = driver.new_payload(&payload).await;
        assert_eq!((status.status.as_str(), status.latest_valid), ("SYNCING", None));
    }
    let (status, id) = driver.try_forkchoice(run[2].hash(), B256::ZERO, B256::ZERO, json!(null)).await.unwrap();
    assert_eq!((status.status.as_str(), status.latest_valid, id), ("SYNCING", None, json!(null)));
    for payload in statuses(&[0, 1, 2]) {
        assert_eq!(driver.new_payload(&payload).await, Status::valid(payload.hash()));
    }
    driver.head(run[2].hash()).await;
    assert_eq!(driver.block_number().await, 3);
}
