//! Nodes of one process on loopback, for the tests of real sockets.

#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod daemon;
pub(crate) mod liar;
pub(crate) mod lies;
pub(crate) mod partition;
pub(crate) mod wire;

use std::{path::Path, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use libp2p::Multiaddr;
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    delta::{Claims, Context, Profile, encode},
    domains::Domains,
    sha256,
    state::Shape,
};
use pol_dht::{
    Node, NodeConfig,
    net::NetConfig,
    validators::{EpochSlot, Validator, ValidatorSet},
};
use pol_kit::{clock::System, tasks::Root};

/// The chain of all tests.
pub(crate) const CHAIN: GenesisId = GenesisId([0x1f; 32]);

/// Signing context of the chain.
pub(crate) fn domains() -> Domains {
    Domains::new(CHAIN, Hash32([4; 32]))
}

/// BLS key of a member.
pub(crate) fn member(i: u8) -> SecretKey {
    SecretKey::from_bytes(&[i + 1; 32]).unwrap()
}

/// Ed25519 key of a trainer.
pub(crate) fn trainer(i: u8) -> SigningKey {
    SigningKey::from_bytes(&[i + 100; 32])
}

/// A node under a task tree of its own.
pub(crate) struct Running {
    /// The node.
    pub(crate) node: Node,
    root: Root,
}

impl Running {
    /// Starts a node of a chain that listens on a free port.
    pub(crate) fn start_on(chain: GenesisId, data_dir: &Path, bootstrap: Vec<Multiaddr>) -> Self {
        Self::start_with(chain, Domains::new(chain, Hash32([4; 32])), data_dir, bootstrap)
    }

    /// The same with signing domains of the caller's choice.
    pub(crate) fn start_with(chain: GenesisId, domains: Domains, data_dir: &Path, bootstrap: Vec<Multiaddr>) -> Self {
        let root = Root::new("test");
        let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
        let net = NetConfig { listen, bootstrap, mdns: false };
        let config = NodeConfig { data_dir: data_dir.to_owned(), genesis_id: chain, domains, net };
        let node = Node::start(&config, Arc::new(System::new()), &root.child("node")).unwrap();
        Self { node, root }
    }

    /// The same on the tests' chain.
    pub(crate) fn start(data_dir: &Path, bootstrap: Vec<Multiaddr>) -> Self {
        Self::start_on(CHAIN, data_dir, bootstrap)
    }

    /// Its address, as soon as it listens.
    pub(crate) async fn address(&self) -> Multiaddr {
        eventually("a listening address", || async { self.node.net().listeners().await.unwrap().into_iter().next() }).await
    }

    /// Ends its tasks and frees its data directory.
    pub(crate) async fn stop(self) {
        drop(self.node);
        self.root.stop(Duration::from_secs(10)).await;
    }
}

/// Asks again and again until there is an answer; fails after 20 s.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    for _ in 0..1_000 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {what} within 20 s");
}

/// A signed container of a small adapter; `salt` makes different ones.
pub(crate) fn container(salt: i32) -> Vec<u8> {
    let shape = Shape::new(5, 64, 64, 32, 96).unwrap();
    let context = Context { genesis_id: CHAIN, shape, profile: Profile::F16x20 };
    let change: Vec<i32> = (1..).map(|i| i * 31 + salt).take(shape.value_count() as usize).collect();
    let slot = u64::from(salt.unsigned_abs());
    let claims = Claims { model_head: ModelHead([2; 32]), slot, samples: Hash32::ZERO, inner_steps: 10, tokens_seen: 4_096 };
    encode(&context, &claims, &change).unwrap().sign(&trainer(0)).into_bytes()
}

/// A member's ACK of an update.
pub(crate) fn ack(update_id: UpdateId, by: u8) -> VerifiedAck {
    sign_ack(update_id, &member(by), &domains())
}

/// An ACK of an update by any key on any chain.
pub(crate) fn sign_ack(update_id: UpdateId, key: &SecretKey, domains: &Domains) -> VerifiedAck {
    let data = AckData { update_id, model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
    VerifiedAck::sign(data, key, domains).unwrap()
}

/// A distinct update id per number.
pub(crate) fn update(number: u64) -> UpdateId {
    UpdateId(sha256(&[b"update", &number.to_le_bytes()]))
}

/// The members 0..n as validators, with their numbers as indices.
pub(crate) fn validators(n: u8) -> ValidatorSet {
    let entry = |i| Validator { index: u64::from(i), public_key: member(i).public_key().to_bytes() };
    let mut builder = ValidatorSet::empty(domains()).successor();
    builder.add(EpochSlot::Current, &(0..n).map(entry).collect::<Vec<_>>()).unwrap();
    builder.finish().unwrap()
}
