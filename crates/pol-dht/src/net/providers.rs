//! Who says to have the bytes of an update: our own word, and that of others within bounds.
//!
//! # Contract
//! Our own offers always find room. Of others, no key keeps more than [`PROVIDERS_PER_KEY`] and the table no more than
//! [`PROVIDERS_MAX`]: who comes to a full key is refused, since whoever provides an update first can only be who knows its id; a full
//! table takes from who said most, never for the sake of somebody who said as much himself.
//!
//! # What it does not protect against
//! Somebody with as many identities as the table has places. A fetch asks the connected peers too.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use libp2p::{
    PeerId,
    kad::{ProviderRecord, RecordKey as KadKey},
};

use super::{
    addresses,
    limits::{PROVIDERS_MAX, PROVIDERS_PER_KEY},
};

#[derive(Debug)]
struct Held {
    record: ProviderRecord,
    /// Place in the order of arrival.
    number: u64,
}

/// Provider records, in memory only.
#[derive(Debug)]
pub(crate) struct Providers {
    local: PeerId,
    most: usize,
    own: BTreeMap<Vec<u8>, ProviderRecord>,
    held: BTreeMap<Vec<u8>, Vec<Held>>,
    /// Whose they are, oldest first.
    by_peer: BTreeMap<PeerId, BTreeMap<u64, Vec<u8>>>,
    /// Peers by how much they said.
    by_share: BTreeSet<(usize, PeerId)>,
    count: usize,
    next: u64,
}

impl Providers {
    /// Nobody has said anything.
    pub(crate) fn new(local: PeerId) -> Self {
        Self::bounded(local, PROVIDERS_MAX)
    }

    fn bounded(local: PeerId, most: usize) -> Self {
        let (own, held, by_peer, by_share) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { local, most, own, held, by_peer, by_share, count: 0, next: 0 }
    }

