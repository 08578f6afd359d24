//! The store, its clock and its checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_primitives::B256;
use tree_hash::TreeHash as _;

use super::{ExecutionStatus, ForkChoiceError, Node, head::VotingBalances, tree::Tree};
use crate::{
    transition::{Checked as _, StateError, advance, epoch_at, place, start_slot},
    types::{BeaconState, Checkpoint, Config, Epoch, EthSpec, Slot, ValidatorIndex},
};

/// `LatestMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) epoch: Epoch,
    pub(super) root: B256,
}

/// A validator's newest vote, as it is kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestMessage {
    /// Registry index.
    pub validator: ValidatorIndex,
    /// Epoch of the target.
    pub epoch: Epoch,
    /// The block voted for.
    pub root: B256,
}

/// The `Store` of the specification: blocks since finality with their states, the votes, the clock.
///
/// It lives in memory; blocks and checkpoints that must survive a restart are the driver's to store.
#[derive(Debug, Clone)]
pub struct Store<E: EthSpec> {
    pub(super) config: Config,
    /// Unix milliseconds of the clock.
    pub(super) time_ms: u64,
    pub(super) genesis_ms: u64,
    pub(super) justified: Checkpoint,
    pub(super) finalized: Checkpoint,
    pub(super) unrealized_justified: Checkpoint,
    pub(super) unrealized_finalized: Checkpoint,
    pub(super) proposer_boost_root: B256,
    pub(super) equivocating: BTreeSet<ValidatorIndex>,
    pub(super) tree: Tree<E>,
    pub(super) checkpoint_states: BTreeMap<Checkpoint, Arc<BeaconState<E>>>,
    /// By registry index.
    pub(super) votes: Vec<Option<Vote>>,
    /// Of the justified checkpoint.
    pub(super) balances: VotingBalances,
}

impl<E: EthSpec> Store<E> {
    /// `get_forkchoice_store`: begins at a block whose state is trusted, genesis or a finalized one. The state is the one right after that
    /// block; the block itself is not needed. A block inside an epoch counts as the checkpoint of the next one, which it is when it was
    /// finalized: the slots between were empty.
    ///
    /// # Errors
    /// [`ForkChoiceError::State`] when genesis time or slot leave the range of time.
    pub fn new(mut anchor: BeaconState<E>, config: Config) -> Result<Self, ForkChoiceError> {
        let state_root = anchor.update_root()?;
        let mut header = anchor.latest_block_header;
        if header.state_root == B256::ZERO {
            header.state_root = state_root;
        }
        let root = header.tree_hash_root();
        let mut checkpoint = Checkpoint { epoch: anchor.current_epoch(), root };
        if start_slot::<E>(checkpoint.epoch)? < header.slot {
            checkpoint.epoch = checkpoint.epoch.plus(1).map_err(StateError::from)?;
        }
        let seconds = anchor.time_at_slot(anchor.slot, &config)?;
        let genesis_ms = anchor.genesis_time.times(1_000).map_err(StateError::from)?;
        let time_ms = seconds.times(1_000).map_err(StateError::from)?;
        let balances = Self::voting_balances(&anchor, config.proposer_score_boost)?;
        let state = Arc::new(anchor);
        let node = Node {
            root,
            slot: header.slot,
            parent_root: header.parent_root,
            block: None,
            state: state.clone(),
            unrealized_justified: checkpoint,
            execution: ExecutionStatus::Valid,
            parent: None,
        };
        Ok(Self {
            config,
            time_ms,
            genesis_ms,
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
            proposer_boost_root: B256::ZERO,
            equivocating: BTreeSet::new(),
            tree: Tree::new(node),
            checkpoint_states: BTreeMap::from([(checkpoint, state)]),
            votes: Vec::new(),
            balances,
        })
    }

    const fn slot_ms(&self) -> u64 {
        self.config.slot_seconds.saturating_mul(1_000)
    }

    fn slot_at(&self, time_ms: u64) -> Slot {
        time_ms.saturating_sub(self.genesis_ms).checked_div(self.slot_ms()).unwrap_or(0)
    }

    /// `get_current_slot`.
    pub fn current_slot(&self) -> Slot {
        self.slot_at(self.time_ms)
    }

    /// `get_current_store_epoch`.
    pub fn current_epoch(&self) -> Epoch {
        epoch_at::<E>(self.current_slot())
    }

    /// Milliseconds since the start of the current slot.
    pub(super) fn time_into_slot_ms(&self) -> u64 {
        self.time_ms.saturating_sub(self.genesis_ms).checked_rem(self.slot_ms()).unwrap_or(0)
    }

    /// `on_tick`: sets the clock, in Unix milliseconds. A clock that goes backwards is set back, and moves nothing else.
    ///
    /// # Errors
    /// [`ForkChoiceError`]: a newly justified state cannot be computed (ours).
    pub fn on_tick(&mut self, time_ms: u64) -> Result<(), ForkChoiceError> {
        let before = self.current_slot();
        self.time_ms = time_ms;
        let now = self.current_slot();
        if now <= before {
            return Ok(());
        }
        self.proposer_boost_root = B256::ZERO;
        // The specification ticks slot by slot. What happens at an epoch's first slot happens once, however many are passed.
        if epoch_at::<E>(now) > epoch_at::<E>(before) {
            self.update_checkpoints(self.unrealized_justified, self.unrealized_finalized)?;
        }
        Ok(())
    }

