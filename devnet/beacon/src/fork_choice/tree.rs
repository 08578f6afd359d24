//! The blocks since finality, as a tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::B256;

use crate::types::{BeaconState, Checkpoint, EthSpec, HashedBlock, Slot};

/// What the execution client says of a block's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// VALID.
    Valid,
    /// Not known yet (SYNCING, ACCEPTED): imported optimistically.
    Optimistic,
    /// INVALID: the block and all that descend from it count for nothing.
    Invalid,
}

/// A block of the tree and the state after it.
#[derive(Debug, Clone)]
pub struct Node<E: EthSpec> {
    /// Root of the block.
    pub root: B256,
    /// Its slot.
    pub slot: Slot,
    /// Root of its parent; the parent of the tree's first block is not in the tree.
    pub parent_root: B256,
    /// The block; None for the block that the tree began with, of which only the header is known.
    pub block: Option<Arc<HashedBlock<E>>>,
    /// State after the block.
    pub state: Arc<BeaconState<E>>,
    /// What the state would justify if its epoch ended now.
    pub unrealized_justified: Checkpoint,
    /// The execution client's word.
    pub execution: ExecutionStatus,
    pub(super) parent: Option<usize>,
}

/// Nodes in the order of their import, so that a parent stands before its children.
#[derive(Debug, Clone)]
pub(super) struct Tree<E: EthSpec> {
    nodes: Vec<Node<E>>,
    places: BTreeMap<B256, usize>,
}

impl<E: EthSpec> Tree<E> {
    pub(super) fn new(anchor: Node<E>) -> Self {
        Self { places: BTreeMap::from([(anchor.root, 0)]), nodes: vec![anchor] }
    }

    pub(super) fn nodes(&self) -> &[Node<E>] {
        &self.nodes
    }

    pub(super) fn place(&self, root: &B256) -> Option<usize> {
        self.places.get(root).copied()
    }

    pub(super) fn get(&self, root: &B256) -> Option<&Node<E>> {
        self.nodes.get(self.place(root)?)
    }

    /// Adds a block; false when its parent is not in the tree.
    pub(super) fn push(&mut self, node: Node<E>) -> bool {
        let Some(parent) = self.place(&node.parent_root) else { return false };
        self.places.insert(node.root, self.nodes.len());
        self.nodes.push(Node { parent: Some(parent), ..node });
        true
    }

    /// `get_ancestor`: the newest block at or before `slot` in the chain of `root`. None when `root` is not in the tree, or that block
    /// is older than the tree.
    pub(super) fn ancestor(&self, root: &B256, slot: Slot) -> Option<&Node<E>> {
        let mut node = self.get(root)?;
        while node.slot > slot {
            node = self.nodes.get(node.parent?)?;
        }
        Some(node)
    }

    /// Sets the execution client's word: VALID holds for all ancestors, too, INVALID for all descendants. False for an unknown block.
    pub(super) fn set_execution(&mut self, root: &B256, status: ExecutionStatus) -> bool {
        let Some(place) = self.place(root) else { return false };
        match status {
            ExecutionStatus::Valid => {
                let mut next = Some(place);
                while let Some(node) = next.and_then(|place| self.nodes.get_mut(place)) {
                    node.execution = ExecutionStatus::Valid;
                    next = node.parent;
                }
            }
            ExecutionStatus::Invalid => {
                let dead = self.descendants(place);
                for (node, _) in self.nodes.iter_mut().zip(dead).filter(|(_, dead)| *dead) {
                    node.execution = ExecutionStatus::Invalid;
                }
            }
            ExecutionStatus::Optimistic => {
                if let Some(node) = self.nodes.get_mut(place) {
                    node.execution = ExecutionStatus::Optimistic;
                }
            }
        }
        true
    }

    /// Which nodes are `ancestor` or descend from it.
    fn descendants(&self, ancestor: usize) -> Vec<bool> {
        let mut is_in = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            let from_parent = node.parent.and_then(|parent| is_in.get(parent).copied()).unwrap_or(false);
            is_in.push(place == ancestor || from_parent);
        }
        is_in
    }

    /// Drops everything that does not descend from `root` (nothing when it is unknown) and returns what was dropped, oldest first.
    pub(super) fn prune(&mut self, root: &B256) -> Vec<Node<E>> {
        let Some(first) = self.place(root).filter(|place| *place > 0) else { return Vec::new() };
        let keep = self.descendants(first);
        let mut dropped = Vec::new();
        let old = std::mem::take(&mut self.nodes);
        self.places.clear();
        for (node, keep) in old.into_iter().zip(keep) {
            if !keep {
                dropped.push(node);
                continue;
            }
            let parent = self.place(&node.parent_root);
            self.places.insert(node.root, self.nodes.len());
            self.nodes.push(Node { parent, ..node });
        }
        dropped
    }
}
