//! Peers this node wants to be connected to: bootstrap addresses for ever, remembered ones once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::limits::{REDIAL_FIRST, REDIAL_MAX};

/// One bootstrap address.
#[derive(Debug)]
struct Target {
    connected: Option<PeerId>,
    next: Instant,
    pause: Duration,
}

/// Decides when to dial which bootstrap address. Pure but for the instants that come in.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    targets: BTreeMap<Multiaddr, Target>,
}

/// An address without the peer id at its end, as a connection reports it.
pub(crate) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

impl Dialer {
    /// Wants all of these, now.
    pub(crate) fn new(addresses: impl IntoIterator<Item = Multiaddr>, now: Instant) -> Self {
        let target = || Target { connected: None, next: now, pause: REDIAL_FIRST };
        Self { targets: addresses.into_iter().map(|address| (address, target())).collect() }
    }

    /// Addresses to dial now; each waits longer before its next turn.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Multiaddr> {
        let due = self.targets.iter_mut().filter(|(_, target)| target.connected.is_none() && target.next <= now);
        due.map(|(address, target)| {
            target.next = now.checked_add(target.pause).unwrap_or(now);
            target.pause = target.pause.saturating_mul(2).min(REDIAL_MAX);
            address.clone()
        })
        .collect()
    }

    /// A connection that we opened stands.
    pub(crate) fn connected(&mut self, address: &Multiaddr, peer: PeerId) {
        let bare = without_peer(address);
        for (_, target) in self.targets.iter_mut().filter(|(wanted, _)| without_peer(wanted) == bare) {
            target.connected = Some(peer);
        }
    }

    /// It is one of ours, too: from now on a loss is worth calling at once.
    pub(crate) fn identified(&mut self, peer: &PeerId) {
        for target in self.targets.values_mut().filter(|target| target.connected == Some(*peer)) {
            target.pause = REDIAL_FIRST;
        }
    }

    /// No connection to this peer is left.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        for target in self.targets.values_mut().filter(|target| target.connected == Some(*peer)) {
            target.connected = None;
            target.next = now.checked_add(target.pause).unwrap_or(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_peer_is_dialled_for_ever_with_growing_pauses_and_at_once_after_a_loss() {
        let start = Instant::now();
        let address: Multiaddr = "/ip4/127.0.0.1/udp/13337/quic-v1".parse().unwrap();
        let mut dialer = Dialer::new([address.clone()], start);
        let (mut now, mut pauses) = (start, Vec::new());
        for _ in 0..10 {
            assert_eq!(dialer.due(now), std::slice::from_ref(&address));
            let pause = (1..=120).find(|s| !dialer.due(now + Duration::from_secs(*s)).is_empty()).unwrap();
            now += Duration::from_secs(pause);
            pauses.push(pause);
            // `due` above has already counted as the next try.
            now += Duration::from_secs(60);
        }
        assert!(pauses.is_sorted() && pauses.last() == Some(&60), "{pauses:?}");
        let peer = PeerId::random();
        dialer.connected(&address.clone().with(Protocol::P2p(peer)), peer);
        assert!(dialer.due(now + Duration::from_secs(600)).is_empty());
        dialer.disconnected(&peer, now);
        assert!(dialer.due(now + REDIAL_FIRST).is_empty(), "somebody answers there, but nobody of ours");
        dialer.connected(&address.clone().with(Protocol::P2p(peer)), peer);
        dialer.identified(&peer);
        dialer.disconnected(&peer, now);
        assert!(dialer.due(now).is_empty());
        assert_eq!(dialer.due(now + REDIAL_FIRST), [address]);
    }
}
