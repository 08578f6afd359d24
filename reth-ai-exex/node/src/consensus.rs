//! Reth's consensus hook: our header rules first, then Ethereum's own checks on the masked copy (section 9).
//!
//! Everything that Reth ever checks goes through here: newPayload, header and block download, `import`, `stage run`. It is a pure function
//! of the headers. Its errors stay true for ever, so that Reth may remember them under the hash.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::B256;
use pol_kit::clock::{Clock, System};
use reth_ai_exex::{chain::Chain, header, metrics::Metrics, process::Ai};
use reth_ethereum::{
    Block, BlockBody, EthPrimitives, Receipt,
    chainspec::ChainSpec,
    consensus::{
        Consensus, ConsensusError, EthBeaconConsensus, FullConsensus, HeaderValidator, ReceiptRootBloom, TransactionRoot,
    },
    node::{
        api::{FullNodeTypes, NodeTypes},
        builder::{BuilderContext, components::ConsensusBuilder},
    },
    primitives::{RecoveredBlock, SealedBlock, SealedHeader},
    provider::BlockExecutionResult,
};

/// The rules of one chain.
#[derive(Debug, Clone)]
pub(crate) struct PolaiConsensus {
    inner: EthBeaconConsensus<ChainSpec>,
    chain: Chain,
    metrics: Metrics,
    clock: System,
}

impl PolaiConsensus {
    pub(crate) fn new(spec: Arc<ChainSpec>, chain: Chain, metrics: Metrics) -> Self {
        Self { inner: EthBeaconConsensus::new(spec), chain, metrics, clock: System::new() }
    }
}

impl HeaderValidator for PolaiConsensus {
    fn validate_header(&self, header: &SealedHeader) -> Result<(), ConsensusError> {
        if header.number > 0 {
            let start = self.clock.monotonic();
            let checked = header::check_alone(header.header());
            self.metrics.header_checked(checked.is_ok(), self.clock.monotonic().saturating_sub(start));
            checked.map_err(ConsensusError::other)?;
        }
        self.inner.validate_header(&SealedHeader::new(header::masked(header.header()), header.hash()))
    }

    fn validate_header_against_parent(&self, header: &SealedHeader, parent: &SealedHeader) -> Result<(), ConsensusError> {
        self.inner.validate_header_against_parent(header, parent)?;
        header::check_difficulty(header.header(), parent.header(), self.chain.difficulty()).map_err(ConsensusError::other)
    }
}

impl Consensus<Block> for PolaiConsensus {
    fn validate_body_against_header(&self, body: &BlockBody, header: &SealedHeader<Header>) -> Result<(), ConsensusError> {
        Consensus::<Block>::validate_body_against_header(&self.inner, body, header)
    }

    fn validate_block_pre_execution(&self, block: &SealedBlock<Block>) -> Result<(), ConsensusError> {
        self.inner.validate_block_pre_execution(block)
    }

    fn validate_block_pre_execution_with_tx_root(
        &self,
        block: &SealedBlock<Block>,
        root: Option<TransactionRoot>,
    ) -> Result<(), ConsensusError> {
        self.inner.validate_block_pre_execution_with_tx_root(block, root)
    }
}

impl FullConsensus<EthPrimitives> for PolaiConsensus {
    fn validate_block_post_execution(
        &self,
        block: &RecoveredBlock<Block>,
        result: &BlockExecutionResult<Receipt>,
        receipts: Option<ReceiptRootBloom>,
        access_list: Option<B256>,
    ) -> Result<(), ConsensusError> {
        FullConsensus::<EthPrimitives>::validate_block_post_execution(&self.inner, block, result, receipts, access_list)
    }
}

/// Gives the node its consensus.
#[derive(Debug, Clone)]
pub(crate) struct PolaiConsensusBuilder(pub(crate) Ai);

impl<N> ConsensusBuilder<N> for PolaiConsensusBuilder
where
    N: FullNodeTypes<Types: NodeTypes<ChainSpec = ChainSpec, Primitives = EthPrimitives>>,
{
    type Consensus = Arc<PolaiConsensus>;

    async fn build_consensus(self, ctx: &BuilderContext<N>) -> eyre::Result<Self::Consensus> {
        Ok(Arc::new(PolaiConsensus::new(ctx.chain_spec(), self.0.chain, self.0.metrics)))
    }
}
