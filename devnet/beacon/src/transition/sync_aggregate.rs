//! Rewards of the sync committee (Altair).

use ssz_types::typenum::Unsigned as _;
use tree_hash::TreeHash as _;

use super::{
    SignatureOf, StateError, TransitionError, accessors::epoch_at, epoch::base_reward_per_increment, math::Checked,
    signatures::Signatures,
};
use crate::types::{
    BeaconState, DomainType, EFFECTIVE_BALANCE_INCREMENT, EthSpec, PROPOSER_WEIGHT, SYNC_REWARD_WEIGHT, SigningData,
    SyncAggregate, ValidatorIndex, WEIGHT_DENOMINATOR,
};

pub(super) fn process_sync_aggregate<E: EthSpec>(
    state: &mut BeaconState<E>,
    aggregate: &SyncAggregate<E>,
    signatures: &mut Signatures,
) -> Result<(), TransitionError> {
    let seats = seats(state)?;
    let signed = |seat: usize| aggregate.sync_committee_bits.get(seat).unwrap_or_default();
    let previous_slot = state.slot.max(1).minus(1)?;
    let domain = state.domain(DomainType::SyncCommittee, epoch_at::<E>(previous_slot));
    let object_root = state.block_root_at_slot(previous_slot)?;
    let nobody = aggregate.sync_committee_bits.is_zero();
    // `eth_fast_aggregate_verify`: nobody's signature is the point at infinity.
    if !nobody || aggregate.sync_committee_signature != SyncAggregate::<E>::empty().sync_committee_signature {
        let root = SigningData { object_root, domain }.tree_hash_root();
        let signers = seats.iter().enumerate().filter(|(seat, _)| signed(*seat));
        let keys: Vec<_> = signers.map(|(_, index)| state.public_key(*index)).collect();
        signatures.add(SignatureOf::SyncAggregate, root, keys, &aggregate.sync_committee_signature)?;
    }

    let increments = state.total_active_balance()?.over(EFFECTIVE_BALANCE_INCREMENT)?;
    let base_rewards = base_reward_per_increment(state)?.times(increments)?;
    let of_slot = base_rewards.times(SYNC_REWARD_WEIGHT)?.over(WEIGHT_DENOMINATOR)?.over(E::slots_per_epoch())?;
    let member = of_slot.over(E::SyncCommitteeSize::U64)?;
    let of_proposer = member.times(PROPOSER_WEIGHT)?.over(WEIGHT_DENOMINATOR.minus(PROPOSER_WEIGHT)?)?;
    let proposer = state.proposer_index(state.slot)?;
    // One by one: a balance that reaches zero on the way makes the order matter.
    for (seat, index) in seats.iter().enumerate() {
        if signed(seat) {
            state.increase_balance(*index, member)?;
            state.increase_balance(proposer, of_proposer)?;
        } else {
            state.decrease_balance(*index, member)?;
        }
    }
    Ok(())
}

fn seats<E: EthSpec>(state: &BeaconState<E>) -> Result<Vec<ValidatorIndex>, StateError> {
    let missing = || StateError::UnknownValidator { index: u64::MAX, validators: state.validators.len() };
    state.current_sync_committee.pubkeys.iter().map(|key| state.index_of(key).ok_or_else(missing)).collect()
}
