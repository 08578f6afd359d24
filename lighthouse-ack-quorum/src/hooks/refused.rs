//! Blocks that were refused for their certificate. The node does not keep what it does not import, but voters need the signed header
//! and what was refused: it is kept here, and the node tells it (`/lighthouse/ai`).

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::HeaderFields;
use crate::limits;

/// A block that a proposer signed and that [`super::before_import`] refused as slashable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBlock {
    /// Its root.
    pub root: [u8; 32],
    /// Its signed header; the node has verified the signature.
    pub header: HeaderFields,
    /// `extra_data` of its payload.
    pub extra_data: Vec<u8>,
    /// `parent_hash` of its payload.
    pub payload_parent_hash: [u8; 32],
    /// `block_hash` of its payload.
    pub payload_hash: [u8; 32],
    /// Which rule.
    pub reason: String,
}

/// The newest of them, within the bounds of a fault pool: a proposer cannot fill the list alone.
#[derive(Debug, Default)]
pub(super) struct RefusedBlocks(Mutex<VecDeque<RefusedBlock>>);

impl RefusedBlocks {
    pub(super) fn add(&self, block: RefusedBlock) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_same = list.iter().filter(|one| one.header.proposer_index == block.header.proposer_index).count();
        if by_same >= limits::FAULT_CASES_PER_PROPOSER || list.iter().any(|one| one.root == block.root) {
            return;
        }
        if list.len() >= limits::FAULT_CASES {
            list.pop_front();
        }
        list.push_back(block);
    }

    pub(super) fn all(&self) -> Vec<RefusedBlock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(root: u8, proposer_index: u64) -> RefusedBlock {
        let header = HeaderFields {
            slot: 1,
            proposer_index,
            parent_root: [0; 32],
            state_root: [0; 32],
            body_root: [root; 32],
            signature: [0; 96],
        };
        let root = [root; 32];
        let payload = [0; 32];
        RefusedBlock {
            root,
            header,
            extra_data: Vec::new(),
            payload_parent_hash: payload,
            payload_hash: payload,
            reason: String::new(),
        }
    }

    #[test]
    fn one_proposer_cannot_push_out_the_others_and_the_oldest_gives_way() {
        let list = RefusedBlocks::default();
        for root in 0..8 {
            list.add(block(root, 7));
        }
        assert_eq!(list.all().len(), limits::FAULT_CASES_PER_PROPOSER);
        list.add(block(0, 8));
        assert_eq!(list.all().len(), limits::FAULT_CASES_PER_PROPOSER, "a block counts once");
        for proposer in 100..200_u8 {
            list.add(block(proposer, u64::from(proposer)));
        }
        let all = list.all();
        assert_eq!((all.len(), all.last().map(|one| one.header.proposer_index)), (limits::FAULT_CASES, Some(199)));
    }
}
