//! Which addresses of others are worth keeping: few, short, of our transports. What a peer says about itself is passed on to strangers
//! in answers of bounded size, so a peer that says much would crowd out the others.

use std::net::IpAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::limits::{ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER};
use crate::quota::is_local;

/// The address of the machine, when there is one in it.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

fn is_usable(address: &Multiaddr) -> bool {
    let begins = matches!(
        address.iter().next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    );
    let ours = address.iter().any(|part| matches!(part, Protocol::QuicV1 | Protocol::Tcp(_)));
    let is_nowhere = ip_of(address).is_some_and(|ip| ip.is_unspecified() || ip.is_multicast());
    begins && ours && !is_nowhere && address.len() <= ADDRESS_BYTES_MAX
}

/// The best of a peer's addresses, in a fixed order: those that others can reach come first.
pub(crate) fn best(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut usable: Vec<&Multiaddr> = addresses.iter().filter(|address| is_usable(address)).collect();
    usable.sort_unstable_by_key(|address| (ip_of(address).is_some_and(is_local), *address));
    usable.dedup();
    usable.into_iter().take(ADDRESSES_PER_PEER).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn junk_is_dropped_and_what_others_can_reach_comes_first() {
        let long = format!("/dns4/{}.example/udp/9/quic-v1", "j".repeat(130));
        let given = addresses(&[
            "/ip4/127.0.0.1/udp/9/quic-v1",
            &long,
            "/memory/7",
            "/ip4/0.0.0.0/udp/9/quic-v1",
            "/ip4/224.0.0.1/udp/9/quic-v1",
            "/ip4/198.51.100.7/udp/9",
            "/ip4/10.0.0.1/udp/9/quic-v1",
            "/ip4/198.51.100.7/udp/9/quic-v1",
            "/ip4/198.51.100.7/udp/9/quic-v1",
            "/dns/node.example/tcp/9",
        ]);
        let kept = addresses(&[
            "/ip4/198.51.100.7/udp/9/quic-v1",
            "/dns/node.example/tcp/9",
            "/ip4/10.0.0.1/udp/9/quic-v1",
            "/ip4/127.0.0.1/udp/9/quic-v1",
        ]);
        assert_eq!(best(&given), kept);
    }

    #[test]
    fn one_peer_gets_no_more_than_its_share() {
        let many: Vec<Multiaddr> = (0..100).map(|i| format!("/ip4/198.51.100.{i}/udp/9/quic-v1").parse().unwrap()).collect();
        assert_eq!(best(&many).len(), ADDRESSES_PER_PEER);
        assert!(best(&many).iter().all(|address| address.len() <= ADDRESS_BYTES_MAX));
    }
}
