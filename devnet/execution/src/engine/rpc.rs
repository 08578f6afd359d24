//! The methods.

use std::sync::Arc;

use alloy_primitives::{B256, U64};
use alloy_rpc_types_engine::{
    BlobsBundleV1, ExecutionPayload, ExecutionPayloadBodyV1, ExecutionPayloadEnvelopeV3, ExecutionPayloadInputV2,
    ExecutionPayloadV1, ExecutionPayloadV3, ForkchoiceState, ForkchoiceUpdated, PayloadAttributes, PayloadId, PayloadStatus,
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc, types::ErrorCode};
use serde::{Deserialize, Serialize};

use super::{CAPABILITIES, Engine, blocking, body, codes, forkchoice::Version, internal, refusal, unsupported_fork};
use crate::{chain::Chain, limits, store::StoreError};

/// How a client names itself (engine specification, identification).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion {
    /// Two letters.
    pub code: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// First four bytes of the commit, in hex.
    pub commit: String,
}

/// The methods of the Engine API.
#[rpc(server, namespace = "engine")]
pub trait EngineApi {
    /// What both sides can do.
    #[method(name = "exchangeCapabilities")]
    fn exchange_capabilities(&self, theirs: Vec<String>) -> RpcResult<Vec<String>>;

    /// Who we are.
    #[method(name = "getClientVersionV1")]
    fn client_version(&self, theirs: ClientVersion) -> RpcResult<Vec<ClientVersion>>;

    /// Paris. No block of this chain is of that fork.
    #[method(name = "newPayloadV1")]
    fn new_payload_v1(&self, payload: ExecutionPayloadV1) -> RpcResult<PayloadStatus>;

    /// Shanghai. No block of this chain is of that fork.
    #[method(name = "newPayloadV2")]
    fn new_payload_v2(&self, payload: ExecutionPayloadInputV2) -> RpcResult<PayloadStatus>;

    /// Cancun.
    #[method(name = "newPayloadV3")]
    async fn new_payload_v3(
        &self,
        payload: ExecutionPayloadV3,
        blobs: Vec<B256>,
        parent_beacon_block_root: B256,
    ) -> RpcResult<PayloadStatus>;

