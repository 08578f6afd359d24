//! `process_operations`: what a block asks of the registry.

mod attestation;
mod attester_slashing;
mod bls_change;
mod deposit;
mod error;
mod exit;
mod proposer_slashing;

pub use attestation::{attesting_indices, indexed_attestation, verify_indexed};
pub use attester_slashing::slashable_by;
pub use error::OperationError;

use alloy_primitives::B256;
use pol_core::bls::PublicKey;

use super::{
    OperationKind, SignatureOf, StateError, TransitionError, VerifySignatures,
    math::{Checked, length},
    signatures::Signatures,
};
use crate::types::{
    Attestation, AttesterSlashing, BeaconBlockBody, BeaconState, Config, Deposit, EthSpec, MAX_DEPOSITS, ProposerSlashing,
    SignatureBytes, SignedBlsToExecutionChange, SignedVoluntaryExit,
};

/// What one operation's check gets besides the state.
struct Context<'a> {
    config: &'a Config,
    signatures: &'a mut Signatures,
    of: SignatureOf,
}

/// The inside of one operation: its own error, or the signature it could not even read.
enum Refusal {
    Operation(OperationError),
    Signature(TransitionError),
}

impl<X: Into<OperationError>> From<X> for Refusal {
    fn from(error: X) -> Self {
        Self::Operation(error.into())
    }
}

impl Context<'_> {
    fn sign<'k>(
        &mut self,
        root: B256,
        keys: impl IntoIterator<Item = Result<&'k PublicKey, StateError>>,
        signature: &SignatureBytes,
    ) -> Result<(), Refusal> {
        self.signatures.add(self.of, root, keys, signature).map_err(Refusal::Signature)
    }
}

type Process<E, T> = fn(&mut BeaconState<E>, &T, &mut Context<'_>) -> Result<(), Refusal>;

struct Runner<'a, E: EthSpec> {
    state: &'a mut BeaconState<E>,
    config: &'a Config,
    signatures: &'a mut Signatures,
}

impl<E: EthSpec> Runner<'_, E> {
    fn all<T>(&mut self, kind: OperationKind, operations: &[T], process: Process<E, T>) -> Result<(), TransitionError> {
        for (position, operation) in operations.iter().enumerate() {
            let of = SignatureOf::Operation { kind, position };
            let mut context = Context { config: self.config, signatures: self.signatures, of };
            process(self.state, operation, &mut context).map_err(|refusal| match refusal {
                Refusal::Operation(error) => TransitionError::Operation { kind, position, error },
                Refusal::Signature(error) => error,
            })?;
        }
        Ok(())
    }
}

/// One operation of a block, as a pool holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types say it")]
pub enum Operation {
    ProposerSlashing(Box<ProposerSlashing>),
    AttesterSlashing(Box<AttesterSlashing>),
    Attestation(Box<Attestation>),
    Deposit(Box<Deposit>),
    VoluntaryExit(SignedVoluntaryExit),
    BlsToExecutionChange(SignedBlsToExecutionChange),
}

/// The state after one operation, all signatures verified: what a pool asks of an operation before it keeps it, and a proposer before it
/// packs it. A proof of section 11 that is packed later must be asked about again: it ages.
///
/// # Errors
/// [`TransitionError::Operation`], [`TransitionError::Signature`]; [`TransitionError::State`] (ours).
pub fn apply_operation<E: EthSpec>(
    state: &BeaconState<E>,
    operation: &Operation,
    config: &Config,
) -> Result<BeaconState<E>, TransitionError> {
    apply_operation_with(state, operation, config, VerifySignatures::Yes)
}

/// The same for an operation whose signatures this node has verified before, when it came into the pool.
///
/// # Errors
/// As [`apply_operation`].
pub fn apply_operation_with<E: EthSpec>(
    state: &BeaconState<E>,
    operation: &Operation,
    config: &Config,
    verify: VerifySignatures,
) -> Result<BeaconState<E>, TransitionError> {
    use core::slice::from_ref;

    let mut after = state.clone();
    let mut signatures = Signatures::new(verify);
    let mut run = Runner { state: &mut after, config, signatures: &mut signatures };
    match operation {
        Operation::ProposerSlashing(one) => {
            run.all(OperationKind::ProposerSlashing, from_ref(&**one), proposer_slashing::process)
        }
        Operation::AttesterSlashing(one) => {
            run.all(OperationKind::AttesterSlashing, from_ref(&**one), attester_slashing::process)
        }
        Operation::Attestation(one) => run.all(OperationKind::Attestation, from_ref(&**one), attestation::process),
        Operation::Deposit(one) => run.all(OperationKind::Deposit, from_ref(&**one), deposit::process),
        Operation::VoluntaryExit(one) => run.all(OperationKind::VoluntaryExit, from_ref(one), exit::process),
        Operation::BlsToExecutionChange(one) => run.all(OperationKind::BlsToExecutionChange, from_ref(one), bls_change::process),
    }?;
    signatures.verify()?;
    after.apply_pending()?;
    Ok(after)
}

pub(super) fn process_operations<E: EthSpec>(
    state: &mut BeaconState<E>,
    body: &BeaconBlockBody<E>,
    config: &Config,
    signatures: &mut Signatures,
) -> Result<(), TransitionError> {
    let outstanding = state.eth1_data.deposit_count.minus(state.eth1_deposit_index)?;
    let (found, expected) = (body.deposits.len(), outstanding.min(MAX_DEPOSITS));
    if length(found) != expected {
        return Err(TransitionError::Deposits { found, expected });
    }
    let mut run = Runner { state, config, signatures };
    run.all(OperationKind::ProposerSlashing, &body.proposer_slashings, proposer_slashing::process)?;
    run.all(OperationKind::AttesterSlashing, &body.attester_slashings, attester_slashing::process)?;
    run.all(OperationKind::Attestation, &body.attestations, attestation::process)?;
    run.all(OperationKind::Deposit, &body.deposits, deposit::process)?;
    run.all(OperationKind::VoluntaryExit, &body.voluntary_exits, exit::process)?;
    run.all(OperationKind::BlsToExecutionChange, &body.bls_to_execution_changes, bls_change::process)
}
