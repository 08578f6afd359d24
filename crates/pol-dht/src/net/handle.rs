//! What other tasks ask of the event loop.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use pol_core::{UpdateId, params::ENVELOPE_BYTES_MAX, record::RecordKey};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    exchange::{Answer, Ask, AskRecords, Request, Response, WireRecord},
    limits::QUERY_PATIENCE,
};
use crate::verify::VerifiedRecord;

/// A command to the event loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Gossip a record that is stored here, and put it to the nodes near its key.
    Spread(Arc<VerifiedRecord>),
    /// Tell the DHT that this node has what a key names: an update's bytes, or a snapshot.
    Provide(RecordKey),
    /// Stop saying so: the bytes are gone.
    StopProviding(RecordKey),
    /// Who says to have what a key names.
    Providers(RecordKey, oneshot::Sender<Vec<PeerId>>),
    /// Envelopes that other nodes have under a key.
    Lookup(RecordKey, oneshot::Sender<Vec<(PeerId, Vec<u8>)>>),
    /// One exchange with a peer.
    Ask(PeerId, Request, oneshot::Sender<Result<Response, AskError>>),
    /// The peers connected now.
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    /// Addresses this node listens on.
    Listeners(oneshot::Sender<Vec<Multiaddr>>),
    /// Addresses under which others reached this node.
    Externals(oneshot::Sender<Vec<Multiaddr>>),
    /// Connect to an address.
    Dial(Multiaddr),
    /// A peer broke a promise that another task noticed.
    Blame(PeerId, crate::quota::Offence),
}

/// A connected peer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its libp2p name.
    pub peer: PeerId,
    /// Where it is.
    pub addresses: Vec<Multiaddr>,
    /// True when it called us.
    pub inbound: bool,
    /// Last round trip.
    pub latency: Option<Duration>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// Connected since, unix seconds.
    pub since: u64,
}

/// Why an exchange gave no answer. Transient, unless it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The peer is gone, refused, or too slow.
    #[error("peer gave no answer: {0}")]
    Peer(String),
    /// This node is shutting down.
    #[error("the network task has ended")]
    Ended,
}

/// A handle of the event loop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NetHandle {
    commands: mpsc::Sender<Command>,
    local: PeerId,
}

impl NetHandle {
    pub(super) const fn new(commands: mpsc::Sender<Command>, local: PeerId) -> Self {
        Self { commands, local }
    }

    /// This node's libp2p name.
    pub const fn local_peer_id(&self) -> PeerId {
        self.local
    }

    async fn ask_loop<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| AskError::Ended)?;
        answer.await.map_err(|_| AskError::Ended)
    }

    async fn tell(&self, command: Command) {
        // The loop ends only with the process; then there is nobody left to tell.
        drop(self.commands.send(command).await);
    }

    /// Gossips a stored record and puts it to the nodes near its key.
    pub(crate) async fn spread(&self, record: Arc<VerifiedRecord>) {
        self.tell(Command::Spread(record)).await;
    }

    /// Announces that this node has the bytes of an update.
    pub async fn provide(&self, id: UpdateId) {
        self.provide_key(RecordKey::Update(id)).await;
    }

    /// Announces that this node has what a key names: an update's bytes, or a snapshot.
    pub(crate) async fn provide_key(&self, key: RecordKey) {
        self.tell(Command::Provide(key)).await;
    }

    /// Does not announce it any more. What others were told runs out by itself.
    pub(crate) async fn stop_providing(&self, key: RecordKey) {
        self.tell(Command::StopProviding(key)).await;
    }

    /// Connects to an address.
    pub async fn dial(&self, address: Multiaddr) {
        self.tell(Command::Dial(address)).await;
    }

    /// Counts an offence of a peer.
    pub async fn blame(&self, peer: PeerId, offence: crate::quota::Offence) {
        self.tell(Command::Blame(peer, offence)).await;
    }

    /// Who says to have the bytes of an update; empty when nobody answers in time.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn providers(&self, id: UpdateId) -> Result<Vec<PeerId>, AskError> {
        self.providers_of(RecordKey::Update(id)).await
    }

    /// Who says to have what a key names; empty when nobody answers in time.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn providers_of(&self, key: RecordKey) -> Result<Vec<PeerId>, AskError> {
        self.ask_loop(|reply| Command::Providers(key, reply)).await
    }

    /// Envelopes that other nodes have under a key, unverified: from whoever is near the key, and from whoever is connected. The first
    /// alone could be led astray, by liars who name peers that do not exist and are nearer than any that does.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn lookup(&self, key: RecordKey) -> Result<Vec<(PeerId, Vec<u8>)>, AskError> {
        let bytes = key.to_bytes();
        let (far, near) = tokio::join!(self.ask_loop(|reply| Command::Lookup(key, reply)), self.lookup_near(bytes));
        let mut found = near?;
        found.extend(far?);
        Ok(found)
    }

    /// What connected peers have under a key, of each at most a record and one that contradicts it.
    async fn lookup_near(&self, key: Vec<u8>) -> Result<Vec<(PeerId, Vec<u8>)>, AskError> {
        let request = Request { ask: Some(Ask::Records(AskRecords { keys: vec![key.clone()] })) };
        let peers = self.peers().await?;
        let ask = async |peer: PeerId| (peer, self.ask(peer, request.clone()).await);
        let mut asked: FuturesUnordered<_> = peers.iter().map(|info| ask(info.peer)).collect();
        let (mut found, begun) = (Vec::new(), Instant::now());
        while let Ok(Some((peer, answer))) = timeout(QUERY_PATIENCE.saturating_sub(begun.elapsed()), asked.next()).await {
            let Ok(Response { answer: Some(Answer::Records(records)) }) = answer else { continue };
            let fits = |record: &WireRecord| record.key == key && record.envelope.len() <= ENVELOPE_BYTES_MAX;
            found.extend(records.records.into_iter().filter(fits).take(2).map(|record| (peer, record.envelope)));
        }
        Ok(found)
    }

    /// One exchange with a peer.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn ask(&self, peer: PeerId, request: Request) -> Result<Response, AskError> {
        self.ask_loop(|reply| Command::Ask(peer, request, reply)).await?
    }

    /// The peers connected now.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, AskError> {
        self.ask_loop(Command::Peers).await
    }

    /// Addresses this node listens on.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn listeners(&self) -> Result<Vec<Multiaddr>, AskError> {
        self.ask_loop(Command::Listeners).await
    }

    /// Addresses under which others reached this node.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn externals(&self) -> Result<Vec<Multiaddr>, AskError> {
        self.ask_loop(Command::Externals).await
    }
}
