//! Filters that are polled: nothing between two questions is left out without a word.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256, hex};
use pol_core::identity::GenesisSeed;
use serde_json::{Value, json};

use super::{
    driver::{
        Driver,
        wallet::{Ask, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

/// Logs nothing as often as it is told.
const CONTRACT: [u8; 29] = hex!("601280600b6000396000f3" "600035" "5b" "60006000a0" "60019003" "80600357" "00");

struct Logger<'a> {
    driver: &'a Driver,
    wallet: Wallet,
    address: Address,
    nonce: u64,
    deployed: B256,
    last: (B256, u64),
}

impl<'a> Logger<'a> {
    async fn new(driver: &'a Driver) -> Self {
        let wallet = Wallet::funded(&GenesisSeed::from_bytes(SEED));
        let (address, last) = (wallet.address.create(0), (driver.genesis_hash, driver.genesis_time));
        let mut logger = Self { driver, wallet, address, nonce: 0, deployed: B256::ZERO, last };
        logger.deployed = logger.block(Ask::create(0, CONTRACT.into())).await;
        logger
    }

    async fn block(&mut self, ask: Ask) -> B256 {
        let transaction = self.wallet.sign(&Ask { nonce: self.nonce, ..ask });
        self.driver.rpc("eth_sendRawTransaction", json!([raw(&transaction)])).await;
        let block = self.driver.extend(self.last.0, self.last.1 + SLOT, 0).await;
        assert_eq!(block.transactions(), 1);
        self.nonce += 1;
        self.last = (block.hash(), block.timestamp());
        block.hash()
    }

    /// A block with so many logs.
    async fn log(&mut self, logs: u64) {
        let input = U256::from(logs).to_be_bytes::<32>().into();
        self.block(Ask { input, gas: 100_000 + logs * 420, ..Ask::transfer(0, self.address, 0) }).await;
    }
}

/// Block hash and place of each log; all of them removed, or none.
async fn places(driver: &Driver, filter: &Value, removed: bool) -> Vec<(String, String)> {
    let logs = driver.rpc("eth_getFilterChanges", json!([filter])).await;
    let place = |log: &Value| {
        assert_eq!(log["removed"], json!(removed));
        (log["blockHash"].to_string(), log["logIndex"].to_string())
    };
    logs.as_array().unwrap().iter().map(place).collect()
}

#[tokio::test]
async fn logs_that_do_not_fit_one_answer_come_with_the_next_and_none_is_lost() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let mut logger = Logger::new(driver).await;
    let filter = driver.rpc("eth_newFilter", json!([{"address": logger.address}])).await;
    logger.log(4_000).await;
    logger.log(4_000).await;
    logger.log(4_000).await;
    let mut told = places(driver, &filter, false).await;
    assert_eq!(told.len(), 8_000, "whole blocks only");
    told.extend(places(driver, &filter, false).await);
    assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (12_000, 12_000));
    assert_eq!(places(driver, &filter, false).await, []);

    // What a reorg takes back is told in the same way.
    driver.head(logger.deployed).await;
    let mut removed = places(driver, &filter, true).await;
    assert_eq!(removed.len(), 8_000);
    removed.extend(places(driver, &filter, true).await);
    told.sort();
    removed.sort();
    assert_eq!(removed, told);
}

#[tokio::test]
async fn a_block_with_more_logs_than_an_answer_holds_is_an_error_as_often_as_it_is_asked_for() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let mut logger = Logger::new(driver).await;
    let filter = driver.rpc("eth_newFilter", json!([{"address": logger.address}])).await;
    logger.log(7).await;
    logger.log(10_001).await;
    assert_eq!(places(driver, &filter, false).await.len(), 7);
    for _ in 0..2 {
        let error = driver.try_rpc("eth_getFilterChanges", json!([filter])).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-32_005, "query returned more than 10000 results"));
    }
}

#[tokio::test]
async fn a_filter_whose_last_block_lost_against_finality_is_not_found() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let main = driver.grow(driver.genesis_hash, driver.genesis_time, 3, 0).await;
    driver.extend(main[0].hash(), main[0].timestamp() + 2 * SLOT, 9).await;
    let blocks = driver.rpc("eth_newBlockFilter", json!([])).await;
    let logs = driver.rpc("eth_newFilter", json!([{}])).await;
    let head = main[2].hash();
    let (status, _) = driver.try_forkchoice(head, head, head, Value::Null).await.unwrap();
    assert_eq!(status.status, "VALID");
    for filter in [blocks, logs] {
        let error = driver.try_rpc("eth_getFilterChanges", json!([filter])).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-32_000, "filter not found"));
    }
}
