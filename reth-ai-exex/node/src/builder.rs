//! Payload jobs: Reth fills the block, the library chooses the candidate and seals (sections 3 and 10).
//!
//! Reth calls `try_build` again and again while a job lives. A call that finds candidate and pool as they were does nothing; a changed
//! candidate (pushed, cleared, mode switched) always gives a new block, whatever its fees.

use std::sync::Arc;

use alloy_rpc_types_engine::PayloadAttributes;
use pol_core::UpdateId;
use reth_ai_exex::{
    candidate::Choice,
    process::Ai,
    sealer::{SealError, SealJob},
};
use reth_basic_payload_builder::{BuildArguments, BuildOutcome, MissingPayloadBehaviour, PayloadBuilder, PayloadConfig};
use reth_ethereum::{
    EthPrimitives, TransactionSigned,
    chainspec::{ChainSpec, ChainSpecProvider, EthChainSpec as _},
    evm::{
        primitives::{ConfigureEvm, NextBlockEnvAttributes},
        revm::cancelled::CancelOnDrop,
    },
    node::{
        api::{BuiltPayload as _, FullNodeTypes, NodeTypes},
        builder::{BuilderContext, PayloadBuilderConfig as _, components::PayloadBuilderBuilder},
    },
    pool::{PoolTransaction, TransactionPool},
    primitives::SealedHeader,
    provider::StateProviderFactory,
};
use reth_ethereum_payload_builder::{EthereumBuilderConfig, default_ethereum_payload};
use reth_payload_builder::{EthBuiltPayload, PayloadBuilderError};

use crate::engine::{PolaiBuiltPayload, PolaiEngineTypes};

/// Builds one block at a time.
#[derive(Debug, Clone)]
pub(crate) struct PolaiPayloadBuilder<Pool, Client, Evm> {
    ai: Ai,
    client: Client,
    pool: Pool,
    evm: Evm,
    config: EthereumBuilderConfig,
}

/// A block and what it was chosen with.
struct Drafted {
    block: EthBuiltPayload,
    parent: Arc<SealedHeader>,
    choice: Choice,
    pooled: usize,
}

impl<Pool: TransactionPool, Client, Evm> PolaiPayloadBuilder<Pool, Client, Evm> {
    /// Seals on this thread. None: the job is gone.
    fn seal(&self, drafted: Drafted, job_gone: &CancelOnDrop) -> Result<Option<PolaiBuiltPayload>, PayloadBuilderError> {
        let Drafted { block, parent, choice, pooled } = drafted;
        let sealer = self.ai.sealer.as_ref().ok_or(PayloadBuilderError::MissingPayload)?;
        let update_id = choice.candidate.as_ref().map_or(UpdateId::ZERO, |candidate| candidate.update_id());
        let (draft, rule) = (block.block().header().clone(), self.ai.chain.difficulty());
        let job = SealJob::new(draft, parent.hash(), parent.header(), update_id, rule).map_err(PayloadBuilderError::other)?;
        match sealer.seal_while(job, || !job_gone.is_cancelled()) {
            Ok(sealed) => PolaiBuiltPayload::new(&block, sealed, &choice, pooled).map(Some).map_err(PayloadBuilderError::other),
            Err(SealError::Cancelled) => Ok(None),
            Err(error @ SealError::Busy) => Err(PayloadBuilderError::other(error)),
        }
    }

    fn pooled(&self) -> usize {
        let size = self.pool.pool_size();
        size.pending.saturating_add(size.blob)
    }
}

