//! `process_epoch`, in the order of the specification. Each step is public so that vectors can hold it alone.

mod justification;
mod registry;
mod resets;
mod rewards;
mod summary;

pub use justification::{Justification, process_justification_and_finalization};
pub use registry::{process_registry_updates, process_slashings};
pub use resets::{
    process_effective_balance_updates, process_eth1_data_reset, process_historical_summaries_update,
    process_participation_flag_updates, process_randao_mixes_reset, process_slashings_reset, process_sync_committee_updates,
};
pub use rewards::{process_inactivity_updates, process_rewards_and_penalties};
pub use summary::EpochSummary;

pub(crate) use rewards::base_reward_per_increment;

use super::StateError;
use crate::types::{BeaconState, Config, EthSpec};

/// `process_epoch`, on the state at the last slot of an epoch. After an error the state is garbage.
///
/// # Errors
/// [`StateError`]: a number left its range, which balances that exist cannot cause.
pub fn process_epoch<E: EthSpec>(state: &mut BeaconState<E>, config: &Config) -> Result<(), StateError> {
    // Nothing it holds changes before the effective balances do.
    let summary = EpochSummary::of(state)?;
    process_justification_and_finalization(state, &summary)?;
    process_inactivity_updates(state, &summary, config)?;
    process_rewards_and_penalties(state, &summary, config)?;
    process_registry_updates(state, config)?;
    process_slashings(state)?;
    process_eth1_data_reset(state)?;
    process_effective_balance_updates(state)?;
    process_slashings_reset(state)?;
    process_randao_mixes_reset(state)?;
    process_historical_summaries_update(state)?;
    process_participation_flag_updates(state)?;
    process_sync_committee_updates(state)
}
