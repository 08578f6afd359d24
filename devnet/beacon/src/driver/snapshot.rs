//! The chain as others may read it without waiting for it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::B256;

use super::chain::Chain;
use crate::{
    fork_choice::Node,
    types::{BeaconState, Checkpoint, EthSpec, Slot},
};

/// Blocks since finality with their states, and what is head, justified and final. Cheap to make: all is shared.
#[derive(Debug, Clone)]
pub struct Snapshot<E: EthSpec> {
    /// Root of the head block.
    pub head: B256,
    /// Slot by the clock.
    pub current_slot: Slot,
    /// What is justified.
    pub justified: Checkpoint,
    /// What is finalized.
    pub finalized: Checkpoint,
    /// Blocks since finality.
    pub nodes: BTreeMap<B256, Node<E>>,
    /// Root of the genesis block.
    pub genesis_root: B256,
    /// The state at slot 0.
    pub genesis: Arc<BeaconState<E>>,
}

impl<E: EthSpec> Snapshot<E> {
    /// The head block's node.
    pub fn head_node(&self) -> Option<&Node<E>> {
        self.nodes.get(&self.head)
    }

    /// The newest block at or before a slot in the head's chain, as far back as finality.
    pub fn ancestor(&self, slot: Slot) -> Option<&Node<E>> {
        let mut node = self.head_node()?;
        while node.slot > slot {
            node = self.nodes.get(&node.parent_root)?;
        }
        Some(node)
    }

    /// Whether a block is on the head's chain, as far back as finality.
    pub fn is_canonical(&self, node: &Node<E>) -> bool {
        self.ancestor(node.slot).is_some_and(|ancestor| ancestor.root == node.root)
    }
}

impl<E: EthSpec> Chain<E> {
    /// The chain as it is now.
    pub fn snapshot(&self) -> Snapshot<E> {
        Snapshot {
            head: self.head,
            current_slot: self.store.current_slot(),
            justified: self.store.justified_checkpoint(),
            finalized: self.store.finalized_checkpoint(),
            nodes: self.store.nodes().iter().map(|node| (node.root, node.clone())).collect(),
            genesis_root: self.genesis_root,
            genesis: Arc::clone(&self.genesis),
        }
    }
}
