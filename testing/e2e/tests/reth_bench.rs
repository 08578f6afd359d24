//! Engine API calls of `pol-reth` beside those of `pol-execution`: one chain, one driver, one run. `just bench-reth` prints the table.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]

#[path = "../../../devnet/execution/tests/engine/driver/mod.rs"]
mod driver;

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use driver::{
    Driver, Payload, Status, Urls,
    chain::{SECRET, SEED, SLOT, genesis},
    wallet::{Ask, Wallet, raw},
};
use e2e::reth::Beside;
use pol_core::identity::GenesisSeed;
use pol_kit::clock::{Clock as _, System};
use serde_json::json;

const ROUNDS: u64 = 30;
const TRANSFERS: u64 = 100;

#[derive(Default)]
struct Times {
    payload: Vec<Duration>,
    import: Vec<Duration>,
}

fn milliseconds(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    format!("{:.1} / {:.1}", at(50), at(95))
}

/// Both build, both take what Reth has built.
async fn round(drivers: &[Driver; 2], times: &mut [Times; 2], parent: B256, timestamp: u64, transfers: u64) -> Payload {
    let mut built = Vec::new();
    for (driver, times) in drivers.iter().zip(times.iter_mut()) {
        let start = Instant::now();
        let payload = driver.build(parent, timestamp, 0).await;
        times.payload.push(start.elapsed());
        assert_eq!(payload.transactions() as u64, transfers);
        built.push(payload);
    }
    let payload = built.swap_remove(0);
    for (driver, times) in drivers.iter().zip(times) {
        let start = Instant::now();
        assert_eq!(driver.new_payload(&payload).await, Status::valid(payload.hash()));
        times.import.push(start.elapsed());
        driver.head(payload.hash()).await;
    }
    payload
}

#[tokio::test]
#[ignore = "a bench on pol-reth: just bench-reth"]
async fn bench_engine_calls() {
    let genesis = genesis(System::new().unix_seconds() - 500 * SLOT);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("genesis.json"), genesis.to_json().unwrap()).unwrap();
    let path = folder.path().to_owned();
    let (reth, embedded) = tokio::task::spawn_blocking(move || (Beside::reth(&path), Beside::embedded(&path))).await.unwrap();
    let chain = genesis.chain();
    let drivers = [&reth, &embedded].map(|of| {
        let urls = Urls { http: of.http.clone(), auth: of.auth.clone(), ai_engine: String::new() };
        Driver::new(urls, SECRET, chain.genesis_hash(), chain.genesis_time(), SLOT)
    });
    let wallet = Wallet::funded(&GenesisSeed::from_bytes(SEED));
    let (mut parent, mut timestamp, mut nonce) = (chain.genesis_hash(), chain.genesis_time(), 0);
    println!("| call | pol-reth, p50 / p95 ms | pol-execution, p50 / p95 ms |\n| --- | --- | --- |");
    for transfers in [0, TRANSFERS] {
        let mut times = [Times::default(), Times::default()];
        for _ in 0..ROUNDS {
            for _ in 0..transfers {
                let transaction = raw(&wallet.sign(&Ask::transfer(nonce, Address::repeat_byte(7), 1)));
                for driver in &drivers {
                    driver.rpc("eth_sendRawTransaction", json!([transaction])).await;
                }
                nonce += 1;
            }
            timestamp += SLOT;
            parent = round(&drivers, &mut times, parent, timestamp, transfers).await.hash();
        }
        let [mut of_reth, mut of_embedded] = times;
        let (a, b) = (milliseconds(&mut of_reth.payload), milliseconds(&mut of_embedded.payload));
        println!("| forkchoiceUpdated to sealed payload, {transfers} transfers | {a} | {b} |");
        let (a, b) = (milliseconds(&mut of_reth.import), milliseconds(&mut of_embedded.import));
        println!("| newPayload, {transfers} transfers | {a} | {b} |");
    }
    tokio::task::spawn_blocking(move || drop((reth, embedded))).await.unwrap();
}
