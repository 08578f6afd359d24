//! Quotas: how much anyone may ask of this node (sections 5 and 7).
//!
//! # Contract
//! Pure: the time comes in as unix seconds. Every counter is a bucket that drains at a steady rate, so that a burst is allowed and a
//! flood is not. Every table is bounded; when one is full of busy entries, strangers share one bucket, and those already counted keep
//! theirs.
//!
//! # What it does not protect against
//! A flood from more /24 or /64 groups than a table holds is held back as a whole, honest strangers with it; known validators and
//! peers already counted are not affected.

mod limiter;
mod score;

pub use limiter::{Limiter, Rate};
pub use score::{BAN_SECONDS, Bans, Offence, Scores, Standing as PeerStanding};

use std::net::{IpAddr, Ipv6Addr};

use libp2p::PeerId;
use pol_core::identity::PeerId as ValidatorId;

use crate::verify::{Standing, VerifiedRecord};

/// Entries per table.
const TABLE_MAX: usize = 8_192;

/// The addresses that one party is likely to hold: a /24 of IPv4, a /64 of IPv6. IPv4 inside IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpGroup {
    /// First three bytes.
    V4([u8; 3]),
    /// First eight bytes.
    V6([u8; 8]),
}

impl IpGroup {
    /// The group of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        if let Some(v4) = v6.to_ipv4_mapped() {
            return Self::of(IpAddr::V4(v4));
        }
        let [a, b, c, d, e, f, g, h, ..] = v6.octets();
        Self::V6([a, b, c, d, e, f, g, h])
    }
}

/// Which quota is used up. Not an offence by itself: the sender is told to slow down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum QuotaError {
    /// The peer's.
    #[error("quota of this peer is used up")]
    Peer,
    /// The one of its IP group.
    #[error("quota of this peer's IP group is used up")]
    IpGroup,
    /// The validator's, or the trainer's.
    #[error("quota of this record's validator or trainer is used up")]
    Validator,
    /// The one of an unverified key.
    #[error("quota of this record's unverified key is used up")]
    UnverifiedKey,
}

/// The rates. [`Default`] fits a committee of 512 on 12-second slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Records and requests that one peer may send.
    pub peer: Rate,
    /// The same for an IP group.
    pub ip_group: Rate,
    /// Records written by one validator, or by one trainer that a validator names, over all peers.
    pub validator: Rate,
    /// Records sealed by one unverified Ed25519 key, over all peers.
    pub unverified_key: Rate,
}

impl Default for QuotaLimits {
    fn default() -> Self {
        Self {
            peer: Rate { burst: 4_096, per_second: 256 },
            ip_group: Rate { burst: 16_384, per_second: 1_024 },
            validator: Rate { burst: 64, per_second: 1 },
            unverified_key: Rate { burst: 64, per_second: 1 },
        }
    }
}

/// All counters of a node.
#[derive(Debug)]
pub struct Quotas {
    peers: Limiter<PeerId>,
    ip_groups: Limiter<IpGroup>,
    validators: Limiter<ValidatorId>,
    unverified_keys: Limiter<[u8; 32]>,
}

impl Quotas {
    /// Empty counters.
    pub const fn new(limits: QuotaLimits) -> Self {
        Self {
            peers: Limiter::new(limits.peer, TABLE_MAX),
            ip_groups: Limiter::new(limits.ip_group, TABLE_MAX),
            validators: Limiter::new(limits.validator, TABLE_MAX),
            unverified_keys: Limiter::new(limits.unverified_key, TABLE_MAX),
        }
    }

    /// Asks before any work is done for a message of `cost` units; charges peer and group, or neither.
    ///
    /// # Errors
    /// [`QuotaError::Peer`], [`QuotaError::IpGroup`].
    pub fn admit_message(&mut self, peer: PeerId, address: Option<IpAddr>, cost: u32, now: u64) -> Result<(), QuotaError> {
        let group = address.map(IpGroup::of);
        if !self.peers.has_room(&peer, cost, now) {
            return Err(QuotaError::Peer);
        }
        if group.is_some_and(|group| !self.ip_groups.charge(group, cost, now)) {
            return Err(QuotaError::IpGroup);
        }
        self.peers.charge(peer, cost, now);
        Ok(())
    }

    /// Asks before a verified record of another node is stored and forwarded.
    ///
    /// # Errors
    /// [`QuotaError::Validator`], [`QuotaError::UnverifiedKey`].
    pub fn admit_record(&mut self, record: &VerifiedRecord, now: u64) -> Result<(), QuotaError> {
        match record.standing() {
            Standing::Member if self.validators.charge(record.owner(), 1, now) => Ok(()),
            Standing::Member => Err(QuotaError::Validator),
            Standing::Unverified if self.unverified_keys.charge(record.signer(), 1, now) => Ok(()),
            Standing::Unverified => Err(QuotaError::UnverifiedKey),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_group_and_strangers_do_not() {
        let group = |text: &str| IpGroup::of(text.parse().unwrap());
        assert_eq!(group("10.1.2.3"), group("10.1.2.200"));
        assert_ne!(group("10.1.2.3"), group("10.1.3.3"));
        assert_eq!(group("::ffff:10.1.2.3"), group("10.1.2.9"));
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::9"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
    }

    #[test]
    fn many_identities_behind_one_group_are_held_to_its_quota_and_pay_nothing_when_refused() {
        let limits = QuotaLimits {
            peer: Rate { burst: 2, per_second: 1 },
            ip_group: Rate { burst: 3, per_second: 1 },
            ..QuotaLimits::default()
        };
        let mut quotas = Quotas::new(limits);
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        let home = Some("192.0.2.1".parse().unwrap());
        for peer in &peers[..3] {
            assert_eq!(quotas.admit_message(*peer, home, 1, 100), Ok(()));
        }
        assert_eq!(quotas.admit_message(peers[3], home, 1, 100), Err(QuotaError::IpGroup));
        let elsewhere = Some("198.51.100.1".parse().unwrap());
        assert_eq!(quotas.admit_message(peers[3], elsewhere, 2, 100), Ok(()));
        assert_eq!(quotas.admit_message(peers[3], elsewhere, 1, 100), Err(QuotaError::Peer));
        assert_eq!(quotas.admit_message(peers[3], elsewhere, 1, 101), Ok(()));
    }
}
