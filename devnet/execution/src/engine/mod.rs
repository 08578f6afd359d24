//! The Engine API (port 8551, JWT): what a consensus client asks for, V1 to V3, as the specification says it.
//!
//! # Contract
//! Statuses, error codes and latestValidHash are the specification's; `extra_data` of payloads is in the wire form (docs/PROTOCOL.md, section
//! 4). On this chain, Cancun from genesis on, only V3 payloads and attributes exist: the older ones are answered with "Unsupported fork".
//! VALID means executed and on disk. No call waits for the AI path.
//!
//! # What it does not protect against
//! A consensus client that lies about what is final.

mod forkchoice;
mod new_payload;
mod rpc;

pub use rpc::{ClientVersion, EngineApiServer};

use alloy_rpc_types_engine::{ExecutionPayloadBodyV1, PayloadStatus, PayloadStatusEnum};
use jsonrpsee::types::{ErrorCode, ErrorObjectOwned};
use reth_ai_exex::model_log::ModelLog;
use tracing::error;

use crate::{
    chain::Chain,
    execute::Block,
    payload::{PayloadError, Payloads},
};

/// Error codes of the Engine API.
pub mod codes {
    /// No such payload is being built.
    pub const UNKNOWN_PAYLOAD: i32 = -38_001;
    /// Safe or final block do not belong to the head.
    pub const INVALID_FORKCHOICE: i32 = -38_002;
    /// The attributes make no block on this head.
    pub const INVALID_ATTRIBUTES: i32 = -38_003;
    /// More was asked for than is answered at once.
    pub const TOO_LARGE: i32 = -38_004;
    /// The method is not the one for the payload's fork.
    pub const UNSUPPORTED_FORK: i32 = -38_005;
    /// Everything else.
    pub const SERVER: i32 = -32_000;
}

/// The methods that a consensus client may count on.
const CAPABILITIES: [&str; 11] = [
    "engine_newPayloadV1",
    "engine_newPayloadV2",
    "engine_newPayloadV3",
    "engine_forkchoiceUpdatedV1",
    "engine_forkchoiceUpdatedV2",
    "engine_forkchoiceUpdatedV3",
    "engine_getPayloadV1",
    "engine_getPayloadV2",
    "engine_getPayloadV3",
    "engine_getPayloadBodiesByHashV1",
    "engine_getPayloadBodiesByRangeV1",
];

/// The Engine API of a process.
#[derive(Debug, Clone)]
pub struct Engine {
    chain: Chain,
    payloads: Payloads,
    log: Option<ModelLog>,
}

impl Engine {
    /// On a chain and its payload jobs.
    pub const fn new(chain: Chain, payloads: Payloads) -> Self {
        Self { chain, payloads, log: None }
    }

    /// That notes the roots which the certificates of payloads name, for the feed.
    #[must_use]
    pub fn with_log(self, log: ModelLog) -> Self {
        Self { log: Some(log), ..self }
    }
}

fn refusal(code: i32, message: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message.to_string(), None::<()>)
}

fn unsupported_fork() -> ErrorObjectOwned {
    refusal(codes::UNSUPPORTED_FORK, "Unsupported fork")
}

/// Our own fault, or the disk's; the details are for the operator.
fn internal(cause: &dyn core::fmt::Display) -> ErrorObjectOwned {
    error!(target: "polai::engine", %cause, "no answer to the consensus client");
    refusal(ErrorCode::InternalError.code(), "Internal error")
}

fn invalid(latest_valid: Option<alloy_primitives::B256>, error: &dyn core::fmt::Display) -> PayloadStatus {
    let status = PayloadStatusEnum::Invalid { validation_error: error.to_string() };
    PayloadStatus::new(status, latest_valid)
}

/// A blocking call on a thread that may block.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, ErrorObjectOwned> {
    tokio::task::spawn_blocking(f).await.map_err(|error| internal(&error))
}

fn body(block: &Block) -> ExecutionPayloadBodyV1 {
    ExecutionPayloadBodyV1::new(block.body.withdrawals.clone(), block.body.transactions.iter())
}

impl From<PayloadError> for ErrorObjectOwned {
    fn from(error: PayloadError) -> Self {
        let code = match error {
            PayloadError::Unknown => codes::UNKNOWN_PAYLOAD,
            PayloadError::Late => codes::SERVER,
        };
        refusal(code, error)
    }
}
