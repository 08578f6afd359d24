//! `process_bls_to_execution_change`.

use alloy_primitives::B256;
use pol_core::{bls::PublicKey, identity::withdrawal_credentials, sha256};

use super::{Context, OperationError, Refusal};
use crate::types::{
    BLS_WITHDRAWAL_PREFIX, BeaconState, DomainType, EthSpec, SignedBlsToExecutionChange, compute_domain, signing_root,
};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    signed: &SignedBlsToExecutionChange,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let change = &signed.message;
    let found = state.validator(change.validator_index)?.withdrawal_credentials;
    let mut expected = sha256(&[&change.from_bls_pubkey.0]);
    if let Some(prefix) = expected.first_mut() {
        *prefix = BLS_WITHDRAWAL_PREFIX;
    }
    if found.0 != expected {
        return Err(OperationError::Credentials { found }.into());
    }
    let version = context.config.forks.phase0;
    let domain = compute_domain(DomainType::BlsToExecutionChange, version, state.genesis_validators_root);
    let key = PublicKey::from_bytes(&change.from_bls_pubkey.0).map_err(OperationError::Signature)?;
    context.sign(signing_root(change, domain), [Ok(&key)], &signed.signature)?;

    let credentials = withdrawal_credentials(change.to_execution_address.into_array());
    state.validator_mut(change.validator_index)?.withdrawal_credentials = B256::from(credentials);
    Ok(())
}
