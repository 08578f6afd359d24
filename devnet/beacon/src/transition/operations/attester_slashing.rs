//! `process_attester_slashing`.

use std::collections::BTreeSet;

use super::{Context, OperationError, Refusal};
use crate::types::{AttesterSlashing, BeaconState, DomainType, EthSpec, IndexedAttestation, ValidatorIndex, signing_root};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    slashing: &AttesterSlashing,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let both = contradicting(slashing)?;
    for attestation in [&slashing.attestation_1, &slashing.attestation_2] {
        check_indexed(state, attestation, context)?;
    }
    let mut slashed_any = false;
    for index in both {
        if state.validator(index)?.is_slashable_at(state.current_epoch()) {
            state.slash(index, context.config)?;
            slashed_any = true;
        }
    }
    if slashed_any { Ok(()) } else { Err(OperationError::NobodySlashed.into()) }
}

/// Who is in both attestations, once they contradict each other.
fn contradicting(slashing: &AttesterSlashing) -> Result<BTreeSet<ValidatorIndex>, OperationError> {
    let (one, two) = (&slashing.attestation_1, &slashing.attestation_2);
    if !one.data.is_slashable_with(&two.data) {
        return Err(OperationError::NotContradicting);
    }
    let first: BTreeSet<ValidatorIndex> = one.attesting_indices.iter().copied().collect();
    Ok(two.attesting_indices.iter().copied().filter(|index| first.contains(index)).collect())
}

/// `is_valid_indexed_attestation`: indices at once, the signature with the block's others.
pub(super) fn check_indexed<E: EthSpec>(
    state: &BeaconState<E>,
    attestation: &IndexedAttestation,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let indices = &attestation.attesting_indices;
    if indices.is_empty() || !indices.is_sorted_by(|a, b| a < b) {
        return Err(OperationError::Indices.into());
    }
    // Also where signatures are not looked at, nobody outside the registry votes.
    if let Some(last) = indices.last() {
        state.validator(*last)?;
    }
    let root = signing_root(&attestation.data, state.domain(DomainType::BeaconAttester, attestation.data.target.epoch));
    context.sign(root, indices.iter().map(|index| state.public_key(*index)), &attestation.signature)
}

/// Which validators an attester slashing proves to have voted twice, whether or not they can still be slashed: the part of
/// `process_attester_slashing` that fork choice needs.
///
/// # Errors
/// [`OperationError`]: the two do not contradict each other, or an index or signature is wrong.
pub fn slashable_by<E: EthSpec>(
    state: &BeaconState<E>,
    slashing: &AttesterSlashing,
) -> Result<BTreeSet<ValidatorIndex>, OperationError> {
    let both = contradicting(slashing)?;
    for attestation in [&slashing.attestation_1, &slashing.attestation_2] {
        super::attestation::verify_indexed(state, attestation)?;
    }
    Ok(both)
}
