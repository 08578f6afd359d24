//! Every bound of this crate, in one place.

use core::time::Duration;

use reth_ai_exex::server::RpcLimits;

/// Blocks whose state can be asked for, counted from the head.
pub const STATE_HISTORY_BLOCKS: u64 = 10_000;
/// Accounts and slots that the kept states may differ in, all together: about 100 MiB. Beyond it the oldest are dropped earlier.
pub const STATE_HISTORY_TOUCHED: usize = 100_000;
/// Hashes of invalid blocks that are remembered, so that their children need no work.
pub const INVALID_BLOCKS: usize = 256;
/// Changes of the chain that wait for a slow listener before it is cut off.
pub const CHAIN_EVENTS: usize = 256;
/// Bytes of the database's cache.
pub const STORE_CACHE_BYTES: usize = 64 << 20;

/// Payloads that are being built, or held for getPayload; one more ends the oldest.
pub const PAYLOAD_JOBS: usize = 4;
/// How long a getPayload waits for a seal that is being searched, and no longer than a sixth of a slot: a beacon node hangs up after a third.
pub const PAYLOAD_WAIT: Duration = Duration::from_millis(1_500);
/// How often a payload job looks whether the mempool has more for its block.
pub const PAYLOAD_REBUILD: Duration = Duration::from_millis(500);
/// Payload bodies of one request (engine specification: at least 32).
pub const PAYLOAD_BODIES: u64 = 1_024;

/// Transactions in the mempool.
pub const POOL_TRANSACTIONS: usize = 10_000;
/// Bytes of all of them, as they are sent.
pub const POOL_BYTES: usize = 64 << 20;
/// Transactions of one sender in it.
pub const POOL_SENDER: usize = 64;
/// Bytes of one transaction.
pub const POOL_TRANSACTION_BYTES: usize = 131_072;
/// A replacement must offer this many percent more.
pub const POOL_PRICE_BUMP: u128 = 10;

/// Gas of one eth_call or estimate.
pub const CALL_GAS: u64 = 30_000_000;
/// Calls, estimates and traces that run at the same time.
pub const CALLS: usize = 8;
/// Bytes that the trace of a transaction may hold while it is recorded; as JSON it is up to three times as much.
pub const TRACE_BYTES: usize = 10 << 20;
/// Blocks of one log query.
pub const LOG_BLOCKS: u64 = 10_000;
/// Logs of one answer.
pub const LOGS: usize = 10_000;
/// Blocks of one fee history.
pub const FEE_HISTORY: u64 = 1_024;
/// Installed filters; one more drops the least recently used.
pub const FILTERS: usize = 256;

/// Engine API: a payload of 30 million gas of zero bytes is below 8 MiB, in hex below 16.
pub const ENGINE: RpcLimits = RpcLimits { request_bytes: 32 << 20, response_bytes: 64 << 20, batch: 64, depth: 16, requests: 64 };
/// Bytes of a public request.
pub const HTTP_REQUEST_BYTES: u32 = 1 << 20;
/// Bytes of a public answer.
pub const HTTP_RESPONSE_BYTES: u32 = 32 << 20;
/// Calls of a public batch.
pub const HTTP_BATCH: u32 = 64;
/// Connections of the public port.
pub const HTTP_CONNECTIONS: u32 = 256;
/// How long open connections may finish when the process stops.
pub const HTTP_DRAIN: Duration = Duration::from_secs(2);
/// Subscriptions of one WebSocket.
pub const SUBSCRIPTIONS: u32 = 32;
/// Messages that wait for a slow WebSocket before it is cut off.
pub const SUBSCRIPTION_BUFFER: u32 = 256;
