//! The deposit contract as the execution chain's log tells it: the tree, proofs, and the vote about it.

use alloy_primitives::B256;
use pol_core::sha256;
use ssz_types::{FixedVector, typenum::Unsigned as _};
use tree_hash::TreeHash as _;

use super::{chain::Chain, error::DriverError};
use crate::{
    engine::Log,
    storage::LoggedDeposit,
    types::{BeaconState, DEPOSIT_CONTRACT_TREE_DEPTH, Deposit, DepositData, Eth1Data, EthSpec, MAX_DEPOSITS},
};

/// Bytes of a `DepositEvent`'s data.
const EVENT_BYTES: usize = 576;
/// Where each of its five byte strings lies (its length word), and its length.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// Reads a `DepositEvent`: its number and leaf. None unless it is laid out as the contract writes it.
pub fn decode_deposit(log: &Log) -> Option<(u64, LoggedDeposit)> {
    let data: &[u8; EVENT_BYTES] = log.data.get(..)?.try_into().ok()?;
    let word = |at: usize| {
        let (zeros, low) = data.get(at..at.checked_add(32)?)?.split_at(24);
        zeros.iter().all(|byte| *byte == 0).then(|| low.try_into().ok().map(u64::from_be_bytes)).flatten()
    };
    let mut fields: Vec<&[u8]> = Vec::with_capacity(FIELDS.len());
    for (place, (at, length)) in FIELDS.into_iter().enumerate() {
        if word(place.checked_mul(32)?)? != u64::try_from(at).ok()? || word(at)? != u64::try_from(length).ok()? {
            return None;
        }
        let start = at.checked_add(32)?;
        fields.push(data.get(start..start.checked_add(length)?)?);
    }
    let [pubkey, credentials, amount, signature, index] = fields.try_into().ok()?;
    let data = DepositData {
        pubkey: <[u8; 48]>::try_from(pubkey).ok()?.into(),
        withdrawal_credentials: B256::try_from(credentials).ok()?,
        amount: u64::from_le_bytes(amount.try_into().ok()?),
        signature: <[u8; 96]>::try_from(signature).ok()?.into(),
    };
    Some((u64::from_le_bytes(index.try_into().ok()?), LoggedDeposit { block_number: log.block_number.to(), data }))
}

/// The contract's tree, from its log.
#[derive(Debug, Default)]
pub struct DepositTree {
    deposits: Vec<LoggedDeposit>,
    leaves: Vec<B256>,
    /// Execution block up to which the log was read.
    pub(super) read_to: u64,
}

impl DepositTree {
    /// The tree of these deposits, in order. The log was read up to the last one's block.
    pub fn new(deposits: Vec<LoggedDeposit>) -> Self {
        let mut tree = Self::default();
        deposits.into_iter().for_each(|deposit| tree.push(deposit));
        tree
    }

    /// Adds the next deposit.
    pub fn push(&mut self, deposit: LoggedDeposit) {
        self.read_to = self.read_to.max(deposit.block_number);
        self.leaves.push(deposit.data.tree_hash_root());
        self.deposits.push(deposit);
    }

    /// Deposits known.
    pub const fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Deposits up to an execution block; None when the log was not read that far.
    pub fn count_at(&self, block_number: u64) -> Option<usize> {
        let known = block_number <= self.read_to || block_number == 0;
        known.then(|| self.deposits.partition_point(|deposit| deposit.block_number <= block_number))
    }

    /// Root of the tree of the first `count` deposits, their number mixed in.
    pub fn root(&self, count: usize) -> B256 {
        let mut layer: Vec<B256> = self.leaves.iter().take(count).copied().collect();
        let mut empty = B256::ZERO;
        for _ in 0..DEPOSIT_CONTRACT_TREE_DEPTH {
            layer = parents(&layer, empty);
            empty = hash(empty, empty);
        }
        hash(layer.first().copied().unwrap_or(empty), length(count))
    }

    /// Deposit `index` with its proof in the tree of the first `count`.
    pub fn deposit(&self, index: usize, count: usize) -> Option<Deposit> {
        let data = self.deposits.get(index)?.data.clone();
        let mut layer: Vec<B256> = self.leaves.iter().take(count).copied().collect();
        let (mut empty, mut at, mut proof) = (B256::ZERO, index, Vec::new());
        for _ in 0..DEPOSIT_CONTRACT_TREE_DEPTH {
            proof.push(layer.get(at ^ 1).copied().unwrap_or(empty));
            layer = parents(&layer, empty);
            empty = hash(empty, empty);
            at >>= 1;
        }
        proof.push(length(count));
        Some(Deposit { proof: FixedVector::new(proof).ok()?, data })
    }
}

fn hash(left: B256, right: B256) -> B256 {
    B256::from(sha256(&[&left.0, &right.0]))
}

fn parents(layer: &[B256], empty: B256) -> Vec<B256> {
    let pair = |pair: &[B256]| hash(pair.first().copied().unwrap_or(empty), pair.get(1).copied().unwrap_or(empty));
    layer.chunks(2).map(pair).collect()
}

