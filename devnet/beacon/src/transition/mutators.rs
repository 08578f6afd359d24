//! What happens to a validator ("Beacon state mutators" of the specification).

use ssz_types::typenum::Unsigned as _;

use super::{
    StateError,
    caches::ExitQueue,
    math::{Checked, length, place},
};
use crate::types::{
    BeaconState, Config, Epoch, EthSpec, FAR_FUTURE_EPOCH, Gwei, MAX_SEED_LOOKAHEAD, MIN_SLASHING_PENALTY_QUOTIENT,
    PROPOSER_WEIGHT, ValidatorIndex, WEIGHT_DENOMINATOR, WHISTLEBLOWER_REWARD_QUOTIENT,
};

/// `compute_activation_exit_epoch`.
pub(crate) fn activation_exit_epoch(epoch: Epoch) -> Result<Epoch, StateError> {
    Ok(epoch.plus(1)?.plus(MAX_SEED_LOOKAHEAD)?)
}

impl<E: EthSpec> BeaconState<E> {
    fn balance_mut(&mut self, index: ValidatorIndex) -> Result<&mut Gwei, StateError> {
        let validators = self.validators.len();
        self.balances.get_mut(place(index)).ok_or(StateError::UnknownValidator { index, validators })
    }

    /// `increase_balance`.
    pub(crate) fn increase_balance(&mut self, index: ValidatorIndex, delta: Gwei) -> Result<(), StateError> {
        let balance = self.balance_mut(index)?;
        *balance = balance.plus(delta)?;
        Ok(())
    }

    /// `decrease_balance`: not below zero.
    pub(crate) fn decrease_balance(&mut self, index: ValidatorIndex, delta: Gwei) -> Result<(), StateError> {
        let balance = self.balance_mut(index)?;
        *balance = balance.saturating_sub(delta);
        Ok(())
    }

    /// `initiate_validator_exit`; nothing for one that leaves already.
    pub(crate) fn initiate_exit(&mut self, index: ValidatorIndex, config: &Config) -> Result<(), StateError> {
        if self.validator(index)?.has_exit() {
            return Ok(());
        }
        let earliest = activation_exit_epoch(self.current_epoch())?;
        let last = self.caches.exit_queue.unwrap_or_else(|| self.last_exits());
        let mut queue = if last.epoch < earliest { ExitQueue { epoch: earliest, exits: 0 } } else { last };
        if queue.exits >= self.churn_limit(config)? {
            queue = ExitQueue { epoch: queue.epoch.plus(1)?, exits: 0 };
        }
        let withdrawable_epoch = queue.epoch.plus(config.min_validator_withdrawability_delay)?;
        let validator = self.validator_mut(index)?;
        validator.exit_epoch = queue.epoch;
        validator.withdrawable_epoch = withdrawable_epoch;
        self.caches.exit_queue = Some(ExitQueue { exits: queue.exits.plus(1)?, ..queue });
        Ok(())
    }

    fn last_exits(&self) -> ExitQueue {
        let exits = self.validators.iter().map(|v| v.exit_epoch).filter(|epoch| *epoch != FAR_FUTURE_EPOCH);
        let mut last = ExitQueue { epoch: 0, exits: 0 };
        for epoch in exits {
            if epoch > last.epoch {
                last = ExitQueue { epoch, exits: 0 };
            }
            if epoch == last.epoch {
                last.exits = last.exits.saturating_add(1);
            }
        }
        last
    }

    /// `slash_validator`, with the proposer of the state's slot as whistleblower.
    pub(crate) fn slash(&mut self, index: ValidatorIndex, config: &Config) -> Result<(), StateError> {
        let epoch = self.current_epoch();
        self.initiate_exit(index, config)?;
        let least = epoch.plus(E::EpochsPerSlashingsVector::U64)?;
        let validator = self.validator_mut(index)?;
        validator.slashed = true;
        validator.withdrawable_epoch = validator.withdrawable_epoch.max(least);
        let effective_balance = validator.effective_balance;

        let at = place(epoch.modulo(E::EpochsPerSlashingsVector::U64)?);
        let slashed = self.slashings.get_mut(at).ok_or_else(|| StateError::List("slashings".to_owned()))?;
        *slashed = slashed.plus(effective_balance)?;
        self.decrease_balance(index, effective_balance.over(MIN_SLASHING_PENALTY_QUOTIENT)?)?;

        let proposer = self.proposer_index(self.slot)?;
        let reward = effective_balance.over(WHISTLEBLOWER_REWARD_QUOTIENT)?;
        let proposer_reward = reward.times(PROPOSER_WEIGHT)?.over(WEIGHT_DENOMINATOR)?;
        self.increase_balance(proposer, proposer_reward)?;
        self.increase_balance(proposer, reward.minus(proposer_reward)?)
    }

    /// Writes pending changes of the long lists into their trees. Cheap when there are none.
    pub(crate) fn apply_pending(&mut self) -> Result<(), StateError> {
        self.block_roots.apply_updates()?;
        self.state_roots.apply_updates()?;
        self.historical_roots.apply_updates()?;
        self.eth1_data_votes.apply_updates()?;
        self.validators.apply_updates()?;
        self.balances.apply_updates()?;
        self.randao_mixes.apply_updates()?;
        self.slashings.apply_updates()?;
        self.previous_epoch_participation.apply_updates()?;
        self.current_epoch_participation.apply_updates()?;
        self.inactivity_scores.apply_updates()?;
        self.historical_summaries.apply_updates()?;
        Ok(())
    }

    /// A registry index for a list that has one entry per validator.
    pub(crate) fn validator_count(&self) -> u64 {
        length(self.validators.len())
    }
}
