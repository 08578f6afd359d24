//! A peer that speaks all our protocols and keeps none of their rules: it sends any bytes under our protocol names.

use std::{collections::BTreeMap, io, time::Duration};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    kad, request_response,
    request_response::OutboundRequestId,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use pol_core::GenesisId;
use pol_kit::tasks::Root;
use tokio::sync::{mpsc, oneshot, watch};

/// What goes over an exchange stream.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// One byte now and then.
    Drip(Vec<u8>),
    /// More than anybody takes.
    Endless,
    /// Nothing, and no end.
    Stuck,
}

/// Carries [`Wire`]s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawCodec;

async fn send(io: &mut (impl AsyncWrite + Unpin + Send), wire: Wire) -> io::Result<()> {
    match wire {
        Wire::Bytes(bytes) => {
            io.write_all(&bytes).await?;
            io.close().await
        }
        Wire::Drip(bytes) => {
            for byte in bytes {
                io.write_all(&[byte]).await?;
                io.flush().await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            io.close().await
        }
        Wire::Endless => loop {
            io.write_all(&[0x0a; 4_096]).await?;
            io.flush().await?;
        },
        Wire::Stuck => std::future::pending().await,
    }
}

async fn receive(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(1 << 20).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Wire;
    type Response = Wire;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Wire> {
        receive(io).await.map(Wire::Bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Wire> {
        receive(io).await.map(Wire::Bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T, w: Wire) -> io::Result<()> {
        send(io, w).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T, w: Wire) -> io::Result<()> {
        send(io, w).await
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    gossip: gossipsub::Behaviour,
    exchange: request_response::Behaviour<RawCodec>,
    stuck: request_response::Behaviour<RawCodec>,
}

/// What a liar does when told.
pub(crate) enum Command {
    /// Dials.
    Connect(Multiaddr),
    /// Kademlia PUT to every peer.
    Put(Vec<u8>, Vec<u8>),
    /// A gossip message to every peer that listens to the topic.
    Publish(String, Vec<u8>),
    /// Subscribes to a topic.
    Subscribe(String),
    /// Says to have what lies under a key.
    Provide(Vec<u8>),
    /// Serves a record when asked by Kademlia.
    Serve(Vec<u8>, Vec<u8>),
    /// Tells every peer again who it is.
    Push,
    /// An exchange with one peer.
    Ask(PeerId, Wire, oneshot::Sender<Option<Vec<u8>>>),
    /// Opens a stream to every peer, of the protocol in [`Options::stuck_on`], and leaves it alone.
    Stick,
}

/// How a liar answers an exchange.
pub(crate) type Answers = Box<dyn Fn(&[u8]) -> Wire + Send>;

/// What kind of liar.
pub(crate) struct Options {
    /// Whose protocol names it uses.
    pub(crate) chain: GenesisId,
    /// Addresses it claims to have.
    pub(crate) junk: Vec<Multiaddr>,
    /// Peers that do not exist, of which it tells others.
    pub(crate) ghosts: Vec<(PeerId, Multiaddr)>,
    /// How it answers.
    pub(crate) answers: Answers,
    /// The protocol on which it opens streams for nothing.
    pub(crate) stuck_on: String,
}

impl Options {
    /// One that answers nothing, and otherwise looks like anybody.
    pub(crate) fn new(chain: GenesisId) -> Self {
        let stuck_on = format!("/pol-ai/{}/exchange/1", short(chain));
        Self { chain, junk: Vec::new(), ghosts: Vec::new(), answers: Box::new(|_| Wire::Bytes(Vec::new())), stuck_on }
    }
}

/// First 16 digits of a chain's name.
pub(crate) fn short(chain: GenesisId) -> String {
    chain.to_string()[..16].to_owned()
}

/// A running liar. It stops when dropped.
pub(crate) struct Liar {
    commands: mpsc::Sender<Command>,
    connected: watch::Receiver<BTreeMap<PeerId, u32>>,
    _root: Root,
}

fn behaviour(key: &Keypair, options: &Options) -> Behaviour {
    let (local, chain) = (key.public().to_peer_id(), short(options.chain));
    let protocol = |name: String| StreamProtocol::try_from_owned(name).unwrap();
    let mut kad = kad::Config::new(protocol(format!("/pol-ai/{chain}/kad/1")));
    kad.set_max_packet_size(1 << 20).set_query_timeout(Duration::from_secs(5));
    let store = kad::store::MemoryStoreConfig { max_provided_keys: 100_000, ..kad::store::MemoryStoreConfig::default() };
    let mut kad = kad::Behaviour::with_config(local, kad::store::MemoryStore::with_config(local, store), kad);
    kad.set_mode(Some(kad::Mode::Server));
    for (ghost, address) in &options.ghosts {
        kad.add_address(ghost, address.clone());
    }
    let gossip = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/pol-ai/{chain}/gossip"))
        .max_transmit_size(1 << 20)
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::new(&message.data))
        .build()
        .unwrap();
    let exchange = |name: String, support| {
        let config = request_response::Config::default()
            .with_request_timeout(Duration::from_secs(600))
            .with_max_concurrent_streams(10_000);
        request_response::Behaviour::with_codec(RawCodec, [(protocol(name), support)], config)
    };
    Behaviour {
        identify: identify::Behaviour::new(identify::Config::new(format!("/pol-ai/{chain}/1"), key.public())),
        kad,
        gossip: gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, gossip).unwrap(),
        exchange: exchange(format!("/pol-ai/{chain}/exchange/1"), request_response::ProtocolSupport::Full),
        stuck: exchange(options.stuck_on.clone(), request_response::ProtocolSupport::Outbound),
    }
}

impl Liar {
    /// Starts one under a fresh name, which listens on a free port and knows nobody.
    pub(crate) fn start(options: Options) -> Self {
        let key = Keypair::generate_ed25519();
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_quic()
            .with_behaviour(|key| behaviour(key, &options))
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
        for address in &options.junk {
            swarm.add_external_address(address.clone());
        }
        let root = Root::new("liar");
        let (commands, orders) = mpsc::channel(100_000);
        let (tell, connected) = watch::channel(BTreeMap::new());
        let running = Running { swarm, answers: options.answers, asked: BTreeMap::new(), connected: tell };
        root.tasks().spawn_until_stopped("swarm", running.run(orders));
        Self { commands, connected, _root: root }
    }

    /// Starts one and connects it to all of these; returns when each connection stands or was refused.
    pub(crate) async fn among(options: Options, addresses: &[Multiaddr]) -> Self {
        let liar = Self::start(options);
        for address in addresses {
            liar.tell(Command::Connect(address.clone())).await;
        }
        liar
    }

    /// Gives a command.
    pub(crate) async fn tell(&self, command: Command) {
        self.commands.send(command).await.unwrap_or_default();
    }

    /// Peers connected now.
    pub(crate) fn connected(&self) -> usize {
        self.connected.borrow().len()
    }

    /// An exchange with a peer; None when it refused.
    pub(crate) async fn ask(&self, peer: PeerId, wire: Wire) -> Option<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Ask(peer, wire, reply)).await;
        answer.await.ok().flatten()
    }
}

struct Running {
    swarm: Swarm<Behaviour>,
    answers: Answers,
    asked: BTreeMap<OutboundRequestId, oneshot::Sender<Option<Vec<u8>>>>,
    connected: watch::Sender<BTreeMap<PeerId, u32>>,
}

impl Running {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) -> Result<(), std::convert::Infallible> {
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                order = orders.recv() => match order {
                    Some(order) => self.on_command(order),
                    None => return Ok(()),
                },
            }
        }
    }

    fn peers(&self) -> Vec<PeerId> {
        self.connected.borrow().keys().copied().collect()
    }

    fn on_command(&mut self, command: Command) {
        let peers = self.peers();
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Connect(address) => self.swarm.dial(address).unwrap_or_default(),
            Command::Put(key, value) => {
                behaviour.kad.put_record_to(kad::Record::new(key, value), peers.into_iter(), kad::Quorum::One);
            }
            Command::Publish(topic, data) => drop(behaviour.gossip.publish(gossipsub::IdentTopic::new(topic), data)),
            Command::Subscribe(topic) => drop(behaviour.gossip.subscribe(&gossipsub::IdentTopic::new(topic))),
            Command::Provide(key) => drop(behaviour.kad.start_providing(key.into())),
            Command::Serve(key, value) => {
                use kad::store::RecordStore as _;
                behaviour.kad.store_mut().put(kad::Record::new(key, value)).unwrap();
            }
            Command::Push => behaviour.identify.push(peers),
            Command::Ask(peer, wire, reply) => {
                self.asked.insert(behaviour.exchange.send_request(&peer, wire), reply);
            }
            Command::Stick => {
                for peer in peers {
                    behaviour.stuck.send_request(&peer, Wire::Stuck);
                }
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        use request_response::{Event, Message};
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, num_established, .. } => {
                self.connected.send_modify(|peers| *peers.entry(peer_id).or_default() = num_established.get());
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.connected.send_modify(|peers| peers.retain(|peer, _| *peer != peer_id));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                for address in info.listen_addrs {
                    self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(Event::Message { message, .. })) => match message {
                Message::Request { request: Wire::Bytes(bytes), channel, .. } => {
                    let answer = (self.answers)(&bytes);
                    drop(self.swarm.behaviour_mut().exchange.send_response(channel, answer));
                }
                Message::Response { request_id, response: Wire::Bytes(bytes) } => self.answered(request_id, Some(bytes)),
                _ => {}
            },
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(Event::OutboundFailure { request_id, .. })) => {
                self.answered(request_id, None);
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: OutboundRequestId, answer: Option<Vec<u8>>) {
        if let Some(reply) = self.asked.remove(&id) {
            reply.send(answer).unwrap_or_default();
        }
    }
}
