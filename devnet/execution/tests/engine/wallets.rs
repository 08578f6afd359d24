//! What a wallet does.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use pol_core::identity::GenesisSeed;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    driver::{
        Driver, quantity,
        wallet::{Ask, GWEI, Wallet, raw},
    },
    process::{Home, SEED, SLOT},
};

/// Logs and returns 42; reverts when it is given anything.
const CONTRACT: [u8; 36] = hex!("601980600b6000396000f3" "36601357" "602a600052" "60206000a0" "60206000f3" "5b60006000fd");

#[tokio::test]
async fn a_wallet_deploys_calls_estimates_and_reads_logs() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    assert_eq!(driver.rpc("eth_chainId", json!([])).await, json!("0x539"));
    assert_eq!(driver.rpc("net_version", json!([])).await, json!("1337"));
    assert_eq!(driver.rpc("eth_syncing", json!([])).await, json!(false));
    let hash = send(driver, &wallet, &Ask::create(0, CONTRACT.into())).await.unwrap();
    let waiting = driver.rpc("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&waiting["blockHash"], &waiting["from"]), (&json!(null), &json!(wallet.address)));
    assert_eq!(quantity(&driver.rpc("eth_getTransactionCount", json!([wallet.address, "pending"])).await), 1);
    let first = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let receipt = driver.rpc("eth_getTransactionReceipt", json!([hash])).await;
    let contract: Address = receipt["contractAddress"].as_str().unwrap().parse().unwrap();
    assert_eq!(contract, wallet.address.create(0));
    assert_eq!(driver.rpc("eth_getCode", json!([contract, "latest"])).await, json!(Bytes::copy_from_slice(&CONTRACT[11..])));
    assert_eq!(driver.rpc("eth_getCode", json!([contract, "0x0"])).await, json!("0x"));
    let answer = driver.rpc("eth_call", json!([{"to": contract}, "latest"])).await;
    assert_eq!(answer, json!(B256::with_last_byte(42)));
    let reverted = driver.try_rpc("eth_call", json!([{"to": contract, "data": "0x01"}, "latest"])).await.unwrap_err();
    assert_eq!((reverted.code, reverted.message.as_str(), reverted.data), (3, "execution reverted", json!("0x")));
    let gas = quantity(&driver.rpc("eth_estimateGas", json!([{"from": wallet.address, "to": contract}])).await);
    let ask = Ask { gas, ..Ask::transfer(1, contract, 0) };
    let called = send(driver, &wallet, &ask).await.unwrap();
    driver.extend(first.hash(), first.timestamp() + SLOT, 0).await;
    let receipt = driver.rpc("eth_getTransactionReceipt", json!([called])).await;
    assert_eq!((&receipt["status"], receipt["logs"].as_array().unwrap().len()), (&json!("0x1"), 1), "{receipt}");
    let logs = driver.rpc("eth_getLogs", json!([{"address": contract, "fromBlock": "0x0"}])).await;
    assert_eq!(logs[0]["data"], json!(B256::with_last_byte(42)));
    assert_eq!(driver.rpc("eth_getBlockReceipts", json!(["latest"])).await.as_array().unwrap().len(), 1);
    let history = driver.rpc("eth_feeHistory", json!(["0x2", "latest", [50.0]])).await;
    assert_eq!(history["reward"], json!([[format!("{GWEI:#x}")], [format!("{GWEI:#x}")]]));
    let block = driver.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    let proof = driver.rpc("eth_getProof", json!([contract, ["0x0"], "latest"])).await;
    let nodes: Vec<Bytes> = serde_json::from_value(proof["accountProof"].clone()).unwrap();
    let root: B256 = block["stateRoot"].as_str().unwrap().parse().unwrap();
    let account = alloy_trie::TrieAccount {
        nonce: 1,
        balance: U256::ZERO,
        storage_root: proof["storageHash"].as_str().unwrap().parse().unwrap(),
        code_hash: proof["codeHash"].as_str().unwrap().parse().unwrap(),
    };
    let key = alloy_trie::Nibbles::unpack(alloy_primitives::keccak256(contract));
    alloy_trie::proof::verify_proof(root, key, Some(alloy_rlp::encode(account)), &nodes).unwrap();
}

