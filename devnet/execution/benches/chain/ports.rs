//! What clients wait for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use pol_execution::{
    engine::{Engine, EngineApiServer as _},
    payload::{Parts, Payloads},
    pool::Pool,
    rpc::{self, Eth},
};
use pol_kit::clock::Manual;
use reth_ai_exex::{
    candidate::{Mode, Register},
    genesis::DEPOSIT_CONTRACT,
    metrics::Metrics,
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    blocks::{Bench, SLOT, attributes},
    percentile, row,
};

const PAYLOADS: usize = 1_000;
const CALLERS: usize = 50;
const CALLS: usize = 40;

/// getPayload of a block of 100 transfers that is sealed.
pub(crate) fn payloads() {
    let mut bench = Bench::new(1_000);
    let head = bench.chain.head();
    let pool = Pool::new(bench.chain.clone());
    for _ in 0..64 {
        pool.add(bench.transfer()).unwrap();
    }
    let timestamp = head.data.block.header.timestamp + SLOT;
    let clock = Arc::new(Manual::at(timestamp));
    let register = Register::new(*bench.chain.genesis().chain(), clock.clone(), Mode::Enabled, Metrics::new());
    let sealer = Some(bench.sealer.clone());
    let parts = Parts { chain: bench.chain.clone(), pool, register, sealer, clock, gas_limit: 30_000_000 };
    let mut times = Runtime::new().unwrap().block_on(async move {
        let (payloads, runner) = Payloads::new(parts);
        let running = tokio::spawn(runner.run());
        let id = payloads.start(head, attributes(timestamp)).unwrap();
        let engine = Engine::new(bench.chain.clone(), payloads);
        let first = engine.get_payload_v3(id).await.unwrap();
        assert_eq!(first.execution_payload.payload_inner.payload_inner.transactions.len(), 64);
        let mut times = Vec::new();
        for _ in 0..PAYLOADS {
            let start = Instant::now();
            engine.get_payload_v3(id).await.unwrap();
            times.push(start.elapsed());
        }
        running.abort();
        times
    });
    let tail = percentile(&mut times, 990);
    row("getPayload once sealed, p99", format!("{tail:.1?}"), "<= 50 ms", tail <= Duration::from_millis(50));
}

/// eth_call of 50 clients at the same time, all of them again and again.
pub(crate) fn calls() {
    let Bench { chain, directory: _kept, .. } = Bench::new(10_000);
    let eth = Eth::new(chain.clone(), Pool::new(chain));
    let methods = Arc::new(rpc::methods(&eth).unwrap());
    // get_deposit_root of the deposit contract: a hash and a read for each of its 32 levels.
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": DEPOSIT_CONTRACT, "data": "0xc5f2892f"}, "latest"]});
    let call: Arc<str> = call.to_string().into();
    let mut times = Runtime::new().unwrap().block_on(async move {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (methods, call) = (Arc::clone(&methods), Arc::clone(&call));
            callers.spawn(async move {
                let mut times = Vec::new();
                for _ in 0..CALLS {
                    let start = Instant::now();
                    let (answer, _) = methods.raw_json_request(&call, 1).await.unwrap();
                    times.push(start.elapsed());
                    let answer: Value = serde_json::from_str(answer.get()).unwrap();
                    let root: U256 = answer["result"].as_str().unwrap().parse().unwrap();
                    assert!(!root.is_zero(), "{answer}");
                }
                times
            });
        }
        callers.join_all().await.concat()
    });
    let (half, tail) = (percentile(&mut times, 500), percentile(&mut times, 990));
    let measured = format!("p50 {half:.1?}, p99 {tail:.1?}");
    row("eth_call, 50 in parallel, p99", measured, "<= 20 ms", tail <= Duration::from_millis(20));
}
