//! Whole nodes on `pol-reth`, which this workspace does not build: `scripts/test-reth` builds it, and runs these.

use std::{thread, time::Duration};

use e2e::{
    reth::{Beside, flags},
    up::{Up, kill},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);

fn rpc(up: &Up, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let url = format!("http://127.0.0.1:{}", up.port("EL_HTTP_PORT"));
    let answer = reqwest::blocking::Client::new().post(url).json(&body).send().expect("an answer");
    answer.json::<Value>().expect("JSON")["result"].take()
}

#[test]
#[ignore = "needs pol-reth: scripts/test-reth"]
fn a_node_on_reth_makes_blocks_survives_a_kill_verifies_and_stops() {
    let mut up = Up::new();
    up.start(&flags(&up));
    up.until("block", 10, PATIENCE);
    let pid = up.pid("pol-reth").expect("a process");
    kill(pid, "KILL");
    while up.pid("pol-reth").is_none_or(|now| now == pid) {
        thread::sleep(Duration::from_millis(50));
    }
    let before = up.until("block", 1, PATIENCE)["block"].as_u64().expect("a block");
    up.until("block", before.max(10) + 5, PATIENCE);
    up.until("finalized_epoch", 1, PATIENCE);
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
    up.signal("INT");
    let (_, code) = up.ended(Duration::from_secs(15));
    assert_eq!(code, Some(0), "{}", up.said());
    // A stopped node is checked on the client that has its chain.
    let verified = up.polai(&["verify"]).env("POLAI_RETH_BIN", e2e::reth::reth()).output().expect("polai");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What one client built, the other takes, and every field of every block is the same.
fn same_blocks(up: &Up, beside: impl FnOnce(&Up) -> Beside) {
    up.until("block", 12, PATIENCE);
    let beside = beside(up);
    assert!(beside.feed(up) >= 12);
    let head = rpc(up, "eth_getBlockByNumber", json!(["0xc", false]));
    beside.adopt(head["hash"].as_str().expect("a hash"));
    for height in 1..=12 {
        let theirs = rpc(up, "eth_getBlockByNumber", json!([format!("{height:#x}"), false]));
        let hash = theirs["hash"].as_str().expect("a hash");
        let mine = beside.block(hash);
        for field in ["hash", "parentHash", "stateRoot", "receiptsRoot", "extraData", "difficulty", "nonce", "withdrawalsRoot"] {
            assert_eq!(mine[field], theirs[field], "{field} of block {height}");
        }
    }
}

#[test]
#[ignore = "needs pol-reth: scripts/test-reth"]
fn blocks_of_the_embedded_client_are_the_same_blocks_in_reth() {
    let mut up = Up::new();
    up.start(&up.without_ai(&[]));
    same_blocks(&up, |up| Beside::reth(&up.data()));
}

#[test]
#[ignore = "needs pol-reth: scripts/test-reth"]
fn blocks_of_reth_are_the_same_blocks_in_the_embedded_client() {
    let mut up = Up::new();
    up.start(&flags(&up));
    same_blocks(&up, |up| Beside::embedded(&up.data()));
}

#[test]
fn the_re_feeder_gives_an_empty_client_the_whole_chain_once() {
    let mut up = Up::new();
    up.start(&up.without_ai(&[]));
    up.until("block", 6, PATIENCE);
    let beside = Beside::embedded(&up.data());
    assert!(beside.feed(&up) >= 6);
    // Only what came meanwhile.
    assert!(beside.feed(&up) <= 2);
    let first = rpc(&up, "eth_getBlockByNumber", json!(["0x1", false]));
    assert_eq!(beside.block(first["hash"].as_str().expect("a hash"))["number"], "0x1");
}
