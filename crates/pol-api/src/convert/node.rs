//! The daemon and its peers.
//!
//! Addresses and agents come from strangers and end on somebody's terminal: what is not printable ASCII is refused on reading, and
//! replaced by the daemon before sending ([`printable`]).

use pol_core::GenesisId;

use super::{ConvertError, at_most, fixed, genesis_id, text};
use crate::{
    common::v1::{Alarm, BuildInfo, Severity},
    dht::v1,
    limits::{
        ADDRESS_BYTES, ADDRESSES_PER_PEER, AGENT_BYTES, ALARM_TEXT_BYTES, ALARMS, NAME_BYTES, OWN_ADDRESSES, PEER_ID_BYTES,
    },
};

/// A stranger's text, fit to be sent and shown: cut to `most` bytes, `?` for each character that is not printable ASCII.
pub fn printable(text: &str, most: usize) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(most).collect()
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// The daemon.
    Outbound,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// libp2p peer id, base58.
    pub peer_id: String,
    /// Multiaddresses.
    pub addresses: Vec<String>,
    /// Who connected to whom.
    pub direction: Direction,
    /// Last round trip, microseconds, when measured.
    pub latency_us: Option<u64>,
    /// What it says it is.
    pub agent: String,
    /// Connected since, unix milliseconds.
    pub since_unix_ms: u64,
}

fn addresses(field: &'static str, list: &[String], most: usize) -> Result<(), ConvertError> {
    at_most(field, list.len(), most)?;
    list.iter().try_for_each(|address| text(field, address, ADDRESS_BYTES))
}

impl TryFrom<v1::Peer> for Peer {
    type Error = ConvertError;

    fn try_from(message: v1::Peer) -> Result<Self, ConvertError> {
        text("peer_id", &message.peer_id, PEER_ID_BYTES)?;
        addresses("addresses", &message.addresses, ADDRESSES_PER_PEER)?;
        text("agent", &message.agent, AGENT_BYTES)?;
        let direction = match v1::Direction::try_from(message.direction) {
            Ok(v1::Direction::Inbound) => Direction::Inbound,
            Ok(v1::Direction::Outbound) => Direction::Outbound,
            Ok(v1::Direction::Unspecified) | Err(_) => {
                return Err(ConvertError::Range { field: "direction", found: message.direction.into(), least: 1, most: 2 });
            }
        };
        Ok(Self {
            peer_id: message.peer_id,
            addresses: message.addresses,
            direction,
            latency_us: message.latency_us,
            agent: message.agent,
            since_unix_ms: message.since_unix_ms,
        })
    }
}

impl From<Peer> for v1::Peer {
    /// Strings go through [`printable`] and lists are cut, so that what a stranger says cannot make the message unreadable.
    fn from(peer: Peer) -> Self {
        let direction = match peer.direction {
            Direction::Inbound => v1::Direction::Inbound,
            Direction::Outbound => v1::Direction::Outbound,
        };
        let addresses = peer.addresses.iter().take(ADDRESSES_PER_PEER).map(|a| printable(a, ADDRESS_BYTES)).collect();
        Self {
            peer_id: printable(&peer.peer_id, PEER_ID_BYTES),
            addresses,
            direction: direction.into(),
            latency_us: peer.latency_us,
            agent: printable(&peer.agent, AGENT_BYTES),
            since_unix_ms: peer.since_unix_ms,
        }
    }
}

/// A status whose every field was checked: which daemon this is, and the message itself for the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Chain it serves: compare it with your own before anything else.
    pub genesis_id: GenesisId,
    /// Its Ed25519 key: the node key of an identity record.
    pub node_key: [u8; 32],
    status: v1::StatusResponse,
}

impl Node {
    /// The whole answer; texts in it are printable.
    pub const fn status(&self) -> &v1::StatusResponse {
        &self.status
    }
}

fn build(build: Option<&BuildInfo>) -> Result<GenesisId, ConvertError> {
    let build = build.ok_or(ConvertError::Missing { field: "build" })?;
    text("build.name", &build.name, NAME_BYTES)?;
    text("build.version", &build.version, NAME_BYTES)?;
    genesis_id(&build.genesis_id)
}

fn alarm(alarm: &Alarm) -> Result<(), ConvertError> {
    text("alarm.code", &alarm.code, NAME_BYTES)?;
    text("alarm.text", &alarm.text, ALARM_TEXT_BYTES)?;
    match Severity::try_from(alarm.severity) {
        Ok(_) => Ok(()),
        Err(_) => Err(ConvertError::Range { field: "alarm.severity", found: alarm.severity.into(), least: 0, most: 2 }),
    }
}

impl TryFrom<v1::StatusResponse> for Node {
    type Error = ConvertError;

    fn try_from(status: v1::StatusResponse) -> Result<Self, ConvertError> {
        let genesis_id = build(status.build.as_ref())?;
        text("peer_id", &status.peer_id, PEER_ID_BYTES)?;
        let node_key = fixed("node_key", &status.node_key)?;
        addresses("listen_addresses", &status.listen_addresses, OWN_ADDRESSES)?;
        addresses("external_addresses", &status.external_addresses, OWN_ADDRESSES)?;
        at_most("alarms", status.alarms.len(), ALARMS)?;
        status.alarms.iter().try_for_each(alarm)?;
        Ok(Self { genesis_id, node_key, status })
    }
}
