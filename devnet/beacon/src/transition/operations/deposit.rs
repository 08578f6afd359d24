//! `process_deposit`.

use alloy_primitives::B256;
use pol_core::{
    Hash32,
    bls::{PublicKey, Signature},
    sha256,
};
use std::sync::Arc;
use tree_hash::TreeHash as _;

use super::{Context, OperationError, Refusal};
use crate::{
    transition::{StateError, math::Checked},
    types::{
        BeaconState, Config, Deposit, DepositData, DomainType, EFFECTIVE_BALANCE_INCREMENT, EthSpec, FAR_FUTURE_EPOCH,
        MAX_EFFECTIVE_BALANCE, Validator, compute_domain, signing_root,
    },
};

pub(super) fn process<E: EthSpec>(
    state: &mut BeaconState<E>,
    deposit: &Deposit,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    let index = state.eth1_deposit_index;
    if branch_root(deposit.data.tree_hash_root(), &deposit.proof, index) != state.eth1_data.deposit_root {
        return Err(OperationError::MerkleBranch { index }.into());
    }
    state.eth1_deposit_index = index.plus(1)?;
    Ok(apply(state, &deposit.data, context.config)?)
}

/// `compute_merkle_branch_root`, of as many levels as the branch has.
pub(crate) fn branch_root(leaf: B256, branch: &[B256], index: u64) -> B256 {
    branch.iter().zip(0_u32..).fold(leaf, |node, (sibling, depth)| {
        let is_right = index.checked_shr(depth).unwrap_or(0) & 1 == 1;
        B256::from(if is_right { sha256(&[&sibling.0, &node.0]) } else { sha256(&[&node.0, &sibling.0]) })
    })
}

/// `apply_deposit`: a top-up, or a new validator if its proof of possession holds; if not, the deposit is lost.
fn apply<E: EthSpec>(state: &mut BeaconState<E>, data: &DepositData, config: &Config) -> Result<(), StateError> {
    match state.index_of(&data.pubkey) {
        Some(index) => state.increase_balance(index, data.amount),
        None if is_possessed(data, config) => add_validator(state, data),
        None => Ok(()),
    }
}

/// The proof of possession, in a domain that all forks share.
fn is_possessed(data: &DepositData, config: &Config) -> bool {
    let domain = compute_domain(DomainType::Deposit, config.forks.phase0, B256::ZERO);
    let root = Hash32(signing_root(&data.message(), domain).0);
    let key = PublicKey::from_bytes(&data.pubkey.0);
    let signature = Signature::from_bytes(&data.signature.0);
    matches!((key, signature), (Ok(key), Ok(signature)) if signature.verify(root, &key).is_ok())
}

fn add_validator<E: EthSpec>(state: &mut BeaconState<E>, data: &DepositData) -> Result<(), StateError> {
    let rounded = data.amount.minus(data.amount.modulo(EFFECTIVE_BALANCE_INCREMENT)?)?;
    state.validators.push(Validator {
        pubkey: data.pubkey,
        withdrawal_credentials: data.withdrawal_credentials,
        effective_balance: rounded.min(MAX_EFFECTIVE_BALANCE),
        slashed: false,
        activation_eligibility_epoch: FAR_FUTURE_EPOCH,
        activation_epoch: FAR_FUTURE_EPOCH,
        exit_epoch: FAR_FUTURE_EPOCH,
        withdrawable_epoch: FAR_FUTURE_EPOCH,
    })?;
    state.balances.push(data.amount)?;
    state.previous_epoch_participation.push(0)?;
    state.current_epoch_participation.push(0)?;
    state.inactivity_scores.push(0)?;
    if let Some(keys) = state.caches.keys.get_mut() {
        Arc::make_mut(keys).push(data.pubkey);
    }
    Ok(())
}
