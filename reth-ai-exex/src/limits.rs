//! Every bound of this crate, in one place.

use core::time::Duration;

/// Candidates held at a time. Two slots with a few competing parents each; one more pushes out the oldest.
pub const CANDIDATES: usize = 8;
/// How many slots ahead of the clock's a candidate may be pushed.
pub const CANDIDATE_SLOTS_AHEAD: u64 = 2;
/// Bytes of a candidate's certificate: section 4's maximum.
pub const CERTIFICATE_BYTES: usize = pol_core::params::MAX_EXTRA_DATA_BYTES - pol_core::params::WIRE_HEAD_BYTES;

/// Threads of one sealer.
pub const SEAL_THREADS: usize = 64;
/// Searches that may wait for the one in progress; one more is refused.
pub const SEALS_WAITING: usize = 4;
/// How often a waiting search looks whether it was cancelled.
pub const SEAL_WAIT: Duration = Duration::from_millis(2);
/// How long the hash rate is measured at start, three times.
pub const RATE_MEASURE: Duration = Duration::from_millis(30);

/// Blocks that the model log writes in one transaction while it catches up.
pub const LOG_BATCH: usize = 1_024;
/// Bytes of the model log's cache.
pub const LOG_CACHE_BYTES: usize = 8 << 20;
/// Blocks whose certificates' roots wait to become canonical: those of days of reorgs.
pub const LOG_CERTIFIED: usize = 1_024;
/// Events of the model log that wait for a slow listener before it is cut off.
pub const LOG_EVENTS: usize = 1_024;
/// Updates of one page of the model log.
pub const LOG_PAGE: usize = 256;

/// Heights that one `polai_updates` may span.
pub const RPC_RANGE: u64 = 10_000;
