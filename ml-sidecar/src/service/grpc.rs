//! `polai.sidecar.v1`: what the service tells and takes.

use std::sync::Arc;

use pol_api::{
    convert,
    sidecar::v1::{VerdictsRequest, VerdictsResponse, sidecar_server},
    tonic::{self, Request, Response, Status},
};
use pol_core::ModelHead;

use super::{board::Events, shared::Shared};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Service(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl sidecar_server::Sidecar for Service {
    type VerdictsStream = Events<VerdictsResponse>;

    async fn verdicts(&self, request: Request<VerdictsRequest>) -> Result<Response<Self::VerdictsStream>, Status> {
        let head = convert::optional("model_head", &request.get_ref().model_head)?.map(ModelHead);
        Ok(Response::new(self.0.board.watch(head)?))
    }
}
