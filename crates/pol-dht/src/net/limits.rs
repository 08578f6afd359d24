//! Every number that bounds the network side. One place, so that "is it bounded?" has one answer.

use std::time::Duration;

/// Established connections, both directions.
pub const CONNECTIONS_MAX: u32 = 256;
/// Established inbound connections.
pub const CONNECTIONS_INBOUND_MAX: u32 = 192;
/// Connections to one peer.
pub const CONNECTIONS_PER_PEER: u32 = 2;
/// Inbound connections from one IP group; this operator's own network aside.
pub const CONNECTIONS_PER_GROUP: usize = 32;
/// A peer that has not said who it is by then is sent away.
pub const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a peer may say anew who it is, at once; and once a minute. libp2p itself does it every five minutes.
pub const IDENTIFY_BURST: u64 = 8;
/// Units of its quota that each time costs a peer.
pub const IDENTIFY_COST: u32 = 16;
/// Addresses of one peer that are kept and passed on.
pub const ADDRESSES_PER_PEER: usize = 4;
/// Longest address that is kept: one through a relay takes about 100 bytes.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Own addresses, as others tell them, that are tried.
pub const CANDIDATES_MAX: usize = 64;
/// Bytes that a QUIC peer may have under way to us in one stream, and in all streams of its connection: what one who sends and never
/// finishes can make us hold.
pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Streams that a peer may have open at once.
pub const STREAMS_MAX: u32 = 128;
/// Below so many peers those of earlier are called again.
pub const PEERS_WANTED: usize = 8;
/// Pause between two such calls, and how many peers are called at once.
pub const SEEK_INTERVAL: Duration = Duration::from_secs(10);
/// See [`SEEK_INTERVAL`].
pub const SEEK_DIALS: usize = 8;
/// Earlier peers that are kept for that.
pub const EARLIER_PEERS_MAX: usize = 64;
/// Dials and inbound handshakes under way.
pub const PENDING_CONNECTIONS_MAX: u32 = 64;
/// Kademlia's replication parameter k.
pub const KAD_K: usize = 20;
/// Largest Kademlia message: k closer peers and as many providers, each with all addresses that are kept of it, and a record.
pub const KAD_PACKET_BYTES: usize = 32 * 1024;
/// A Kademlia query is given up after this.
pub const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Once somebody has answered a query, the others have so long.
pub const QUERY_PATIENCE: Duration = Duration::from_secs(1);
/// Provider records of others.
pub const PROVIDERS_MAX: usize = 16_384;
/// Provider records of others under one key.
pub const PROVIDERS_PER_KEY: usize = 20;
/// Peers and envelopes that one query may bring.
pub const QUERY_RESULTS_MAX: usize = 64;
/// Largest gossiped record.
pub const GOSSIP_BYTES_MAX: usize = 2_048;
/// Most bytes of gossip that wait to be decoded. The library counts several messages that arrive at once together, so this is far more
/// than any one of them may have.
pub const GOSSIP_BUFFER_BYTES: usize = 64 * 1024;
/// Message ids in one announcement of what is known: must fit the library's 16 KiB of control data.
pub const GOSSIP_IDS_MAX: usize = 256;
/// Messages that wait for one slow peer; more are dropped for it, and come back by sync.
pub const GOSSIP_QUEUE: usize = 2_048;
/// Gossip messages are recognized as duplicates for this long.
pub const GOSSIP_DUPLICATES: Duration = Duration::from_secs(600);
/// Bytes of a delta in one response.
pub const CHUNK_BYTES: usize = 32 * 1024;
/// Bytes of a snapshot in one response: four of its chunks.
pub const SNAPSHOT_PART_BYTES: usize = 64 * 1024;
/// Pause between two questions for parts of a snapshot to one peer: 40 a second are 160 units, below what a peer may ask for.
pub const SNAPSHOT_PACE: Duration = Duration::from_millis(25);
/// Questions for parts of a snapshot that a peer may leave without an answer before it is asked for none.
pub const SNAPSHOT_FAILURES_MAX: u32 = 3;
/// Peers that are asked for the beginning of a snapshot, at most.
pub const SNAPSHOT_ASKED_MAX: usize = 64;
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
/// Pulls of records from others at the same time, one per peer.
pub const PULLS_MAX: usize = 8;
/// Peers whose chunks are put together to one delta.
pub const FETCH_SOURCES: usize = 4;
/// Providers that are not connected and asked for a delta nevertheless.
pub const FETCH_STRANGERS: usize = 32;
/// When a peer has not answered by then, the next one is asked too.
pub const FETCH_PATIENCE: Duration = Duration::from_secs(1);
/// Deltas fetched at the same time; more wait.
pub const FETCHES_MAX: usize = 8;
/// First pause before a bootstrap peer is dialled again; doubles up to the maximum, for ever.
pub const REDIAL_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before a bootstrap peer is dialled again.
pub const REDIAL_MAX: Duration = Duration::from_secs(60);
