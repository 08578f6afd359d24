//! What the tasks of the service share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pol_core::{Hash32, ModelHead, bls::PublicKey, domains::Domains, genesis::ChainSpec, params::Preset};
use pol_kit::{clock::Clock, metrics::Health};
use tokio::sync::{Notify, mpsc, watch};

use super::{beacon::BeaconNode, dht::Outgoing, metrics::Measured};
use crate::{
    collector::Collector,
    faults::{FaultPool, Poster},
    guard::Guard,
    import::Importer,
    members::{Keys, Members},
    signer::Signer,
};

/// Imported blocks that are remembered with their payload hash: more than any reorg that does not cross finality.
const RECENT: usize = 1_024;
/// Refused blocks that are remembered, so that they are not fetched again and again.
const REFUSED: usize = 1_024;

/// The chain's fixed numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) spec: ChainSpec,
    pub(crate) domains: Domains,
    pub(crate) preset: Preset,
    pub(crate) genesis_time: u64,
    pub(crate) slot_seconds: u64,
}

impl Chain {
    pub(crate) fn new(spec: ChainSpec) -> Self {
        let parameters = spec.parameters();
        Self {
            spec,
            domains: spec.domains(),
            preset: parameters.preset,
            genesis_time: parameters.genesis_time,
            slot_seconds: parameters.slot_seconds,
        }
    }

    pub(crate) const fn epoch(&self, slot: u64) -> u64 {
        slot / self.preset.slots_per_epoch()
    }

    /// The slot at a time; 0 before genesis.
    pub(crate) const fn slot_at(&self, unix_seconds: u64) -> u64 {
        unix_seconds.saturating_sub(self.genesis_time) / self.slot_seconds
    }
}

/// An imported block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) root: Hash32,
    pub(crate) slot: u64,
    pub(crate) payload_hash: Hash32,
    pub(crate) model_head: ModelHead,
}

/// What the service knows of the beacon chain.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The beacon node's head, once it passed our check.
    pub(crate) head: Option<Imported>,
    pub(crate) finalized_epoch: u64,
    recent: BTreeMap<(u64, Hash32), Imported>,
    refused: BTreeSet<(u64, Hash32)>,
    /// The head that the beacon node names is not valid by our rules: nothing is pushed on it.
    pub(crate) head_refused: bool,
}

impl View {
    pub(crate) fn remember(&mut self, block: Imported) {
        self.recent.insert((block.slot, block.root), block);
        if self.recent.len() > RECENT {
            self.recent.pop_first();
        }
    }

    pub(crate) fn recent(&self, slot: u64, root: Hash32) -> Option<Imported> {
        self.recent.get(&(slot, root)).copied()
    }

    pub(crate) fn refuse(&mut self, slot: u64, root: Hash32) {
        self.refused.insert((slot, root));
        if self.refused.len() > REFUSED {
            self.refused.pop_first();
        }
    }

    pub(crate) fn is_refused(&self, root: Hash32) -> bool {
        self.refused.iter().any(|(_, refused)| *refused == root)
    }
}

/// Votes, proofs and their way into the chain.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) pool: FaultPool,
    pub(crate) poster: Poster,
}

/// Validators of the head state.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) keys: Keys,
    pub(crate) by_index: BTreeMap<u64, [u8; 48]>,
    pub(crate) members: Arc<Members>,
    /// What pol-dht is to be told, by index.
    pub(crate) for_dht: Vec<pol_api::validators::Validator>,
}

impl Registry {
    pub(crate) fn key_of(&mut self, index: u64) -> Option<Arc<PublicKey>> {
        let bytes = *self.by_index.get(&index)?;
        self.keys.get(&bytes).ok()
    }
}

/// What all tasks share. Locks are held for calculations, never over a wait; where two are needed, in the order of the fields.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) chain: Chain,
    pub(crate) beacon: BeaconNode,
    pub(crate) importer: Importer,
    pub(crate) guard: Arc<Guard>,
    pub(crate) signer: Signer,
    pub(crate) trainers: Vec<[u8; 32]>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) measured: Measured,
    pub(crate) started_ms: u64,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) view: Mutex<View>,
    pub(crate) collector: Mutex<Collector>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) breaker: Mutex<pol_kit::breaker::State>,
    pub(crate) signing_stopped: AtomicBool,
    /// The current slot.
    pub(crate) slot: watch::Sender<u64>,
    /// Head or quorums changed: think again about what to push.
    pub(crate) changed: Notify,
    /// A block to look at; more than fit are found by following the head.
    pub(crate) blocks: mpsc::Sender<Hash32>,
    /// Records on their way to the DHT.
    pub(crate) outbox: mpsc::Sender<Outgoing>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn members(&self) -> Arc<Members> {
        Arc::clone(&lock(&self.registry).members)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.unix_millis()
    }

    pub(crate) fn current_slot(&self) -> u64 {
        *self.slot.borrow()
    }

    /// Keys that may sign, none once somebody else was seen signing with one of them.
    pub(crate) fn own_keys(&self) -> Vec<[u8; 48]> {
        if self.signing_stopped.load(Ordering::Relaxed) { Vec::new() } else { self.signer.keys() }
    }

    /// Root of the canonical block at a slot, or of the last one before it, as `state.block_roots` has it.
    pub(crate) fn canonical_root(&self, slot: u64) -> Option<Hash32> {
        let mut root = lock(&self.view).head?.root;
        let table = self.importer.table();
        let mut row = table.row(root).ok()??;
        while row.slot > slot {
            root = row.parent_root;
            row = table.row(root).ok()??;
        }
        Some(root)
    }
}
