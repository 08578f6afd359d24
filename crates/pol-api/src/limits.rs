//! Every limit of the services between our processes, in one table.
//!
//! # Contract
//! Both ends apply the same numbers: [`crate::serve`] to connections and messages, [`crate::convert`] and [`crate::chunks`] to fields.
//! The greatest message that the field limits allow fits into [`MESSAGE_BYTES`]; a test builds each.
//!
//! # What it does not protect against
//! One connection may hold [`CONNECTION_WINDOW_BYTES`] of unread bytes and decode [`STREAMS_PER_CONNECTION`] messages at once; a decoded
//! request can take 25 times its bytes (empty entries of a list), for as long as it takes to refuse it.

use core::time::Duration;

/// Bytes of one message, either way. The largest regular one is a page of 512 ACKs with about 140 KiB; four chunks would fit.
pub const MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes of data in one chunk. Small enough to interleave with other streams, large enough that a delta is three of them.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a delta: the protocol's limit.
pub const DELTA_BYTES: usize = pol_core::params::DELTA_MAX_BYTES;
/// Snapshots of one head that an answer lists.
pub const SNAPSHOTS_HELD: usize = 8;
/// Roots that a caller may say to be wrong.
pub const WRONG_ROOTS: usize = 16;

/// Open streams of one connection. A process needs a handful of watches and a few calls; one more waits at the client's side.
pub const STREAMS_PER_CONNECTION: u32 = 64;
/// Open connections. A node has about five processes; the rest is for a person's tools and for restarts that overlap.
pub const CONNECTIONS: usize = 16;
/// Unread bytes of one stream: one whole message.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Unread bytes of one connection. With all connections: 16 MiB.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of a call's headers. Ours need about 300.
pub const HEADER_BYTES: u32 = 16 * 1024;
/// Events that wait for one slow watcher before it is cut off. A committee's ACKs on two candidates.
pub const WATCH_QUEUE: usize = 1_024;

/// How long a call may take until its answer begins, uploads included. A delta from another continent takes seconds; whoever drips
/// bytes for longer is cut off. Streams of answers go on for as long as they are read.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long opening a connection on this machine may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new connection may take to send the 24 bytes of HTTP/2's preface: silent connections must not fill the table.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// An HTTP/2 ping goes out after this long without traffic: a watch is silent for minutes, and a dead peer must not hold its place.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping's answer may take.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// ACKs of one page: a whole committee.
pub const ACKS_PER_PAGE: usize = pol_core::params::MAX_COMMITTEE;
/// Peers of one page. With all their addresses at full length about 150 KiB.
pub const PEERS_PER_PAGE: usize = 64;
/// Bytes of a page token: the longest DHT key and some more.
pub const PAGE_TOKEN_BYTES: usize = 128;

/// Bytes of a signed envelope around an announcement. A regular one has about 250.
pub const ENVELOPE_BYTES: usize = 1_024;
/// Validators of one set: Ethereum's registry, rounded.
pub const VALIDATORS: u32 = 1 << 20;
/// Validators of one message: about 140 KiB. A million are 512 messages.
pub const VALIDATORS_PER_MESSAGE: usize = 2_048;

/// Bytes of a libp2p peer id in base58 (an Ed25519 one has 52).
pub const PEER_ID_BYTES: usize = 64;
/// Bytes of a multiaddress as text.
pub const ADDRESS_BYTES: usize = 256;
/// Addresses of one peer.
pub const ADDRESSES_PER_PEER: usize = 8;
/// Listen and external addresses of the daemon, each.
pub const OWN_ADDRESSES: usize = 16;
/// Bytes of what a peer says it is.
pub const AGENT_BYTES: usize = 128;
/// Alarms of a status.
pub const ALARMS: usize = 32;
/// Bytes of an alarm's line.
pub const ALARM_TEXT_BYTES: usize = 256;
/// Bytes of a name: program, version, alarm code.
pub const NAME_BYTES: usize = 64;
