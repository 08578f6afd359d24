//! The Engine API's side: payloads in the wire form of section 4, in and out.

use alloy_primitives::{B256, Bytes, U256};
use alloy_rpc_types_engine::{
    ExecutionData, ExecutionPayload, ExecutionPayloadEnvelopeV2, ExecutionPayloadEnvelopeV3, ExecutionPayloadEnvelopeV4,
    ExecutionPayloadEnvelopeV5, ExecutionPayloadEnvelopeV6, ExecutionPayloadV1, PayloadAttributes, PayloadError,
};
use reth_ai_exex::{
    candidate::Choice,
    model_log::ModelLog,
    sealer::SealedBlock as Sealed,
    wire::{self, JoinError, SplitError},
};
use reth_ethereum::{
    Block, EthPrimitives, TransactionSigned,
    chainspec::{ChainSpec, EthereumHardforks as _},
    node::{
        EthEngineTypes, EthereumEngineValidator,
        api::{
            AddOnsContext, BuiltPayload, EngineApiValidator, FullNodeComponents, NewPayloadError, NodeTypes, PayloadTypes,
            PayloadValidator,
            payload::{EngineApiMessageVersion, EngineObjectValidationError, PayloadOrAttributes},
        },
        builder::rpc::PayloadValidatorBuilder,
    },
    primitives::{RecoveredBlock, SealedBlock},
};
use reth_payload_builder::EthBuiltPayload;
use reth_payload_validator::{cancun, prague, shanghai};
use std::sync::Arc;
use tracing::warn;

/// Reth's Ethereum engine on our payloads.
pub(crate) type PolaiEngineTypes = EthEngineTypes<PolaiPayloadTypes>;

/// Ethereum's attributes and data; a payload of ours.
#[derive(Debug, Clone)]
pub(crate) struct PolaiPayloadTypes;

impl PayloadTypes for PolaiPayloadTypes {
    type ExecutionData = ExecutionData;
    type BuiltPayload = PolaiBuiltPayload;
    type PayloadAttributes = PayloadAttributes;

    /// Of an imported block only the head of its wire form is known: its certificate stayed in the beacon block.
    fn block_to_payload(block: SealedBlock<Block>, _: Option<Bytes>) -> ExecutionData {
        let (hash, mut block) = (block.hash(), block.into_block());
        if let Ok(head) = wire::head_only(&block.header) {
            block.header.extra_data = head;
        }
        let (payload, sidecar) = ExecutionPayload::from_block_unchecked(hash, &block);
        ExecutionData::new(payload, sidecar)
    }
}

/// A sealed block, and its wire form.
#[derive(Debug, Clone)]
pub(crate) struct PolaiBuiltPayload {
    inner: EthBuiltPayload,
    extra_data: Bytes,
    generation: u64,
    pooled: usize,
}

impl PolaiBuiltPayload {
    /// The block that Reth built, with the sealed header in place of its own. Roots, receipts and senders stay.
    pub(crate) fn new(built: &EthBuiltPayload, sealed: Sealed, choice: &Choice, pooled: usize) -> Result<Self, JoinError> {
        let certificate = choice.candidate.as_ref().map(|candidate| candidate.certificate().as_ref()).unwrap_or_default();
        let (header, hash) = sealed.into_parts();
        let extra_data = wire::extra_data(&header, certificate)?;
        let block = Block { header, body: built.block().body().clone() };
        let block = RecoveredBlock::new(block, built.recovered_block().senders().to_vec(), hash);
        let inner = rebuilt(built, block);
        Ok(Self { inner, extra_data, generation: choice.generation, pooled })
    }

    /// Of the choice it was built with, and how large the pool was.
    pub(crate) const fn built_with(&self) -> (u64, usize) {
        (self.generation, self.pooled)
    }

    pub(crate) fn into_inner(self) -> EthBuiltPayload {
        self.inner
    }

    /// The same payload with the wire form where Reth's own conversions look for `extraData`; the hash stays the header's.
    fn into_wire(self) -> EthBuiltPayload {
        let mut block = self.inner.block().clone_block();
        block.header.extra_data = self.extra_data;
        let senders = self.inner.recovered_block().senders().to_vec();
        rebuilt(&self.inner, RecoveredBlock::new(block, senders, self.inner.block().hash()))
    }
}

fn rebuilt(of: &EthBuiltPayload, block: RecoveredBlock<Block>) -> EthBuiltPayload {
    let (requests, access_list) = (of.requests(), of.block_access_list().cloned());
    EthBuiltPayload::new(Arc::new(block), of.fees(), requests, access_list).with_sidecars(of.sidecars().clone())
}

impl BuiltPayload for PolaiBuiltPayload {
    type Primitives = EthPrimitives;

