//! Who enters, who leaves, and what slashed validators lose in the end.

use ssz_types::typenum::Unsigned as _;

use crate::{
    transition::{
        StateError,
        math::{Checked, place},
        mutators::activation_exit_epoch,
    },
    types::{
        BeaconState, Config, EFFECTIVE_BALANCE_INCREMENT, Epoch, EthSpec, FAR_FUTURE_EPOCH, MAX_EFFECTIVE_BALANCE,
        PROPORTIONAL_SLASHING_MULTIPLIER, ValidatorIndex,
    },
};

/// `process_registry_updates`.
///
/// # Errors
/// [`StateError`].
pub fn process_registry_updates<E: EthSpec>(state: &mut BeaconState<E>, config: &Config) -> Result<(), StateError> {
    let current = state.current_epoch();
    let finalized = state.finalized_checkpoint.epoch;
    let (mut enters_queue, mut ejected) = (Vec::new(), Vec::new());
    // One walk is enough: who enters the queue now is eligible in a later epoch, and an ejection changes no one's place in it.
    let mut queue: Vec<(Epoch, ValidatorIndex)> = Vec::new();
    for (index, v) in (0..).zip(&state.validators) {
        if v.activation_eligibility_epoch == FAR_FUTURE_EPOCH && v.effective_balance == MAX_EFFECTIVE_BALANCE {
            enters_queue.push(index);
        }
        if v.is_active_at(current) && v.effective_balance <= config.ejection_balance {
            ejected.push(index);
        }
        if v.activation_eligibility_epoch <= finalized && v.activation_epoch == FAR_FUTURE_EPOCH {
            queue.push((v.activation_eligibility_epoch, index));
        }
    }
    for index in enters_queue {
        state.validator_mut(index)?.activation_eligibility_epoch = current.plus(1)?;
    }
    for index in ejected {
        state.initiate_exit(index, config)?;
    }
    queue.sort_unstable();
    let churn = state.churn_limit(config)?.min(config.max_per_epoch_activation_churn_limit);
    for (_, index) in queue.into_iter().take(place(churn)) {
        state.validator_mut(index)?.activation_epoch = activation_exit_epoch(current)?;
    }
    Ok(())
}

/// `process_slashings`.
///
/// # Errors
/// [`StateError`].
pub fn process_slashings<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), StateError> {
    let total = state.total_active_balance()?;
    let sum = state.slashings.iter().try_fold(0_u64, |sum, slashed| sum.plus(*slashed))?;
    let adjusted = sum.times(PROPORTIONAL_SLASHING_MULTIPLIER)?.min(total);
    let due = state.current_epoch().plus(E::EpochsPerSlashingsVector::U64.over(2)?)?;
    let mut penalties = Vec::new();
    for (index, v) in (0..).zip(&state.validators) {
        if v.slashed && v.withdrawable_epoch == due {
            let numerator = v.effective_balance.over(EFFECTIVE_BALANCE_INCREMENT)?.times(adjusted)?;
            penalties.push((index, numerator.over(total)?.times(EFFECTIVE_BALANCE_INCREMENT)?));
        }
    }
    for (index, penalty) in penalties {
        state.decrease_balance(index, penalty)?;
    }
    Ok(())
}
