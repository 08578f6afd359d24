//! Blocks with transactions, built, imported, and read back.

use alloy_primitives::{Address, B256, U256};
use pol_core::identity::GenesisSeed;
use serde_json::json;

use super::{
    driver::{
        Driver, Status, quantity,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

async fn send(driver: &Driver, wallet: &Wallet, ask: &Ask) -> B256 {
    let hash = driver.rpc("eth_sendRawTransaction", json!([raw(&wallet.sign(ask))])).await;
    hash.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn twelve_blocks_of_transfers_are_built_imported_and_read_back() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    let friend = Address::repeat_byte(0x77);
    let (mut parent, mut timestamp, mut nonce) = (driver.genesis_hash, driver.genesis_time, 0);
    for number in 1..=12_u64 {
        let mut hashes = Vec::new();
        for _ in 0..number {
            hashes.push(send(driver, &wallet, &Ask::transfer(nonce, friend, 1_000)).await);
            nonce += 1;
        }
        timestamp += SLOT;
        let payload = driver.extend(parent, timestamp, 0).await;
        assert_eq!((payload.number(), payload.transactions() as u64, payload.extra_data().len()), (number, number, 80));
        assert_eq!(&payload.extra_data()[..32], parent.as_slice());
        parent = payload.hash();
        for (index, hash) in hashes.iter().enumerate() {
            let receipt = driver.rpc("eth_getTransactionReceipt", json!([hash])).await;
            assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
            assert_eq!((quantity(&receipt["transactionIndex"]), &receipt["blockHash"]), (index as u64, &json!(parent)));
        }
    }
    let balance = driver.rpc("eth_getBalance", json!([friend, "latest"])).await;
    assert_eq!(balance, json!(format!("{:#x}", U256::from(nonce * 1_000))));
    // Each block pays one withdrawal of 5 gwei.
    let withdrawn = driver.rpc("eth_getBalance", json!([Address::left_padding_from(&[0xaa]), "latest"])).await;
    assert_eq!(quantity(&withdrawn), 12 * 5_000_000_000);
    let block = driver.rpc("eth_getBlockByNumber", json!(["latest", true])).await;
    assert_eq!(block["extraData"].as_str().unwrap().len(), 2 + 128);
    assert_ne!(block["difficulty"], json!("0x0"));
    assert_eq!(block["transactions"].as_array().unwrap().len(), 12);
    assert_eq!(quantity(&driver.rpc("eth_getTransactionCount", json!([wallet.address, "latest"])).await), nonce);
    // What was, can still be asked for.
    let early = driver.rpc("eth_getBalance", json!([friend, "0x1"])).await;
    assert_eq!(quantity(&early), 1_000);
    assert_eq!(driver.rpc("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
}

#[tokio::test]
async fn a_deposit_emits_the_log_that_the_beacon_chain_reads() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    // deposit(pubkey, withdrawal_credentials, signature, deposit_data_root) of 32 ether, with a root that is wrong: refused by the contract.
    let contract = reth_ai_exex::genesis::DEPOSIT_CONTRACT;
    let input = deposit_call(B256::ZERO);
    let call = json!({"from": wallet.address, "to": contract, "value": format!("{:#x}", 32 * ETHER), "data": format!("0x{}", hex::encode(&input))});
    let refused = driver.try_rpc("eth_call", json!([call, "latest"])).await.unwrap_err();
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.message.starts_with("execution reverted"), "{refused:?}");

    let ask = Ask {
        value: U256::from(32 * ETHER),
        input: deposit_call(deposit_root()).into(),
        gas: 500_000,
        ..Ask::transfer(0, contract, 0)
    };
    let hash = send(driver, &wallet, &ask).await;
    let payload = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let receipt = driver.rpc("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], json!("0x1"), "{receipt}");
    let event = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";
    let filter = json!([{"fromBlock": "0x0", "toBlock": "latest", "address": contract, "topics": [event]}]);
    let logs = driver.rpc("eth_getLogs", filter).await;
    assert_eq!(logs.as_array().unwrap().len(), 1);
    assert_eq!((&logs[0]["transactionHash"], &logs[0]["blockHash"]), (&json!(hash), &json!(payload.hash())));
    assert!(logs[0]["data"].as_str().unwrap().contains(&"11".repeat(48)), "the public key");
    let none = driver.rpc("eth_getLogs", json!([{"fromBlock": "0x0", "topics": [B256::repeat_byte(9)]}])).await;
    assert_eq!(none, json!([]));
    assert_eq!(driver.new_payload(&payload).await, Status::valid(payload.hash()));
}

const ETHER: u128 = 1_000_000_000_000_000_000;

/// ABI of `deposit(bytes,bytes,bytes,bytes32)`, written out.
fn deposit_call(root: B256) -> Vec<u8> {
    let word = |number: u64| U256::from(number).to_be_bytes_vec();
    let padded = |bytes: &[u8]| {
        [word(bytes.len() as u64), bytes.to_vec(), vec![0; bytes.len().next_multiple_of(32) - bytes.len()]].concat()
    };
    let (key, credentials, signature) = ([0x11; 48], [0x22; 32], [0x33; 96]);
    [
        vec![0x22, 0x89, 0x51, 0x18],
        word(128),
        word(128 + 96),
        word(128 + 96 + 64),
        root.to_vec(),
        padded(&key),
        padded(&credentials),
        padded(&signature),
    ]
    .concat()
}

/// hash_tree_root(DepositData), as the contract computes it.
fn deposit_root() -> B256 {
    use sha2::{Digest as _, Sha256};
    let h = |a: &[u8], b: &[u8]| -> [u8; 32] { Sha256::new().chain_update(a).chain_update(b).finalize().into() };
    let key = h(&[0x11; 48], &[0; 16]);
    let signature = h(&h(&[0x33; 32], &[0x33; 32]), &h(&[0x33; 32], &[0; 32]));
    let mut amount = [0; 32];
    amount[..8].copy_from_slice(&32_000_000_000_u64.to_le_bytes());
    h(&h(&key, &[0x22; 32]), &h(&amount, &signature)).into()
}
