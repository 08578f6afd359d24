//! What goes into the sealer and what comes out.

use core::time::Duration;

use alloy_consensus::Header;
use alloy_primitives::{B64, B256, Bytes, U256};
use pol_core::{
    Hash32, UpdateId,
    difficulty::{DifficultyError, DifficultyRule},
    extra_data::ExtraData,
    seal::{SealError, Sealed, Target, target},
};

use crate::{
    chain::hash32,
    header::{self, HeaderError},
};

/// Why a draft cannot be sealed. Our own fault: the client assembled a header that no rule accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Not a header of this chain.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The draft's timestamp is none of a child's.
    #[error(transparent)]
    Difficulty(#[from] DifficultyError),
    /// The rule gave no difficulty that has a target; it never does.
    #[error(transparent)]
    Target(#[from] SealError),
    /// The draft stands on another parent.
    #[error("draft's parent hash: found {found}, expected {expected}")]
    Parent {
        /// The draft's.
        found: B256,
        /// The parent's.
        expected: B256,
    },
}

/// A header to seal: complete but for its nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealJob {
    header: Header,
    update_id: UpdateId,
    difficulty: u64,
    seal_hash: Hash32,
    target: Target,
}

impl SealJob {
    /// Of the header that the client assembled for a child of `parent`. Its difficulty, nonce and `extraData` do not matter: they are set
    /// here, from the parent and from `update_id` (zero: an empty AI block).
    ///
    /// # Errors
    /// [`JobError`].
    pub fn new(
        draft: Header,
        parent_hash: B256,
        parent: &Header,
        update_id: UpdateId,
        rule: &DifficultyRule,
    ) -> Result<Self, JobError> {
        if draft.parent_hash != parent_hash {
            return Err(JobError::Parent { found: draft.parent_hash, expected: parent_hash });
        }
        let difficulty = rule.child(header::parent_seal(parent)?, draft.timestamp)?;
        let extra_data = ExtraData { parent_hash: hash32(parent_hash), update_id }.encode();
        let header = Header {
            difficulty: U256::from(difficulty),
            nonce: B64::ZERO,
            extra_data: Bytes::copy_from_slice(&extra_data),
            ..draft
        };
        let seal_hash = header::to_core(&header)?.seal_hash();
        Ok(Self { header, update_id, difficulty, seal_hash, target: target(difficulty)? })
    }

    /// The header as it is, nonce 0.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the block will name.
    pub const fn update_id(&self) -> UpdateId {
        self.update_id
    }

    pub(super) const fn seal_hash(&self) -> &Hash32 {
        &self.seal_hash
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn sealed(self, found: Sealed, took: Duration) -> SealedBlock {
        let header = Header { nonce: found.nonce.into(), ..self.header };
        let hash = header.hash_slow();
        SealedBlock { header, hash, update_id: self.update_id, difficulty: self.difficulty, hashes: found.hashes, took }
    }
}

/// A sealed header and its hash. Its body is what the draft's roots say; body, receipts and state do not change by sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlock {
    header: Header,
    hash: B256,
    update_id: UpdateId,
    difficulty: u64,
    hashes: u64,
    took: Duration,
}

impl SealedBlock {
    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The block hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Header and hash.
    pub fn into_parts(self) -> (Header, B256) {
        (self.header, self.hash)
    }

    /// The update that it names, zero for none.
    pub const fn update_id(&self) -> UpdateId {
        self.update_id
    }

    /// Its difficulty.
    pub const fn difficulty(&self) -> u64 {
        self.difficulty
    }

    /// Hashes that the search computed; differs from run to run with several threads.
    pub const fn hashes(&self) -> u64 {
        self.hashes
    }

    /// How long the search took.
    pub const fn took(&self) -> Duration {
        self.took
    }
}
