//! Who misbehaved, and for how long nobody talks to him.

use std::{collections::BTreeMap, net::IpAddr};

use libp2p::PeerId;

use super::IpGroup;

/// How long a ban lasts.
pub const BAN_SECONDS: u64 = 3_600;
/// Points at which a peer is banned.
const PEER_LIMIT: u32 = 100;
/// Points at which its whole IP group is: one bad neighbour must not silence a data centre.
const GROUP_LIMIT: u32 = 1_000;
/// Points forgiven every ten seconds.
const FORGIVEN_PER_TEN_SECONDS: u32 = 10;
const TABLE_MAX: usize = 8_192;

/// What a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Sent a record that no honest node forwards ([`crate::verify::Blame::Peer`]).
    BadRecord,
    /// Sent a chunk or a delta whose hash is not what was asked for.
    BadDelta,
    /// Broke the wire protocol: oversize, malformed, slow-drip.
    Protocol,
    /// Went on beyond its quota.
    Flood,
}

impl Offence {
    /// Points it costs; [`Scores`] bans at 100.
    pub const fn points(self) -> u32 {
        match self {
            Self::BadRecord => 20,
            Self::BadDelta => 50,
            Self::Protocol => 10,
            Self::Flood => 2,
        }
    }
}

/// What to do with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Go on.
    Tolerated,
    /// Disconnect, and refuse until then (unix seconds).
    Banned {
        /// End of the ban.
        until: u64,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Score {
    points: u32,
    at: u64,
    banned_until: u64,
}

impl Score {
    fn decayed(self, now: u64) -> u32 {
        let tens = u32::try_from(now.saturating_sub(self.at) / 10).unwrap_or(u32::MAX);
        self.points.saturating_sub(tens.saturating_mul(FORGIVEN_PER_TEN_SECONDS))
    }

    fn penalize(&mut self, points: u32, limit: u32, now: u64) {
        self.points = self.decayed(now).saturating_add(points);
        self.at = now;
        if self.points >= limit {
            *self = Self { points: 0, at: now, banned_until: now.saturating_add(BAN_SECONDS) };
        }
    }

    fn is_idle(self, now: u64) -> bool {
        self.banned_until <= now && self.decayed(now) == 0
    }
}

/// Bans in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bans {
    /// Peers and IP groups.
    pub count: usize,
    /// When the first of them ends, unix seconds.
    pub first_end: Option<u64>,
    /// When the last of them ends, unix seconds.
    pub last_end: Option<u64>,
}

/// Scores and bans, per peer and per IP group. Bounded, pure.
#[derive(Debug, Default)]
pub struct Scores {
    peers: BTreeMap<PeerId, Score>,
    groups: BTreeMap<IpGroup, Score>,
}

