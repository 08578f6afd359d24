//! Who is connected: who may stay, what is known of him, and whom to call when there are too few.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use tracing::{debug, info};

use super::EventLoop;
use crate::{
    net::{
        addresses::{self, ip_of},
        behaviour::protocol_version,
        handle::PeerInfo,
        limits::{
            CONNECTIONS_PER_GROUP, EARLIER_PEERS_MAX, IDENTIFY_BURST, IDENTIFY_COST, IDENTIFY_TIMEOUT, PEERS_WANTED, SEEK_DIALS,
            SEEK_INTERVAL,
        },
    },
    quota::{IpGroup, Offence, is_local},
    store::PeerEntry,
};

/// A peer with at least one connection.
#[derive(Debug)]
pub(super) struct Connected {
    connections: BTreeMap<ConnectionId, Multiaddr>,
    inbound: bool,
    since: u64,
    met: Instant,
    pub(super) latency: Option<Duration>,
    agent: Option<String>,
    /// How often it said who it is.
    identified: u64,
    /// Its addresses in the routing table.
    offered: Vec<Multiaddr>,
}

impl Connected {
    fn new(inbound: bool, since: u64) -> Self {
        Self {
            connections: BTreeMap::new(),
            inbound,
            since,
            met: Instant::now(),
            latency: None,
            agent: None,
            identified: 0,
            offered: Vec::new(),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        self.connections.values().find_map(ip_of)
    }
}

/// Whether a newcomer from this address finds its IP group full.
fn is_crowded(present: impl Iterator<Item = IpAddr>, newcomer: IpAddr) -> bool {
    let group = IpGroup::of(newcomer);
    !is_local(newcomer) && present.filter(|address| IpGroup::of(*address) == group).count() >= CONNECTIONS_PER_GROUP
}

impl EventLoop {
    pub(super) fn peer_infos(&self) -> Vec<PeerInfo> {
        let info = |(peer, connected): (&PeerId, &Connected)| PeerInfo {
            peer: *peer,
            addresses: connected.connections.values().cloned().collect(),
            inbound: connected.inbound,
            latency: connected.latency,
            agent: connected.agent.clone(),
            since: connected.since,
        };
        self.peers.iter().map(info).collect()
    }

    pub(super) fn address_of(&self, peer: &PeerId) -> Option<IpAddr> {
        self.peers.get(peer)?.address()
    }

    fn disconnect(&mut self, peer: PeerId) {
        // Already gone is as good.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn penalize(&mut self, peer: PeerId, offence: Offence) {
        let address = self.address_of(&peer);
        if self.shared.penalize(peer, address, offence) {
            info!(target: "polai::dht", %peer, ?offence, "peer banned");
            self.forget(&peer);
            self.disconnect(peer);
        }
    }

    /// Tells nobody of a peer any more, and does not call it.
    fn forget(&mut self, peer: &PeerId) {
        self.swarm.behaviour_mut().kad.remove_peer(peer);
        self.earlier.retain(|earlier| earlier.peer != *peer);
    }

    pub(super) fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let address = endpoint.get_remote_address().clone();
        let ip = ip_of(&address);
        let present = self.peers.values().filter(|connected| connected.inbound).filter_map(Connected::address);
        let is_crowded = endpoint.is_listener() && ip.is_some_and(|newcomer| is_crowded(present, newcomer));
        if is_crowded || self.shared.is_banned(&peer, ip) {
            self.disconnect(peer);
            return;
        }
        if endpoint.is_dialer() {
            self.dialer.connected(&address, peer);
        }
        let since = self.shared.now();
        let connected = self.peers.entry(peer).or_insert_with(|| Connected::new(endpoint.is_listener(), since));
        connected.connections.insert(connection, address);
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, left: u32) {
        if let Some(connected) = self.peers.get_mut(&peer) {
            connected.connections.remove(&connection);
        }
        if left == 0 {
            self.peers.remove(&peer);
            self.dialer.disconnected(&peer, Instant::now());
        }
    }

