//! The AI engine: the endpoint at which the beacon side pushes candidates (section 10; port 8552, JWT).
//!
//! | method | takes | gives |
//! | --- | --- | --- |
//! | `polai_setCandidateV1` | `{parentHash, slot, updateId, certificate}` | `{status}`: held, dry_run or cleared |
//! | `polai_candidate` | parentHash, slot | the candidate that is held, or null |
//! | `polai_status` | | mode, chain, slot, candidates, heads, sealer |
//! | `polai_setMode` | enabled, dry_run or disabled | the mode now and before |
//!
//! Contract: [`AiEngine::router`] behind [`pol_kit::http::serve`]. A refused candidate is error [`REFUSED`] for the pusher, and nobody else ever
//! hears of it. What it does not protect against: whoever has the secret decides what this node proposes; the beacon nodes of all others
//! check the certificate.

use std::sync::Arc;

use alloy_primitives::{B256, U64};
use axum::Router;
use jsonrpsee::{
    core::RpcResult,
    proc_macros::rpc,
    types::{ErrorCode, ErrorObjectOwned},
};
use pol_kit::{clock::Clock, jwt::Secret};

use crate::{
    candidate::{CandidateError, Mode, Register, UnknownMode},
    chain::Chain,
    model_log::ModelLog,
    rpc::{CandidateJson, ModeJson, PushJson, StatusJson},
    sealer::Sealer,
    server::{self, RpcLimits},
};

/// JSON-RPC error code of a refused candidate; its data is the reason in a word.
pub const REFUSED: i32 = -39_001;

/// Bounds of the port: a candidate has less than 2 KiB.
pub const LIMITS: RpcLimits = RpcLimits { request_bytes: 16_384, response_bytes: 65_536, batch: 16, depth: 8, requests: 64 };

/// The methods of the AI engine.
#[rpc(server, namespace = "polai")]
pub trait AiEngineApi {
    /// Takes, replaces or clears the candidate of a (parent, slot).
    #[method(name = "setCandidateV1")]
    fn set_candidate_v1(&self, candidate: CandidateJson) -> RpcResult<PushJson>;

    /// The candidate that is held for a (parent, slot).
    #[method(name = "candidate")]
    fn candidate(&self, parent_hash: B256, slot: U64) -> RpcResult<Option<CandidateJson>>;

    /// How the engine stands.
    #[method(name = "status")]
    fn status(&self) -> RpcResult<StatusJson>;

    /// Switches the AI path on, to trial, or off.
    #[method(name = "setMode")]
    fn set_mode(&self, mode: String) -> RpcResult<ModeJson>;
}

/// The AI engine of a process.
#[derive(Debug, Clone)]
pub struct AiEngine {
    chain: Chain,
    register: Register,
    log: ModelLog,
    sealer: Option<Sealer>,
}

impl AiEngine {
    /// On a process's register and log, and the sealer of a node that proposes.
    pub const fn new(chain: Chain, register: Register, log: ModelLog, sealer: Option<Sealer>) -> Self {
        Self { chain, register, log, sealer }
    }

    /// The port's router.
    pub fn router(self, secret: Arc<Secret>, clock: Arc<dyn Clock>) -> Router {
        server::authenticated(self.into_rpc(), LIMITS, secret, clock)
    }
}

impl AiEngineApiServer for AiEngine {
    fn set_candidate_v1(&self, candidate: CandidateJson) -> RpcResult<PushJson> {
        let pushed = self.register.push(&candidate.into()).map_err(|error| refused(&error))?;
        Ok(PushJson { status: pushed.as_str().to_owned() })
    }

    fn candidate(&self, parent_hash: B256, slot: U64) -> RpcResult<Option<CandidateJson>> {
        Ok(self.register.held(parent_hash, slot.to()).as_ref().map(CandidateJson::from))
    }

    fn status(&self) -> RpcResult<StatusJson> {
        Ok(StatusJson {
            mode: self.register.mode().to_string(),
            genesis_id: B256::new(self.chain.genesis_id().0),
            genesis_hash: self.chain.genesis_hash(),
            slot: U64::from(self.register.current_slot()),
            candidates: self.register.all().iter().map(CandidateJson::from).collect(),
            head: (&self.log.tip()).into(),
            finalized: (&self.log.finalized()).into(),
            sealer: self.sealer.as_ref().map(Into::into),
        })
    }

    fn set_mode(&self, mode: String) -> RpcResult<ModeJson> {
        let mode: Mode = mode.parse().map_err(|error: UnknownMode| {
            ErrorObjectOwned::owned(ErrorCode::InvalidParams.code(), error.to_string(), None::<()>)
        })?;
        let before = self.register.set_mode(mode);
        Ok(ModeJson { mode: mode.to_string(), before: before.to_string() })
    }
}

fn refused(error: &CandidateError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REFUSED, error.to_string(), Some(error.reason()))
}
