//! Candidates and uploads.

use pol_core::{ModelHead, UpdateId, record::Announcement};
use prost::bytes::Bytes;

use super::{ConvertError, at_most, field, fixed, update_id};
use crate::{common::v1::TransferHeader, dht::v1, limits::ENVELOPE_BYTES};

/// An update that a trainer offers, and what the daemon knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// What the trainer announced.
    pub announcement: Announcement,
    /// Ed25519 key that signed it. Says who only when `verified`.
    pub trainer: [u8; 32],
    /// When the daemon first saw it, unix milliseconds.
    pub first_seen_unix_ms: u64,
    /// The trainer is named by a validator of the set.
    pub verified: bool,
    /// The bytes are on this machine.
    pub available_locally: bool,
    /// When the announcement's life ends, unix seconds.
    pub expires_unix_s: u64,
}

impl TryFrom<&v1::Candidate> for Candidate {
    type Error = ConvertError;

    fn try_from(message: &v1::Candidate) -> Result<Self, ConvertError> {
        let claimed = Announcement {
            update_id: UpdateId(fixed("update_id", &message.update_id)?),
            model_head: ModelHead(fixed("model_head", &message.model_head)?),
            size: message.size,
            sequence: message.sequence,
        };
        let trainer = fixed("trainer", &message.trainer)?;
        Ok(Self {
            // Through its bytes, because the rules of an announcement live in its decoder.
            announcement: Announcement::decode(&claimed.to_value())?,
            trainer,
            first_seen_unix_ms: message.first_seen_unix_ms,
            verified: message.verified,
            available_locally: message.available_locally,
            expires_unix_s: message.expires_unix_s,
        })
    }
}

impl From<&Candidate> for v1::Candidate {
    fn from(candidate: &Candidate) -> Self {
        let announcement = &candidate.announcement;
        Self {
            update_id: field(announcement.update_id.0),
            model_head: field(announcement.model_head.0),
            size: announcement.size,
            trainer: field(candidate.trainer),
            sequence: announcement.sequence,
            first_seen_unix_ms: candidate.first_seen_unix_ms,
            verified: candidate.verified,
            available_locally: candidate.available_locally,
            expires_unix_s: candidate.expires_unix_s,
        }
    }
}

impl TryFrom<v1::WatchCandidatesResponse> for Candidate {
    type Error = ConvertError;

    fn try_from(message: v1::WatchCandidatesResponse) -> Result<Self, ConvertError> {
        message.candidate.as_ref().ok_or(ConvertError::Missing { field: "candidate" })?.try_into()
    }
}

/// First part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishHeader {
    /// The announced size, not yet bounded: [`crate::chunks::Assembler`] does that.
    pub transfer: TransferHeader,
    /// The sealed announcement, not yet opened; none: hold and offer the bytes only.
    pub announcement: Option<Bytes>,
}

impl TryFrom<v1::PublishHeader> for PublishHeader {
    type Error = ConvertError;

    fn try_from(message: v1::PublishHeader) -> Result<Self, ConvertError> {
        at_most("announcement", message.announcement.len(), ENVELOPE_BYTES)?;
        let transfer = message.transfer.ok_or(ConvertError::Missing { field: "transfer" })?;
        let announcement = (!message.announcement.is_empty()).then_some(message.announcement);
        Ok(Self { transfer, announcement })
    }
}

impl From<PublishHeader> for v1::PublishHeader {
    fn from(header: PublishHeader) -> Self {
        Self { transfer: Some(header.transfer), announcement: header.announcement.unwrap_or_default() }
    }
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Id of the bytes.
    pub update_id: UpdateId,
    /// The announcement was stored and goes out.
    pub announced: bool,
    /// The bytes were there before.
    pub already_held: bool,
}

impl TryFrom<&v1::PublishDeltaResponse> for Published {
    type Error = ConvertError;

    fn try_from(message: &v1::PublishDeltaResponse) -> Result<Self, ConvertError> {
        let update_id = update_id(&message.update_id)?;
        Ok(Self { update_id, announced: message.announced, already_held: message.already_held })
    }
}

impl From<&Published> for v1::PublishDeltaResponse {
    fn from(published: &Published) -> Self {
        Self { update_id: field(published.update_id.0), announced: published.announced, already_held: published.already_held }
    }
}
