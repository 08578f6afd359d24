//! JSON-RPC over HTTP/1.1 with bounds, for the two authenticated ports: the AI engine here, the Engine API in a client.
//!
//! # Contract
//! [`authenticated`] makes an axum router out of any jsonrpsee methods; serve it with [`pol_kit::http::serve`], which bounds connections and
//! time. In this order: the token, the body's size, its [`shape`](check_shape) (depth, items of a batch), and only then jsonrpsee.
//!
//! # What it does not protect against
//! Who has the secret may call everything, as often as the connections allow.

mod shape;

pub use shape::{ShapeError, check_shape};

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use jsonrpsee::{
    server::{BatchRequestConfig, Methods, Server, ServerConfig, ServerHandle, TowerService, stop_channel},
    types::{ErrorCode, ErrorObject, Id, ResponsePayload},
};
use pol_kit::{
    clock::Clock,
    jwt::{self, Secret},
};
use tower::{Service as _, layer::util::Identity};
use tracing::debug;

/// Bounds of one JSON-RPC port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// Bytes of a request.
    pub request_bytes: u32,
    /// Bytes of an answer.
    pub response_bytes: u32,
    /// Calls of a batch.
    pub batch: u32,
    /// Nested arrays and objects.
    pub depth: usize,
    /// Requests that are being answered at the same time; one more is told to come back (429).
    pub requests: u32,
}

#[derive(Clone)]
struct Port {
    service: TowerService<Identity, Identity>,
    limits: RpcLimits,
    /// Methods end when it is dropped.
    _running: Arc<ServerHandle>,
}

/// The methods at `POST /`, without authentication: for tests and for loopback.
pub fn open(methods: impl Into<Methods>, limits: RpcLimits) -> Router {
    let config = ServerConfig::builder()
        .http_only()
        .max_connections(limits.requests)
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .build();
    let (stop, running) = stop_channel();
    let service = Server::builder().set_config(config).to_service_builder().build(methods, stop);
    Router::new().route("/", post(answer)).with_state(Port { service, limits, _running: Arc::new(running) })
}

/// The same behind the Engine API's authentication.
pub fn authenticated(methods: impl Into<Methods>, limits: RpcLimits, secret: Arc<Secret>, clock: Arc<dyn Clock>) -> Router {
    jwt::protect(open(methods, limits), secret, clock)
}

async fn answer(State(mut port): State<Port>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(most) = usize::try_from(port.limits.request_bytes) else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let Ok(bytes) = to_bytes(body, most).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    if let Err(error) = check_shape(&bytes, port.limits.depth, port.limits.batch) {
        debug!(target: "polai::rpc", %error, "request refused");
        return refusal(&error);
    }
    match port.service.call(Request::from_parts(head, Body::from(bytes))).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            debug!(target: "polai::rpc", %error, "no answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refusal(error: &ShapeError) -> Response {
    let error = ErrorObject::owned(ErrorCode::InvalidRequest.code(), error.to_string(), None::<()>);
    let response = jsonrpsee::types::Response::<()>::new(ResponsePayload::error(error), Id::Null);
    let body = serde_json::to_string(&response).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
