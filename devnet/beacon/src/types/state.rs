//! The beacon state.

use alloy_primitives::B256;
use milhouse::{List, Vector};
use ssz_derive::{Decode, Encode};
use ssz_types::{BitVector, typenum::U4};
use tree_hash_derive::TreeHash;

use super::{
    BeaconBlockHeader, Checkpoint, Eth1Data, EthSpec, ExecutionPayloadHeader, Fork, Gwei, HistoricalRootsLimit,
    HistoricalSummary, Slot, SyncCommittee, Validator, ValidatorIndex, ValidatorRegistryLimit,
};
use crate::transition::Caches;

/// Flags of one validator in one epoch.
pub type ParticipationFlags = u8;

/// The 28 fields of Deneb's `BeaconState`.
///
/// The long lists are persistent trees: a copy of a state shares all that did not change, and roots of unchanged parts are
/// remembered. What the transition computes once an epoch (shufflings, proposers, total balance) lies in `caches`, which is no
/// part of the state: call [`Self::drop_caches`] after writing to a field by hand.
#[derive(Debug, Clone, PartialEq, Encode, Decode, TreeHash)]
pub struct BeaconState<E: EthSpec> {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the genesis validators.
    pub genesis_validators_root: B256,
    /// Current slot.
    pub slot: Slot,
    /// Current fork.
    pub fork: Fork,
    /// Newest block; its state root is zero until the next slot.
    pub latest_block_header: BeaconBlockHeader,
    /// Block roots of the last slots.
    pub block_roots: Vector<B256, E::SlotsPerHistoricalRoot>,
    /// State roots of the last slots.
    pub state_roots: Vector<B256, E::SlotsPerHistoricalRoot>,
    /// Frozen since Capella.
    pub historical_roots: List<B256, HistoricalRootsLimit>,
    /// What is known of the deposit contract.
    pub eth1_data: Eth1Data,
    /// Votes of this period.
    pub eth1_data_votes: List<Eth1Data, E::SlotsPerEth1VotingPeriod>,
    /// Deposits processed.
    pub eth1_deposit_index: u64,
    /// The registry.
    pub validators: List<Validator, ValidatorRegistryLimit>,
    /// Balances by registry index. Gwei.
    pub balances: List<Gwei, ValidatorRegistryLimit>,
    /// Randomness by epoch.
    pub randao_mixes: Vector<B256, E::EpochsPerHistoricalVector>,
    /// Slashed balances by epoch. Gwei.
    pub slashings: Vector<Gwei, E::EpochsPerSlashingsVector>,
    /// Participation in the previous epoch, by registry index.
    pub previous_epoch_participation: List<ParticipationFlags, ValidatorRegistryLimit>,
    /// Participation in the current epoch, by registry index.
    pub current_epoch_participation: List<ParticipationFlags, ValidatorRegistryLimit>,
    /// Whether the last four epochs were justified, newest first.
    pub justification_bits: BitVector<U4>,
    /// Justified before the current one.
    pub previous_justified_checkpoint: Checkpoint,
    /// Justified.
    pub current_justified_checkpoint: Checkpoint,
    /// Finalized.
    pub finalized_checkpoint: Checkpoint,
    /// Inactivity scores by registry index.
    pub inactivity_scores: List<u64, ValidatorRegistryLimit>,
    /// Sync committee of this period.
    pub current_sync_committee: SyncCommittee<E>,
    /// Sync committee of the next period.
    pub next_sync_committee: SyncCommittee<E>,
    /// Newest payload.
    pub latest_execution_payload_header: ExecutionPayloadHeader<E>,
    /// Number of the next withdrawal.
    pub next_withdrawal_index: u64,
    /// Where the next sweep begins.
    pub next_withdrawal_validator_index: ValidatorIndex,
    /// Summaries since Capella.
    pub historical_summaries: List<HistoricalSummary, HistoricalRootsLimit>,
    /// Not part of the state.
    #[ssz(skip_serializing, skip_deserializing)]
    #[tree_hash(skip_hashing)]
    pub(crate) caches: Caches,
}
