//! Parts of the library on the way of every block.

use core::num::NonZeroUsize;
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::TxEnvelope;
use alloy_primitives::B256;
use pol_core::{UpdateId, difficulty::DifficultyRule};
use pol_kit::clock::System;
use reth_ai_exex::{
    chain::Chain as Rules,
    header,
    metrics::Metrics,
    sealer::{Cancel, SealJob, Sealer},
    wire,
};

use super::{
    blocks::{Bench, SLOT},
    percentile, row,
};

const ROUNDS: usize = 2_000;
/// Enough for a 99.9th percentile that is not the maximum.
const SEALS: u64 = 3_000;
/// The default of `polai genesis`.
const FLOOR: u64 = 1_024;

/// What newPayload asks of the library: the split, and the header rules.
pub(crate) fn rules() {
    let mut bench = Bench::new(1_000);
    let parent = bench.chain.head();
    let (payload, sidecar) = bench.payload(&parent, 1);
    let block = wire::split(payload.clone()).unwrap().into_block::<TxEnvelope>(&sidecar).unwrap();
    let (child, rule) = (&block.block().header, bench.chain.genesis().chain().difficulty());
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let payload = payload.clone();
            let start = Instant::now();
            black_box(wire::split(payload).unwrap());
            header::check_child(child, parent.data.hash, &parent.data.block.header, rule).unwrap();
            start.elapsed()
        })
        .collect();
    let (half, tail) = (percentile(&mut times, 500), percentile(&mut times, 990));
    let measured = format!("p50 {half:.1?}, p99 {tail:.1?}");
    row("split and header rules of a newPayload", measured, "<= 50 us", half <= Duration::from_micros(50));
}

/// Seals at both ends of the difficulty, on one thread.
pub(crate) fn seals() {
    let mut bench = Bench::new(1_000);
    let parent = bench.chain.head();
    let header = bench.block(&parent, 1).block().header.clone();
    let slot = Duration::from_secs(SLOT);
    for (name, factor) in [("floor", 1), ("ceiling", 4)] {
        // A chain whose floor is the difficulty that is measured: the child of its floor is at the floor again.
        let difficulty = FLOOR * factor;
        let rule = DifficultyRule::new(SLOT, difficulty).unwrap();
        let rules = Rules::new(pol_core::GenesisId([1; 32]), B256::ZERO, 0, SLOT, difficulty).unwrap();
        let sealer = Sealer::start(NonZeroUsize::MIN, &rules, Arc::new(System::new()), Metrics::new()).unwrap();
        let mut last = parent.data.block.header.clone();
        last.difficulty = alloy_primitives::U256::from(difficulty);
        let mut times = Vec::new();
        for number in 0..SEALS {
            // Two slots later the difficulty falls to the floor, wherever it was.
            let mut header = header.clone();
            header.timestamp = last.timestamp + 2 * SLOT;
            header.mix_hash = B256::left_padding_from(&number.to_be_bytes());
            let job = SealJob::new(header, parent.data.hash, &last, UpdateId::ZERO, &rule).unwrap();
            let start = Instant::now();
            let (sealed, _) = sealer.seal(job, &Cancel::new()).unwrap().into_parts();
            times.push(start.elapsed());
            assert_eq!(sealed.difficulty, last.difficulty);
        }
        let mean = times.iter().sum::<Duration>() / u32::try_from(SEALS).unwrap();
        let tail = percentile(&mut times, 999);
        let rate = sealer.rate() as f64 / 1e6;
        if factor == 1 {
            let what = format!("mean of a seal at the floor, {difficulty}, {rate:.1} MH/s");
            row(&what, format!("{mean:.1?}"), "<= slot/400 (7.5 ms)", mean <= slot / 400);
        } else {
            let what = format!("p99.9 of a seal at the {name}, {difficulty}");
            row(&what, format!("{tail:.1?}"), "<= slot/10 (300 ms)", tail <= slot / 10);
        }
    }
}
