//! Gossip about our three topics.
//!
//! What the library drops by itself it tells nobody about: messages of topics that are not ours, oversize ones, ones with fields that
//! ours have not. The first are dropped here, before the library remembers them; the others count in the library's own score, which the
//! event loop looks at ([`is_disgraced`]).

use std::{collections::BTreeSet, io, time::Duration};

use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour, ConfigBuilder, DataTransform, IdentTopic, Message, MessageAuthenticity, MessageId, PeerScoreParams,
        PeerScoreThresholds, RawMessage, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    },
};
use pol_core::{GenesisId, record::Topic, sha256};

use super::{
    behaviour::short_name,
    limits::{GOSSIP_BUFFER_BYTES, GOSSIP_BYTES_MAX, GOSSIP_DUPLICATES, GOSSIP_IDS_MAX, GOSSIP_QUEUE},
};

/// Below this score a peer sends nothing but junk: it stands for ten invalid messages in a row.
const DISGRACE: f64 = -100.0;

/// Gossip that knows our topics only: others are not kept track of, however many a peer subscribes to.
pub(crate) type Gossip = Behaviour<OurTopics, WhitelistSubscriptionFilter>;

/// Lets messages of our topics through, unchanged.
#[derive(Debug, Clone)]
pub(crate) struct OurTopics(BTreeSet<TopicHash>);

impl DataTransform for OurTopics {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        if !self.0.contains(&raw.topic) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a topic that is none of ours"));
        }
        Ok(Message { source: raw.source, data: raw.data, sequence_number: raw.sequence_number, topic: raw.topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// Counts invalid messages and nothing else: who is slow, new or a neighbour of many has done nothing wrong.
fn score(topics: &[IdentTopic]) -> (PeerScoreParams, PeerScoreThresholds) {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    let params = PeerScoreParams {
        topics: topics.iter().map(|name| (name.hash(), topic.clone())).collect(),
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: 0.0,
        // Who was thrown out is remembered elsewhere, in a table with a bound.
        retain_score: Duration::from_secs(10),
        ..PeerScoreParams::default()
    };
    let thresholds = PeerScoreThresholds {
        gossip_threshold: DISGRACE,
        publish_threshold: DISGRACE,
        graylist_threshold: DISGRACE,
        ..PeerScoreThresholds::default()
    };
    (params, thresholds)
}

/// Sets gossip up for one chain.
///
/// # Errors
/// What the library says about its configuration: a defect of ours.
pub(crate) fn new(genesis_id: GenesisId) -> Result<Gossip, String> {
    let topics = Topic::ALL.map(|topic| IdentTopic::new(topic.name(genesis_id)));
    let mut config = ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/pol-ai/{}/gossip", short_name(genesis_id)))
        .max_transmit_size(GOSSIP_BUFFER_BYTES)
        .max_control_messages_sent(GOSSIP_IDS_MAX)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .duplicate_cache_time(GOSSIP_DUPLICATES)
        // Records are signed inside; the message around them needs no author and no sequence number.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::new(&sha256(&[message.topic.as_str().as_bytes(), &message.data])))
        .flood_publish(true);
    for topic in &topics {
        config.max_transmit_size_for_topic(GOSSIP_BYTES_MAX, topic.hash());
    }
    let config = config.build().map_err(|error| error.to_string())?;
    let hashes = || topics.iter().map(IdentTopic::hash);
    let (filter, transform) = (WhitelistSubscriptionFilter(hashes().collect()), OurTopics(hashes().collect()));
    let mut gossip =
        Gossip::new_with_subscription_filter_and_transform(MessageAuthenticity::Anonymous, config, filter, transform)?;
    let (params, thresholds) = score(&topics);
    gossip.with_peer_score(params, thresholds)?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

/// Whether a peer sends junk that nobody but the library sees.
pub(crate) fn is_disgraced(gossip: &Gossip, peer: &PeerId) -> bool {
    gossip.peer_score(peer).is_some_and(|score| score <= DISGRACE)
}