    /// Takes a word; false when there is no room for it.
    pub(crate) fn add(&mut self, mut record: ProviderRecord) -> bool {
        let key = record.key.to_vec();
        if record.provider == self.local {
            self.own.insert(key, record);
            return true;
        }
        record.addresses = addresses::best(&record.addresses);
        if let Some(held) = self.find(&key, &record.provider) {
            held.record = record;
            return true;
        }
        self.forget_dead(&key);
        if self.held.get(&key).is_some_and(|held| held.len() >= PROVIDERS_PER_KEY) {
            return false;
        }
        if self.count >= self.most && !self.make_room_for(&record.provider) {
            return false;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.reshare(record.provider, |said| drop(said.insert(number, key.clone())));
        self.held.entry(key).or_default().push(Held { record, number });
        self.count = self.count.saturating_add(1);
        true
    }

    fn find(&mut self, key: &[u8], provider: &PeerId) -> Option<&mut Held> {
        self.held.get_mut(key)?.iter_mut().find(|held| held.record.provider == *provider)
    }

    fn reshare(&mut self, peer: PeerId, change: impl FnOnce(&mut BTreeMap<u64, Vec<u8>>)) {
        let said = self.by_peer.entry(peer).or_default();
        self.by_share.remove(&(said.len(), peer));
        change(said);
        if said.is_empty() {
            self.by_peer.remove(&peer);
        } else {
            self.by_share.insert((said.len(), peer));
        }
    }

    /// Takes the oldest word of who said most, unless that is as little as the newcomer would have.
    fn make_room_for(&mut self, newcomer: &PeerId) -> bool {
        let share = self.by_peer.get(newcomer).map_or(0, BTreeMap::len);
        let Some((most, peer)) = self.by_share.last().copied().filter(|(most, _)| *most > share) else { return false };
        let oldest = self.by_peer.get(&peer).and_then(|said| said.first_key_value()).map(|(_, key)| key.clone());
        debug_assert!(most > 0 && oldest.is_some(), "shares and words agree");
        oldest.is_some_and(|key| self.remove(&key, &peer))
    }

    fn forget_dead(&mut self, key: &[u8]) {
        let now = Instant::now();
        let held = self.held.get(key).into_iter().flatten();
        let dead: Vec<PeerId> = held.filter(|held| held.record.is_expired(now)).map(|held| held.record.provider).collect();
        for peer in dead {
            self.remove(key, &peer);
        }
    }

    /// Forgets a word; true when there was one.
    pub(crate) fn remove(&mut self, key: &[u8], provider: &PeerId) -> bool {
        if *provider == self.local {
            return self.own.remove(key).is_some();
        }
        let Some(list) = self.held.get_mut(key) else { return false };
        let Some(place) = list.iter().position(|held| held.record.provider == *provider) else { return false };
        let number = list.remove(place).number;
        if list.is_empty() {
            self.held.remove(key);
        }
        self.reshare(*provider, |said| drop(said.remove(&number)));
        self.count = self.count.saturating_sub(1);
        true
    }

    /// Who says to have what lies under a key, ourselves first.
    pub(crate) fn of(&self, key: &KadKey) -> Vec<ProviderRecord> {
        let held = self.held.get(key.as_ref()).into_iter().flatten().map(|held| &held.record);
        self.own.get(key.as_ref()).into_iter().chain(held).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(i: u8) -> PeerId {
        libp2p::identity::Keypair::ed25519_from_bytes([i; 32]).unwrap().public().to_peer_id()
    }

    fn record(key: u32, by: u8) -> ProviderRecord {
        ProviderRecord::new(key.to_be_bytes().to_vec(), peer(by), Vec::new())
    }

    #[test]
    fn a_flood_of_offers_leaves_room_for_our_own_and_for_who_says_little() {
        let mut providers = Providers::bounded(peer(0), 100);
        assert!(providers.add(record(1, 1)) && providers.add(record(2, 1)));
        assert_eq!((0..1_000).filter(|key| providers.add(record(1_000 + key, 2))).count(), 98);
        for key in 0..50 {
            assert!(providers.add(record(key, 0)), "our own");
        }
        assert!(providers.add(record(5_000, 3)) && providers.add(record(5_001, 3)), "a newcomer");
        assert_eq!(providers.count, 100);
        for (key, by) in [(1, 1), (2, 1), (5_000, 3), (5_001, 3)] {
            let of: Vec<_> = providers.of(&KadKey::new(&u32::to_be_bytes(key))).iter().map(|record| record.provider).collect();
            assert!(of.contains(&peer(by)), "{key}");
        }
    }

    #[test]
    fn who_comes_first_keeps_its_place_at_a_key() {
        let mut providers = Providers::new(peer(0));
        let taken: Vec<u8> = (1..=200).filter(|by| providers.add(record(7, *by))).collect();
        assert_eq!(taken, (1..=u8::try_from(PROVIDERS_PER_KEY).unwrap()).collect::<Vec<_>>());
        assert!(providers.add(record(7, 1)), "and may say it again");
        let long: Vec<_> = (0..50).map(|i| format!("/ip4/198.51.100.{i}/udp/9/quic-v1").parse().unwrap()).collect();
        assert!(providers.add(ProviderRecord::new(vec![9], peer(2), long)));
        assert_eq!(providers.of(&KadKey::new(&[9]))[0].addresses.len(), super::super::limits::ADDRESSES_PER_PEER);
    }

    proptest! {
        #[test]
        fn counts_agree_and_stay_within_bounds(steps in proptest::collection::vec((any::<bool>(), 0..12_u32, 0..6_u8), 0..400)) {
            let mut providers = Providers::bounded(peer(0), 20);
            for (adds, key, by) in steps {
                let key = record(key, by);
                if adds { providers.add(key); } else { providers.remove(&key.key.to_vec(), &key.provider); }
                let held: usize = providers.held.values().map(Vec::len).sum();
                let said: usize = providers.by_peer.values().map(BTreeMap::len).sum();
                let shares: usize = providers.by_share.iter().map(|(share, _)| share).sum();
                prop_assert!(held == providers.count && said == held && shares == held && held <= 20);
                prop_assert!(providers.held.values().all(|list| !list.is_empty()));
            }
        }
    }
}
