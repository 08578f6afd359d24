//! `process_attestation` (Deneb: an attestation can be included until the end of the next epoch).

use pol_core::{
    Hash32,
    bls::{PublicKey, Signature},
};
use ssz_types::VariableList;

use super::{Context, OperationError, Refusal, attester_slashing::check_indexed};
use crate::{
    transition::{Shuffling, StateError, accessors::epoch_at, epoch::base_reward_per_increment, math::Checked, math::place},
    types::{
        Attestation, AttestationData, BeaconState, DomainType, EFFECTIVE_BALANCE_INCREMENT, EthSpec, IndexedAttestation,
        MIN_ATTESTATION_INCLUSION_DELAY, PARTICIPATION_FLAG_WEIGHTS, PROPOSER_WEIGHT, TIMELY_HEAD_FLAG, TIMELY_SOURCE_FLAG,
        TIMELY_TARGET_FLAG, ValidatorIndex, WEIGHT_DENOMINATOR, signing_root,
    },
};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    attestation: &Attestation,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let data = &attestation.data;
    check_slots(state, data)?;
    let shuffling = state.shuffling(data.target.epoch)?;
    let indices = attesting_indices(&shuffling, attestation)?;
    let flags = participation_flags(state, data)?;
    let indexed = indexed(attestation, indices)?;
    check_indexed(state, &indexed, context)?;
    Ok(reward(state, &indexed, flags)?)
}

fn check_slots<E: EthSpec>(state: &BeaconState<E>, data: &AttestationData) -> Result<(), OperationError> {
    let (previous, current) = (state.previous_epoch(), state.current_epoch());
    let found = data.target.epoch;
    if found != previous && found != current {
        return Err(OperationError::TargetEpoch { found, previous, current });
    }
    if found != epoch_at::<E>(data.slot) {
        return Err(OperationError::TargetSlot { found, slot: data.slot });
    }
    if data.slot.plus(MIN_ATTESTATION_INCLUSION_DELAY)? > state.slot {
        return Err(OperationError::TooEarly { slot: data.slot, state_slot: state.slot });
    }
    Ok(())
}

/// `get_attesting_indices`, in committee order.
///
/// # Errors
/// [`StateError::Committee`]; [`OperationError::Bits`] unless there is one bit for each member.
pub fn attesting_indices(shuffling: &Shuffling, attestation: &Attestation) -> Result<Vec<ValidatorIndex>, OperationError> {
    let committee = shuffling.committee(attestation.data.slot, attestation.data.index)?;
    let (found, expected) = (attestation.aggregation_bits.len(), committee.len());
    if found != expected {
        return Err(OperationError::Bits { found, expected });
    }
    let members = committee.iter().zip(attestation.aggregation_bits.iter());
    Ok(members.filter(|(_, voted)| *voted).map(|(index, _)| *index).collect())
}

fn indexed(attestation: &Attestation, mut indices: Vec<ValidatorIndex>) -> Result<IndexedAttestation, OperationError> {
    indices.sort_unstable();
    let attesting_indices = VariableList::new(indices).map_err(|e| OperationError::State(StateError::List(e.to_string())))?;
    Ok(IndexedAttestation { attesting_indices, data: attestation.data, signature: attestation.signature })
}

/// `get_indexed_attestation` on a state whose committees reach the attestation's epoch.
///
/// # Errors
/// [`OperationError::State`], [`OperationError::Bits`].
pub fn indexed_attestation<E: EthSpec>(
    state: &BeaconState<E>,
    attestation: &Attestation,
) -> Result<IndexedAttestation, OperationError> {
    let shuffling = state.shuffling(epoch_at::<E>(attestation.data.slot))?;
    indexed(attestation, attesting_indices(&shuffling, attestation)?)
}

/// `is_valid_indexed_attestation`, for attestations that no block brings.
///
/// # Errors
/// [`OperationError::Indices`], [`OperationError::State`] for indices beyond the registry, [`OperationError::Signature`].
pub fn verify_indexed<E: EthSpec>(state: &BeaconState<E>, attestation: &IndexedAttestation) -> Result<(), OperationError> {
    let indices = &attestation.attesting_indices;
    if indices.is_empty() || !indices.is_sorted_by(|a, b| a < b) {
        return Err(OperationError::Indices);
    }
    let keys: Vec<&PublicKey> = indices.iter().map(|i| state.public_key(*i)).collect::<Result<_, StateError>>()?;
    let root = signing_root(&attestation.data, state.domain(DomainType::BeaconAttester, attestation.data.target.epoch));
    let signature = Signature::from_bytes(&attestation.signature.0)?;
    Ok(signature.fast_aggregate_verify(Hash32(root.0), keys)?)
}

/// `get_attestation_participation_flag_indices`, as a flag byte.
fn participation_flags<E: EthSpec>(state: &BeaconState<E>, data: &AttestationData) -> Result<u8, OperationError> {
    let expected = if data.target.epoch == state.current_epoch() {
        state.current_justified_checkpoint
    } else {
        state.previous_justified_checkpoint
    };
    let is_target = data.target.root == state.block_root(data.target.epoch)?;
    let is_head = is_target && data.beacon_block_root == state.block_root_at_slot(data.slot)?;
    if data.source != expected {
        return Err(OperationError::Source { found: data.source, expected });
    }
    let delay = state.slot.minus(data.slot)?;
    let mut flags = 0;
    if delay <= E::slots_per_epoch().isqrt() {
        flags |= 1 << TIMELY_SOURCE_FLAG;
    }
    if is_target {
        flags |= 1 << TIMELY_TARGET_FLAG;
    }
    if is_head && delay == MIN_ATTESTATION_INCLUSION_DELAY {
        flags |= 1 << TIMELY_HEAD_FLAG;
    }
    Ok(flags)
}

fn reward<E: EthSpec>(state: &mut BeaconState<E>, attestation: &IndexedAttestation, flags: u8) -> Result<(), StateError> {
    let per_increment = base_reward_per_increment(state)?;
    let is_current = attestation.data.target.epoch == state.current_epoch();
    let mut numerator = 0_u64;
    for index in &attestation.attesting_indices {
        let increments = state.validator(*index)?.effective_balance.over(EFFECTIVE_BALANCE_INCREMENT)?;
        let base_reward = increments.times(per_increment)?;
        let participation =
            if is_current { &mut state.current_epoch_participation } else { &mut state.previous_epoch_participation };
        let unknown = StateError::UnknownValidator { index: *index, validators: participation.len() };
        let had = *participation.get(place(*index)).ok_or_else(|| unknown.clone())?;
        let new = flags & !had;
        if new == 0 {
            continue;
        }
        *participation.get_mut(place(*index)).ok_or(unknown)? = had | new;
        for (flag, weight) in PARTICIPATION_FLAG_WEIGHTS.iter().enumerate() {
            if new & (1 << flag) != 0 {
                numerator = numerator.plus(base_reward.times(*weight)?)?;
            }
        }
    }
    let denominator = WEIGHT_DENOMINATOR.minus(PROPOSER_WEIGHT)?.times(WEIGHT_DENOMINATOR)?.over(PROPOSER_WEIGHT)?;
    let proposer = state.proposer_index(state.slot)?;
    state.increase_balance(proposer, numerator.over(denominator)?)
}
