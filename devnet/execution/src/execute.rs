//! Blocks through alloy-evm's block executor: the same code that Reth runs.
//!
//! # Contract
//! [`Executor::import`] executes a whole block, [`Executor::draft`] picks from offered transactions what fits into one. Both leave the state
//! that they were given as it is.
//!
//! # What it does not protect against
//! A header that lies about the results: [`crate::validate`] compares.

use std::borrow::Cow;

use alloy_consensus::{Block as AlloyBlock, Header, ReceiptEnvelope, Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::{
    EthEvmFactory, Evm as _, EvmEnv, EvmFactory as _, FromRecoveredTx as _,
    block::{BlockExecutionError, BlockExecutionResult, BlockExecutor as _, BlockExecutorFactory as _},
    eth::{EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmContext, receipt_builder::AlloyReceiptBuilder},
};
use alloy_primitives::{Address, U256};
use revm::{
    Inspector,
    context::{
        TxEnv,
        result::{HaltReason, ResultAndState},
    },
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
};

use crate::{
    spec::Spec,
    state::{StateAt, StateDiff},
};

/// A block of this chain.
pub type Block = AlloyBlock<TxEnvelope>;
/// A state under execution.
type Working<'a> = State<WrapDatabaseRef<&'a StateAt>>;

/// What executing a block gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One per transaction.
    pub receipts: Vec<ReceiptEnvelope>,
    /// Of all transactions.
    pub gas_used: u64,
    /// Of all transactions.
    pub blob_gas_used: u64,
    /// What it changes.
    pub diff: StateDiff,
}

/// Transactions that were put into a draft, and what they gave.
#[derive(Debug)]
pub struct Draft {
    /// In the block's order.
    pub transactions: Vec<Recovered<TxEnvelope>>,
    /// What executing them gave.
    pub outcome: Outcome,
    /// What the fee recipient earns, wei.
    pub fees: U256,
}

/// A state that a transaction ran on.
pub type Before = State<WrapDatabaseRef<StateAt>>;

/// A transaction that was run again.
#[derive(Debug)]
pub struct Inspected {
    /// The transaction.
    pub transaction: TxEnv,
    /// What it did; not written to `before`.
    pub ran: ResultAndState<HaltReason>,
    /// The state that it ran on.
    pub before: Before,
}

/// The executor of a chain.
#[derive(Debug, Clone)]
pub struct Executor {
    spec: Spec,
    factory: EthBlockExecutorFactory<AlloyReceiptBuilder, Spec, EthEvmFactory>,
}

impl Executor {
    /// For a fork schedule.
    pub fn new(spec: Spec) -> Self {
        let factory = EthBlockExecutorFactory::new(AlloyReceiptBuilder::default(), spec, EthEvmFactory::default());
        Self { spec, factory }
    }

    /// The fork schedule.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What the EVM sees of a block with this header.
    pub fn env(&self, header: &Header) -> EvmEnv {
        EvmEnv::for_eth_block(header, self.spec, self.spec.chain_id(), Some(self.spec.blobs()))
    }