    /// A peer says who it is: another chain's is sent away, ours enters the routing table and is asked for records.
    pub(super) fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let ours = protocol_version(self.shared.genesis_id);
        if info.protocol_version != ours {
            debug!(target: "polai::dht", %peer, found = %info.protocol_version, expected = %ours, "peer of another chain");
            self.disconnect(peer);
            return;
        }
        if !self.admit(peer, IDENTIFY_COST) {
            return;
        }
        let Some(connected) = self.peers.get_mut(&peer) else { return };
        let is_new = connected.identified == 0;
        connected.identified = connected.identified.saturating_add(1);
        let allowed = IDENTIFY_BURST.saturating_add(connected.met.elapsed().as_secs() / 60);
        if connected.identified > allowed {
            self.penalize(peer, Offence::Protocol);
            return;
        }
        connected.agent = Some(info.agent_version);
        let addresses = addresses::best(&info.listen_addrs);
        if connected.offered != addresses {
            connected.offered.clone_from(&addresses);
            let kad = &mut self.swarm.behaviour_mut().kad;
            kad.remove_peer(&peer);
            for address in &addresses {
                kad.add_address(&peer, address.clone());
            }
        }
        self.dialer.identified(&peer);
        self.remember(PeerEntry { peer, addresses, last_seen: self.shared.now() });
        if is_new && self.fresh.try_send(peer).is_err() {
            debug!(target: "polai::dht", %peer, "sync is busy; this peer's turn comes by the clock");
        }
    }

    fn remember(&mut self, entry: PeerEntry) {
        self.earlier.retain(|earlier| earlier.peer != entry.peer);
        if self.earlier.len() >= EARLIER_PEERS_MAX {
            self.earlier.pop_front();
        }
        self.earlier.push_back(entry.clone());
        if self.met.try_send(entry).is_err() {
            debug!(target: "polai::dht", "peer not remembered: the disk is slow");
        }
    }

    /// Calls peers of earlier when few are left, those that were not called for longest first.
    pub(super) fn seek_company(&mut self, now: Instant) {
        if self.peers.len() >= PEERS_WANTED || now.saturating_duration_since(self.sought) < SEEK_INTERVAL {
            return;
        }
        self.sought = now;
        let mut called = 0;
        for _ in 0..self.earlier.len() {
            let Some(entry) = self.earlier.pop_front() else { return };
            self.earlier.push_back(entry.clone());
            if called >= SEEK_DIALS {
                return;
            }
            if !self.peers.contains_key(&entry.peer) {
                called = called.saturating_add(1);
                debug!(target: "polai::dht", peer = %entry.peer, "calling a peer of earlier");
                // One that is being called already, or for ever gone, is not worth an error.
                drop(self.swarm.dial(DialOpts::peer_id(entry.peer).addresses(entry.addresses).build()));
            }
        }
    }

    /// Who says nothing about himself takes a place that somebody else wants.
    pub(super) fn send_silent_away(&mut self, now: Instant) {
        let is_silent =
            |connected: &Connected| connected.identified == 0 && now.saturating_duration_since(connected.met) >= IDENTIFY_TIMEOUT;
        let silent: Vec<PeerId> =
            self.peers.iter().filter(|(_, connected)| is_silent(connected)).map(|(peer, _)| *peer).collect();
        for peer in silent {
            debug!(target: "polai::dht", %peer, "silent peer sent away");
            self.disconnect(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_group_has_its_share_of_connections_and_the_own_network_any() {
        let neighbours = |n: usize| (0..n).map(|i| IpAddr::from([203, 0, 113, u8::try_from(i % 256).unwrap()]));
        let newcomer = "203.0.113.200".parse().unwrap();
        assert!(!is_crowded(neighbours(CONNECTIONS_PER_GROUP - 1), newcomer));
        assert!(is_crowded(neighbours(CONNECTIONS_PER_GROUP), newcomer));
        assert!(!is_crowded(neighbours(CONNECTIONS_PER_GROUP), "203.0.114.1".parse().unwrap()));
        let own = std::iter::repeat_n(IpAddr::from([127, 0, 0, 1]), 10 * CONNECTIONS_PER_GROUP);
        assert!(!is_crowded(own, IpAddr::from([127, 0, 0, 1])));
    }
}
