//! The one task that owns the swarm.

mod peers;
mod queries;

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub, identify, kad, ping,
    request_response::OutboundRequestId,
    swarm::{SwarmEvent, dial_opts::DialOpts},
};
use pol_core::record::Topic;
use tokio::{
    sync::{mpsc, oneshot},
    time,
};
use tracing::{debug, info, warn};

use super::{
    behaviour::{Behaviour, BehaviourEvent},
    dialer::Dialer,
    exchange::Response,
    handle::{AskError, Command},
    intake::{Arrival, Judged, Verdict, Way, offence},
    limits::EARLIER_PEERS_MAX,
};
use crate::{
    quota::{Offence, QuotaError},
    shared::Shared,
    store::PeerEntry,
    verify::{Body, RawRecord, VerifiedRecord},
};
use queries::{Queries, Query};

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
    peers: BTreeMap<PeerId, peers::Connected>,
    /// Peers that were here, the last one last.
    earlier: VecDeque<PeerEntry>,
    sought: Instant,
    asks: BTreeMap<OutboundRequestId, oneshot::Sender<Result<Response, AskError>>>,
    providers: Queries<PeerId>,
    lookups: Queries<(PeerId, Vec<u8>)>,
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
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        queues: Queues,
        bootstrap: Vec<Multiaddr>,
        remembered: Vec<PeerEntry>,
    ) -> Self {
        let now = Instant::now();
        Self {
            swarm,
            shared,
            commands: queues.commands,
            intake: queues.intake,
            judged: queues.judged,
            fresh: queues.fresh,
            met: queues.met,
            dialer: Dialer::new(bootstrap, now),
            peers: BTreeMap::new(),
            earlier: remembered.into_iter().take(EARLIER_PEERS_MAX).rev().collect(),
            sought: now,
            asks: BTreeMap::new(),
            providers: Queries::new(),
            lookups: Queries::new(),
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
                _ = ticks.tick() => self.tick(Instant::now()),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        for address in self.dialer.due(now) {
            debug!(target: "polai::dht", %address, "dialling bootstrap peer");
            self.dial(address);
        }
        self.seek_company(now);
        self.send_silent_away(now);
        self.blame_disgraced();
        self.end_answered_queries(now);
    }

    fn dial(&mut self, address: Multiaddr) {
        if let Err(error) = self.swarm.dial(DialOpts::from(address.clone())) {
            debug!(target: "polai::dht", %address, %error, "not dialled");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Spread(record) => self.spread(&record),
            Command::Provide(key) => {
                if let Err(error) = self.swarm.behaviour_mut().kad.start_providing(key.to_bytes().into()) {
                    warn!(target: "polai::dht", %key, %error, "not announced as provider");
                }
            }
            Command::StopProviding(key) => {
                self.swarm.behaviour_mut().kad.stop_providing(&key.to_bytes().into());
            }
            Command::Providers(key, reply) => {
                let query = self.swarm.behaviour_mut().kad.get_providers(key.to_bytes().into());
                self.providers.insert(query, Query::new(reply));
            }
            Command::Lookup(key, reply) => {
                let query = self.swarm.behaviour_mut().kad.get_record(key.to_bytes().into());
                self.lookups.insert(query, Query::new(reply));
            }
            Command::Ask(peer, request, reply) => {
                let id = self.swarm.behaviour_mut().exchange.send_request(&peer, Some(request));
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

    fn on_judged(&mut self, judged: Judged) {
        if let Some(message) = &judged.message {
            let acceptance = match judged.verdict {
                // What is not passed on is stored all the same, and found by sync.
                Verdict::News if self.shared.admit_forward() => gossipsub::MessageAcceptance::Accept,
                Verdict::News | Verdict::Ignored => gossipsub::MessageAcceptance::Ignore,
                Verdict::Refused => gossipsub::MessageAcceptance::Reject,
            };
            self.swarm.behaviour_mut().gossip.report_message_validation_result(message, &judged.from, acceptance);
        }
        if let Some(offence) = offence(judged.verdict) {
            self.penalize(judged.from, offence);
        }
    }

    /// Charges a peer; true when its message may be looked at. Neighbours that used up a group's quota are not this peer's fault.
    fn admit(&mut self, from: PeerId, cost: u32) -> bool {
        match self.shared.admit_message(from, self.address_of(&from), cost) {
            Ok(()) => true,
            Err(QuotaError::Peer) => {
                self.penalize(from, Offence::Flood);
                false
            }
            Err(_) => false,
        }
    }

    /// Hands a record of another node to the intake, or drops it when the queue is full: anti-entropy brings it back.
    fn arrive(&mut self, raw: RawRecord, from: PeerId, message: Option<gossipsub::MessageId>) {
        if self.admit(from, 1) && self.intake.try_send(Arrival { raw, from, way: Way::Sent(message) }).is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.on_closed(peer_id, connection_id, num_established);
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
}
