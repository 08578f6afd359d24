//! One node, its disk, its clock and its execution client.

use std::{path::Path, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use lighthouse_ack_quorum::{
    guard::Guard,
    push::{AiEngine, Pusher},
    signer::Signer,
};
use pol_beacon::{
    driver::{Node, Options, Phase, open},
    engine::Engine,
    types::{EthSpec, Minimal},
};
use pol_core::{bls::SecretKey, identity::GenesisSeed};
use pol_kit::{
    clock::{Clock, Manual},
    jwt::Secret,
    metrics::Health,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    devnet::Devnet,
    engine::{MockEngine, SECRET},
};

pub(crate) struct World {
    pub(crate) clock: Arc<Manual>,
    pub(crate) engine: Arc<MockEngine>,
    pub(crate) folder: TempDir,
    pub(crate) chain: Devnet<Minimal>,
    pub(crate) node: Option<Arc<Node<Minimal>>>,
    pub(crate) bad: Option<u64>,
    validators: u32,
}

const fn seed() -> GenesisSeed {
    GenesisSeed::from_bytes([42; 32])
}

pub(crate) fn secret_key(index: u64) -> SecretKey {
    seed().validator_key(u32::try_from(index).unwrap()).unwrap()
}

fn guard(chain: &Devnet<Minimal>, folder: &Path) -> Guard {
    Guard::open(&folder.join("guard"), chain.spec.delta_context(), chain.spec.domains()).unwrap()
}

impl World {
    pub(crate) async fn new(validators: u32) -> Self {
        let chain = Devnet::<Minimal>::new(validators);
        let clock = Arc::new(Manual::at(chain.genesis.genesis_time));
        let hash = chain.genesis.latest_execution_payload_header.block_hash.to_string();
        let engine = MockEngine::start(&hash, clock.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self { clock, engine, folder, chain, node: None, bad: None, validators };
        world.open();
        world
    }

    /// Opens what is on disk.
    pub(crate) fn open(&mut self) {
        let (spec, domains) = (self.chain.spec, self.chain.spec.domains());
        let guard = Arc::new(guard(&self.chain, self.folder.path()));
        // One key more than genesis has: whoever joins by deposit is ours, too.
        let signer = Arc::new(Signer::from_seed(&seed(), 0..=self.validators, domains).unwrap());
        let now = self.clock.unix_millis();
        let chain = open(self.folder.path(), spec, self.chain.config, self.chain.genesis.clone(), guard, signer, now).unwrap();
        let secret = Arc::new(Secret::from_bytes(SECRET));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let engine = Engine::new(&self.engine.url, Arc::clone(&secret), Arc::clone(&clock), Duration::from_millis(300)).unwrap();
        let pusher =
            Pusher::new(AiEngine::new(&self.engine.url, secret, Arc::clone(&clock)).unwrap(), Minimal::slots_per_epoch());
        let bad = self.bad.map(|index| (index, secret_key(index)));
        let options = Options { fee_recipient: Address::repeat_byte(0xfe), graffiti: B256::ZERO, bad_certificates_by: bad };
        let (votes, _) = mpsc::channel(16);
        self.node = Some(Arc::new(Node::new(chain, engine, Some(pusher), options, clock, Health::new(), votes)));
    }

    /// Drops the node as a kill does: nothing is said goodbye to.
    pub(crate) fn kill(&mut self) {
        let node = self.node.take().unwrap();
        assert_eq!(Arc::strong_count(&node), 1, "somebody else holds the node");
    }

    pub(crate) const fn node(&self) -> &Arc<Node<Minimal>> {
        self.node.as_ref().unwrap()
    }

    pub(crate) async fn phase(&self, slot: u64, phase: Phase) {
        let node = self.node();
        self.clock.set_unix_millis(node.slots().begins(slot, phase));
        // The future holds states; boxed, those of the tests stay small.
        Box::pin(node.work(slot, phase)).await.unwrap();
    }

    pub(crate) async fn slot(&self, slot: u64) {
        for phase in [Phase::Start, Phase::Attest, Phase::Prepare] {
            self.phase(slot, phase).await;
        }
    }

    pub(crate) async fn slots(&self, slots: std::ops::RangeInclusive<u64>) {
        for slot in slots {
            self.slot(slot).await;
        }
    }

    pub(crate) fn finalized(&self) -> u64 {
        self.node().snapshot().finalized.epoch
    }

    pub(crate) fn head_slot(&self) -> u64 {
        self.node().snapshot().head_node().unwrap().slot
    }

    pub(crate) fn head(&self) -> B256 {
        self.node().snapshot().head
    }
}
