//! Every target that the library has, measured in one run: `cargo bench -p reth-ai-exex --bench exex`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark may fail loudly, and its figures are floats"
)]

use core::{hint::black_box, num::NonZeroUsize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Block, BlockBody, Header, SignableTransaction as _, TxEnvelope, TxLegacy, constants::EMPTY_WITHDRAWALS};
use alloy_primitives::{B256, Bytes, Signature, U256};
use alloy_rpc_types_engine::ExecutionPayload;
use pol_core::{
    GenesisId, UpdateId,
    difficulty::{DifficultyRule, floor_for_rate},
    extra_data::ExtraData,
};
use pol_kit::clock::{Clock as _, System};
use reth_ai_exex::{
    candidate::{Mode, Push, Register},
    chain::Chain,
    header,
    metrics::Metrics,
    model_log::{LogBlock, ModelLog},
    sealer::{Cancel, SealJob, Sealer},
    wire,
};

const SLOT: u64 = 1;
const TRANSACTIONS: u64 = 100;

#[derive(Clone)]
struct Row {
    what: &'static str,
    figure: String,
    target: String,
    met: bool,
}

fn main() {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cpus} CPUs; slot {SLOT} s\n\n| what | measured | target | met |\n| --- | --- | --- | --- |");
    let rows = [payload(), seals(), vec![choose(), log_commit()]].concat();
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.figure, row.target, if row.met { "yes" } else { "NO" });
    }
}

fn chain(floor: u64) -> Chain {
    let system = System::new();
    Chain::new(GenesisId([1; 32]), B256::ZERO, system.unix_seconds().saturating_sub(1_000), SLOT, floor).unwrap()
}

fn parent(difficulty: u64) -> Header {
    Header {
        difficulty: U256::from(difficulty),
        gas_limit: 30_000_000,
        timestamp: 1_700_000_000,
        extra_data: Bytes::copy_from_slice(&ExtraData::GENESIS.encode()),
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

fn job(parent: &Header, salt: u64, rule: &DifficultyRule) -> SealJob {
    let hash = parent.hash_slow();
    let draft = Header {
        parent_hash: hash,
        number: 1,
        timestamp: parent.timestamp + SLOT,
        mix_hash: B256::from(U256::from(salt)),
        ..parent.clone()
    };
    SealJob::new(draft, hash, parent, UpdateId([9; 32]), rule).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn sealer(floor: u64) -> Sealer {
    Sealer::start(NonZeroUsize::MIN, &chain(floor), Arc::new(System::new()), Metrics::new()).unwrap()
}

/// Split and header rules of one payload of 100 transfers, and beside it what alloy does with that payload anyway.
fn payload() -> Vec<Row> {
    let (parent, chain) = (parent(1_000), chain(1_000));
    let transfer = |nonce| {
        let transaction = TxLegacy { nonce, gas_limit: 21_000, value: U256::from(1), ..TxLegacy::default() };
        TxEnvelope::from(transaction.into_signed(Signature::test_signature()))
    };
    let transactions: Vec<TxEnvelope> = (0..TRANSACTIONS).map(transfer).collect();
    let root = alloy_consensus::proofs::calculate_transaction_root(&transactions);
    let draft = Header { transactions_root: root, ..job(&parent, 1, chain.difficulty()).header().clone() };
    let ours = SealJob::new(draft, parent.hash_slow(), &parent, UpdateId([9; 32]), chain.difficulty()).unwrap();
    let (header, hash) = sealer(1_000).seal(ours, &Cancel::new()).unwrap().into_parts();
    let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Default::default()) };
    let (payload, sidecar) = wire::join(&Block { header, body }, hash, &certificate()).unwrap();

    let (mut rules, mut whole, mut theirs) = (vec![], vec![], vec![]);
    for _ in 0..2_000 {
        let (mine, plain) = (payload.clone(), without_extra_data(&payload));
        let start = Instant::now();
        let block = black_box(plain.try_into_block_with_sidecar::<TxEnvelope>(&sidecar).unwrap());
        theirs.push(start.elapsed());
        drop(block);
        let start = Instant::now();
        let split = wire::split(mine).unwrap();
        let split_took = start.elapsed();
        let (block, hash) = split.into_block::<TxEnvelope>(&sidecar).unwrap().into_parts();
        whole.push(start.elapsed());
        let start = Instant::now();
        black_box(block.header.hash_slow() == hash);
        black_box(header::check_child(&block.header, parent.hash_slow(), &parent, chain.difficulty()).unwrap());
        rules.push(split_took + start.elapsed());
    }
    let [rules, whole, theirs] = [rules, whole, theirs].map(median);
    vec![
        Row {
            what: "split, block hash and header rules of one payload",
            figure: format!("{:.1} us", rules.as_secs_f64() * 1e6),
            target: "<= 50 us".into(),
            met: rules <= Duration::from_micros(50),
        },
        Row {
            what: "payload of 100 transfers to a checked block hash, against alloy's bare conversion",
            figure: format!("{:.0} us, {:.2}x", whole.as_secs_f64() * 1e6, whole.as_secs_f64() / theirs.as_secs_f64()),
            target: "(information)".into(),
            met: true,
        },
    ]
}

fn without_extra_data(payload: &ExecutionPayload) -> ExecutionPayload {
    let mut payload = payload.clone();
    payload.set_extra_data(Bytes::new());
    payload
}

fn certificate() -> Bytes {
    [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0xff], &[0x33; 96]].concat().into()
}

