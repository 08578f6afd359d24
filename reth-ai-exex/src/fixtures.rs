//! A chain to test with: real seals at a difficulty that costs microseconds.
#![allow(clippy::arithmetic_side_effects)]

use core::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};
use pol_core::{GenesisId, UpdateId, extra_data::ExtraData};
use pol_kit::clock::System;

use crate::{
    chain::Chain,
    metrics::Metrics,
    model_log::LogBlock,
    sealer::{Cancel, SealJob, Sealer},
};

pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const SLOT: u64 = 6;
/// High enough that a wrong nonce passes once in a thousand.
pub(crate) const FLOOR: u64 = 1_000;

pub(crate) fn genesis() -> Header {
    Header {
        difficulty: U256::from(FLOOR),
        gas_limit: 30_000_000,
        timestamp: GENESIS_TIME,
        extra_data: Bytes::copy_from_slice(&ExtraData::GENESIS.encode()),
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(alloy_consensus::constants::EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

pub(crate) fn chain() -> Chain {
    Chain::new(GenesisId([0x11; 32]), genesis().hash_slow(), GENESIS_TIME, SLOT, FLOOR).unwrap()
}

pub(crate) fn sealer(threads: usize) -> Sealer {
    Sealer::start(NonZeroUsize::new(threads).unwrap(), &chain(), Arc::new(System::new()), Metrics::new()).unwrap()
}

/// Measuring the hash rate takes a tenth of a second: once is enough.
static SEALER: LazyLock<Sealer> = LazyLock::new(|| sealer(1));

/// What a client assembles for the slot so many after the parent's.
pub(crate) fn draft(parent: &Header, slots: u64) -> Header {
    Header {
        parent_hash: parent.hash_slow(),
        number: parent.number + 1,
        timestamp: parent.timestamp + slots * SLOT,
        state_root: B256::repeat_byte(0x51),
        beneficiary: [0xfe; 20].into(),
        mix_hash: B256::repeat_byte(0x4d),
        gas_used: 21_000,
        parent_beacon_block_root: Some(B256::repeat_byte(0xbe)),
        extra_data: Bytes::new(),
        difficulty: U256::ZERO,
        ..parent.clone()
    }
}

pub(crate) fn seal_draft(draft: Header, parent: &Header, update_id: UpdateId) -> Header {
    let job = SealJob::new(draft, parent.hash_slow(), parent, update_id, chain().difficulty()).unwrap();
    SEALER.seal(job, &Cancel::new()).unwrap().into_parts().0
}

pub(crate) fn child(parent: &Header, update: u8) -> Header {
    seal_draft(draft(parent, 1), parent, UpdateId([update; 32]))
}

/// Well-formed, of a committee of 8, over nothing.
pub(crate) fn certificate() -> Bytes {
    let bytes = [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0b1110_0001], &[0x33; 96]].concat();
    pol_core::ack::RawCertificate::decode(&bytes).unwrap();
    bytes.into()
}

/// A block of the log without a header: `fork` makes another hash, `update` 0 names none.
pub(crate) fn log_block(number: u64, fork: u8, parent: B256, update: u8) -> LogBlock {
    let hash = alloy_primitives::keccak256([&number.to_be_bytes()[..], &[fork], parent.as_slice()].concat());
    LogBlock {
        block: alloy_eips::BlockNumHash::new(number, hash),
        parent_hash: parent,
        timestamp: GENESIS_TIME + number * SLOT,
        update_id: UpdateId([update; 32]),
    }
}

/// A run of such blocks on a block; every third names an update.
pub(crate) fn run(on: alloy_eips::BlockNumHash, blocks: u64, fork: u8) -> Vec<LogBlock> {
    let mut parent = on.hash;
    let numbers = on.number + 1..=on.number + blocks;
    let one = |number: u64| {
        let update = if number.is_multiple_of(3) { u8::try_from(number % 250).unwrap() + 1 } else { 0 };
        let block = log_block(number, fork, parent, update);
        parent = block.block.hash;
        block
    };
    numbers.map(one).collect()
}
