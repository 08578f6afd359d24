//! Section 9 of docs/PROTOCOL.md as fork choice's gate: the certificate, on the parent's state at the block's slot.

use std::sync::{Arc, Mutex, PoisonError};

use lighthouse_ack_quorum::{
    import::{BlockView, ImportError, Importer, OwnPayload},
    members::{Committee, Keys, MembersError, Validator},
};
use pol_core::block::CheckedBlock;

use crate::{
    fork_choice::BlockGate,
    transition::StateError,
    types::{BeaconState, DomainType, Epoch, EthSpec, ExecutionPayload, HashedBlock, ValidatorIndex},
};

/// Committees that are remembered: those of a few epochs on a few forks.
const COMMITTEES: usize = 16;

/// Why a block does not pass.
#[derive(Debug, thiserror::Error)]
pub enum GateRefusal {
    /// Section 9, or the table of model heads.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The state has no committee. Ours.
    #[error(transparent)]
    State(#[from] StateError),
    /// A registry key that is none. Ours.
    #[error(transparent)]
    Members(#[from] MembersError),
}

#[derive(Debug, Default)]
struct Drawn {
    keys: Keys,
    /// By epoch and active validators; forks can differ in both.
    committees: Vec<(Epoch, Vec<ValidatorIndex>, Arc<Committee>)>,
}

/// The gate. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct CertificateGate {
    importer: Importer,
    drawn: Arc<Mutex<Drawn>>,
}

impl CertificateGate {
    /// A gate over an importer and its table.
    pub fn new(importer: Importer) -> Self {
        Self { importer, drawn: Arc::default() }
    }

    /// The importer.
    pub const fn importer(&self) -> &Importer {
        &self.importer
    }

    /// The committee of an epoch that `state` reaches.
    ///
    /// # Errors
    /// [`GateRefusal::State`], [`GateRefusal::Members`]; ours.
    pub fn committee<E: EthSpec>(&self, state: &BeaconState<E>, epoch: Epoch) -> Result<Arc<Committee>, GateRefusal> {
        // Seats in the order of the shuffling are the same whenever these are: a committee is its members.
        let seats = state.ai_committee(epoch)?;
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, known)) = drawn.committees.iter().find(|(of, members, _)| *of == epoch && *members == seats) {
            return Ok(Arc::clone(known));
        }
        let active = state.active_indices(epoch);
        let validators = active
            .iter()
            .map(|index| Ok(Validator { index: *index, public_key: state.validator(*index)?.pubkey.0 }))
            .collect::<Result<Vec<_>, StateError>>()?;
        let seed = state.seed(epoch, DomainType::BeaconAttester)?;
        let committee = Arc::new(Committee::draw(epoch, &validators, seed, E::PRESET, &mut drawn.keys)?);
        if drawn.committees.len() >= COMMITTEES {
            drawn.committees.remove(0);
        }
        drawn.committees.push((epoch, seats, Arc::clone(&committee)));
        Ok(committee)
    }

    /// The check of a payload that this node is about to propose; `state` is the parent's at the block's slot.
    ///
    /// # Errors
    /// [`GateRefusal`].
    pub fn check_own<E: EthSpec>(
        &self,
        state: &BeaconState<E>,
        parent_root: [u8; 32],
        payload: &ExecutionPayload<E>,
    ) -> Result<OwnPayload, GateRefusal> {
        let committee = self.committee(state, state.current_epoch())?;
        let parent_hash = payload.parent_hash.0;
        Ok(self.importer.check_own(parent_root, state.slot, &payload.extra_data, parent_hash, &committee)?)
    }
}

impl<E: EthSpec> BlockGate<E> for CertificateGate {
    type Pass = CheckedBlock;
    type Refusal = GateRefusal;

    fn check(&self, state: &BeaconState<E>, block: &HashedBlock<E>) -> Result<CheckedBlock, GateRefusal> {
        let committee = self.committee(state, state.current_epoch())?;
        let message = block.message();
        let payload = &message.body.execution_payload;
        let view = BlockView {
            root: block.root().0,
            parent_root: message.parent_root.0,
            slot: message.slot,
            extra_data: &payload.extra_data,
            payload_parent_hash: payload.parent_hash.0,
        };
        Ok(self.importer.check(&view, &committee)?)
    }
}