impl<Pool, Client, Evm> PayloadBuilder for PolaiPayloadBuilder<Pool, Client, Evm>
where
    Client: StateProviderFactory + ChainSpecProvider<ChainSpec = ChainSpec> + Clone,
    Pool: TransactionPool<Transaction: PoolTransaction<Consensus = TransactionSigned>>,
    Evm: ConfigureEvm<Primitives = EthPrimitives, NextBlockEnvCtx = NextBlockEnvAttributes>,
{
    type Attributes = PayloadAttributes;
    type BuiltPayload = PolaiBuiltPayload;

    fn try_build(
        &self,
        mut args: BuildArguments<PayloadAttributes, PolaiBuiltPayload>,
    ) -> Result<BuildOutcome<PolaiBuiltPayload>, PayloadBuilderError> {
        if self.ai.sealer.is_none() {
            // Said at the start: this node follows the chain and does not propose.
            return Err(PayloadBuilderError::MissingPayload);
        }
        // Reth's builder drops the switch that it is given, which would cancel every clone of it: it gets another one.
        let job_gone = core::mem::take(&mut args.cancel);
        let parent = Arc::clone(&args.config.parent_header);
        let choice = self.ai.register.choose(parent.hash(), args.config.attributes.timestamp);
        let pooled = self.pooled();
        let best = args.best_payload.take().filter(|best| best.built_with().0 == choice.generation);
        if let Some(best) = best.as_ref().filter(|best| best.built_with().1 == pooled) {
            return Ok(BuildOutcome::Aborted { fees: best.fees(), cached_reads: args.cached_reads });
        }
        let args = BuildArguments {
            cached_reads: args.cached_reads,
            execution_cache: args.execution_cache,
            state_root_handle: args.state_root_handle,
            config: args.config,
            cancel: CancelOnDrop::default(),
            // Only with the same candidate do more fees make a better block.
            best_payload: best.map(PolaiBuiltPayload::into_inner),
        };
        let (evm, client, pool) = (self.evm.clone(), self.client.clone(), self.pool.clone());
        let built = default_ethereum_payload(evm, client, pool, self.config.clone(), args, |attributes| {
            self.pool.best_transactions_with_attributes(attributes)
        })?;
        let (block, cached_reads) = match built {
            BuildOutcome::Better { payload, cached_reads } => (payload, cached_reads),
            BuildOutcome::Freeze(payload) => (payload, Default::default()),
            BuildOutcome::Aborted { fees, cached_reads } => return Ok(BuildOutcome::Aborted { fees, cached_reads }),
            BuildOutcome::Cancelled => return Err(PayloadBuilderError::MissingPayload),
        };
        // `Cancelled` is for a job that is gone; told to one that lives it is a panic.
        Ok(match self.seal(Drafted { block, parent, choice, pooled }, &job_gone)? {
            Some(payload) => BuildOutcome::Better { payload, cached_reads },
            None => BuildOutcome::Cancelled,
        })
    }

    /// A second search would only slow the first one down.
    fn on_missing_payload(
        &self,
        _: BuildArguments<PayloadAttributes, PolaiBuiltPayload>,
    ) -> MissingPayloadBehaviour<PolaiBuiltPayload> {
        MissingPayloadBehaviour::AwaitInProgress
    }

    fn build_empty_payload(&self, config: PayloadConfig<PayloadAttributes>) -> Result<PolaiBuiltPayload, PayloadBuilderError> {
        let args = BuildArguments::new(Default::default(), None, None, config, CancelOnDrop::default(), None);
        self.try_build(args)?.into_payload().ok_or(PayloadBuilderError::MissingPayload)
    }
}

/// Gives the node its payload builder.
#[derive(Debug, Clone)]
pub(crate) struct PolaiPayloadBuilderBuilder(pub(crate) Ai);

impl<N, Pool, Evm> PayloadBuilderBuilder<N, Pool, Evm> for PolaiPayloadBuilderBuilder
where
    N: FullNodeTypes<Types: NodeTypes<ChainSpec = ChainSpec, Payload = PolaiEngineTypes, Primitives = EthPrimitives>>,
    Pool: TransactionPool<Transaction: PoolTransaction<Consensus = TransactionSigned>> + Unpin + 'static,
    Evm: ConfigureEvm<Primitives = EthPrimitives, NextBlockEnvCtx = NextBlockEnvAttributes> + 'static,
{
    type PayloadBuilder = PolaiPayloadBuilder<Pool, N::Provider, Evm>;

    async fn build_payload_builder(self, ctx: &BuilderContext<N>, pool: Pool, evm: Evm) -> eyre::Result<Self::PayloadBuilder> {
        let wanted = ctx.payload_builder_config();
        let config = EthereumBuilderConfig::new()
            .with_gas_limit(wanted.gas_limit_for(ctx.chain_spec().chain()))
            .with_max_blobs_per_block(wanted.max_blobs_per_block());
        Ok(PolaiPayloadBuilder { ai: self.0, client: ctx.provider().clone(), pool, evm, config })
    }
}
