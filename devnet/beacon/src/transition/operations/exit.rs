//! `process_voluntary_exit` (Deneb: signed under Capella's version for ever).

use super::{Context, OperationError, Refusal};
use crate::{
    transition::math::Checked,
    types::{BeaconState, DomainType, EthSpec, SignedVoluntaryExit, compute_domain, signing_root},
};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    signed: &SignedVoluntaryExit,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let exit = &signed.message;
    let index = exit.validator_index;
    let current = state.current_epoch();
    let validator = state.validator(index)?;
    if !validator.is_active_at(current) {
        return Err(OperationError::NotActive { index }.into());
    }
    if validator.has_exit() {
        return Err(OperationError::Exits { index, epoch: validator.exit_epoch }.into());
    }
    let least = validator.activation_epoch.plus(context.config.shard_committee_period)?.max(exit.epoch);
    if current < least {
        return Err(OperationError::ExitEpoch { current, least }.into());
    }
    let version = context.config.forks.capella;
    let domain = compute_domain(DomainType::VoluntaryExit, version, state.genesis_validators_root);
    context.sign(signing_root(exit, domain), [state.public_key(index)], &signed.signature)?;
    Ok(state.initiate_exit(index, context.config)?)
}
