//! Several honest nodes in one process.

use std::collections::BTreeSet;

use libp2p::{Multiaddr, PeerId};
use pol_core::{
    UpdateId,
    record::{IdData, RecordKey},
};
use pol_dht::Node;
use tempfile::{TempDir, tempdir};

use super::{Running, ack, domains, eventually, member, trainer, validators};

/// Honest nodes that know each other.
pub(crate) struct Cluster {
    running: Vec<Running>,
    dirs: Vec<TempDir>,
    /// Where each listens.
    pub(crate) addresses: Vec<Multiaddr>,
}

impl Cluster {
    /// `n` nodes, each of which knows the first one and one other at start; all know the members `0..members`.
    pub(crate) async fn start(n: usize, members: u8) -> Self {
        let mut cluster = Self { running: Vec::new(), dirs: Vec::new(), addresses: Vec::new() };
        for i in 0..n {
            let mut known: Vec<Multiaddr> = [0, i / 2].iter().filter_map(|k| cluster.addresses.get(*k).cloned()).collect();
            known.dedup();
            cluster.add(known, members).await;
        }
        cluster
    }

    /// One more.
    pub(crate) async fn add(&mut self, bootstrap: Vec<Multiaddr>, members: u8) {
        let dir = tempdir().unwrap();
        let running = Running::start(dir.path(), bootstrap);
        running.node.set_validators(validators(members)).unwrap();
        self.addresses.push(running.address().await);
        self.running.push(running);
        self.dirs.push(dir);
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// A node.
    pub(crate) fn node(&self, i: usize) -> &Node {
        &self.running[i].node
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.running.iter().map(|running| &running.node)
    }

    /// Names of all nodes.
    pub(crate) fn peer_ids(&self) -> BTreeSet<PeerId> {
        self.nodes().map(|node| node.net().local_peer_id()).collect()
    }

    /// Waits until each node is connected to at least `least` others of the cluster.
    pub(crate) async fn met(&self, least: usize) {
        let ours = self.peer_ids();
        for node in self.nodes() {
            let known = || async {
                let peers = node.peers().await.unwrap();
                (peers.iter().filter(|info| ours.contains(&info.peer)).count() >= least).then_some(())
            };
            eventually("connections", known).await;
        }
    }

    /// Publishes a member's ACK at a node.
    pub(crate) async fn put_ack(&self, at: usize, update_id: UpdateId, by: u8) -> RecordKey {
        let signed = ack(update_id, by);
        let put = self.node(at).put_value(signed.raw().key(), &signed.raw().to_value()).await.unwrap();
        assert!(put.is_news(), "{put:?}");
        signed.raw().key()
    }

    /// Lets member 0 name the tests' first trainer, so that its announcements count; returns when every node knows.
    pub(crate) async fn name_trainer(&self, at: usize) {
        let node_key = self.node(at).identity().node_key();
        let trainers = vec![trainer(0).verifying_key().to_bytes()];
        let data = IdData { public_key: member(0).public_key().to_bytes(), node_key, trainers, sequence: 1 };
        let signed = data.sign(&member(0), &domains()).unwrap();
        self.node(at).put_identity(signed.raw()).await.unwrap();
        for node in self.nodes() {
            let key = signed.raw().key();
            let known = || async { node.shared().store.get(&key, node.shared().now()).unwrap().map(|_| ()) };
            eventually("the identity of member 0", known).await;
        }
    }

    /// Waits until a node holds an ACK of an update by a member.
    pub(crate) async fn has_ack(&self, at: usize, update_id: UpdateId) {
        let held = || async { (!self.node(at).acks(update_id, 1).unwrap().is_empty()).then_some(()) };
        eventually("the ACK", held).await;
    }

    /// All record keys that a node holds.
    pub(crate) fn keys(&self, at: usize) -> BTreeSet<Vec<u8>> {
        let (store, now) = (&self.node(at).shared().store, self.node(at).shared().now());
        let (mut keys, mut after) = (BTreeSet::new(), None);
        loop {
            let page = store.page(after.as_ref(), 1_024, now).unwrap();
            let Some(last) = page.last() else { return keys };
            after = Some(last.key);
            keys.extend(page.iter().map(|record| record.key.to_bytes()));
        }
    }

    /// Fails when an honest node banned another one.
    pub(crate) fn nobody_honest_is_banned(&self) {
        for node in self.nodes() {
            for peer in self.peer_ids() {
                assert!(!node.shared().is_banned(&peer, None), "{} banned {peer}", node.net().local_peer_id());
            }
        }
    }

    /// Ends all tasks.
    pub(crate) async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }
}
