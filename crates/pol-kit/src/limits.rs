//! Every bound of this crate, in one place (promise P6: everything is bounded).

use std::time::Duration;

/// Tasks of one process that may live at the same time. One more ends the process: a task per request belongs into a `JoinSet`
/// of the task that serves the requests.
pub const TASKS_MAX: usize = 1_024;
/// Restarts of one optional task within [`RESTART_WINDOW`]; the failure after the last one switches the task off.
pub const RESTARTS_MAX: usize = 5;
/// The window in which restarts are counted.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Pause before the first restart; it doubles with each restart in the window, so that all five take 3.1 s.
pub const RESTART_BACKOFF: Duration = Duration::from_millis(100);
/// Time that aborted tasks get to drop what they hold.
pub const ABORT_GRACE: Duration = Duration::from_millis(500);

/// Age of a token's `iat`, to either side, that is still accepted (Engine API). Seconds.
pub const JWT_IAT_SECONDS: u64 = 60;
/// Bytes of a token at most; longer ones are refused unread.
pub const JWT_TOKEN_BYTES: usize = 4_096;
/// Bytes of a secret file at most.
pub const SECRET_FILE_BYTES: u64 = 256;
/// Bytes of a `.env` file at most.
pub const ENV_FILE_BYTES: u64 = 65_536;

/// AI-caused failures in a row that open the breaker.
pub const BREAKER_ROW: u32 = 3;
/// Failed slots among the last [`BREAKER_WINDOW_SLOTS`] that open the breaker.
pub const BREAKER_FAILURES: u32 = 8;
/// Slots that the breaker looks back upon.
pub const BREAKER_WINDOW_SLOTS: u32 = 32;
/// Epochs that the breaker stays open.
pub const BREAKER_OPEN_EPOCHS: u64 = 2;

/// Connections of one HTTP server.
pub const HTTP_CONNECTIONS: usize = 64;
/// Connections of one IP address to one HTTP server, loopback not counted.
pub const HTTP_CONNECTIONS_PER_IP: usize = 8;
/// Time in which the head of a request must be complete, the wait for it on an idle connection included.
pub const HTTP_HEADER: Duration = Duration::from_secs(5);
/// Time for one request, its body included, from the complete head to the head of the answer.
pub const HTTP_REQUEST: Duration = Duration::from_secs(10);
/// Life of a connection; at its end a request in progress is finished.
pub const HTTP_CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// Time that a connection gets to finish after its life, or at shutdown.
pub const HTTP_DRAIN: Duration = Duration::from_secs(5);
/// Bytes of a request's head at most.
pub const HTTP_HEAD_BYTES: usize = 16_384;
/// Bytes of a request's body at most, as far as axum's extractors read it.
pub const HTTP_BODY_BYTES: usize = 65_536;
/// Pause after the operating system refused to accept a connection (out of file descriptors).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Parts that one health report can have.
pub const HEALTH_PARTS: usize = 64;
/// Characters of a health reason that are kept.
pub const HEALTH_REASON_CHARS: usize = 200;
