//! The rest of an epoch's end: effective balances, and lists that begin anew.

use milhouse::List;
use ssz_types::typenum::Unsigned as _;
use tree_hash::TreeHash as _;

use crate::{
    transition::{
        StateError,
        math::{Checked, place},
        proposers,
    },
    types::{
        BeaconState, EFFECTIVE_BALANCE_INCREMENT, EthSpec, Gwei, HYSTERESIS_DOWNWARD_MULTIPLIER, HYSTERESIS_QUOTIENT,
        HYSTERESIS_UPWARD_MULTIPLIER, HistoricalSummary, MAX_EFFECTIVE_BALANCE,
    },
};

/// `process_eth1_data_reset`.
///
/// # Errors
/// [`StateError`].
pub fn process_eth1_data_reset<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    if state.current_epoch().plus(1)?.modulo(E::EPOCHS_PER_ETH1_VOTING_PERIOD)? == 0 {
        state.eth1_data_votes = List::empty();
    }
    Ok(())
}

/// `process_effective_balance_updates`.
///
/// # Errors
/// [`StateError`].
pub fn process_effective_balance_updates<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let step = EFFECTIVE_BALANCE_INCREMENT.over(HYSTERESIS_QUOTIENT)?;
    let down = step.times(HYSTERESIS_DOWNWARD_MULTIPLIER)?;
    let up = step.times(HYSTERESIS_UPWARD_MULTIPLIER)?;
    let mut changed: Vec<(u64, Gwei)> = Vec::new();
    for (index, (validator, balance)) in (0..).zip(state.validators.iter().zip(&state.balances)) {
        let effective = validator.effective_balance;
        if balance.plus(down)? < effective || effective.plus(up)? < *balance {
            let rounded = balance.minus(balance.modulo(EFFECTIVE_BALANCE_INCREMENT)?)?;
            changed.push((index, rounded.min(MAX_EFFECTIVE_BALANCE)));
        }
    }
    for (index, effective_balance) in changed {
        state.validator_mut(index)?.effective_balance = effective_balance;
    }
    Ok(())
}

/// `process_slashings_reset`.
///
/// # Errors
/// [`StateError`].
pub fn process_slashings_reset<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let at = state.current_epoch().plus(1)?.modulo(E::EpochsPerSlashingsVector::U64)?;
    if let Some(slashed) = state.slashings.get_mut(place(at)) {
        *slashed = 0;
    }
    Ok(())
}

/// `process_randao_mixes_reset`.
///
/// # Errors
/// [`StateError`].
pub fn process_randao_mixes_reset<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let current = state.current_epoch();
    let mix = state.randao_mix(current);
    let at = current.plus(1)?.modulo(E::EpochsPerHistoricalVector::U64)?;
    if let Some(next) = state.randao_mixes.get_mut(place(at)) {
        *next = mix;
    }
    Ok(())
}

/// `process_historical_summaries_update`.
///
/// # Errors
/// [`StateError`].
pub fn process_historical_summaries_update<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let period = E::SlotsPerHistoricalRoot::U64.over(E::slots_per_epoch())?;
    if state.current_epoch().plus(1)?.modulo(period)? == 0 {
        state.block_roots.apply_updates()?;
        state.state_roots.apply_updates()?;
        state.historical_summaries.push(HistoricalSummary {
            block_summary_root: state.block_roots.tree_hash_root(),
            state_summary_root: state.state_roots.tree_hash_root(),
        })?;
    }
    Ok(())
}

/// `process_participation_flag_updates`.
///
/// # Errors
/// [`StateError`].
pub fn process_participation_flag_updates<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let nobody = List::repeat(0, state.validators.len())?;
    state.previous_epoch_participation = std::mem::replace(&mut state.current_epoch_participation, nobody);
    Ok(())
}

/// `process_sync_committee_updates`.
///
/// # Errors
/// [`StateError`].
pub fn process_sync_committee_updates<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    if state.current_epoch().plus(1)?.modulo(E::EPOCHS_PER_SYNC_COMMITTEE_PERIOD)? == 0 {
        let next = proposers::next_sync_committee(state)?;
        state.current_sync_committee = std::mem::replace(&mut state.next_sync_committee, next);
    }
    Ok(())
}