    /// Executes a whole block; `senders` are those of its transactions.
    ///
    /// # Errors
    /// What the executor says: the block's producer is at fault.
    pub fn import(&self, block: &Block, senders: &[Address], on: &StateAt) -> Result<Outcome, BlockExecutionError> {
        let mut state = working(on);
        let evm = EthEvmFactory::default().create_evm(&mut state, self.env(&block.header));
        let withdrawals = block.body.withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice());
        let mut executor = self.factory.create_executor(evm, context(&block.header, withdrawals));
        executor.apply_pre_execution_changes()?;
        for (transaction, sender) in block.body.transactions.iter().zip(senders) {
            executor.execute_transaction(Recovered::new_unchecked(transaction, *sender))?;
        }
        let (_, result) = executor.finish()?;
        Ok(outcome(result, &mut state))
    }

    /// Executes a block up to one of its transactions, and this one under an inspector. None: the block has no such transaction.
    ///
    /// # Errors
    /// What the executor says: for a block that was valid on `on`, our own fault.
    pub fn inspect<I>(
        &self,
        block: &Block,
        senders: &[Address],
        index: usize,
        on: StateAt,
        inspector: I,
    ) -> Result<Option<Inspected>, BlockExecutionError>
    where
        I: for<'b> Inspector<EthEvmContext<&'b mut Before>>,
    {
        let (Some(transaction), Some(sender)) = (block.body.transactions.get(index), senders.get(index)) else {
            return Ok(None);
        };
        let transaction = TxEnv::from_recovered_tx(transaction, *sender);
        let mut before = State::builder().with_database_ref(on).with_bundle_update().build();
        let mut evm = EthEvmFactory::default().create_evm_with_inspector(&mut before, self.env(&block.header), inspector);
        evm.disable_inspector();
        let mut executor = self.factory.create_executor(evm, context(&block.header, None));
        executor.apply_pre_execution_changes()?;
        for (earlier, sender) in block.body.transactions.iter().zip(senders).take(index) {
            executor.execute_transaction(Recovered::new_unchecked(earlier, *sender))?;
        }
        executor.evm_mut().enable_inspector();
        let ran = executor.evm_mut().transact_raw(transaction.clone()).map_err(BlockExecutionError::other)?;
        drop(executor);
        Ok(Some(Inspected { transaction, ran, before }))
    }

    /// Fills a block with those of the offered transactions that are valid and fit, in the order they are offered in. Ends early when
    /// `stop` says so.
    ///
    /// # Errors
    /// Only for a block that cannot be executed even when empty: our own fault.
    pub fn draft(
        &self,
        header: &Header,
        withdrawals: &[Withdrawal],
        on: &StateAt,
        offers: &mut dyn Offers,
        stop: &dyn Fn() -> bool,
    ) -> Result<Draft, BlockExecutionError> {
        let mut state = working(on);
        let evm = EthEvmFactory::default().create_evm(&mut state, self.env(header));
        let mut executor = self.factory.create_executor(evm, context(header, Some(withdrawals)));
        executor.apply_pre_execution_changes()?;
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        let (mut transactions, mut fees, mut left) = (Vec::new(), U256::ZERO, header.gas_limit);
        while let Some(offer) = offers.next()
            && !stop()
        {
            if offer.gas_limit() > left {
                offers.refused();
                continue;
            }
            match executor.execute_transaction(Recovered::new_unchecked(offer.inner(), offer.signer())) {
                Ok(gas) => {
                    let used = gas.tx_gas_used();
                    let tip = offer.effective_tip_per_gas(base_fee).unwrap_or_default();
                    fees = fees.saturating_add(U256::from(tip).saturating_mul(U256::from(used)));
                    left = left.saturating_sub(used);
                    transactions.push(offer);
                }
                Err(BlockExecutionError::Validation(_)) => offers.refused(),
                Err(error) => return Err(error),
            }
        }
        let (_, result) = executor.finish()?;
        Ok(Draft { transactions, outcome: outcome(result, &mut state), fees })
    }
}

/// Transactions in the order in which they should be tried.
pub trait Offers {
    /// The next one.
    fn next(&mut self) -> Option<Recovered<TxEnvelope>>;
    /// The last one did not go in: those that follow from it will not either.
    fn refused(&mut self);
}

/// No transactions.
#[derive(Debug, Clone, Copy)]
pub struct NoOffers;

impl Offers for NoOffers {
    fn next(&mut self) -> Option<Recovered<TxEnvelope>> {
        None
    }

    fn refused(&mut self) {}
}

fn working(on: &StateAt) -> Working<'_> {
    State::builder().with_database_ref(on).with_bundle_update().build()
}

fn context<'a>(header: &Header, withdrawals: Option<&'a [Withdrawal]>) -> EthBlockExecutionCtx<'a> {
    EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &[],
        withdrawals: withdrawals.map(Cow::Borrowed),
        extra_data: header.extra_data.clone(),
        tx_count_hint: None,
        slot_number: None,
    }
}

fn outcome(result: BlockExecutionResult<ReceiptEnvelope>, state: &mut Working<'_>) -> Outcome {
    state.merge_transitions(BundleRetention::PlainState);
    let diff = StateDiff::from(&state.take_bundle());
    Outcome { receipts: result.receipts, gas_used: result.gas_used, blob_gas_used: result.blob_gas_used, diff }
}
