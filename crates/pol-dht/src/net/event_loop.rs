//! The one task that owns the swarm.

mod queries;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub, identify, kad,
    multiaddr::Protocol,
    ping,
    request_response::OutboundRequestId,
    swarm::{ConnectionId, SwarmEvent, dial_opts::DialOpts},
};
use pol_core::record::{RecordKey, Topic};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};
use tracing::{debug, info, warn};

use super::{
    behaviour::{Behaviour, BehaviourEvent, protocol_version},
    dialer::Dialer,
    exchange::Response,
    handle::{AskError, Command, PeerInfo},
    intake::{Arrival, Judged, Verdict, offence},
};
use crate::{
    quota::Offence,
    shared::Shared,
    store::PeerEntry,
    verify::{Body, RawRecord, VerifiedRecord},
};

/// Addresses of one peer that are put into the routing table.
const ADDRESSES_PER_PEER: usize = 8;

#[derive(Debug)]
struct Connected {
    connections: BTreeMap<ConnectionId, Multiaddr>,
    inbound: bool,
    since: u64,
    latency: Option<Duration>,
    identity: Option<identify::Info>,
}

#[expect(clippy::disallowed_types, reason = "libp2p's query ids have no order, and these maps are never iterated")]
type Waiting<T> = std::collections::HashMap<kad::QueryId, (Vec<T>, oneshot::Sender<Vec<T>>)>;

/// The swarm and what waits for it.
pub(crate) struct EventLoop {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    intake: mpsc::Sender<Arrival>,
    judged: mpsc::Receiver<Judged>,
    fresh: mpsc::Sender<PeerId>,
    met: mpsc::Sender<PeerEntry>,
    dialer: Dialer,
    peers: BTreeMap<PeerId, Connected>,
    asks: BTreeMap<OutboundRequestId, oneshot::Sender<Result<Response, AskError>>>,
    providers: Waiting<PeerId>,
    lookups: Waiting<(PeerId, Vec<u8>)>,
    dropped: u64,
}

impl std::fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop").field("peers", &self.peers.len()).finish_non_exhaustive()
    }
}

/// The queues an event loop works with.
#[derive(Debug)]
pub(crate) struct Queues {
    /// Commands to it.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Records of others, to be judged.
    pub(crate) intake: mpsc::Sender<Arrival>,
    /// Their verdicts.
    pub(crate) judged: mpsc::Receiver<Judged>,
    /// Peers to pull records from.
    pub(crate) fresh: mpsc::Sender<PeerId>,
    /// Peers to remember.
    pub(crate) met: mpsc::Sender<PeerEntry>,
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

const fn topic_of(body: &Body) -> Option<Topic> {
    match body {
        Body::Ack(_) => Some(Topic::Ack),
        Body::Announcement(_) => Some(Topic::Ann),
        Body::Fault(_) => Some(Topic::Fault),
        Body::Identity(_) => None,
    }
}

impl EventLoop {
    /// Takes over a swarm that listens already.
    pub(crate) fn new(swarm: Swarm<Behaviour>, shared: Arc<Shared>, queues: Queues, bootstrap: Vec<Multiaddr>) -> Self {
        Self {
            swarm,
            shared,
            commands: queues.commands,
            intake: queues.intake,
            judged: queues.judged,
            fresh: queues.fresh,
            met: queues.met,
            dialer: Dialer::new(bootstrap, Instant::now()),
            peers: BTreeMap::new(),
            asks: BTreeMap::new(),
            providers: Waiting::new(),
            lookups: Waiting::new(),
            dropped: 0,
        }
    }

