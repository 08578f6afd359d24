//! Slashings, exits and credential changes on their way into blocks.

use std::collections::BTreeMap;

use tree_hash::TreeHash as _;

use crate::{
    transition::{Operation, TransitionError, apply_operation, slashable_by},
    types::{
        AttesterSlashing, BeaconBlockBody, BeaconState, Config, EthSpec, ProposerSlashing, SignedBlsToExecutionChange,
        SignedVoluntaryExit, ValidatorIndex,
    },
};

/// Operations of one kind that are held.
const EACH: usize = 1_024;

/// Why an operation is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PoolRefused {
    /// It does not hold on the head's state. The sender's fault, or too late.
    #[error("{0}")]
    Invalid(#[from] TransitionError),
    /// The pool is full.
    #[error("the pool holds {EACH} already")]
    Full,
}

/// The pool: one operation per kind and validator, since a second one of its kind does nothing.
#[derive(Debug, Default)]
pub struct OperationPool {
    proposer_slashings: BTreeMap<ValidatorIndex, ProposerSlashing>,
    attester_slashings: BTreeMap<[u8; 32], AttesterSlashing>,
    exits: BTreeMap<ValidatorIndex, SignedVoluntaryExit>,
    changes: BTreeMap<ValidatorIndex, SignedBlsToExecutionChange>,
}

impl OperationPool {
    /// Takes an operation that holds on `state`, the head's at the current slot. False when one like it is held.
    ///
    /// # Errors
    /// [`PoolRefused`].
    pub fn add<E: EthSpec>(
        &mut self,
        operation: Operation,
        state: &BeaconState<E>,
        config: &Config,
    ) -> Result<bool, PoolRefused> {
        apply_operation(state, &operation, config)?;
        match operation {
            Operation::ProposerSlashing(one) => {
                put(&mut self.proposer_slashings, one.signed_header_1.message.proposer_index, *one, true)
            }
            Operation::AttesterSlashing(one) => {
                let root = one.attestation_1.tree_hash_root() ^ one.attestation_2.tree_hash_root();
                put(&mut self.attester_slashings, root.0, *one, false)
            }
            Operation::VoluntaryExit(one) => put(&mut self.exits, one.message.validator_index, one, false),
            Operation::BlsToExecutionChange(one) => put(&mut self.changes, one.message.validator_index, one, false),
            // These have places of their own.
            Operation::Attestation(_) | Operation::Deposit(_) => Ok(false),
        }
    }

    /// Puts into `body` what holds on `state` (the parent's, advanced to the block's slot); `state` then stands after it. What ages, as our
    /// fault proofs do, is judged anew here.
    pub fn pack<E: EthSpec>(&self, state: &mut BeaconState<E>, config: &Config, body: &mut BeaconBlockBody<E>) {
        for one in self.proposer_slashings.values() {
            take(state, Operation::ProposerSlashing(Box::new(*one)), config, || body.proposer_slashings.push(*one).is_ok());
        }
        for one in self.attester_slashings.values() {
            // The specification asks that somebody is slashed; the transition says so too.
            if slashable_by(state, one).is_ok() {
                let operation = Operation::AttesterSlashing(Box::new(one.clone()));
                take(state, operation, config, || body.attester_slashings.push(one.clone()).is_ok());
            }
        }
    }

    /// The same for what stands behind attestations and deposits in a body.
    pub fn pack_exits<E: EthSpec>(&self, state: &mut BeaconState<E>, config: &Config, body: &mut BeaconBlockBody<E>) {
        for one in self.exits.values() {
            take(state, Operation::VoluntaryExit(*one), config, || body.voluntary_exits.push(*one).is_ok());
        }
        for one in self.changes.values() {
            take(state, Operation::BlsToExecutionChange(*one), config, || body.bls_to_execution_changes.push(*one).is_ok());
        }
    }

    /// Forgets what is done on a finalized state.
    pub fn prune<E: EthSpec>(&mut self, finalized: &BeaconState<E>) {
        let is_slashed = |index: &ValidatorIndex| finalized.validator(*index).is_ok_and(|v| v.slashed);
        self.proposer_slashings.retain(|index, _| !is_slashed(index));
        self.attester_slashings.retain(|_, one| slashable_by(finalized, one).is_ok());
        self.exits.retain(|index, _| finalized.validator(*index).is_ok_and(|v| !v.has_exit()));
        let has_account = |index: &ValidatorIndex| {
            finalized
                .validator(*index)
                .is_ok_and(|v| v.withdrawal_credentials.0.first() != Some(&crate::types::BLS_WITHDRAWAL_PREFIX))
        };
        self.changes.retain(|index, _| !has_account(index));
    }

    /// Proposer slashings, ours included.
    pub fn proposer_slashings(&self) -> Vec<ProposerSlashing> {
        self.proposer_slashings.values().copied().collect()
    }

    /// Attester slashings.
    pub fn attester_slashings(&self) -> Vec<AttesterSlashing> {
        self.attester_slashings.values().cloned().collect()
    }

    /// Exits.
    pub fn exits(&self) -> Vec<SignedVoluntaryExit> {
        self.exits.values().copied().collect()
    }

    /// Credential changes.
    pub fn changes(&self) -> Vec<SignedBlsToExecutionChange> {
        self.changes.values().copied().collect()
    }
}

fn put<K: Ord, T: PartialEq>(map: &mut BTreeMap<K, T>, key: K, value: T, replace: bool) -> Result<bool, PoolRefused> {
    let is_full = map.len() >= EACH;
    match map.get_mut(&key) {
        // A fault proof with more votes replaces the one before.
        Some(held) if replace && *held != value => {
            *held = value;
            Ok(true)
        }
        Some(_) => Ok(false),
        None if is_full => Err(PoolRefused::Full),
        None => {
            map.insert(key, value);
            Ok(true)
        }
    }
}

fn take<E: EthSpec>(state: &mut BeaconState<E>, operation: Operation, config: &Config, push: impl FnOnce() -> bool) {
    if let Ok(after) = apply_operation(state, &operation, config)
        && push()
    {
        *state = after;
    }
}
