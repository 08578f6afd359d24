//! Execution without a transaction: call, estimate, access list; and prices.

use std::sync::Arc;

use alloy_consensus::TxType;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_evm::{
    EthEvmFactory, Evm as _, EvmEnv, EvmFactory as _,
    call::caller_gas_allowance,
    overrides::{apply_block_overrides, apply_state_overrides},
    rpc::TryIntoTxEnv as _,
};
use alloy_primitives::{Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::{AccessListResult, BlockOverrides, FeeHistory, TransactionRequest, state::StateOverride};
use jsonrpsee::{core::RpcResult, proc_macros::rpc, types::ErrorObjectOwned};
use revm::{
    context::{
        TxEnv,
        result::{ExecutionResult, HaltReason},
    },
    database::{State, WrapDatabaseRef},
};
use revm_inspectors::access_list::AccessListInspector;
use tokio::sync::Semaphore;

use super::{
    Eth,
    error::{SERVER, failed, internal, params, refusal},
};
use crate::{limits, state::StateAt, store::BlockData};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// An estimate may be above the truth by this part of a thousand, as geth's.
const ESTIMATE_SLACK: u64 = 15;

/// Execution without a transaction, and prices.
#[rpc(server, namespace = "eth")]
pub trait CallApi {
    /// What a call returns.
    #[method(name = "call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes>;

    /// The gas that a transaction needs.
    #[method(name = "estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<U64>;

    /// The accounts and slots that a transaction touches, and the gas it needs when it names them.
    #[method(name = "createAccessList")]
    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<AccessListResult>;

    /// A price with which a legacy transaction goes into the next blocks.
    #[method(name = "gasPrice")]
    async fn gas_price(&self) -> RpcResult<U256>;

    /// A tip with which a transaction goes into the next blocks.
    #[method(name = "maxPriorityFeePerGas")]
    async fn tip(&self) -> RpcResult<U256>;

    /// The price of blobs.
    #[method(name = "blobBaseFee")]
    fn blob_base_fee(&self) -> RpcResult<U256>;

    /// Fees of recent blocks.
    #[method(name = "feeHistory")]
    async fn fee_history(&self, count: U64, newest: BlockNumberOrTag, percentiles: Option<Vec<f64>>) -> RpcResult<FeeHistory>;
}

/// Calls, as many at a time as [`limits::CALLS`] says.
#[derive(Debug, Clone)]
pub struct Calls {
    eth: Eth,
    places: Arc<Semaphore>,
}

/// A call that is ready to run, as often as needed.
struct Prepared {
    on: StateAt,
    env: EvmEnv,
    transaction: TxEnv,
    state: Option<StateOverride>,
}

type Ran = ExecutionResult<HaltReason>;

impl Calls {
    /// On what the other methods read.
    pub fn new(eth: Eth) -> Self {
        Self { eth, places: Arc::new(Semaphore::new(limits::CALLS)) }
    }

    /// Runs on a thread that may block, when there is a place.
    pub(super) async fn run<T: Send + 'static>(&self, f: impl FnOnce(&Eth) -> RpcResult<T> + Send + 'static) -> RpcResult<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|error| internal(&error))?;
        let eth = self.eth.clone();
        let thread = move || {
            let _place = place;
            f(&eth)
        };
        tokio::task::spawn_blocking(thread).await.map_err(|error| internal(&error))?
    }
}

impl Eth {
    fn prepare(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Prepared> {
        let (data, on): (Arc<BlockData>, StateAt) = self.chain.state_at(self.place(block.unwrap_or_default()))?;
        let mut env = self.chain.executor().env(&data.block.header);
        if let Some(overrides) = overrides {
            apply_block_overrides(*overrides, &mut NoHashes, &mut env.block_env);
        }
        let cfg = &mut env.cfg_env;
        (cfg.disable_block_gas_limit, cfg.disable_eip3607, cfg.disable_nonce_check) = (true, true, true);
        let mut request = request;
        let gas = request.gas.unwrap_or(limits::CALL_GAS).min(limits::CALL_GAS);
        request.gas = Some(gas);
        let transaction = request.try_into_tx_env(&env).map_err(|error| params(error.to_string()))?;
        // Without a price nobody pays: as geth and Reth have it.
        env.cfg_env.disable_base_fee = transaction.gas_price == 0;
        Ok(Prepared { on, env, transaction, state })
    }
}

/// Block hashes are not overridden.
struct NoHashes;

impl alloy_evm::overrides::OverrideBlockHashes for NoHashes {
    fn override_block_hashes(&mut self, _hashes: std::collections::BTreeMap<u64, alloy_primitives::B256>) {}
}

impl Prepared {
    fn database(&self) -> RpcResult<State<WrapDatabaseRef<&StateAt>>> {
        let mut state = State::builder().with_database_ref(&self.on).build();
        if let Some(overrides) = &self.state {
            apply_state_overrides(overrides.clone(), &mut state).map_err(|error| params(error.to_string()))?;
        }
        Ok(state)
    }

