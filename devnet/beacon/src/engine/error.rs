//! Why the execution client gave no usable answer.

/// Heals by itself unless said otherwise; none of them says anything about a payload.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The address is none. The operator's.
    #[error("--execution-endpoint {found:?}: {reason}")]
    Url {
        /// What was given.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not reached, or no answer in time. The operator's or the engine's.
    #[error("execution client: {}", reason(.0))]
    Transport(#[from] reqwest::Error),
    /// Other secrets or clocks. The operator's; does not heal.
    #[error("execution client: our token is refused: the same JWT secret on both sides? clocks within 60 s?")]
    Unauthorized,
    /// It lacks a method of Engine API V3. The operator's; does not heal.
    #[error("execution client: it has no {missing}: a client with Engine API V3 (Cancun) is needed")]
    Capabilities {
        /// The method.
        missing: &'static str,
    },
    /// It refuses the call.
    #[error("execution client refuses {method}: {code} {message}")]
    Refused {
        /// The method.
        method: &'static str,
        /// JSON-RPC error code.
        code: i64,
        /// What it says, cut.
        message: String,
    },
    /// An answer that is none. The engine's.
    #[error("execution client: the answer to {method} is none: {reason}")]
    Garbage {
        /// The method.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It accepted the head and gave no payload to collect.
    #[error("execution client: no payload id, it is likely syncing")]
    NoPayload,
    /// No token could be made. Ours.
    #[error("execution client: no token")]
    Token,
}

impl EngineError {
    /// Whether it may be about this one call: it was refused, or not answered in time. Says nothing of the client.
    pub(crate) fn is_of_one_call(&self) -> bool {
        matches!(self, Self::Refused { .. }) || matches!(self, Self::Transport(error) if error.is_timeout())
    }
}

/// The innermost cause says more than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { error.to_string() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