async fn send(driver: &Driver, wallet: &Wallet, ask: &Ask) -> Result<B256, (i64, String)> {
    let sent = driver.try_rpc("eth_sendRawTransaction", json!([raw(&wallet.sign(ask))])).await;
    sent.map(|hash| hash.as_str().unwrap().parse().unwrap()).map_err(|error| (error.code, error.message))
}

#[tokio::test]
async fn the_mempool_says_why_it_refuses() {
    let home = Home::new();
    let node = home.start();
    let (driver, wallet) = (&node.driver, Wallet::funded(&GenesisSeed::from_bytes(SEED)));
    let friend = Address::repeat_byte(1);
    let plain = Ask::transfer(0, friend, 1);
    send(driver, &wallet, &plain).await.unwrap();
    driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let next = Ask::transfer(1, friend, 1);
    send(driver, &wallet, &next).await.unwrap();
    let refused = [
        (Ask { value: U256::from(2), ..plain.clone() }, "nonce too low"),
        (next.clone(), "already known"),
        (Ask { value: U256::from(2), ..next.clone() }, "replacement transaction underpriced"),
        (Ask { nonce: 99, ..next.clone() }, "nonce too high"),
        (Ask { value: U256::MAX >> 1, ..Ask::transfer(2, friend, 1) }, "insufficient funds"),
        (Ask { gas: 20_999, ..Ask::transfer(2, friend, 1) }, "intrinsic gas too low"),
        (Ask { gas: 30_000_001, ..Ask::transfer(2, friend, 1) }, "exceeds block gas limit"),
        (Ask { tip: 11 * GWEI, ..Ask::transfer(2, friend, 1) }, "max priority fee per gas higher than max fee per gas"),
    ];
    for (ask, why) in refused {
        let (code, message) = send(driver, &wallet, &ask).await.unwrap_err();
        assert!(code == -32_000 && message.starts_with(why), "{why}: {message}");
    }
    for (chain, why) in [(Some(1), "invalid chain id"), (None, "invalid chain id")] {
        let error = driver.try_rpc("eth_sendRawTransaction", json!([raw(&wallet.legacy(2, chain))])).await.unwrap_err();
        assert!(error.message.starts_with(why), "{error:?}");
    }
    let nonsense = driver.try_rpc("eth_sendRawTransaction", json!(["0x02c0"])).await.unwrap_err();
    assert_eq!(nonsense.code, -32_000);
    let replacement = Ask { max_fee: 20 * GWEI, tip: 2 * GWEI, ..next };
    send(driver, &wallet, &replacement).await.unwrap();
    send(driver, &wallet, &Ask::transfer(3, friend, 1)).await.unwrap();
    assert_eq!(driver.rpc("txpool_status", json!([])).await, json!({"pending": "0x1", "queued": "0x1"}));
    let content = driver.rpc("txpool_content", json!([])).await;
    assert!(content["queued"][wallet.address.to_string().to_lowercase()]["3"].is_object(), "{content}");
}

#[tokio::test]
async fn a_subscriber_hears_of_new_heads_over_websocket() {
    let home = Home::new();
    let node = home.start();
    let driver = &node.driver;
    let mut socket = Socket::connect(driver.urls.http.trim_start_matches("http://")).await;
    socket.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})).await;
    let subscription = socket.next().await["result"].clone();
    let payload = driver.extend(driver.genesis_hash, driver.genesis_time + SLOT, 0).await;
    let told = socket.next().await;
    assert_eq!((&told["method"], &told["params"]["subscription"]), (&json!("eth_subscription"), &subscription));
    assert_eq!(told["params"]["result"]["hash"], json!(payload.hash()));
    socket.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "eth_unsubscribe", "params": [subscription]})).await;
    assert_eq!(socket.next().await["result"], json!(true));
}

/// As much of RFC 6455 as one test needs.
struct Socket(TcpStream);

impl Socket {
    async fn connect(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let hello = format!(
            "GET / HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(hello.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Self(stream)
    }

    /// A text frame with an all-zero mask.
    async fn send(&mut self, value: &Value) {
        let text = value.to_string();
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        let frame = [&[0x81, 0x80 | 126][..], &length, &[0; 4], text.as_bytes()].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            let kind = self.0.read_u8().await.unwrap();
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                short => u64::from(short),
            };
            let mut text = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut text).await.unwrap();
            if kind == 0x81 {
                return serde_json::from_slice(&text).unwrap();
            }
        }
    }
}
