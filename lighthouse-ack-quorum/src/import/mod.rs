//! Is this block valid, as far as the beacon side decides it? (section 9)
//!
//! # Contract
//! [`Importer::check`] is asked for every block from any source, on the parent's row and before the block is imported; on success the
//! block's own row is on disk when it returns. [`Importer::check_own`] asks the same of a payload that this node is about to sign, and
//! writes nothing. The answer is a pure function of the block, its ancestors and the committee of its epoch: no clock, no DHT.
//!
//! # Limits
//! One row of 140 bytes per block since finality ([`HeadTable::finalize`]), at most [`limits::HEAD_ROWS`].
//!
//! # What it does not protect against
//! A committee that is not the state's, and a checkpoint head that was never checked: both are believed.

mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use pol_core::{
    Hash32,
    block::{BlockContext, CheckedBlock, Refused, check_payload},
    committee::QuorumRule,
    domains::Domains,
    wire::WireHead,
};

pub use table::{Anchor, CheckpointError, HeadTable, Row, StoredBlock, TableError};

#[cfg(doc)]
use crate::limits;
use crate::members::Committee;

/// What of a beacon block the check looks at: plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockView<'a> {
    /// Its root.
    pub root: [u8; 32],
    /// Its parent's root.
    pub parent_root: [u8; 32],
    /// Its slot.
    pub slot: u64,
    /// `extra_data` of its payload, in wire form.
    pub extra_data: &'a [u8],
    /// `parent_hash` of its payload.
    pub payload_parent_hash: [u8; 32],
}

/// A block that its proposer is slashable for, if it signed it (reason 1 of section 11): the only ground of a fault vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateFault {
    root: Hash32,
}

impl CertificateFault {
    /// The block.
    pub const fn block_root(&self) -> Hash32 {
        self.root
    }
}

/// Why a block is not to be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The parent has no row. Ours, and transient: import the parent first, or rebuild the table from stored blocks.
    #[error("block {root}: its parent {parent_root} has no row in the table of model heads")]
    UnknownParent {
        /// The block.
        root: Hash32,
        /// The parent.
        parent_root: Hash32,
    },
    /// The committee is of another epoch than the block's. Ours.
    #[error("block {root}: found the committee of epoch {found}, expected that of epoch {expected}")]
    Committee {
        /// The block.
        root: Hash32,
        /// Epoch of the committee given.
        found: u64,
        /// Epoch of the block.
        expected: u64,
    },
    /// The block breaks section 9. The proposer's fault, never transient.
    #[error("block {root}: {refused}")]
    Refused {
        /// The block.
        root: Hash32,
        /// Which rule.
        refused: Box<Refused>,
        /// There when its proposer is slashable for it.
        fault: Option<CertificateFault>,
    },
    /// The table. Ours or the disk's: do not import, and stop.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A payload of this node that every other node will accept, on this parent: what a proposer's signature needs ([`crate::guard`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPayload {
    parent_root: Hash32,
    checked: CheckedBlock,
}

impl OwnPayload {
    /// The parent it was checked on.
    pub const fn parent_root(&self) -> Hash32 {
        self.parent_root
    }

    /// What the check found.
    pub const fn checked(&self) -> &CheckedBlock {
        &self.checked
    }
}

/// The check, with the table it needs. Clones share the table.
#[derive(Debug, Clone)]
pub struct Importer {
    table: Arc<HeadTable>,
    quorum: QuorumRule,
    domains: Domains,
    slots_per_epoch: u64,
}

impl Importer {
    /// A check for one chain over an open table.
    pub const fn new(table: Arc<HeadTable>, quorum: QuorumRule, domains: Domains, slots_per_epoch: u64) -> Self {
        Self { table, quorum, domains, slots_per_epoch }
    }

    /// The table.
    pub const fn table(&self) -> &Arc<HeadTable> {
        &self.table
    }

    /// Checks a block and, when it may be imported, stores its row durably. Asking again gives the same answer.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn check(&self, block: &BlockView<'_>, committee: &Committee) -> Result<CheckedBlock, ImportError> {
        let checked = self.judge(block, committee)?;
        let row = Row {
            slot: block.slot,
            parent_root: Hash32(block.parent_root),
            update_id: checked.certificate.map(|certificate| certificate.data().update_id).unwrap_or_default(),
            model_head: checked.model_head,
        };
        self.table.put(Hash32(block.root), &row)?;
        Ok(checked)
    }

    /// Checks the payload that this node is about to propose on `parent_root`, before it is offered for signing. On a refusal clear the
    /// candidate ([`crate::push`]), ask for a payload once more, else miss the slot.
    ///
    /// # Errors
    /// [`ImportError`]; the execution side's fault, or a candidate that was pushed for another parent.
    pub fn check_own(
        &self,
        parent_root: [u8; 32],
        slot: u64,
        extra_data: &[u8],
        payload_parent_hash: [u8; 32],
        committee: &Committee,
    ) -> Result<OwnPayload, ImportError> {
        let block = BlockView { root: [0; 32], parent_root, slot, extra_data, payload_parent_hash };
        Ok(OwnPayload { parent_root: Hash32(parent_root), checked: self.judge(&block, committee)? })
    }

    fn judge(&self, block: &BlockView<'_>, committee: &Committee) -> Result<CheckedBlock, ImportError> {
        let (root, parent_root) = (Hash32(block.root), Hash32(block.parent_root));
        let expected = block.slot / self.slots_per_epoch.max(1);
        if committee.epoch() != expected {
            return Err(ImportError::Committee { root, found: committee.epoch(), expected });
        }
        let parent = self.table.row(parent_root)?.ok_or(ImportError::UnknownParent { root, parent_root })?;
        let context = BlockContext {
            parent_head: parent.model_head,
            committee: committee.seats(),
            quorum: self.quorum,
            domains: &self.domains,
        };
        check_payload(block.extra_data, Hash32(block.payload_parent_hash), &context).map_err(|refused| {
            let fault = refused.certificate_fault.then_some(CertificateFault { root });
            ImportError::Refused { root, refused: Box::new(refused), fault }
        })
    }
}

/// The update that an imported block names; zero for an empty AI block and for bytes that are no wire form.
pub fn update_of(extra_data: &[u8]) -> pol_core::UpdateId {
    WireHead::read(extra_data).map(|head| head.extra_data.update_id).unwrap_or_default()
}
