//! What issue 6 asks of the execution client, in one run: `cargo bench -p pol-execution --bench chain`.
//!
//! Times are of a whole machine: on one that others use too, only the ratios say much.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark may fail loudly, and its figures are floats"
)]

mod blocks;
mod parts;
mod ports;

use std::time::{Duration, Instant};

use alloy_consensus::transaction::SignerRecoverable as _;
use blocks::Bench;
use pol_execution::chain::{Chain, History};
use reth_ai_exex::metrics::Metrics;

const TRANSFERS: u64 = 100;
const BLOCKS: u64 = 100;
/// Memory of the whole process after a long chain, MiB.
const RESIDENT: u64 = 300;

fn main() {
    println!("| what | measured | target | met |\n| --- | --- | --- | --- |");
    // First, while nothing else has grown the process.
    memory(10_000);
    let (small, ratio) = import(10_000);
    let what = "import of 100 transfers on 10,000 accounts / bare execution";
    row(what, format!("{small:.1?}, {ratio:.2} times"), "<= 2", ratio <= 2.0);
    let (large, _) = import(100_000);
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    row("the same on 100,000 accounts / on 10,000", format!("{large:.1?}, {ratio:.2} times"), "<= 1.3", ratio <= 1.3);
    let took = reopen(1_000);
    row("a chain of 1,000 blocks opened again", format!("{took:.1?}"), "<= 3 s", took <= Duration::from_secs(3));
    parts::rules();
    parts::seals();
    ports::payloads();
    ports::calls();
}

fn row(what: &str, measured: String, target: &str, met: bool) {
    println!("| {what} | {measured} | {target} | {} |", if met { "yes" } else { "NO" });
}

/// The smallest time that at least this many of a thousand do not exceed.
fn percentile(times: &mut [Duration], thousandths: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * thousandths).div_ceil(1_000).max(1) - 1]
}

fn memory(blocks: u64) {
    let mut bench = Bench::new(1_000);
    bench.grow(blocks);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let mib = resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024;
    row("resident memory after 10,000 blocks", format!("{mib} MiB"), "<= 300 MiB", mib <= RESIDENT);
}

/// The mean time of an import (execution, root, disk), and how many times that of executing the same blocks alone.
fn import(accounts: u64) -> (Duration, f64) {
    let mut bench = Bench::new(accounts);
    let (mut bare, mut whole) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..BLOCKS {
        let parent = bench.chain.head();
        let hashed = bench.block(&parent, TRANSFERS);
        let (block, on, hash) = (hashed.block().clone(), bench.on(&parent), hashed.hash());
        let start = Instant::now();
        let senders: Vec<_> = block.body.transactions.iter().map(|transaction| transaction.recover_signer().unwrap()).collect();
        bench.chain.executor().import(&block, &senders, &on).unwrap();
        bare += start.elapsed();
        let start = Instant::now();
        bench.chain.import(hashed).unwrap();
        whole += start.elapsed();
        bench.make_head(hash);
    }
    (whole / u32::try_from(BLOCKS).unwrap(), whole.as_secs_f64() / bare.as_secs_f64())
}

fn reopen(blocks: u64) -> Duration {
    let mut bench = Bench::new(1_000);
    bench.grow(blocks);
    let Bench { chain, directory, .. } = bench;
    let (genesis, head) = (chain.genesis().clone(), chain.head().data.hash);
    drop(chain);
    let start = Instant::now();
    let chain = Chain::open(directory.path(), genesis, History::default(), Metrics::new()).unwrap();
    assert_eq!(chain.head().data.hash, head);
    start.elapsed()
}