    fn block(&self) -> &SealedBlock<Block> {
        self.inner.block()
    }

    fn fees(&self) -> U256 {
        self.inner.fees()
    }

    fn requests(&self) -> Option<alloy_eips::eip7685::Requests> {
        self.inner.requests()
    }
}

macro_rules! from_built {
    ($($infallible:ty),*; $($fallible:ty),*) => {
        $(impl From<PolaiBuiltPayload> for $infallible {
            fn from(payload: PolaiBuiltPayload) -> Self {
                payload.into_wire().into()
            }
        })*
        $(impl TryFrom<PolaiBuiltPayload> for $fallible {
            type Error = <Self as TryFrom<EthBuiltPayload>>::Error;

            fn try_from(payload: PolaiBuiltPayload) -> Result<Self, Self::Error> {
                payload.into_wire().try_into()
            }
        })*
    };
}

from_built!(
    ExecutionData, ExecutionPayloadV1, ExecutionPayloadEnvelopeV2;
    ExecutionPayloadEnvelopeV3, ExecutionPayloadEnvelopeV4, ExecutionPayloadEnvelopeV5, ExecutionPayloadEnvelopeV6
);

/// Takes payloads in.
#[derive(Debug, Clone)]
pub(crate) struct PolaiEngineValidator {
    inner: EthereumEngineValidator,
    spec: Arc<ChainSpec>,
    log: Option<ModelLog>,
}

impl PayloadValidator<PolaiEngineTypes> for PolaiEngineValidator {
    type Block = Block;

    fn convert_payload_to_block(&self, data: ExecutionData) -> Result<SealedBlock<Block>, NewPayloadError> {
        let ExecutionData { payload, sidecar } = data;
        let (claimed, extra_data) = (payload.block_hash(), payload.as_v1().extra_data.clone());
        let block = wire::split(payload).and_then(|split| split.into_block::<TransactionSigned>(&sidecar));
        let (block, hash) = block.map_err(|error| refused(&error, claimed))?.into_parts();
        let (block, time) = (SealedBlock::new_unchecked(block, hash), self.spec.as_ref());
        shanghai::ensure_well_formed_fields(block.body(), time.is_shanghai_active_at_timestamp(block.timestamp))?;
        cancun::ensure_well_formed_fields(&block, sidecar.cancun(), time.is_cancun_active_at_timestamp(block.timestamp))?;
        prague::ensure_well_formed_fields(block.body(), sidecar.prague(), time.is_prague_active_at_timestamp(block.timestamp))?;
        if let Some(log) = &self.log {
            log.certify(hash, &extra_data);
        }
        Ok(block)
    }
}

/// Section 4: INVALID, latestValidHash null, not remembered. Reth answers null only for a wrong block hash, which a payload that is no block
/// has in any case.
fn refused(error: &SplitError, claimed: B256) -> NewPayloadError {
    warn!(target: "polai::engine", %error, hash = %claimed, "a payload that is no block");
    let execution = if let SplitError::BlockHash { expected, .. } = error { *expected } else { B256::ZERO };
    PayloadError::BlockHash { execution, consensus: claimed }.into()
}

impl EngineApiValidator<PolaiEngineTypes> for PolaiEngineValidator {
    fn validate_version_specific_fields(
        &self,
        version: EngineApiMessageVersion,
        fields: PayloadOrAttributes<'_, ExecutionData, PayloadAttributes>,
    ) -> Result<(), EngineObjectValidationError> {
        EngineApiValidator::<PolaiEngineTypes>::validate_version_specific_fields(&self.inner, version, fields)
    }

    fn ensure_well_formed_attributes(
        &self,
        version: EngineApiMessageVersion,
        attributes: &PayloadAttributes,
    ) -> Result<(), EngineObjectValidationError> {
        EngineApiValidator::<PolaiEngineTypes>::ensure_well_formed_attributes(&self.inner, version, attributes)
    }
}

/// Gives the node its validator. The Engine API makes one of its own, by default, for the fields alone: only the one that takes payloads in
/// notes what their certificates say.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolaiEngineValidatorBuilder(pub(crate) Option<ModelLog>);

impl<N> PayloadValidatorBuilder<N> for PolaiEngineValidatorBuilder
where
    N: FullNodeComponents<Types: NodeTypes<ChainSpec = ChainSpec, Payload = PolaiEngineTypes, Primitives = EthPrimitives>>,
{
    type Validator = PolaiEngineValidator;

    async fn build(self, ctx: &AddOnsContext<'_, N>) -> eyre::Result<Self::Validator> {
        let spec = Arc::clone(&ctx.config.chain);
        Ok(PolaiEngineValidator { inner: EthereumEngineValidator::new(Arc::clone(&spec)), spec, log: self.0 })
    }
}
