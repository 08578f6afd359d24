//! The node: Ethereum's parts, with our consensus, payload builder and engine validator.

use std::sync::Arc;

use alloy_rpc_types_engine::PayloadAttributes;
use reth_ai_exex::{chain::Chain, genesis::ExecutionGenesis, process::Ai};
use reth_ethereum::{
    Block, EthPrimitives,
    chainspec::ChainSpec,
    engine::local::LocalPayloadAttributesBuilder,
    node::{
        EthereumAddOns, EthereumEthApiBuilder, EthereumExecutorBuilder, EthereumNetworkBuilder, EthereumPoolBuilder,
        api::{FullNodeComponents, FullNodeTypes, NodeTypes, PayloadAttributesBuilder},
        builder::{
            DebugNode, Node, NodeAdapter,
            components::{BasicPayloadServiceBuilder, ComponentsBuilder},
            rpc::{BasicEngineApiBuilder, BasicEngineValidatorBuilder, Identity, RpcAddOns},
        },
    },
    primitives::SealedHeader,
    provider::EthStorage,
    rpc::eth::primitives::Block as RpcBlock,
};

use crate::{
    builder::PolaiPayloadBuilderBuilder,
    consensus::PolaiConsensusBuilder,
    engine::{PolaiEngineTypes, PolaiEngineValidatorBuilder},
};

/// The node type, with what its builders need.
#[derive(Debug, Clone)]
pub(crate) struct PolaiNode(pub(crate) Ai);

impl NodeTypes for PolaiNode {
    type Primitives = EthPrimitives;
    type ChainSpec = ChainSpec;
    type Storage = EthStorage;
    type Payload = PolaiEngineTypes;
}

impl<N: FullNodeTypes<Types = Self>> Node<N> for PolaiNode {
    type ComponentsBuilder = ComponentsBuilder<
        N,
        EthereumPoolBuilder,
        BasicPayloadServiceBuilder<PolaiPayloadBuilderBuilder>,
        EthereumNetworkBuilder,
        EthereumExecutorBuilder,
        PolaiConsensusBuilder,
    >;
    type AddOns = EthereumAddOns<NodeAdapter<N>, EthereumEthApiBuilder, PolaiEngineValidatorBuilder>;

    fn components_builder(&self) -> Self::ComponentsBuilder {
        ComponentsBuilder::default()
            .node_types::<N>()
            .pool(EthereumPoolBuilder::default())
            .executor(EthereumExecutorBuilder::default())
            .payload(BasicPayloadServiceBuilder::new(PolaiPayloadBuilderBuilder(self.0.clone())))
            .network(EthereumNetworkBuilder::default())
            .consensus(PolaiConsensusBuilder(self.0.clone()))
    }

    fn add_ons(&self) -> Self::AddOns {
        let noting = PolaiEngineValidatorBuilder(Some(self.0.log.clone()));
        EthereumAddOns::new(RpcAddOns::new(
            EthereumEthApiBuilder::default(),
            noting.clone(),
            BasicEngineApiBuilder::default(),
            BasicEngineValidatorBuilder::new(noting),
            Identity::new(),
            Identity::new(),
        ))
    }
}

impl<N: FullNodeComponents<Types = Self>> DebugNode<N> for PolaiNode {
    type RpcBlock = RpcBlock;

    fn rpc_to_primitive_block(block: RpcBlock) -> Block {
        block.into_consensus().convert_transactions()
    }

    fn local_payload_attributes_builder(spec: &ChainSpec) -> impl PayloadAttributesBuilder<PayloadAttributes> {
        let chain = ExecutionGenesis::check(spec.genesis.clone()).ok().map(|genesis| *genesis.chain());
        SlotAttributes { inner: LocalPayloadAttributesBuilder::new(Arc::new(spec.clone())), chain }
    }
}

/// `--dev`: a timestamp is the start of a slot, as the difficulty rule demands.
struct SlotAttributes {
    inner: LocalPayloadAttributesBuilder<ChainSpec>,
    chain: Option<Chain>,
}

impl PayloadAttributesBuilder<PayloadAttributes> for SlotAttributes {
    fn build(&self, parent: &SealedHeader) -> PayloadAttributes {
        let attributes = self.inner.build(parent);
        let Some(chain) = self.chain else { return attributes };
        let slot = chain.slot_at(attributes.timestamp).max(chain.slot_at(parent.timestamp).saturating_add(1));
        PayloadAttributes { timestamp: chain.slot_start(slot), ..attributes }
    }
}
