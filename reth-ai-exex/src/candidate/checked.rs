//! What a push must be before it is held.

use alloy_primitives::{B256, Bytes};
use pol_core::{
    UpdateId,
    ack::{CertificateError, RawCertificate},
    extra_data::ExtraData,
    wire::{Wire, WireError, WireHead},
};

use crate::{chain::hash32, limits};

/// Why a candidate is not held. The pusher's fault (its clock, when it is about slots); told to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// Its slot is over. Never heals.
    #[error("slot: found {found}, expected {now} or later")]
    Expired {
        /// The candidate's.
        found: u64,
        /// The clock's.
        now: u64,
    },
    /// Its slot is too far ahead. Heals with time, unless a clock is wrong.
    #[error("slot: found {found}, expected at most {most}")]
    Early {
        /// The candidate's.
        found: u64,
        /// The last one accepted now.
        most: u64,
    },
    /// A certificate without update, or the other way round, or of a length that no committee gives.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Bytes that are no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The mode is `disabled`. The operator's choice.
    #[error("the AI path is disabled")]
    Disabled,
}

impl CandidateError {
    /// The error in a word, for machines and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::Early { .. } => "early",
            Self::Wire(_) | Self::Certificate(_) => "malformed",
            Self::Disabled => "disabled",
        }
    }
}

/// A candidate as the beacon side pushes it; unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Hash of the block that the payload will stand on.
    pub parent_hash: B256,
    /// Slot of the payload.
    pub slot: u64,
    /// The update; zero: clear what is held for this (parent, slot).
    pub update_id: UpdateId,
    /// Its certificate; empty for the zero id.
    pub certificate: Bytes,
}

/// A candidate whose form is right: its payload's `extra_data` will have a lawful length, and its trailer reads as a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    parent_hash: B256,
    slot: u64,
    update_id: UpdateId,
    certificate: Bytes,
}

impl Candidate {
    /// Hash of the block that the payload will stand on.
    pub const fn parent_hash(&self) -> B256 {
        self.parent_hash
    }

    /// Slot of the payload.
    pub const fn slot(&self) -> u64 {
        self.slot
    }

    /// The update, never zero.
    pub const fn update_id(&self) -> UpdateId {
        self.update_id
    }

    /// The trailer for [`crate::wire::join`].
    pub const fn certificate(&self) -> &Bytes {
        &self.certificate
    }
}

impl Push {
    /// Checks slot and form; none is a clear.
    pub(super) fn check(&self, now: u64) -> Result<Option<Candidate>, CandidateError> {
        let most = now.saturating_add(limits::CANDIDATE_SLOTS_AHEAD);
        if self.slot < now {
            return Err(CandidateError::Expired { found: self.slot, now });
        }
        if self.slot > most {
            return Err(CandidateError::Early { found: self.slot, most });
        }
        let extra_data = ExtraData { parent_hash: hash32(self.parent_hash), update_id: self.update_id };
        Wire::new(WireHead { extra_data, nonce: 0, difficulty: 1 }, &self.certificate)?;
        if self.update_id.is_zero() {
            return Ok(None);
        }
        RawCertificate::decode(&self.certificate)?;
        Ok(Some(Candidate {
            parent_hash: self.parent_hash,
            slot: self.slot,
            update_id: self.update_id,
            certificate: self.certificate.clone(),
        }))
    }
}