fn length(count: usize) -> B256 {
    let mut bytes = [0; 32];
    let count = u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes();
    bytes.iter_mut().zip(count).for_each(|(to, from)| *to = from);
    B256::from(bytes)
}

impl<E: EthSpec> Chain<E> {
    /// `get_eth1_vote` of a block on `state`, the parent's at the block's slot. The execution blocks in question are those of this very
    /// chain's beacon blocks, so nobody has to be asked.
    pub(super) fn eth1_vote(&self, state: &BeaconState<E>) -> Result<Eth1Data, DriverError> {
        let period = E::SlotsPerEth1VotingPeriod::U64;
        let start = state.slot.saturating_sub(state.slot.checked_rem(period).unwrap_or(0));
        let follow = self.config.eth1_follow_distance;
        let mut candidates: Vec<Eth1Data> = Vec::new();
        if let Some(last) = start.checked_sub(follow) {
            for slot in last.saturating_sub(follow)..=last {
                let Some(candidate) = self.eth1_data_at(state, slot)? else { continue };
                if candidate.deposit_count >= state.eth1_data.deposit_count && !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        let votes: Vec<Eth1Data> = state.eth1_data_votes.iter().filter(|vote| candidates.contains(vote)).copied().collect();
        let count = |vote: &Eth1Data| votes.iter().filter(|other| *other == vote).count();
        // The most voted, the first of those with equally many.
        let best = votes.iter().rev().max_by_key(|vote| count(vote)).copied();
        Ok(best.or(candidates.last().copied()).unwrap_or(state.eth1_data))
    }

    fn eth1_data_at(&self, state: &BeaconState<E>, slot: u64) -> Result<Option<Eth1Data>, DriverError> {
        let Ok(root) = state.block_root_at_slot(slot) else { return Ok(None) };
        let (number, block_hash) = if root == self.genesis_root {
            let header = &self.genesis.latest_execution_payload_header;
            (header.block_number, header.block_hash)
        } else {
            let Some(block) = self.block(&root)? else { return Ok(None) };
            let payload = &block.message().body.execution_payload;
            (payload.block_number, payload.block_hash)
        };
        let data = |count: usize| Eth1Data {
            deposit_root: self.deposits.root(count),
            deposit_count: u64::try_from(count).unwrap_or(u64::MAX),
            block_hash,
        };
        Ok(self.deposits.count_at(number).map(data))
    }

    /// The deposits that a block on `state` must carry when its vote is `vote`. None when they are not known here: then the block must
    /// vote for what the state has, or wait.
    pub(super) fn due_deposits(&self, state: &BeaconState<E>, vote: Eth1Data) -> Option<Vec<Deposit>> {
        let votes = state.eth1_data_votes.iter().filter(|other| **other == vote).count().saturating_add(1);
        let decided = votes.saturating_mul(2) > E::SlotsPerEth1VotingPeriod::USIZE;
        let data = if decided { vote } else { state.eth1_data };
        let count = usize::try_from(data.deposit_count).ok()?;
        let first = state.eth1_deposit_index;
        let most = data.deposit_count.saturating_sub(first).min(MAX_DEPOSITS);
        if most == 0 {
            return Some(Vec::new());
        }
        if count > self.deposits.len() || self.deposits.root(count) != data.deposit_root {
            return None;
        }
        (first..first.saturating_add(most)).map(|index| self.deposits.deposit(usize::try_from(index).ok()?, count)).collect()
    }

    /// Where the log is to be read next, up to the block that no usual reorg reaches.
    pub(super) fn deposit_range(&self) -> Result<Option<(u64, u64)>, DriverError> {
        let number = self.head_state()?.latest_execution_payload_header.block_number;
        let to = number.saturating_sub(self.config.eth1_follow_distance);
        let from = self.deposits.read_to.saturating_add(1);
        Ok((from <= to).then_some((from, to.min(from.saturating_add(999)))))
    }

    /// Takes what the log says up to block `to`. Deposits out of order mean that the execution chain was reorganized below what was read:
    /// all is forgotten and read again.
    pub(super) fn add_deposits(&mut self, to: u64, logs: &[Log]) -> Result<(), DriverError> {
        let first = self.deposits.len();
        let decoded: Vec<_> = logs.iter().filter_map(decode_deposit).collect();
        let in_order =
            (u64::try_from(first).unwrap_or(u64::MAX)..).zip(&decoded).all(|(expected, (index, _))| *index == expected);
        if !in_order || decoded.len() != logs.len() {
            tracing::warn!(target: "polai::beacon", from = first, "the deposit log does not continue what was read; reading it again");
            self.database.clear_deposits()?;
            self.deposits = DepositTree::default();
            return Ok(());
        }
        let new: Vec<LoggedDeposit> = decoded.into_iter().map(|(_, deposit)| deposit).collect();
        self.database.put_deposits(u64::try_from(first).unwrap_or(u64::MAX), &new)?;
        if !new.is_empty() {
            tracing::info!(target: "polai::beacon", deposits = new.len(), "deposits found in the execution chain");
        }
        new.into_iter().for_each(|deposit| self.deposits.push(deposit));
        self.deposits.read_to = to;
        Ok(())
    }
}
