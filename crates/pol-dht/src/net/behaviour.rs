//! The libp2p behaviours of a node, and how they are set up.

use std::time::Duration;

use libp2p::{
    StreamProtocol, allow_block_list, autonat, connection_limits,
    connection_limits::ConnectionLimits,
    dcutr, gossipsub, identify,
    identity::Keypair,
    kad, mdns, ping, relay, request_response,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use pol_core::{GenesisId, params::ID_TTL_SECONDS, record::Topic, sha256};

use super::{
    exchange,
    limits::{
        CONNECTIONS_INBOUND_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER, EXCHANGE_STREAMS, EXCHANGE_TIMEOUT, GOSSIP_BYTES_MAX,
        GOSSIP_DUPLICATES, KAD_K, KAD_PACKET_BYTES, KAD_QUERY_TIMEOUT, PENDING_CONNECTIONS_MAX,
    },
    shelf::Shelf,
};

/// Everything a node speaks. Names of protocols carry the chain, so peers of another genesis share none but the plumbing.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// Counts connections; first, so that nothing else sees one too many.
    limits: connection_limits::Behaviour,
    /// Banned peers.
    pub(crate) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    /// Who is at the other end.
    pub(crate) identify: identify::Behaviour,
    /// Whether it still answers.
    ping: ping::Behaviour,
    /// Records and providers by key.
    pub(crate) kad: kad::Behaviour<Shelf>,
    /// What is new.
    pub(crate) gossip: gossipsub::Behaviour,
    /// Deltas and anti-entropy.
    pub(crate) exchange: request_response::Behaviour<exchange::Codec>,
    /// Whether we can be reached, and telling others whether they can.
    autonat_client: autonat::v2::client::Behaviour,
    autonat_server: autonat::v2::server::Behaviour,
    /// Being reached through others.
    relay: relay::client::Behaviour,
    dcutr: dcutr::Behaviour,
    /// Neighbours in the local network, only when asked for.
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Why the behaviours cannot be set up. Ours, or the operating system's (mDNS sockets).
#[derive(Debug, thiserror::Error)]
pub(crate) enum BehaviourError {
    /// Gossipsub's own check of its configuration.
    #[error("gossip configuration: {0}")]
    Gossip(String),
    /// No multicast socket.
    #[error("mDNS: {0}")]
    Mdns(#[from] std::io::Error),
}

/// First 16 hex digits of the chain's name, as in all protocol names.
pub(crate) fn short_name(genesis_id: GenesisId) -> String {
    genesis_id.to_string().chars().take(16).collect()
}

/// Name of the Kademlia protocol on this chain.
pub(crate) fn kad_protocol(genesis_id: GenesisId) -> StreamProtocol {
    let name = format!("/pol-ai/{}/kad/1", short_name(genesis_id));
    StreamProtocol::try_from_owned(name).unwrap_or(StreamProtocol::new("/pol-ai/kad/1"))
}

/// `identify`'s protocol version: what two nodes compare before anything else.
pub(crate) fn protocol_version(genesis_id: GenesisId) -> String {
    format!("/pol-ai/{}/1", short_name(genesis_id))
}

fn kademlia(local: libp2p::PeerId, genesis_id: GenesisId, shelf: Shelf) -> kad::Behaviour<Shelf> {
    let mut config = kad::Config::new(kad_protocol(genesis_id));
    if let Some(k) = std::num::NonZeroUsize::new(KAD_K) {
        config.set_replication_factor(k).set_kbucket_size(k);
    }
    config
        .disjoint_query_paths(true)
        .set_max_packet_size(KAD_PACKET_BYTES)
        .set_query_timeout(KAD_QUERY_TIMEOUT)
        // Nothing is stored that was not verified; whoever wrote a record renews it, anti-entropy spreads it.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_replication_interval(None)
        .set_publication_interval(None)
        // Section 7: they live 24 h. Our own are renewed by the upkeep, which knows what is still held.
        .set_provider_record_ttl(Some(Duration::from_secs(ID_TTL_SECONDS)))
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let mut behaviour = kad::Behaviour::with_config(local, shelf, config);
    behaviour.set_mode(Some(kad::Mode::Server));
    behaviour
}

fn gossip(genesis_id: GenesisId) -> Result<gossipsub::Behaviour, BehaviourError> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/pol-ai/{}/gossip", short_name(genesis_id)))
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .duplicate_cache_time(GOSSIP_DUPLICATES)
        // Records are signed inside; the message around them needs no author and no sequence number.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| gossipsub::MessageId::new(&sha256(&[message.topic.as_str().as_bytes(), &message.data])))
        .flood_publish(true)
        .build()
        .map_err(|error| BehaviourError::Gossip(error.to_string()))?;
    let mut behaviour = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config)
        .map_err(|error| BehaviourError::Gossip(error.to_owned()))?;
    for topic in Topic::ALL {
        let topic = gossipsub::IdentTopic::new(topic.name(genesis_id));
        behaviour.subscribe(&topic).map_err(|error| BehaviourError::Gossip(error.to_string()))?;
    }
    Ok(behaviour)
}

impl Behaviour {
    /// Sets all of them up for one chain.
    ///
    /// # Errors
    /// [`BehaviourError`].
    pub(crate) fn new(
        keypair: &Keypair,
        relay: relay::client::Behaviour,
        genesis_id: GenesisId,
        shelf: Shelf,
        with_mdns: bool,
    ) -> Result<Self, BehaviourError> {
        let local = keypair.public().to_peer_id();
        let limits = ConnectionLimits::default()
            .with_max_established(Some(CONNECTIONS_MAX))
            .with_max_established_incoming(Some(CONNECTIONS_INBOUND_MAX))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER))
            .with_max_pending_incoming(Some(PENDING_CONNECTIONS_MAX))
            .with_max_pending_outgoing(Some(PENDING_CONNECTIONS_MAX));
        let identify = identify::Config::new(protocol_version(genesis_id), keypair.public())
            .with_agent_version(format!("pol-dht/{}", env!("CARGO_PKG_VERSION")));
        let exchange = request_response::Config::default()
            .with_request_timeout(EXCHANGE_TIMEOUT)
            .with_max_concurrent_streams(EXCHANGE_STREAMS);
        let mdns = if with_mdns { Some(mdns::tokio::Behaviour::new(mdns::Config::default(), local)?) } else { None };
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            blocked: allow_block_list::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            kad: kademlia(local, genesis_id, shelf),
            gossip: gossip(genesis_id)?,
            exchange: request_response::Behaviour::with_codec(
                exchange::Codec,
                [(exchange::protocol(genesis_id), request_response::ProtocolSupport::Full)],
                exchange,
            ),
            autonat_client: autonat::v2::client::Behaviour::default(),
            autonat_server: autonat::v2::server::Behaviour::default(),
            relay,
            dcutr: dcutr::Behaviour::new(local),
            mdns: mdns.into(),
        })
    }
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour").finish_non_exhaustive()
    }
}
