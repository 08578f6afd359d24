//! Errors as the Beacon API gives them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::driver::DriverError;

/// An error answer. 4xx: the caller's fault; 5xx: ours, or the execution client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub code: u16,
    /// What is wrong.
    pub message: String,
}

impl ApiError {
    pub(super) fn bad(message: impl core::fmt::Display) -> Self {
        Self { code: 400, message: message.to_string() }
    }

    pub(super) fn not_found(message: impl core::fmt::Display) -> Self {
        Self { code: 404, message: message.to_string() }
    }
}

impl From<DriverError> for ApiError {
    fn from(error: DriverError) -> Self {
        Self { code: 500, message: error.to_string() }
    }
}

impl From<crate::transition::StateError> for ApiError {
    fn from(error: crate::transition::StateError) -> Self {
        Self::bad(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({ "code": self.code, "message": self.message }))).into_response()
    }
}