    /// Paris.
    #[method(name = "forkchoiceUpdatedV1")]
    async fn forkchoice_updated_v1(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated>;

    /// Shanghai.
    #[method(name = "forkchoiceUpdatedV2")]
    async fn forkchoice_updated_v2(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated>;

    /// Cancun.
    #[method(name = "forkchoiceUpdatedV3")]
    async fn forkchoice_updated_v3(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated>;

    /// Paris. No payload of this chain is of that fork.
    #[method(name = "getPayloadV1")]
    async fn get_payload_v1(&self, id: PayloadId) -> RpcResult<ExecutionPayloadV1>;

    /// Shanghai. No payload of this chain is of that fork.
    #[method(name = "getPayloadV2")]
    async fn get_payload_v2(&self, id: PayloadId) -> RpcResult<ExecutionPayloadV1>;

    /// Cancun.
    #[method(name = "getPayloadV3")]
    async fn get_payload_v3(&self, id: PayloadId) -> RpcResult<ExecutionPayloadEnvelopeV3>;

    /// Bodies of blocks; null for those that are not here.
    #[method(name = "getPayloadBodiesByHashV1")]
    async fn bodies_by_hash(&self, hashes: Vec<B256>) -> RpcResult<Vec<Option<ExecutionPayloadBodyV1>>>;

    /// Bodies of canonical blocks from a height on, up to the head.
    #[method(name = "getPayloadBodiesByRangeV1")]
    async fn bodies_by_range(&self, start: U64, count: U64) -> RpcResult<Vec<Option<ExecutionPayloadBodyV1>>>;
}

#[jsonrpsee::core::async_trait]
impl EngineApiServer for Engine {
    fn exchange_capabilities(&self, _theirs: Vec<String>) -> RpcResult<Vec<String>> {
        Ok(CAPABILITIES.map(str::to_owned).to_vec())
    }

    fn client_version(&self, _theirs: ClientVersion) -> RpcResult<Vec<ClientVersion>> {
        Ok(vec![ClientVersion {
            code: "PE".to_owned(),
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: "00000000".to_owned(),
        }])
    }

    fn new_payload_v1(&self, _payload: ExecutionPayloadV1) -> RpcResult<PayloadStatus> {
        Err(unsupported_fork())
    }

    fn new_payload_v2(&self, _payload: ExecutionPayloadInputV2) -> RpcResult<PayloadStatus> {
        Err(unsupported_fork())
    }

    async fn new_payload_v3(
        &self,
        payload: ExecutionPayloadV3,
        blobs: Vec<B256>,
        parent_beacon_block_root: B256,
    ) -> RpcResult<PayloadStatus> {
        self.new_payload(payload, blobs, parent_beacon_block_root).await
    }

    async fn forkchoice_updated_v1(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated> {
        self.forkchoice_updated(Version::V1, state, attributes).await
    }

    async fn forkchoice_updated_v2(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated> {
        self.forkchoice_updated(Version::V2, state, attributes).await
    }

    async fn forkchoice_updated_v3(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> RpcResult<ForkchoiceUpdated> {
        self.forkchoice_updated(Version::V3, state, attributes).await
    }

    async fn get_payload_v1(&self, id: PayloadId) -> RpcResult<ExecutionPayloadV1> {
        self.payloads.get(id).await?;
        Err(unsupported_fork())
    }

    async fn get_payload_v2(&self, id: PayloadId) -> RpcResult<ExecutionPayloadV1> {
        self.payloads.get(id).await?;
        Err(unsupported_fork())
    }

    async fn get_payload_v3(&self, id: PayloadId) -> RpcResult<ExecutionPayloadEnvelopeV3> {
        let built = self.payloads.get(id).await?;
        let ExecutionPayload::V3(execution_payload) = built.payload.clone() else {
            return Err(internal(&"a payload of another fork was built"));
        };
        let (block_value, blobs_bundle) = (built.value, BlobsBundleV1::empty());
        Ok(ExecutionPayloadEnvelopeV3 { execution_payload, block_value, blobs_bundle, should_override_builder: false })
    }

    async fn bodies_by_hash(&self, hashes: Vec<B256>) -> RpcResult<Vec<Option<ExecutionPayloadBodyV1>>> {
        if u64::try_from(hashes.len()).map_or(true, |found| found > limits::PAYLOAD_BODIES) {
            return Err(refusal(codes::TOO_LARGE, "Too large request"));
        }
        let chain = self.chain.clone();
        let one = move |hash: &B256| Ok(chain.block(hash)?.map(|data| body(&data.block)));
        let found = move || hashes.iter().map(one).collect::<Result<_, StoreError>>();
        blocking(found).await?.map_err(|error| internal(&error))
    }

    async fn bodies_by_range(&self, start: U64, count: U64) -> RpcResult<Vec<Option<ExecutionPayloadBodyV1>>> {
        let (start, count): (u64, u64) = (start.to(), count.to());
        if start == 0 || count == 0 {
            return Err(refusal(ErrorCode::InvalidParams.code(), "start and count: expected at least 1"));
        }
        if count > limits::PAYLOAD_BODIES {
            return Err(refusal(codes::TOO_LARGE, "Too large request"));
        }
        let chain = self.chain.clone();
        blocking(move || range(&chain, start, count)).await?.map_err(|error| internal(&error))
    }
}

/// Without trailing nulls: it ends at the head.
fn range(chain: &Chain, start: u64, count: u64) -> Result<Vec<Option<ExecutionPayloadBodyV1>>, StoreError> {
    let head = chain.head().number_hash().number;
    let last = start.saturating_add(count).saturating_sub(1).min(head);
    let one = |number| Ok(chain.canonical_block(number)?.map(|data: Arc<_>| body(&data.block)));
    (start..=last).map(one).collect()
}
