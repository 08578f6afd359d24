//! newPayload: from the wire form to a block of the chain, or the reason why not.

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_primitives::B256;
use alloy_rpc_types_engine::{
    CancunPayloadFields, ExecutionPayloadSidecar, ExecutionPayloadV3, PayloadStatus, PayloadStatusEnum,
};
use jsonrpsee::core::RpcResult;
use reth_ai_exex::wire::{self, HashedBlock, SplitError};

use super::{Engine, blocking, internal, invalid};
use crate::chain::ImportError;

/// Why a payload is no block. The producer's, or the consensus client's; latestValidHash is null, and nothing is remembered.
#[derive(Debug, thiserror::Error)]
enum NotABlock {
    /// The library's checks of the wire form, the conversion, the hash.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The blobs are not those that the consensus client has seen.
    #[error("blob versioned hashes: found {found} in the payload, expected {expected}")]
    Blobs {
        /// How many, or that they differ.
        found: String,
        /// How many.
        expected: String,
    },
}

impl Engine {
    pub(super) async fn new_payload(
        &self,
        payload: ExecutionPayloadV3,
        blobs: Vec<B256>,
        parent_beacon_block_root: B256,
    ) -> RpcResult<PayloadStatus> {
        let (chain, log) = (self.chain.clone(), self.log.clone());
        let imported = blocking(move || {
            let extra_data = payload.payload_inner.payload_inner.extra_data.clone();
            let block = match to_block(payload, blobs, parent_beacon_block_root) {
                Ok(block) => block,
                Err(error) => return Ok(invalid(None, &error)),
            };
            let hash = block.hash();
            match chain.import(block) {
                Ok(_) => {
                    // For who follows the model.
                    if let Some(log) = &log {
                        log.certify(hash, &extra_data);
                    }
                    Ok(PayloadStatus::new(PayloadStatusEnum::Valid, Some(hash)))
                }
                Err(ImportError::UnknownParent { .. }) => Ok(PayloadStatus::from_status(PayloadStatusEnum::Syncing)),
                Err(ImportError::Invalid { latest_valid, error }) => Ok(invalid(Some(latest_valid), &error)),
                Err(ImportError::Store(error)) => Err(error),
            }
        });
        imported.await?.map_err(|error| internal(&error))
    }
}

fn to_block(
    payload: ExecutionPayloadV3,
    blobs: Vec<B256>,
    parent_beacon_block_root: B256,
) -> Result<HashedBlock<TxEnvelope>, NotABlock> {
    let sidecar = ExecutionPayloadSidecar::v3(CancunPayloadFields::new(parent_beacon_block_root, blobs.clone()));
    let block = wire::split(payload)?.into_block::<TxEnvelope>(&sidecar)?;
    let found: Vec<B256> = block
        .block()
        .body
        .transactions
        .iter()
        .flat_map(|transaction| transaction.blob_versioned_hashes().unwrap_or_default())
        .copied()
        .collect();
    if found != blobs {
        let same = found.len() == blobs.len();
        let found = if same { "others".to_owned() } else { found.len().to_string() };
        return Err(NotABlock::Blobs { found, expected: blobs.len().to_string() });
    }
    Ok(block)
}
