//! Inactivity scores, rewards and penalties (Altair, with Bellatrix's numbers).

use milhouse::List;

use super::{EpochSummary, summary::Participant};
use crate::{
    transition::{StateError, math::Checked},
    types::{
        BASE_REWARD_FACTOR, BeaconState, Config, EFFECTIVE_BALANCE_INCREMENT, EthSpec, GENESIS_EPOCH, Gwei,
        INACTIVITY_PENALTY_QUOTIENT, MIN_EPOCHS_TO_INACTIVITY_PENALTY, PARTICIPATION_FLAG_WEIGHTS, TIMELY_HEAD_FLAG,
        TIMELY_TARGET_FLAG, WEIGHT_DENOMINATOR,
    },
};

/// `get_base_reward_per_increment`. Gwei.
pub(crate) fn base_reward_per_increment<E: EthSpec>(state: &BeaconState<E>) -> Result<Gwei, StateError> {
    let total = state.total_active_balance()?;
    Ok(EFFECTIVE_BALANCE_INCREMENT.times(BASE_REWARD_FACTOR)?.over(total.isqrt())?)
}

/// `is_in_inactivity_leak`.
fn is_in_inactivity_leak<E: EthSpec>(state: &BeaconState<E>) -> Result<bool, StateError> {
    let delay = state.previous_epoch().minus(state.finalized_checkpoint.epoch)?;
    Ok(delay > MIN_EPOCHS_TO_INACTIVITY_PENALTY)
}

/// `process_inactivity_updates`.
///
/// # Errors
/// [`StateError`].
pub fn process_inactivity_updates<E: EthSpec>(
    state: &mut BeaconState<E>,
    summary: &EpochSummary,
    config: &Config,
) -> Result<(), StateError> {
    if state.current_epoch() == GENESIS_EPOCH {
        return Ok(());
    }
    let recovery = if is_in_inactivity_leak(state)? { 0 } else { config.inactivity_score_recovery_rate };
    let mut scores = state.inactivity_scores.iter_cow();
    for participant in &summary.participants {
        let Some((_, mut score)) = scores.next_cow() else { break };
        if !participant.is_eligible {
            continue;
        }
        let moved = if participant.has(TIMELY_TARGET_FLAG) {
            score.saturating_sub(1)
        } else {
            score.plus(config.inactivity_score_bias)?
        };
        let new = moved.saturating_sub(recovery);
        // Scores are zero in good times: an untouched list keeps its root.
        if *score != new {
            *score.make_mut()? = new;
        }
    }
    Ok(())
}

/// What all rewards of an epoch have in common.
struct Rates {
    per_increment: Gwei,
    is_leak: bool,
    active_increments: u64,
    participating_increments: [u64; PARTICIPATION_FLAG_WEIGHTS.len()],
    inactivity_divisor: u64,
}

/// `process_rewards_and_penalties`.
///
/// # Errors
/// [`StateError`].
pub fn process_rewards_and_penalties<E: EthSpec>(
    state: &mut BeaconState<E>,
    summary: &EpochSummary,
    config: &Config,
) -> Result<(), StateError> {
    if state.current_epoch() == GENESIS_EPOCH {
        return Ok(());
    }
    let increments = |balance: Gwei| balance.over(EFFECTIVE_BALANCE_INCREMENT);
    let [source, target, head] = summary.previous_balances;
    let rates = Rates {
        per_increment: base_reward_per_increment(state)?,
        is_leak: is_in_inactivity_leak(state)?,
        active_increments: increments(summary.total_active_balance)?,
        participating_increments: [increments(source)?, increments(target)?, increments(head)?],
        inactivity_divisor: config.inactivity_score_bias.times(INACTIVITY_PENALTY_QUOTIENT)?,
    };
    let inputs = summary.participants.iter().zip(state.inactivity_scores.iter().zip(&state.balances));
    let balances = inputs.map(|(participant, (score, balance))| rates.apply(*participant, *score, *balance));
    let balances: Vec<Gwei> = balances.collect::<Result<_, StateError>>()?;
    if balances.len() != state.balances.len() {
        return Err(StateError::List("balances".to_owned()));
    }
    state.balances = List::try_from_iter(balances)?;
    Ok(())
}

impl Rates {
    /// `get_flag_index_deltas` of each flag, then `get_inactivity_penalty_deltas`: one after the other, because a balance stops at zero.
    fn apply(&self, participant: Participant, score: u64, mut balance: Gwei) -> Result<Gwei, StateError> {
        if !participant.is_eligible {
            return Ok(balance);
        }
        let increments = participant.effective_balance.over(EFFECTIVE_BALANCE_INCREMENT)?;
        let base_reward = increments.times(self.per_increment)?;
        let flags = PARTICIPATION_FLAG_WEIGHTS.into_iter().zip(self.participating_increments).enumerate();
        for (flag, (weight, participating)) in flags {
            if participant.has(flag) {
                if !self.is_leak {
                    let numerator = base_reward.times(weight)?.times(participating)?;
                    let denominator = self.active_increments.times(WEIGHT_DENOMINATOR)?;
                    balance = balance.plus(numerator.over(denominator)?)?;
                }
            } else if flag != TIMELY_HEAD_FLAG {
                let penalty = base_reward.times(weight)?.over(WEIGHT_DENOMINATOR)?;
                balance = balance.saturating_sub(penalty);
            }
        }
        if !participant.has(TIMELY_TARGET_FLAG) {
            let penalty = participant.effective_balance.times(score)?.over(self.inactivity_divisor)?;
            balance = balance.saturating_sub(penalty);
        }
        Ok(balance)
    }
}
