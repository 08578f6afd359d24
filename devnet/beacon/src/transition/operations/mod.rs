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
    OperationKind, SignatureOf, StateError, TransitionError,
    math::{Checked, length},
    signatures::Signatures,
};
use crate::types::{BeaconBlockBody, BeaconState, Config, EthSpec, MAX_DEPOSITS, SignatureBytes};

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
