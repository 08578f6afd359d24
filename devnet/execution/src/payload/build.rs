//! One draft: header, transactions, execution, and what goes to the sealer.

use std::sync::Arc;

use alloy_consensus::{BlockBody, TxEnvelope};
use alloy_eips::{eip1559::calculate_block_gas_limit, eip4895::Withdrawals};
use alloy_evm::block::BlockExecutionError;
use alloy_primitives::U256;
use pol_core::UpdateId;
use reth_ai_exex::{
    candidate::Choice,
    sealer::{Cancel, JobError, SealJob, SealedBlock},
    wire::{self, JoinError},
};

use super::{Built, Parts, Request};
use crate::{
    child,
    execute::{Block, Draft},
    state::StateAt,
};

/// Why there is no draft. Our own fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// Not even an empty block can be executed.
    #[error(transparent)]
    Execution(#[from] BlockExecutionError),
    /// The attributes were not checked before.
    #[error(transparent)]
    Job(#[from] JobError),
}

/// A block but for its seal.
#[derive(Debug)]
pub(super) struct Drafted {
    job: SealJob,
    body: BlockBody<TxEnvelope>,
    value: U256,
}

impl Drafted {
    pub(super) fn into_parts(self) -> (SealJob, BlockBody<TxEnvelope>, U256) {
        (self.job, self.body, self.value)
    }
}

/// Fills a child of the parent with what the pool offers. Blocks the thread.
pub(super) fn draft(parts: &Parts, request: &Request, choice: &Choice, stop: &Cancel) -> Result<Drafted, BuildError> {
    let (parent, chain) = (&request.parent, &parts.chain);
    let executor = chain.executor();
    let gas_limit = calculate_block_gas_limit(parent.data.block.header.gas_limit, parts.gas_limit);
    let mut header = child::begin(&parent.data, &request.attributes, gas_limit, executor.spec());
    let withdrawals = request.attributes.withdrawals.clone().unwrap_or_default();
    let on = StateAt::new(parent.state.clone(), Arc::new(chain.ancestors(parent.data.hash)));
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let mut offers = parts.pool.best(base_fee, &|sender| parent.state.fields(sender).nonce);
    let Draft { transactions, outcome, fees } =
        executor.draft(&header, &withdrawals, &on, &mut offers, &|| stop.is_cancelled())?;
    let transactions: Vec<TxEnvelope> = transactions.into_iter().map(|transaction| transaction.into_inner()).collect();
    let state_root = parent.state.apply(&outcome.diff).root();
    child::complete(&mut header, &transactions, &withdrawals, &outcome, state_root);
    let update_id = choice.candidate.as_ref().map_or(UpdateId::ZERO, |candidate| candidate.update_id());
    let rule = chain.genesis().chain().difficulty();
    let job = SealJob::new(header, parent.data.hash, &parent.data.block.header, update_id, rule)?;
    let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Withdrawals::new(withdrawals)) };
    Ok(Drafted { job, body, value: fees })
}

/// The sealed block as a payload, with the certificate of the choice that it was built with.
pub(super) fn finish(sealed: SealedBlock, body: BlockBody<TxEnvelope>, value: U256, choice: &Choice) -> Result<Built, JoinError> {
    let names_update = !sealed.update_id().is_zero();
    let certificate = choice.candidate.as_ref().map(|candidate| candidate.certificate().clone()).unwrap_or_default();
    let (header, hash) = sealed.into_parts();
    let (payload, _) = wire::join(&Block { header, body }, hash, &certificate)?;
    Ok(Built { payload, value, generation: choice.generation, names_update })
}
