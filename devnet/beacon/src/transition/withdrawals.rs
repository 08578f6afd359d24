//! Balances that leave (Capella).

use alloy_primitives::Address;
use ssz_types::typenum::Unsigned as _;

use super::{
    StateError, TransitionError,
    math::{Checked, length},
};
use crate::types::{
    BeaconState, ETH1_ADDRESS_WITHDRAWAL_PREFIX, Epoch, EthSpec, Gwei, MAX_EFFECTIVE_BALANCE, Validator, Withdrawal, Withdrawals,
};

/// The account that a validator's credentials name.
fn account(validator: &Validator) -> Option<Address> {
    let [prefix, rest @ ..] = validator.withdrawal_credentials.0;
    let address = rest.last_chunk::<20>()?;
    (prefix == ETH1_ADDRESS_WITHDRAWAL_PREFIX).then(|| Address::from(*address))
}

/// What of `balance` can be withdrawn now: all of one that has left, the excess of a full one.
const fn withdrawable(validator: &Validator, balance: Gwei, epoch: Epoch) -> Gwei {
    if validator.withdrawable_epoch <= epoch {
        balance
    } else if validator.effective_balance == MAX_EFFECTIVE_BALANCE {
        balance.saturating_sub(MAX_EFFECTIVE_BALANCE)
    } else {
        0
    }
}

/// `get_expected_withdrawals`: what the payload of the next block on this state must pay out. The state stands at that block's slot.
///
/// # Errors
/// [`StateError`]: only for a state without validators.
pub fn expected_withdrawals<E: EthSpec>(state: &BeaconState<E>) -> Result<Vec<Withdrawal>, StateError> {
    let epoch = state.current_epoch();
    let mut withdrawals: Vec<Withdrawal> = Vec::new();
    let mut index = state.next_withdrawal_index;
    let mut validator_index = state.next_withdrawal_validator_index;
    for _ in 0..state.validator_count().min(E::MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP) {
        if withdrawals.len() >= E::MaxWithdrawalsPerPayload::USIZE {
            break;
        }
        // A sweep visits nobody twice, so no earlier withdrawal of this block is of this balance.
        let (validator, balance) = (state.validator(validator_index)?, state.balance(validator_index)?);
        let amount = withdrawable(validator, balance, epoch);
        if let Some(address) = account(validator).filter(|_| amount > 0) {
            withdrawals.push(Withdrawal { index, validator_index, address, amount });
            index = index.plus(1)?;
        }
        validator_index = validator_index.plus(1)?.modulo(state.validator_count())?;
    }
    Ok(withdrawals)
}

pub(super) fn process_withdrawals<E: EthSpec>(state: &mut BeaconState<E>, found: &Withdrawals<E>) -> Result<(), TransitionError> {
    let expected = expected_withdrawals(state)?;
    if found[..] != expected[..] {
        let position = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        return Err(TransitionError::Withdrawals { found: found.len(), expected: expected.len(), position });
    }
    for withdrawal in &expected {
        state.decrease_balance(withdrawal.validator_index, withdrawal.amount)?;
    }
    if let Some(latest) = expected.last() {
        state.next_withdrawal_index = latest.index.plus(1)?;
    }
    let next = match expected.last() {
        Some(latest) if length(expected.len()) == E::MaxWithdrawalsPerPayload::U64 => latest.validator_index.plus(1)?,
        _ => state.next_withdrawal_validator_index.plus(E::MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP)?,
    };
    state.next_withdrawal_validator_index = next.modulo(state.validator_count())?;
    Ok(())
}