    /// Runs until the command queue closes. A critical task.
    ///
    /// # Errors
    /// Never.
    pub(crate) async fn run(mut self) -> Result<(), Infallible> {
        let mut ticks = time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return Ok(()),
                },
                Some(judged) = self.judged.recv() => self.on_judged(judged),
                _ = ticks.tick() => self.dial_due(),
            }
        }
    }

    fn dial_due(&mut self) {
        for address in self.dialer.due(Instant::now()) {
            debug!(target: "polai::dht", %address, "dialling bootstrap peer");
            self.dial(address);
        }
    }

    fn dial(&mut self, address: Multiaddr) {
        if let Err(error) = self.swarm.dial(DialOpts::from(address.clone())) {
            debug!(target: "polai::dht", %address, %error, "not dialled");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Spread(record) => self.spread(&record),
            Command::Provide(id) => {
                let key = RecordKey::Update(id).to_bytes();
                if let Err(error) = self.swarm.behaviour_mut().kad.start_providing(key.into()) {
                    warn!(target: "polai::dht", update_id = %id, %error, "not announced as provider");
                }
            }
            Command::StopProviding(id) => {
                self.swarm.behaviour_mut().kad.stop_providing(&RecordKey::Update(id).to_bytes().into());
            }
            Command::Providers(id, reply) => {
                let query = self.swarm.behaviour_mut().kad.get_providers(RecordKey::Update(id).to_bytes().into());
                self.providers.insert(query, (Vec::new(), reply));
            }
            Command::Lookup(key, reply) => {
                let query = self.swarm.behaviour_mut().kad.get_record(key.to_bytes().into());
                self.lookups.insert(query, (Vec::new(), reply));
            }
            Command::Ask(peer, request, reply) => {
                let id = self.swarm.behaviour_mut().exchange.send_request(&peer, request);
                self.asks.insert(id, reply);
            }
            Command::Peers(reply) => drop(reply.send(self.peer_infos())),
            Command::Listeners(reply) => drop(reply.send(self.swarm.listeners().cloned().collect())),
            Command::Externals(reply) => drop(reply.send(self.swarm.external_addresses().cloned().collect())),
            Command::Dial(address) => self.dial(address),
            Command::Blame(peer, offence) => self.penalize(peer, offence),
        }
    }

    fn spread(&mut self, record: &VerifiedRecord) {
        let behaviour = self.swarm.behaviour_mut();
        if let Some(topic) = topic_of(record.body()) {
            let topic = gossipsub::IdentTopic::new(topic.name(self.shared.genesis_id));
            // Nobody listening, or seen before: the copy by key and anti-entropy remain.
            if let Err(error) = behaviour.gossip.publish(topic, record.envelope().to_vec()) {
                debug!(target: "polai::dht", key = %record.key(), %error, "not gossiped");
            }
        }
        let copy = kad::Record::new(record.key().to_bytes(), record.envelope().to_vec());
        if let Err(error) = behaviour.kad.put_record(copy, kad::Quorum::One) {
            debug!(target: "polai::dht", key = %record.key(), %error, "not put to others");
        }
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let info = |(peer, connected): (&PeerId, &Connected)| PeerInfo {
            peer: *peer,
            addresses: connected.connections.values().cloned().collect(),
            inbound: connected.inbound,
            latency: connected.latency,
            agent: connected.identity.as_ref().map(|identity| identity.agent_version.clone()),
            since: connected.since,
        };
        self.peers.iter().map(info).collect()
    }

    fn address_of(&self, peer: &PeerId) -> Option<IpAddr> {
        self.peers.get(peer)?.connections.values().find_map(ip_of)
    }

    fn disconnect(&mut self, peer: PeerId) {
        // Already gone is as good.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn penalize(&mut self, peer: PeerId, offence: Offence) {
        let address = self.address_of(&peer);
        if self.shared.penalize(peer, address, offence) {
            info!(target: "polai::dht", %peer, ?offence, "peer banned");
            self.disconnect(peer);
        }
    }

    fn on_judged(&mut self, judged: Judged) {
        if let Some(message) = &judged.message {
            let acceptance = match judged.verdict {
                Verdict::News => gossipsub::MessageAcceptance::Accept,
                Verdict::Ignored => gossipsub::MessageAcceptance::Ignore,
                Verdict::Refused => gossipsub::MessageAcceptance::Reject,
            };
            self.swarm.behaviour_mut().gossip.report_message_validation_result(message, &judged.from, acceptance);
        }
        if let Some(offence) = offence(judged.verdict) {
            self.penalize(judged.from, offence);
        }
    }

    /// Hands a record of another node to the intake, or drops it when the queue is full: anti-entropy brings it back.
    fn arrive(&mut self, raw: RawRecord, from: PeerId, message: Option<gossipsub::MessageId>) {
        let address = self.address_of(&from);
        if self.shared.admit_message(from, address, 1).is_err() {
            self.penalize(from, Offence::Flood);
            return;
        }
        if self.intake.try_send(Arrival { raw, from, message }).is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().clone();
                if self.shared.is_banned(&peer_id, ip_of(&address)) {
                    self.disconnect(peer_id);
                    return;
                }
                if endpoint.is_dialer() {
                    self.dialer.connected(&address, peer_id);
                }
                let since = self.shared.now();
                let new = || Connected {
                    connections: BTreeMap::new(),
                    inbound: endpoint.is_listener(),
                    since,
                    latency: None,
                    identity: None,
                };
                self.peers.entry(peer_id).or_insert_with(new).connections.insert(connection_id, address);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if let Some(connected) = self.peers.get_mut(&peer_id) {
                    connected.connections.remove(&connection_id);
                }
                if num_established == 0 {
                    self.peers.remove(&peer_id);
                    self.dialer.disconnected(&peer_id, Instant::now());
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                info!(target: "polai::dht", %address, "listening");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => self.on_identified(peer_id, info),
            BehaviourEvent::Ping(ping::Event { peer, result: Ok(latency), .. }) => {
                if let Some(connected) = self.peers.get_mut(&peer) {
                    connected.latency = Some(latency);
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let topic = Topic::ALL.into_iter().find(|topic| topic.name(self.shared.genesis_id) == message.topic.as_str());
                match topic.map(|topic| RawRecord::gossiped(topic, &message.data)) {
                    Some(Ok(raw)) => self.arrive(raw, propagation_source, Some(message_id)),
                    _ => self.penalize(propagation_source, Offence::BadRecord),
                }
            }
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Mdns(libp2p::mdns::Event::Discovered(found)) => {
                for (_, address) in found {
                    self.dial(address);
                }
            }
            _ => {}
        }
    }

    /// A peer says who it is: another chain's is sent away, ours enters the routing table and is asked for records.
    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let ours = protocol_version(self.shared.genesis_id);
        if info.protocol_version != ours {
            debug!(target: "polai::dht", %peer, found = %info.protocol_version, expected = %ours, "peer of another chain");
            self.disconnect(peer);
            return;
        }
        let addresses: Vec<Multiaddr> = info.listen_addrs.iter().take(ADDRESSES_PER_PEER).cloned().collect();
        for address in &addresses {
            self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
        }
        let entry = PeerEntry { peer, addresses, last_seen: self.shared.now() };
        if self.met.try_send(entry).is_err() {
            debug!(target: "polai::dht", %peer, "peer not remembered: the disk is slow");
        }
        let Some(connected) = self.peers.get_mut(&peer) else { return };
        if connected.identity.replace(info).is_none() && self.fresh.try_send(peer).is_err() {
            debug!(target: "polai::dht", %peer, "sync is busy; this peer's turn comes by the clock");
        }
    }
}
