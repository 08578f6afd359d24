//! Chains and blocks for tests and benches, without ports.
#![allow(clippy::arithmetic_side_effects)]

use core::num::NonZeroUsize;
use std::sync::Arc;

use alloy_consensus::{BlockBody, TxEnvelope};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_engine::PayloadAttributes;
use pol_core::{UpdateId, identity::GenesisSeed};
use pol_kit::clock::System;
use reth_ai_exex::{
    genesis::ExecutionGenesis,
    metrics::Metrics,
    sealer::{Cancel, SealJob, Sealer},
    wire::{self, HashedBlock},
};

use crate::{
    args::DevArgs,
    chain::{Chain, Executed},
    child,
    execute::{Block, NoOffers},
    state::StateAt,
};

/// Unix seconds of genesis.
pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
/// Seconds of a slot.
pub(crate) const SLOT: u64 = 2;

/// A dev chain's genesis.
pub(crate) fn genesis() -> ExecutionGenesis {
    let dev = DevArgs { block_time: SLOT, seed: GenesisSeed::from_bytes([7; 32]), chain_id: 1337 };
    crate::dev::new_genesis(&dev, GENESIS_TIME).unwrap()
}

/// Seals for a chain.
pub(crate) fn sealer(genesis: &ExecutionGenesis) -> Sealer {
    let clock = Arc::new(System::new());
    Sealer::start(NonZeroUsize::MIN, genesis.chain(), clock, Metrics::new()).unwrap()
}

/// An empty block with one withdrawal of 1 gwei, a slot after its parent.
pub(crate) fn child(chain: &Chain, sealer: &Sealer, parent: &Executed, to: Address) -> HashedBlock<TxEnvelope> {
    let last = &parent.data.block.header;
    let withdrawals = vec![Withdrawal { index: last.number, validator_index: 0, address: to, amount: 1 }];
    let attributes = PayloadAttributes {
        timestamp: last.timestamp + SLOT,
        withdrawals: Some(withdrawals.clone()),
        parent_beacon_block_root: Some(B256::with_last_byte(1)),
        ..PayloadAttributes::default()
    };
    let mut header = child::begin(&parent.data, &attributes, last.gas_limit, chain.executor().spec());
    let on = StateAt::new(parent.state.clone(), Arc::new(chain.ancestors(parent.data.hash)));
    let draft = chain.executor().draft(&header, &withdrawals, &on, &mut NoOffers, &|| false).unwrap();
    let state_root = parent.state.apply(&draft.outcome.diff).root();
    child::complete(&mut header, &[], &withdrawals, &draft.outcome, state_root);
    let rule = chain.genesis().chain().difficulty();
    let job = SealJob::new(header, parent.data.hash, last, UpdateId::ZERO, rule).unwrap();
    let (header, hash) = sealer.seal(job, &Cancel::new()).unwrap().into_parts();
    let body = BlockBody { transactions: vec![], ommers: vec![], withdrawals: Some(withdrawals.into()) };
    let (payload, sidecar) = wire::join(&Block { header, body }, hash, &[]).unwrap();
    wire::split(payload).unwrap().into_block(&sidecar).unwrap()
}
