//! Every number that bounds the network side. One place, so that "is it bounded?" has one answer.

use std::time::Duration;

/// Established connections, both directions.
pub const CONNECTIONS_MAX: u32 = 256;
/// Established inbound connections.
pub const CONNECTIONS_INBOUND_MAX: u32 = 192;
/// Connections to one peer.
pub const CONNECTIONS_PER_PEER: u32 = 2;
/// Dials and inbound handshakes under way.
pub const PENDING_CONNECTIONS_MAX: u32 = 64;
/// Kademlia's replication parameter k.
pub const KAD_K: usize = 20;
/// Largest Kademlia message: a record's envelope and k peers with their addresses fit many times over.
pub const KAD_PACKET_BYTES: usize = 16 * 1024;
/// A Kademlia query is given up after this.
pub const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Provider records that are kept for others.
pub const PROVIDER_KEYS_MAX: usize = 8_192;
/// Largest gossip message.
pub const GOSSIP_BYTES_MAX: usize = 2_048;
/// Gossip messages are recognized as duplicates for this long.
pub const GOSSIP_DUPLICATES: Duration = Duration::from_secs(600);
/// Bytes of a delta in one response.
pub const CHUNK_BYTES: usize = 32 * 1024;
/// Largest exchange request.
pub const REQUEST_BYTES_MAX: u64 = 40 * 1024;
/// Largest exchange response: a page of records.
pub const RESPONSE_BYTES_MAX: u64 = 160 * 1024;
/// Time for one exchange, a slow-drip stream included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Exchanges under way on one connection.
pub const EXCHANGE_STREAMS: usize = 16;
/// Keys in one page of the anti-entropy sync.
pub const SYNC_KEYS_MAX: usize = 512;
/// Records in one page of the anti-entropy sync.
pub const SYNC_RECORDS_MAX: usize = 128;
/// Pause between two rounds of anti-entropy.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(15);
/// Records that wait for verification; more are dropped, and come back by sync.
pub const INTAKE_QUEUE: usize = 4_096;
/// Commands that wait for the event loop.
pub const COMMAND_QUEUE: usize = 1_024;
/// Live records that a slow watcher may fall behind; then it is told how many it missed.
pub const WATCH_QUEUE: usize = 4_096;
/// Peers asked for one delta at the same time.
pub const FETCH_SOURCES: usize = 4;
/// Deltas fetched at the same time; more wait.
pub const FETCHES_MAX: usize = 8;
/// First pause before a bootstrap peer is dialled again; doubles up to the maximum, for ever.
pub const REDIAL_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before a bootstrap peer is dialled again.
pub const REDIAL_MAX: Duration = Duration::from_secs(60);