    fn run(&self, gas: u64) -> RpcResult<Ran> {
        let mut evm = EthEvmFactory::default().create_evm(self.database()?, self.env.clone());
        let transaction = TxEnv { gas_limit: gas, ..self.transaction.clone() };
        evm.transact_raw(transaction).map(|ran| ran.result).map_err(|error| refusal(SERVER, error))
    }

    /// The most gas that the caller can pay.
    fn allowance(&self) -> RpcResult<u64> {
        if self.transaction.gas_price == 0 {
            return Ok(u64::MAX);
        }
        caller_gas_allowance(&mut self.database()?, &self.transaction).map_err(|error| refusal(SERVER, error))
    }

    fn estimate(&self) -> RpcResult<u64> {
        let mut high = self.transaction.gas_limit.min(self.allowance()?);
        let is_plain = self.transaction.data.is_empty() && matches!(self.transaction.kind, TxKind::Call(_));
        if is_plain && high >= TRANSFER_GAS && self.run(TRANSFER_GAS).is_ok_and(|ran| ran.is_success()) {
            return Ok(TRANSFER_GAS);
        }
        let ran = self.run(high)?;
        if !ran.is_success() {
            return Err(match ran {
                ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => too_little(high),
                ran => failed(&ran),
            });
        }
        let mut low = ran.tx_gas_used().saturating_sub(1);
        // Most need what they used, and a little for the 63/64 rule.
        let guess = ran.tx_gas_used().saturating_mul(65) / 64;
        if guess < high && self.run(guess).is_ok_and(|ran| ran.is_success()) {
            high = guess;
        }
        while high.saturating_sub(low) > (high.saturating_mul(ESTIMATE_SLACK) / 1_000).saturating_add(1) {
            let middle = low.midpoint(high);
            if self.run(middle).is_ok_and(|ran| ran.is_success()) { high = middle } else { low = middle }
        }
        Ok(high)
    }
}

impl Prepared {
    /// What it touches beside itself, by address; then its gas when it says so beforehand.
    fn access_list(mut self) -> RpcResult<AccessListResult> {
        let gas = self.transaction.gas_limit.min(self.allowance()?);
        let mut inspector = AccessListInspector::new(self.transaction.access_list.clone());
        let (database, env) = (self.database()?, self.env.clone());
        let mut evm = EthEvmFactory::default().create_evm_with_inspector(database, env, &mut inspector);
        let transaction = TxEnv { gas_limit: gas, ..self.transaction.clone() };
        evm.transact_raw(transaction).map_err(|error| refusal(SERVER, error))?;
        drop(evm);
        let mut list = inspector.into_access_list();
        list.0.sort_by_key(|item| item.address);
        self.transaction.access_list = list.clone();
        // A legacy transaction has no place for one.
        self.transaction.tx_type = self.transaction.tx_type.max(u8::from(TxType::Eip2930));
        let ran = self.run(gas)?;
        let error = (!ran.is_success()).then(|| failed(&ran).message().to_owned());
        Ok(AccessListResult { access_list: list, gas_used: U256::from(ran.tx_gas_used()), error })
    }
}

fn too_little(gas: u64) -> ErrorObjectOwned {
    refusal(SERVER, format!("gas required exceeds allowance ({gas})"))
}

#[jsonrpsee::core::async_trait]
impl CallApiServer for Calls {
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes> {
        let run = move |eth: &Eth| {
            let prepared = eth.prepare(request, block, state, overrides)?;
            match prepared.run(prepared.transaction.gas_limit)? {
                ExecutionResult::Success { output, .. } => Ok(output.into_data()),
                ran => Err(failed(&ran)),
            }
        };
        self.run(run).await
    }

    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<U64> {
        self.run(move |eth| eth.prepare(request, block, state, None)?.estimate().map(U64::from)).await
    }

    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<AccessListResult> {
        self.run(move |eth| eth.prepare(request, block, state, None)?.access_list()).await
    }

    async fn gas_price(&self) -> RpcResult<U256> {
        self.run(|eth| Ok(U256::from(eth.suggested_tip()?.saturating_add(eth.next_base_fee().into())))).await
    }

    async fn tip(&self) -> RpcResult<U256> {
        self.run(|eth| Ok(U256::from(eth.suggested_tip()?))).await
    }

    fn blob_base_fee(&self) -> RpcResult<U256> {
        let blobs = self.eth.chain.executor().spec().blobs();
        let head = self.eth.chain.head();
        Ok(U256::from(head.data.block.header.next_block_blob_fee(blobs).unwrap_or_default()))
    }

    async fn fee_history(&self, count: U64, newest: BlockNumberOrTag, percentiles: Option<Vec<f64>>) -> RpcResult<FeeHistory> {
        if let Some(percentiles) = &percentiles
            && (percentiles.len() > 100 || !percentiles.is_sorted() || percentiles.iter().any(|p| !(0.0..=100.0).contains(p)))
        {
            return Err(params("reward percentiles: expected at most 100, ascending, from 0 to 100"));
        }
        let run = move |eth: &Eth| {
            let last = eth.block(newest.into())?.ok_or_else(|| params("request beyond head block"))?;
            Ok(eth.history(count.to(), last.block.header.number, percentiles.as_deref())?)
        };
        self.run(run).await
    }
}
