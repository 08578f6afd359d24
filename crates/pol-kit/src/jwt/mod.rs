//! Authentication of the Engine API: JSON Web Tokens with a shared secret (ethereum/execution-apis, `src/engine/authentication.md`).
//!
//! Purpose: both authenticated ports (8551, 8552) and their clients. Contract: [`Secret::load`] at start, [`protect`] around an axum
//! router or [`Secret::authorize`] elsewhere, [`Secret::token`] in clients, anew for each request. Only HS256; `iat` within
//! 60 seconds to either side; other claims are ignored; whatever is wrong, the answer is the same. Limits: tokens of at most 4,096
//! bytes. What it does not protect against: replay by somebody who reads the connection, within the minute; a secret file that the
//! same user's other programs read.

mod secret;

pub use secret::{Secret, SecretError};

use crate::clock::Clock;
use crate::limits::{JWT_IAT_SECONDS, JWT_TOKEN_BYTES};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a refused client is told, whatever was wrong.
pub const REFUSAL: &str = "unauthorized";

/// A token was refused. It reads the same for every cause; [`Self::why`] is for our own log. The peer's fault, or a clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{REFUSAL}")]
pub struct Refused {
    why: Why,
}

impl Refused {
    /// What was wrong. Never tell the peer.
    pub const fn why(self) -> Why {
        self.why
    }
}

/// What was wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There was not exactly one `Authorization: Bearer` header.
    Header,
    /// It was too long to be read.
    TooLong,
    /// It was no token, or had no `iat` that is a whole number.
    Malformed,
    /// It was signed by another algorithm than HS256, or by none.
    Algorithm,
    /// It was signed with another secret.
    Signature,
    /// Its `iat` is too far from now: an old token, or a clock that is wrong.
    IssuedAt {
        /// How far, in seconds.
        off_by: u64,
    },
}

/// Unknown claims are ignored; `iat` must be a whole number.
#[derive(Deserialize, Serialize)]
struct Claims {
    iat: u64,
}

impl Secret {
    /// Checks a token, `now` in unix seconds.
    ///
    /// # Errors
    /// [`Refused`]; the peer's fault.
    pub fn verify(&self, token: &str, now: u64) -> Result<(), Refused> {
        if token.len() > JWT_TOKEN_BYTES {
            return Err(Refused { why: Why::TooLong });
        }
        choose_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let key = DecodingKey::from_secret(self.bytes());
        let claims = decode::<Claims>(token, &key, &validation).map_err(|error| Refused { why: why(error.kind()) })?.claims;
        let off_by = claims.iat.abs_diff(now);
        if off_by > JWT_IAT_SECONDS {
            return Err(Refused { why: Why::IssuedAt { off_by } });
        }
        Ok(())
    }

    /// Checks the headers of a request: exactly one `Authorization`, of the form `Bearer <token>`.
    ///
    /// # Errors
    /// [`Refused`]; the peer's fault.
    pub fn authorize(&self, headers: &HeaderMap, now: u64) -> Result<(), Refused> {
        let refused = Refused { why: Why::Header };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(refused) };
        let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused);
        }
        self.verify(token, now)
    }

    /// A token for a client's request, `now` in unix seconds. Valid for a minute.
    ///
    /// # Errors
    /// [`Refused`] if the cryptography refuses to sign; that is our fault.
    pub fn token(&self, now: u64) -> Result<String, Refused> {
        choose_provider();
        let key = EncodingKey::from_secret(self.bytes());
        encode(&Header::new(Algorithm::HS256), &Claims { iat: now }, &key).map_err(|error| Refused { why: why(error.kind()) })
    }
}

/// Puts the authentication in front of every route of `router`: 401 with [`REFUSAL`] for all who fail it.
pub fn protect(router: Router, secret: Arc<Secret>, clock: Arc<dyn Clock>) -> Router {
    router.layer(from_fn_with_state((secret, clock), guard))
}

async fn guard(State((secret, clock)): State<(Arc<Secret>, Arc<dyn Clock>)>, request: Request, next: Next) -> Response {
    match secret.authorize(request.headers(), clock.unix_seconds()) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            tracing::debug!(target: "polai::jwt", why = ?refused.why(), "request refused");
            (StatusCode::UNAUTHORIZED, REFUSAL).into_response()
        }
    }
}

/// Features of other crates in the same binary may bring a second provider, and the library then panics unless one is chosen.
fn choose_provider() {
    // It fails only when one is chosen already.
    let _ = DEFAULT_PROVIDER.install_default();
}

const fn why(kind: &ErrorKind) -> Why {
    match kind {
        ErrorKind::InvalidSignature => Why::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => Why::Algorithm,
        _ => Why::Malformed,
    }
}

#[cfg(test)]
mod tests;
