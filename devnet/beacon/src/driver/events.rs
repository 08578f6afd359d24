//! What happened, for whoever listens (SSE).

use std::sync::Arc;

use alloy_primitives::B256;
use tokio::sync::broadcast;

use crate::types::{Checkpoint, Epoch, ProposerSlashing, Slot};

/// Events that a slow listener may lag behind before it is cut off.
const BACKLOG: usize = 256;

/// One event of the Beacon API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A block was imported.
    Block {
        /// Its slot.
        slot: Slot,
        /// Its root.
        root: B256,
        /// Whether the execution client has not said VALID yet.
        optimistic: bool,
    },
    /// There is a new head.
    Head {
        /// Slot of the head block.
        slot: Slot,
        /// Its root.
        root: B256,
        /// Root of the state after it.
        state: B256,
        /// Whether it is the first of its epoch on this chain.
        epoch_transition: bool,
        /// Whether the execution client has not said VALID yet.
        optimistic: bool,
    },
    /// The new head does not descend from the old one.
    Reorg {
        /// Slot of the new head.
        slot: Slot,
        /// Slots back to the common ancestor.
        depth: u64,
        /// The old head.
        old: (B256, B256),
        /// The new head.
        new: (B256, B256),
        /// Epoch of the new head.
        epoch: Epoch,
    },
    /// A checkpoint became final.
    Finalized {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// Root of the state after its block.
        state: B256,
    },
    /// A slashing came into the pool.
    ProposerSlashing(Box<ProposerSlashing>),
}

/// Where events go. Nobody waits for a listener.
#[derive(Debug, Clone)]
pub struct EventSender(broadcast::Sender<Arc<Event>>);

impl Default for EventSender {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl EventSender {
    /// Tells whoever listens.
    pub fn send(&self, event: Event) {
        // Nobody listening is no failure.
        let _ = self.0.send(Arc::new(event));
    }

    /// A listener, from now on. It is told when it lags behind.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }
}
