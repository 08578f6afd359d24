//! `process_proposer_slashing`: standard equivocation, and our fault proofs and malfeasance (docs/PROTOCOL.md section 11) where
//! the specification checks a `ProposerSlashing`.

use pol_core::fault::{FaultProof, FaultRules, Malfeasance, SlashingKind, SlashingPair};

use super::{Context, OperationError, Refusal};
use crate::{
    transition::accessors::{FaultView, epoch_at},
    types::{BeaconState, DomainType, EthSpec, ProposerSlashing, ValidatorIndex, signing_root},
};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    slashing: &ProposerSlashing,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let accused = match &context.config.faults {
        Some(rules) => {
            let pair = SlashingPair::from(slashing);
            match pair.kind().map_err(OperationError::from)? {
                SlashingKind::Plain => plain(state, slashing, context)?,
                SlashingKind::Fault => fault(state, &pair, rules)?,
                SlashingKind::Malfeasance => malfeasance(state, &pair, rules)?,
            }
        }
        None => plain(state, slashing, context)?,
    };
    Ok(state.slash(accused, context.config)?)
}

fn check_slashable<E: EthSpec>(state: &BeaconState<E>, index: ValidatorIndex) -> Result<(), OperationError> {
    if state.validator(index)?.is_slashable_at(state.current_epoch()) {
        Ok(())
    } else {
        Err(OperationError::NotSlashable { index })
    }
}

fn plain<E: EthSpec>(
    state: &BeaconState<E>,
    slashing: &ProposerSlashing,
    context: &mut Context<'_>,
) -> Result<ValidatorIndex, Refusal> {
    let signed = [&slashing.signed_header_1, &slashing.signed_header_2];
    let [first, second] = signed.map(|s| s.message);
    if first.slot != second.slot {
        return Err(OperationError::HeaderSlots { first: first.slot, second: second.slot }.into());
    }
    let index = first.proposer_index;
    if index != second.proposer_index {
        return Err(OperationError::HeaderProposers { first: index, second: second.proposer_index }.into());
    }
    if first == second {
        return Err(OperationError::SameHeader.into());
    }
    check_slashable(state, index)?;
    let domain = state.domain(DomainType::BeaconProposer, epoch_at::<E>(first.slot));
    for header in signed {
        context.sign(signing_root(&header.message, domain), [state.public_key(index)], &header.signature)?;
    }
    Ok(index)
}

fn fault<E: EthSpec>(state: &BeaconState<E>, pair: &SlashingPair, rules: &FaultRules) -> Result<ValidatorIndex, OperationError> {
    let proof = FaultProof::decode(pair)?;
    check_slashable(state, proof.accused().header.proposer_index)?;
    Ok(proof.verify(&FaultView(state), rules)?.proposer_index())
}

fn malfeasance<E: EthSpec>(
    state: &BeaconState<E>,
    pair: &SlashingPair,
    rules: &FaultRules,
) -> Result<ValidatorIndex, OperationError> {
    let evidence = Malfeasance::decode(pair)?;
    check_slashable(state, evidence.member())?;
    Ok(evidence.verify(|index| state.public_key(index).ok(), &rules.domains)?.member())
}
