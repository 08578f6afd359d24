//! forkchoiceUpdated: the head moves, and with attributes a payload job begins.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rpc_types_engine::{
    ForkchoiceState, ForkchoiceUpdated, PayloadAttributes, PayloadId, PayloadStatus, PayloadStatusEnum,
};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use reth_ai_exex::header;

use super::{Engine, blocking, codes, internal, invalid, refusal, unsupported_fork};
use crate::chain::{Executed, ForkchoiceError, HeadsRequest};

/// Version of the method, which says which attributes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
    V3,
}

impl Engine {
    pub(super) async fn forkchoice_updated(
        &self,
        version: Version,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated> {
        let given = |hash: B256| (!hash.is_zero()).then_some(hash);
        if given(state.head_block_hash).is_none() {
            return Ok(ForkchoiceUpdated::new(invalid(None, &"the head is the zero hash")));
        }
        let request = HeadsRequest {
            head: state.head_block_hash,
            safe: given(state.safe_block_hash),
            finalized: given(state.finalized_block_hash),
        };
        let chain = self.chain.clone();
        let head = match blocking(move || chain.set_heads(request)).await? {
            Ok(head) => head,
            Err(ForkchoiceError::UnknownHead { .. }) => {
                return Ok(ForkchoiceUpdated::from_status(PayloadStatusEnum::Syncing));
            }
            Err(error @ ForkchoiceError::InvalidHead { latest_valid, .. }) => {
                return Ok(ForkchoiceUpdated::new(invalid(Some(latest_valid), &error)));
            }
            Err(error @ ForkchoiceError::Inconsistent { .. }) => {
                return Err(refusal(codes::INVALID_FORKCHOICE, format!("Invalid forkchoice state: {error}")));
            }
            Err(ForkchoiceError::Store(error)) => return Err(internal(&error)),
        };
        let valid = PayloadStatus::new(PayloadStatusEnum::Valid, Some(state.head_block_hash));
        // The head has moved, whatever becomes of the attributes (engine specification).
        let id = attributes.map(|attributes| self.begin(version, head, attributes)).transpose()?.flatten();
        Ok(ForkchoiceUpdated { payload_status: valid, payload_id: id })
    }

    fn begin(
        &self,
        version: Version,
        head: Arc<Executed>,
        attributes: PayloadAttributes,
    ) -> Result<Option<PayloadId>, ErrorObjectOwned> {
        let wrong = |what: String| refusal(codes::INVALID_ATTRIBUTES, format!("Invalid payload attributes: {what}"));
        if attributes.withdrawals.is_none() && version != Version::V1 {
            return Err(wrong("withdrawals: found none".to_owned()));
        }
        if version != Version::V3 {
            // Cancun from genesis on: there is no timestamp for which these would be right.
            return Err(unsupported_fork());
        }
        if attributes.parent_beacon_block_root.is_none() {
            return Err(wrong("parentBeaconBlockRoot: found none".to_owned()));
        }
        let last = &head.data.block.header;
        if attributes.timestamp <= last.timestamp {
            return Err(wrong(format!("timestamp: found {}, expected more than {}", attributes.timestamp, last.timestamp)));
        }
        let rule = self.chain.genesis().chain().difficulty();
        let difficulty = header::parent_seal(last).map_err(|error| internal(&error))?;
        rule.child(difficulty, attributes.timestamp).map_err(|error| wrong(error.to_string()))?;
        Ok(self.payloads.start(head, attributes))
    }
}
