//! `get_head`: LMD-GHOST over the blocks that agree with what is justified and finalized.
//!
//! # Why this way
//! The specification asks every vote for every child on the way. Here each vote is added to its block once, sums run from children to
//! parents, and the best child of every block is known after one walk: votes plus blocks instead of votes times depth. The sums, and so
//! the head, are the same.

use alloy_primitives::B256;

use super::{ExecutionStatus, ForkChoiceError, Store, tree::Node};
use crate::{
    transition::{Checked as _, StateError, epoch_at, place},
    types::{Checkpoint, EthSpec, GENESIS_EPOCH, Gwei},
};

/// The balances that vote: those of the justified checkpoint's state.
#[derive(Debug, Clone)]
pub(super) struct VotingBalances {
    /// By registry index; zero for those not active or slashed.
    pub(super) effective: Vec<Gwei>,
    /// `compute_proposer_score`.
    pub(super) proposer_score: Gwei,
}

impl<E: EthSpec> Store<E> {
    /// `get_head`: root of the block to build on and to vote for.
    ///
    /// # Errors
    /// [`ForkChoiceError::UnknownBlock`] when the justified block is not in the tree (ours).
    pub fn head(&self) -> Result<B256, ForkChoiceError> {
        let nodes = self.tree.nodes();
        let justified = self.justified.root;
        let mut best = self.tree.place(&justified).ok_or(ForkChoiceError::UnknownBlock { root: justified })?;
        let children = self.best_children(nodes)?;
        while let Some(child) = children.get(best).copied().flatten() {
            best = child;
        }
        nodes.get(best).map(|node| node.root).ok_or(ForkChoiceError::UnknownBlock { root: justified })
    }

    /// Votes for each block itself, without its descendants.
    fn own_votes(&self) -> Result<Vec<Gwei>, StateError> {
        let mut votes = vec![0_u64; self.tree.nodes().len()];
        let mut add = |root: &B256, balance: Gwei| -> Result<(), StateError> {
            if let Some(sum) = self.tree.place(root).and_then(|at| votes.get_mut(at)) {
                *sum = sum.plus(balance)?;
            }
            Ok(())
        };
        for ((index, vote), balance) in (0..).zip(&self.votes).zip(&self.balances.effective) {
            match vote {
                Some(vote) if *balance > 0 && !self.equivocating.contains(&index) => add(&vote.root, *balance)?,
                _ => {}
            }
        }
        if self.proposer_boost_root != B256::ZERO {
            add(&self.proposer_boost_root, self.balances.proposer_score)?;
        }
        Ok(votes)
    }

    /// The child that `get_head` goes to from each block.
    fn best_children(&self, nodes: &[Node<E>]) -> Result<Vec<Option<usize>>, StateError> {
        let mut weights = self.own_votes()?;
        let mut has_child = vec![false; nodes.len()];
        let mut has_viable_child = vec![false; nodes.len()];
        let mut best: Vec<Option<usize>> = vec![None; nodes.len()];
        // Children stand after their parents, so a walk from the end meets every block after all its descendants.
        for (at, node) in nodes.iter().enumerate().rev() {
            if node.execution == ExecutionStatus::Invalid {
                continue;
            }
            let flag = |flags: &[bool]| flags.get(at).copied().unwrap_or(false);
            let is_viable = if flag(&has_child) { flag(&has_viable_child) } else { self.is_viable_leaf(node)? };
            let weight = weights.get(at).copied().unwrap_or(0);
            let Some(parent) = node.parent else { continue };
            if let Some(sum) = weights.get_mut(parent) {
                *sum = sum.plus(weight)?;
            }
            if let Some(flag) = has_child.get_mut(parent) {
                *flag = true;
            }
            if !is_viable {
                continue;
            }
            if let Some(flag) = has_viable_child.get_mut(parent) {
                *flag = true;
            }
            if let Some(slot) = best.get_mut(parent) {
                let rank = |at: usize| Some((*weights.get(at)?, nodes.get(at)?.root));
                // Ties go to the higher root.
                if slot.is_none_or(|other| rank(at) > rank(other)) {
                    *slot = Some(at);
                }
            }
        }
        Ok(best)
    }

    /// The test of `filter_block_tree` at a leaf.
    fn is_viable_leaf(&self, node: &Node<E>) -> Result<bool, StateError> {
        let current = self.current_epoch();
        let source = self.voting_source(node);
        let justified = self.justified.epoch;
        let correct_justified = justified == GENESIS_EPOCH || source.epoch == justified || source.epoch.plus(2)? >= current;
        let correct_finalized = self.finalized.epoch == GENESIS_EPOCH
            || self.checkpoint_block(&node.root, self.finalized.epoch)? == Some(self.finalized.root);
        Ok(correct_justified && correct_finalized)
    }

    /// `get_voting_source`.
    fn voting_source(&self, node: &Node<E>) -> Checkpoint {
        if self.current_epoch() > epoch_at::<E>(node.slot) {
            node.unrealized_justified
        } else {
            node.state.current_justified_checkpoint
        }
    }

    /// Balances and boost of a checkpoint's state.
    pub(super) fn voting_balances(
        state: &crate::types::BeaconState<E>,
        boost_percent: u64,
    ) -> Result<VotingBalances, StateError> {
        let epoch = state.current_epoch();
        let votes = |v: &crate::types::Validator| v.is_active_at(epoch) && !v.slashed;
        let effective = state.validators.iter().map(|v| if votes(v) { v.effective_balance } else { 0 }).collect();
        let committee = state.total_active_balance()?.over(E::slots_per_epoch())?;
        Ok(VotingBalances { effective, proposer_score: committee.times(boost_percent)?.over(100)? })
    }

    /// The place of a validator's vote; grown with the registry.
    pub(super) fn vote_mut(&mut self, index: u64) -> Option<&mut Option<super::store::Vote>> {
        let at = place(index);
        if at >= self.votes.len() {
            self.votes.resize(at.checked_add(1)?, None);
        }
        self.votes.get_mut(at)
    }
}
