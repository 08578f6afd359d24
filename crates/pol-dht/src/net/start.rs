//! Putting the swarm and its tasks together.

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, SwarmBuilder, identity::Keypair, multiaddr::Protocol, noise, yamux};
use pol_kit::tasks::Tasks;
use tokio::sync::mpsc;

use super::{
    behaviour::{Behaviour, BehaviourError},
    event_loop::{EventLoop, Queues},
    handle::NetHandle,
    intake,
    limits::{COMMAND_QUEUE, INTAKE_QUEUE},
    remember::{self, MET_QUEUE},
    shelf::Shelf,
    sync,
};
use crate::shared::Shared;

/// Peers that may wait for a first pull.
const FRESH_QUEUE: usize = 256;
/// Remembered peers that are dialled at start.
const REMEMBERED_DIALS: usize = 32;

/// Where a node listens and whom it calls.
#[derive(Debug, Clone, Default)]
pub struct NetConfig {
    /// Addresses to listen on, QUIC or TCP.
    pub listen: Vec<Multiaddr>,
    /// Peers to stay connected to.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for neighbours in the local network.
    pub mdns: bool,
}

/// Why the network does not start. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {error}; is another pol-dht running there?")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the transport says.
        error: String,
    },
    /// Noise, DNS or mDNS.
    #[error("cannot set up libp2p: {0}")]
    Setup(String),
}

impl From<BehaviourError> for StartError {
    fn from(error: BehaviourError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// All that an error and its causes say; libp2p's own often say nothing themselves.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).filter(|text| !text.is_empty()).collect();
    // Some repeat their cause.
    said.dedup();
    said.join(": ")
}

/// Starts listening, and the tasks of the network under `tasks`.
///
/// # Errors
/// [`StartError`].
pub fn start(keypair: Keypair, shared: &Arc<Shared>, config: &NetConfig, tasks: &Tasks) -> Result<NetHandle, StartError> {
    let local = keypair.public().to_peer_id();
    let (genesis_id, mdns) = (shared.genesis_id, config.mdns);
    let shelf = Shelf::new(local, Arc::clone(shared));
    let setup = |error: &dyn std::fmt::Display| StartError::Setup(error.to_string());
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(libp2p::tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| setup(&error))?
        .with_quic()
        .with_dns()
        .map_err(|error| setup(&error))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|error| setup(&error))?
        .with_behaviour(|key, relay| Ok(Behaviour::new(key, relay, genesis_id, shelf, mdns)?))
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build();
    for address in &config.listen {
        let listening = swarm.listen_on(address.clone());
        listening.map_err(|error| StartError::Listen { address: address.clone(), error: causes(&error) })?;
    }
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (intake, arrivals) = mpsc::channel(INTAKE_QUEUE);
    let (verdicts, judged) = mpsc::channel(INTAKE_QUEUE);
    let (fresh, connected) = mpsc::channel(FRESH_QUEUE);
    let (met, to_remember) = mpsc::channel(MET_QUEUE);
    for peer in shared.store.peers().unwrap_or_default().into_iter().take(REMEMBERED_DIALS) {
        for address in peer.addresses {
            // A peer that is gone is not worth an error.
            drop(swarm.dial(address.with(Protocol::P2p(peer.peer))));
        }
    }
    let net = NetHandle::new(commands, local);
    let queues = Queues { commands: command_queue, intake: intake.clone(), judged, fresh, met };
    let event_loop = EventLoop::new(swarm, Arc::clone(shared), queues, config.bootstrap.clone());
    tasks.spawn_until_stopped("swarm", Box::pin(event_loop.run()));
    tasks.spawn_until_stopped("intake", intake::run(Arc::clone(shared), arrivals, verdicts));
    tasks.spawn_until_stopped("remember", remember::run(Arc::clone(shared), to_remember));
    tasks.spawn_until_stopped("sync", sync::run(net.clone(), Arc::clone(shared), intake, connected));
    Ok(net)
}