impl Scores {
    /// No offences yet.
    pub const fn new() -> Self {
        Self { peers: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// Notes an offence and says what to do with the peer now. Loopback and private addresses have no group score: they are this
    /// operator's own nodes.
    pub fn penalize(&mut self, peer: PeerId, address: Option<IpAddr>, offence: Offence, now: u64) -> Standing {
        entry(&mut self.peers, peer, now).penalize(offence.points(), PEER_LIMIT, now);
        if let Some(group) = address.filter(is_public).map(IpGroup::of) {
            entry(&mut self.groups, group, now).penalize(offence.points(), GROUP_LIMIT, now);
        }
        self.standing(&peer, address, now)
    }

    /// What to do with a peer, asked at each connection.
    pub fn standing(&self, peer: &PeerId, address: Option<IpAddr>, now: u64) -> Standing {
        let of_peer = self.peers.get(peer).map_or(0, |score| score.banned_until);
        let of_group = address.filter(is_public).and_then(|a| self.groups.get(&IpGroup::of(a))).map_or(0, |s| s.banned_until);
        let until = of_peer.max(of_group);
        if until > now { Standing::Banned { until } } else { Standing::Tolerated }
    }

    /// Bans in force.
    pub fn bans(&self, now: u64) -> Bans {
        let scores = self.peers.values().chain(self.groups.values());
        let mut bans = Bans::default();
        for until in scores.map(|score| score.banned_until).filter(|until| *until > now) {
            bans.count = bans.count.saturating_add(1);
            bans.first_end = Some(bans.first_end.map_or(until, |first| first.min(until)));
            bans.last_end = Some(bans.last_end.map_or(until, |last| last.max(until)));
        }
        bans
    }
}

/// The entry of `key`, made if there is room. A full table first forgets the idle, then the one whose ban or points end soonest.
fn entry<K: Ord + Copy>(table: &mut BTreeMap<K, Score>, key: K, now: u64) -> &mut Score {
    if !table.contains_key(&key) && table.len() >= TABLE_MAX {
        table.retain(|_, score| !score.is_idle(now));
        if table.len() >= TABLE_MAX {
            let least = table.iter().min_by_key(|(_, score)| (score.banned_until, score.decayed(now))).map(|(key, _)| *key);
            least.and_then(|least| table.remove(&least));
        }
    }
    table.entry(key).or_default()
}

const fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn five_bad_records_ban_a_peer_until_the_ban_ends() {
        let (mut scores, peer) = (Scores::new(), PeerId::random());
        for _ in 0..4 {
            assert_eq!(scores.penalize(peer, None, Offence::BadRecord, 1_000), Standing::Tolerated);
        }
        let until = 1_000 + BAN_SECONDS;
        assert_eq!(scores.penalize(peer, None, Offence::BadRecord, 1_000), Standing::Banned { until });
        assert_eq!(scores.standing(&peer, None, until - 1), Standing::Banned { until });
        assert_eq!(scores.bans(until - 1), Bans { count: 1, first_end: Some(until), last_end: Some(until) });
        assert_eq!(scores.bans(until), Bans::default());
        assert_eq!(scores.standing(&peer, None, until), Standing::Tolerated);
        assert_eq!(scores.penalize(peer, None, Offence::BadRecord, until), Standing::Tolerated, "it starts anew");
    }

    #[test]
    fn rare_mistakes_are_forgiven() {
        let (mut scores, peer) = (Scores::new(), PeerId::random());
        for i in 0..1_000 {
            assert_eq!(scores.penalize(peer, None, Offence::BadRecord, 20 * i), Standing::Tolerated);
        }
    }

    #[test]
    fn fresh_identities_from_one_public_group_end_in_a_ban_of_the_group() {
        let mut scores = Scores::new();
        let address = Some("203.0.113.7".parse().unwrap());
        let banned = (0..100).find(|_| scores.penalize(PeerId::random(), address, Offence::BadRecord, 9) != Standing::Tolerated);
        assert_eq!(banned, Some(49));
        let neighbour = Some("203.0.113.99".parse().unwrap());
        assert_ne!(scores.standing(&PeerId::random(), neighbour, 10), Standing::Tolerated);
        assert_eq!(scores.standing(&PeerId::random(), Some("203.0.114.1".parse().unwrap()), 10), Standing::Tolerated);
        let loopback = Some("127.0.0.1".parse().unwrap());
        for _ in 0..100 {
            assert_eq!(scores.penalize(PeerId::random(), loopback, Offence::BadRecord, 9), Standing::Tolerated);
        }
    }

    #[test]
    fn a_flood_of_identities_neither_grows_the_table_nor_lifts_a_ban() {
        let (mut scores, bad) = (Scores::new(), PeerId::random());
        for _ in 0..2 {
            scores.penalize(bad, None, Offence::BadDelta, 50);
        }
        for _ in 0..TABLE_MAX + 500 {
            scores.penalize(PeerId::random(), None, Offence::Flood, 50);
        }
        assert_eq!(scores.peers.len(), TABLE_MAX);
        assert_ne!(scores.standing(&bad, None, 51), Standing::Tolerated);
    }
}
