//! The public `polai_*` JSON-RPC: what anyone may ask about updates, model head and seals.
//!
//! Contract: [`PolaiRpc::into_rpc`](PolaiServer::into_rpc) is a jsonrpsee module; the client merges it into its own server, which also bounds it.
//! Heights and counts are QUANTITY (`0x` hex), ids and heads are 32 bytes of hex. All of it is read from the model log, on blocking threads.
//!
//! # What it does not protect against
//! An answer about a block that is not final may be another one a moment later: look at `finalized`.

mod types;

pub use types::{CandidateJson, HeadJson, ModeJson, PushJson, SealJson, StatusJson, UpdateJson};

use alloy_primitives::{B256, U64};
use jsonrpsee::{
    core::RpcResult,
    proc_macros::rpc,
    types::{ErrorCode, ErrorObjectOwned},
};
use pol_core::UpdateId;
use tracing::warn;

use crate::{
    limits,
    model_log::{Entry, LogError, ModelLog, Snapshot},
    sealer::Sealer,
};

/// The public methods.
#[rpc(server, namespace = "polai")]
pub trait Polai {
    /// The update that the canonical block at a height names; null for an empty AI block, and above the head.
    #[method(name = "updateByHeight", blocking)]
    fn update_by_height(&self, height: U64) -> RpcResult<Option<UpdateJson>>;

    /// Where an update is included: its first block; null when none is canonical.
    #[method(name = "updateById", blocking)]
    fn update_by_id(&self, update_id: B256) -> RpcResult<Option<UpdateJson>>;

    /// The updates of the blocks from one height to another, both included; at most 256 of at most 10,000 heights. A full answer may have
    /// a continuation behind its last height.
    #[method(name = "updates", blocking)]
    fn updates(&self, from: U64, to: U64) -> RpcResult<Vec<UpdateJson>>;

    /// The model head after a block: of the canonical head, or at a height; null above the head.
    #[method(name = "modelHead", blocking)]
    fn model_head(&self, height: Option<U64>) -> RpcResult<Option<HeadJson>>;

    /// The model head that is final.
    #[method(name = "finalizedModelHead", blocking)]
    fn finalized_model_head(&self) -> RpcResult<HeadJson>;

    /// What this node's sealer has done; null on a node that does not propose.
    #[method(name = "sealStatistics")]
    fn seal_statistics(&self) -> RpcResult<Option<SealJson>>;
}

/// The methods' implementation.
#[derive(Debug, Clone)]
pub struct PolaiRpc {
    log: ModelLog,
    sealer: Option<Sealer>,
}

impl PolaiRpc {
    /// On a log, and the sealer of a node that proposes.
    pub const fn new(log: ModelLog, sealer: Option<Sealer>) -> Self {
        Self { log, sealer }
    }

    fn snapshot(&self) -> RpcResult<Snapshot> {
        self.log.snapshot().map_err(internal)
    }
}

impl PolaiServer for PolaiRpc {
    fn update_by_height(&self, height: U64) -> RpcResult<Option<UpdateJson>> {
        let snapshot = self.snapshot()?;
        let entry = snapshot.block(height.to()).map_err(internal)?.filter(|entry| !entry.update_id.is_zero());
        Ok(entry.map(|entry| UpdateJson::new(&entry, is_final(&snapshot, &entry))))
    }

    fn update_by_id(&self, update_id: B256) -> RpcResult<Option<UpdateJson>> {
        let snapshot = self.snapshot()?;
        let entries = snapshot.by_id(&UpdateId(update_id.0)).map_err(internal)?;
        Ok(entries.first().map(|entry| UpdateJson::new(entry, is_final(&snapshot, entry))))
    }

    fn updates(&self, from: U64, to: U64) -> RpcResult<Vec<UpdateJson>> {
        let (from, to): (u64, u64) = (from.to(), to.to());
        if to < from || to.saturating_sub(from) >= limits::RPC_RANGE {
            let text = format!("range: expected from <= to and at most {} heights", limits::RPC_RANGE);
            return Err(ErrorObjectOwned::owned(ErrorCode::InvalidParams.code(), text, None::<()>));
        }
        let snapshot = self.snapshot()?;
        let entries = snapshot.updates(from..=to, limits::LOG_PAGE).map_err(internal)?;
        Ok(entries.iter().map(|entry| UpdateJson::new(entry, is_final(&snapshot, entry))).collect())
    }

    fn model_head(&self, height: Option<U64>) -> RpcResult<Option<HeadJson>> {
        let snapshot = self.snapshot()?;
        let entry = match height {
            None => Some(snapshot.tip()),
            Some(height) => snapshot.block(height.to()).map_err(internal)?,
        };
        Ok(entry.as_ref().map(HeadJson::from))
    }

    fn finalized_model_head(&self) -> RpcResult<HeadJson> {
        Ok((&self.log.finalized()).into())
    }

    fn seal_statistics(&self) -> RpcResult<Option<SealJson>> {
        Ok(self.sealer.as_ref().map(SealJson::from))
    }
}

const fn is_final(snapshot: &Snapshot, entry: &Entry) -> bool {
    entry.block.number <= snapshot.finalized().block.number
}

fn internal(error: LogError) -> ErrorObjectOwned {
    warn!(target: "polai::rpc", %error, "the model log does not answer");
    ErrorCode::InternalError.into()
}