    /// `update_checkpoints`.
    pub(super) fn update_checkpoints(&mut self, justified: Checkpoint, finalized: Checkpoint) -> Result<(), ForkChoiceError> {
        if justified.epoch > self.justified.epoch {
            let state = self.checkpoint_state(justified)?;
            self.balances = Self::voting_balances(&state, self.config.proposer_score_boost)?;
            self.justified = justified;
        }
        if finalized.epoch > self.finalized.epoch {
            self.finalized = finalized;
        }
        Ok(())
    }

    /// `update_unrealized_checkpoints`.
    pub(super) const fn update_unrealized(&mut self, justified: Checkpoint, finalized: Checkpoint) {
        if justified.epoch > self.unrealized_justified.epoch {
            self.unrealized_justified = justified;
        }
        if finalized.epoch > self.unrealized_finalized.epoch {
            self.unrealized_finalized = finalized;
        }
    }

    /// `store_target_checkpoint_state`: the state of a checkpoint, at the first slot of its epoch.
    ///
    /// # Errors
    /// [`ForkChoiceError::UnknownBlock`]; [`ForkChoiceError::Transition`] (ours).
    pub fn checkpoint_state(&mut self, checkpoint: Checkpoint) -> Result<Arc<BeaconState<E>>, ForkChoiceError> {
        if let Some(state) = self.checkpoint_states.get(&checkpoint) {
            return Ok(state.clone());
        }
        let node = self.tree.get(&checkpoint.root).ok_or(ForkChoiceError::UnknownBlock { root: checkpoint.root })?;
        let slot = start_slot::<E>(checkpoint.epoch)?;
        let state = if node.state.slot < slot { Arc::new(advance(&node.state, slot, &self.config)?) } else { node.state.clone() };
        self.checkpoint_states.insert(checkpoint, state.clone());
        Ok(state)
    }

    /// `get_checkpoint_block`: None when `root` is not in the tree, or that block is older than the tree.
    pub(super) fn checkpoint_block(&self, root: &B256, epoch: Epoch) -> Result<Option<B256>, StateError> {
        Ok(self.tree.ancestor(root, start_slot::<E>(epoch)?).map(|node| node.root))
    }

    /// Drops everything that does not descend from the finalized block, and returns it, oldest first: the finalized chain up to there
    /// and what forked off it. Nothing happens until finality has moved.
    pub fn prune(&mut self) -> Vec<Node<E>> {
        let dropped = self.tree.prune(&self.finalized.root);
        if !dropped.is_empty() {
            let (finalized, tree) = (self.finalized, &self.tree);
            self.checkpoint_states.retain(|at, _| at.epoch >= finalized.epoch && tree.place(&at.root).is_some());
        }
        dropped
    }

    /// The execution client's later word on a block. False for an unknown block.
    pub fn set_execution(&mut self, root: &B256, status: ExecutionStatus) -> bool {
        self.tree.set_execution(root, status)
    }

    /// The newest vote of every validator that has voted, in index order.
    pub fn latest_messages(&self) -> impl Iterator<Item = LatestMessage> {
        let votes = (0..).zip(&self.votes);
        votes.filter_map(|(validator, vote)| vote.map(|vote| LatestMessage { validator, epoch: vote.epoch, root: vote.root }))
    }

    /// Takes back a vote that was counted before a restart: from the own disk, not checked again. One of a validator that the justified
    /// state does not know, or not newer than what is held, changes nothing.
    pub fn restore(&mut self, message: LatestMessage) {
        let is_known = place(message.validator) < self.balances.effective.len();
        let new = Vote { epoch: message.epoch, root: message.root };
        if is_known
            && let Some(vote) = self.vote_mut(message.validator)
            && vote.is_none_or(|old| new.epoch > old.epoch)
        {
            *vote = Some(new);
        }
    }

    /// A block since finality.
    pub fn node(&self, root: &B256) -> Option<&Node<E>> {
        self.tree.get(root)
    }

    /// All blocks since finality, parents before children.
    pub fn nodes(&self) -> &[Node<E>] {
        self.tree.nodes()
    }

    /// The newest block at or before `slot` in the chain of `root`; None when it is older than the tree.
    pub fn ancestor(&self, root: &B256, slot: Slot) -> Option<&Node<E>> {
        self.tree.ancestor(root, slot)
    }

    /// What is justified.
    pub const fn justified_checkpoint(&self) -> Checkpoint {
        self.justified
    }

    /// What is finalized.
    pub const fn finalized_checkpoint(&self) -> Checkpoint {
        self.finalized
    }

    /// The block that has the proposer boost; zero when none has.
    pub const fn proposer_boost_root(&self) -> B256 {
        self.proposer_boost_root
    }

    /// Validators whose votes count for nothing.
    pub const fn equivocating(&self) -> &BTreeSet<ValidatorIndex> {
        &self.equivocating
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }
}
