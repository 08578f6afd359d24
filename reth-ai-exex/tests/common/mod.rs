//! A chain without headers, and what serves it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, keccak256};
use pol_core::{GenesisId, UpdateId};
use pol_kit::clock::Manual;
use reth_ai_exex::{
    candidate::{Mode, Register},
    chain::Chain,
    metrics::Metrics,
    model_log::{LogBlock, ModelLog},
};

pub const GENESIS_TIME: u64 = 1_700_000_000;
pub const SLOT: u64 = 6;
/// The clock's slot at the beginning of each test.
pub const NOW: u64 = 100;

pub fn chain() -> Chain {
    Chain::new(GenesisId([0x11; 32]), B256::repeat_byte(0x99), GENESIS_TIME, SLOT, 1_000).unwrap()
}

pub fn clock() -> Arc<Manual> {
    Arc::new(Manual::at(GENESIS_TIME + NOW * SLOT))
}

pub fn log() -> (tempfile::TempDir, ModelLog) {
    let directory = tempfile::tempdir().unwrap();
    let log = ModelLog::open(directory.path(), &chain(), Metrics::new()).unwrap();
    (directory, log)
}

pub fn register(clock: Arc<Manual>) -> Register {
    Register::new(chain(), clock, Mode::Enabled, Metrics::new())
}

/// Well-formed, of a committee of 8, over nothing.
pub fn certificate() -> Bytes {
    [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0b1110_0001], &[0x33; 96]].concat().into()
}

pub fn update(number: u64) -> UpdateId {
    UpdateId(keccak256(number.to_be_bytes()).0)
}

/// Blocks on the log's tip, or on one of them; `every` n-th height names an update (0: none does).
pub fn run(number: u64, hash: B256, blocks: u64, fork: u8, every: u64) -> Vec<LogBlock> {
    let mut parent = hash;
    let one = |number: u64| {
        let hash = keccak256([&number.to_be_bytes()[..], &[fork], parent.as_slice()].concat());
        let names = every > 0 && number.is_multiple_of(every);
        let block = LogBlock {
            block: (number, hash).into(),
            parent_hash: parent,
            timestamp: GENESIS_TIME + number * SLOT,
            update_id: if names { update(number) } else { UpdateId::ZERO },
        };
        parent = hash;
        block
    };
    (number + 1..=number + blocks).map(one).collect()
}

/// The log grows by a run on its tip.
pub fn grow(log: &ModelLog, blocks: u64, every: u64) -> Vec<LogBlock> {
    let tip = log.tip().block;
    let run = run(tip.number, tip.hash, blocks, 1, every);
    log.commit(&run).unwrap();
    run
}