/// One thread, at the floor and at the ceiling of a chain that was made for a machine of four fifths of this one's speed.
fn seals() -> Vec<Row> {
    let floor = floor_for_rate(sealer(1).rate() * 4 / 5, SLOT);
    let (sealer, chain) = (sealer(floor), chain(floor));
    let run = |difficulty: u64, blocks: u64| {
        let parent = parent(difficulty);
        let one = |salt| {
            let start = Instant::now();
            let block = sealer.seal(job(&parent, salt, chain.difficulty()), &Cancel::new()).unwrap();
            assert!(block.difficulty() >= difficulty);
            start.elapsed()
        };
        let mut times: Vec<Duration> = (0..blocks).map(one).collect();
        times.sort();
        times
    };
    let slot = Duration::from_secs(SLOT);
    let at_floor = run(floor, 2_000);
    let mean = at_floor.iter().sum::<Duration>() / 2_000;
    let at_ceiling = run(4 * floor, 3_000);
    let high = at_ceiling[at_ceiling.len() * 999 / 1_000];
    vec![
        Row {
            what: "seal at the floor, mean, one thread",
            figure: format!(
                "{:.2} ms (floor {floor}), slot/{:.0}",
                mean.as_secs_f64() * 1e3,
                slot.as_secs_f64() / mean.as_secs_f64()
            ),
            target: "<= slot/400".into(),
            met: mean * 400 <= slot,
        },
        Row {
            what: "seal at the ceiling, 99.9th percentile, one thread",
            figure: format!("{:.1} ms, slot/{:.1}", high.as_secs_f64() * 1e3, slot.as_secs_f64() / high.as_secs_f64()),
            target: "<= slot/10".into(),
            met: high * 10 <= slot,
        },
    ]
}

fn choose() -> Row {
    let (chain, clock) = (chain(1), Arc::new(System::new()));
    let register = Register::new(chain, clock, Mode::Enabled, Metrics::new());
    let slot = register.current_slot() + 1;
    let update_id = UpdateId([9; 32]);
    register.push(&Push { parent_hash: B256::ZERO, slot, update_id, certificate: certificate() }).unwrap();
    let times = (0..10_000).map(|_| {
        let start = Instant::now();
        black_box(register.choose(B256::ZERO, chain.slot_start(slot)));
        start.elapsed()
    });
    let took = median(times.collect());
    Row {
        what: "a payload job asks for its candidate",
        figure: format!("{:.2} us", took.as_secs_f64() * 1e6),
        target: "(information)".into(),
        met: true,
    }
}

fn log_commit() -> Row {
    let directory = tempfile::tempdir().unwrap();
    let log = ModelLog::open(directory.path(), &chain(1), Metrics::new()).unwrap();
    let times = (0..200_u64).map(|i| {
        let tip = log.tip().block;
        let hash = B256::from(U256::from(i + 1));
        let block = LogBlock {
            block: (tip.number + 1, hash).into(),
            parent_hash: tip.hash,
            timestamp: i,
            update_id: UpdateId([u8::try_from(i % 250 + 1).unwrap(); 32]),
        };
        let start = Instant::now();
        log.commit(&[block]).unwrap();
        start.elapsed()
    });
    let took = median(times.collect());
    Row {
        what: "a block into the model log, on disk",
        figure: format!("{:.2} ms", took.as_secs_f64() * 1e3),
        target: "(information)".into(),
        met: true,
    }
}
