//! Addresses under which this node may be reachable, as others tell it. The library keeps every one it ever heard of; anybody can tell it
//! another with each connection, so here they are counted.

use std::{
    collections::BTreeSet,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    autonat::v2::client::Behaviour as Autonat,
    core::{Endpoint, transport::PortUse},
    swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm},
};

use super::limits::{ADDRESS_BYTES_MAX, CANDIDATES_MAX};

/// AutoNAT's client with a bound on what it has to try.
#[derive(Default)]
pub(crate) struct Candidates {
    autonat: Autonat,
    known: BTreeSet<Multiaddr>,
}

impl Candidates {
    fn admits(&mut self, address: &Multiaddr) -> bool {
        if self.known.contains(address) {
            return true;
        }
        let fits = self.known.len() < CANDIDATES_MAX && address.len() <= ADDRESS_BYTES_MAX;
        fits && self.known.insert(address.clone())
    }
}

impl NetworkBehaviour for Candidates {
    type ConnectionHandler = <Autonat as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = <Autonat as NetworkBehaviour>::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.autonat.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.autonat.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.autonat.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.autonat.handle_established_outbound_connection(connection, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::NewExternalAddrCandidate(candidate) = &event
            && !self.admits(candidate.addr)
        {
            return;
        }
        self.autonat.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.autonat.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.autonat.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_about_our_address_is_bounded() {
        let mut candidates = Candidates::default();
        let address = |i: usize| format!("/ip4/198.51.100.{}/udp/{i}/quic-v1", i % 256).parse::<Multiaddr>().unwrap();
        let admitted = (0..10_000).filter(|i| candidates.admits(&address(*i))).count();
        assert_eq!(admitted, CANDIDATES_MAX);
        assert!(candidates.admits(&address(0)), "one that is known still counts");
        assert!(!Candidates::default().admits(&format!("/dns/{}/udp/1/quic-v1", "x".repeat(200)).parse().unwrap()));
    }
}
