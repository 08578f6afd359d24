//! Nodes of one process on loopback, and members that sign.

use std::time::Duration;

use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    identity::PeerId,
    sha256,
};
use pol_dht::validators::{EpochSlot, Validator, ValidatorSet};
use tempfile::TempDir;

use super::common::{Running, domains, eventually};

/// Seats of a full committee.
pub(crate) const SEATS: usize = 512;

/// Update number `i`.
pub(crate) fn update(i: usize) -> UpdateId {
    UpdateId(sha256(&[b"update", &i.to_le_bytes()]))
}

/// The validators: their BLS keys, and the set that a consensus side would feed.
#[derive(Debug)]
pub(crate) struct Members {
    keys: Vec<SecretKey>,
    /// The set.
    pub(crate) set: ValidatorSet,
}

impl Members {
    /// So many of them.
    pub(crate) fn new(count: usize) -> Self {
        let key = |i: usize| SecretKey::derive_master(&sha256(&[b"member", &i.to_le_bytes()])).unwrap();
        let keys: Vec<SecretKey> = (0..count).map(key).collect();
        let validator = |(index, key): (u64, &SecretKey)| Validator { index, public_key: key.public_key().to_bytes() };
        let mut builder = ValidatorSet::empty(domains()).successor();
        builder.add(EpochSlot::Current, &(0..).zip(&keys).map(validator).collect::<Vec<_>>()).unwrap();
        Self { keys, set: builder.finish().unwrap() }
    }

    /// The short name of one of them, counted around.
    pub(crate) fn peer(&self, by: usize) -> PeerId {
        PeerId::of_bytes(&self.set.by_index((by % self.keys.len()) as u64).unwrap())
    }

    /// The ACK of one of them, counted around.
    pub(crate) fn ack(&self, update_id: UpdateId, by: usize) -> VerifiedAck {
        let data = AckData { update_id, model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
        VerifiedAck::sign(data, &self.keys[by % self.keys.len()], &domains()).unwrap()
    }
}

/// A node and its data directory.
pub(crate) struct Place {
    /// The node.
    pub(crate) running: Running,
    /// Its data directory.
    pub(crate) dir: TempDir,
}

/// Starts nodes that know the first one only, and waits until each has found a few others.
pub(crate) async fn cluster(count: usize, members: &Members) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for _ in 0..count {
        let dir = tempfile::tempdir().unwrap();
        let bootstrap = match places.first() {
            Some(first) => vec![first.running.address().await],
            None => vec![],
        };
        let running = Running::start(dir.path(), bootstrap);
        running.node.set_validators(members.set.clone()).unwrap();
        places.push(Place { running, dir });
    }
    let enough = (count - 1).min(12);
    for place in &places {
        let met = || async { (place.running.node.peers().await.unwrap().len() >= enough).then_some(()) };
        eventually("neighbours", met).await;
    }
    // Gossip tells its neighbours once a second whom it wants in its mesh.
    tokio::time::sleep(Duration::from_secs(if count > 4 { 5 } else { 1 })).await;
    places
}

/// Ends them all.
pub(crate) async fn stop(places: Vec<Place>) {
    for place in places {
        place.running.stop().await;
    }
}
