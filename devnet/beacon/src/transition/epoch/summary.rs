//! One walk over the registry for all that an epoch's end asks of it.

use crate::{
    transition::{
        StateError,
        accessors::total_balance,
        math::{Checked, Overflow},
    },
    types::{BeaconState, EthSpec, Gwei, PARTICIPATION_FLAG_WEIGHTS, TIMELY_TARGET_FLAG},
};

/// A validator as an epoch's end sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Participant {
    pub(crate) effective_balance: Gwei,
    /// `get_eligible_validator_indices`.
    pub(crate) is_eligible: bool,
    /// Flags of the previous epoch; none unless it was active then and is not slashed (`get_unslashed_participating_indices`).
    pub(crate) previous_flags: u8,
}

impl Participant {
    pub(crate) const fn has(self, flag: usize) -> bool {
        (self.previous_flags >> flag) & 1 == 1
    }
}

/// What `process_epoch` asks of the registry and the participation lists.
#[derive(Debug, Clone)]
pub struct EpochSummary {
    pub(crate) participants: Vec<Participant>,
    pub(crate) total_active_balance: Gwei,
    /// Unslashed participating balance of the previous epoch by flag.
    pub(crate) previous_balances: [Gwei; PARTICIPATION_FLAG_WEIGHTS.len()],
    pub(crate) current_target_balance: Gwei,
}

impl EpochSummary {
    /// Walks over the registry once.
    ///
    /// # Errors
    /// [`StateError::Overflow`]; [`StateError::List`] when the participation lists are shorter than the registry.
    pub fn of<E: EthSpec>(state: &BeaconState<E>) -> Result<Self, StateError> {
        let (previous, current) = (state.previous_epoch(), state.current_epoch());
        let count = state.validators.len();
        let previous_participation = &state.previous_epoch_participation;
        let current_participation = &state.current_epoch_participation;
        if previous_participation.len() < count || current_participation.len() < count {
            return Err(StateError::List("participation".to_owned()));
        }
        let mut participants = Vec::with_capacity(count);
        let (mut previous_sums, mut current_target) = ([0_u64; PARTICIPATION_FLAG_WEIGHTS.len()], 0_u64);
        let flags = previous_participation.iter().zip(current_participation);
        for (validator, (previous_flags, current_flags)) in state.validators.iter().zip(flags) {
            let balance = validator.effective_balance;
            let was_active = validator.is_active_at(previous);
            let waits = validator.slashed && previous.plus(1)? < validator.withdrawable_epoch;
            let counts = |active: bool| active && !validator.slashed;
            let participant = Participant {
                effective_balance: balance,
                is_eligible: was_active || waits,
                previous_flags: if counts(was_active) { *previous_flags } else { 0 },
            };
            for (flag, sum) in previous_sums.iter_mut().enumerate() {
                if participant.has(flag) {
                    *sum = sum.plus(balance)?;
                }
            }
            if counts(validator.is_active_at(current)) && (current_flags >> TIMELY_TARGET_FLAG) & 1 == 1 {
                current_target = current_target.plus(balance)?;
            }
            participants.push(participant);
        }
        let [source, target, head] = previous_sums;
        let least = |sum| total_balance([sum]);
        Ok(Self {
            participants,
            total_active_balance: state.total_active_balance()?,
            previous_balances: [least(source)?, least(target)?, least(head)?],
            current_target_balance: least(current_target)?,
        })
    }

    pub(crate) fn previous_target_balance(&self) -> Result<Gwei, Overflow> {
        self.previous_balances.get(TIMELY_TARGET_FLAG).copied().ok_or(Overflow)
    }
}
