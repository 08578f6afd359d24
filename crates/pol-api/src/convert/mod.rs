//! Checked conversions between messages and pol-core's types.
//!
//! # Contract
//! Total. Lengths are checked before anything else; a value that comes out obeys the grammar that its type promises. Rules of the
//! protocol are asked of pol-core, never repeated here.
//!
//! # What it does not protect against
//! Signatures: the flags `verified` say what the daemon claims. Whoever counts ACKs or builds a proof verifies them itself
//! ([`pol_core::ack::RawAck::verify`]).

mod candidate;
mod execution;
mod node;
mod records;
mod snapshots;

pub use candidate::{Candidate, PublishHeader, Published};
pub use execution::{ChainEvent, ChainUpdate, Cursor, Head, View, WatchUpdates};
pub use node::{Direction, Node, Peer, printable};
pub use records::{Outcome, Stored, StoredAck, StoredFault};
pub use snapshots::{HeldSnapshot, SnapshotHeader, SnapshotSources, SnapshotWanted, snapshot_target};

use pol_core::{
    GenesisId, Hash32, ModelHead, UpdateId,
    ack::AckError,
    fault::FaultVoteError,
    record::{AnnouncementError, IdError},
};
use prost::bytes::Bytes;

use crate::{
    common::v1::PageRequest,
    dht::v1::{FetchDeltaRequest, GetAcksRequest, WatchAcksRequest, WatchCandidatesRequest, WatchFaultsRequest},
    limits::PAGE_TOKEN_BYTES,
};

/// Why a message is refused. The sender's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field of fixed size has another.
    #[error("{field}: found {found} bytes, expected {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A field or list beyond its limit.
    #[error("{field}: found {found}, expected at most {most}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Bytes or entries found.
        found: usize,
        /// Bytes or entries allowed.
        most: usize,
    },
    /// A field that must be there is not.
    #[error("{field}: found nothing, expected a value")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A number out of range, or a name that this version does not know.
    #[error("{field}: found {found}, expected {least} to {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// Number found.
        found: i64,
        /// Smallest allowed.
        least: i64,
        /// Largest allowed.
        most: i64,
    },
    /// The zero id names no update.
    #[error("{field}: found the zero id, expected the id of an update")]
    ZeroUpdate {
        /// The field.
        field: &'static str,
    },
    /// Text with bytes that could steer a terminal.
    #[error("{field}: found a byte that is not printable ASCII at {position}")]
    Text {
        /// The field.
        field: &'static str,
        /// Position of the first such byte, from 0.
        position: usize,
    },
    /// The value of an ACK record.
    #[error(transparent)]
    Ack(#[from] AckError),
    /// The value of a fault record.
    #[error(transparent)]
    Fault(#[from] FaultVoteError),
    /// The value of an identity record.
    #[error(transparent)]
    Identity(#[from] IdError),
    /// The fields of an announcement.
    #[error(transparent)]
    Announcement(#[from] AnnouncementError),
}

/// A field of exactly `N` bytes.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], ConvertError> {
    bytes.try_into().map_err(|_| ConvertError::Length { field, found: bytes.len(), expected: N })
}

/// A field of exactly `N` bytes, or none when it is empty.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn optional<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<Option<[u8; N]>, ConvertError> {
    if bytes.is_empty() { Ok(None) } else { fixed(field, bytes).map(Some) }
}

/// An update id: 32 bytes, not zero.
///
/// # Errors
/// [`ConvertError::Length`], [`ConvertError::ZeroUpdate`].
pub fn update_id(bytes: &[u8]) -> Result<UpdateId, ConvertError> {
    let id = UpdateId(fixed("update_id", bytes)?);
    if id.is_zero() { Err(ConvertError::ZeroUpdate { field: "update_id" }) } else { Ok(id) }
}

/// A genesis id.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn genesis_id(bytes: &[u8]) -> Result<GenesisId, ConvertError> {
    fixed("genesis_id", bytes).map(GenesisId)
}

/// The bytes of a name or key as a field.
pub fn field(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}

pub(crate) const fn at_most(field: &'static str, found: usize, most: usize) -> Result<(), ConvertError> {
    if found <= most { Ok(()) } else { Err(ConvertError::TooLong { field, found, most }) }
}

/// Checks text that will be shown to a person: printable ASCII of at most `most` bytes.
///
/// # Errors
/// [`ConvertError::TooLong`], [`ConvertError::Text`].
pub fn text(field: &'static str, text: &str, most: usize) -> Result<(), ConvertError> {
    at_most(field, text.len(), most)?;
    match text.bytes().position(|b| !(b' '..=b'~').contains(&b)) {
        None => Ok(()),
        Some(position) => Err(ConvertError::Text { field, position }),
    }
}

/// Which candidates a watcher wants.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn candidate_filter(request: &WatchCandidatesRequest) -> Result<Option<ModelHead>, ConvertError> {
    Ok(optional("model_head", &request.model_head)?.map(ModelHead))
}

/// Which ACKs a watcher wants: both filters hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckFilter {
    /// Only of this update.
    pub update_id: Option<UpdateId>,
    /// Only on this head.
    pub model_head: Option<ModelHead>,
}

impl AckFilter {
    /// Whether an ACK passes.
    pub fn matches(&self, data: &pol_core::ack::AckData) -> bool {
        self.update_id.is_none_or(|id| id == data.update_id) && self.model_head.is_none_or(|head| head == data.model_head)
    }
}

impl TryFrom<&WatchAcksRequest> for AckFilter {
    type Error = ConvertError;

    fn try_from(request: &WatchAcksRequest) -> Result<Self, ConvertError> {
        let id = if request.update_id.is_empty() { None } else { Some(update_id(&request.update_id)?) };
        Ok(Self { update_id: id, model_head: optional("model_head", &request.model_head)?.map(ModelHead) })
    }
}

impl From<AckFilter> for WatchAcksRequest {
    fn from(filter: AckFilter) -> Self {
        Self {
            update_id: filter.update_id.map(|id| field(id.0)).unwrap_or_default(),
            model_head: filter.model_head.map(|head| field(head.0)).unwrap_or_default(),
        }
    }
}

/// Which fault votes a watcher wants.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn fault_filter(request: &WatchFaultsRequest) -> Result<Option<Hash32>, ConvertError> {
    Ok(optional("block_root", &request.block_root)?.map(Hash32))
}

/// Which delta is wanted.
///
/// # Errors
/// [`ConvertError::Length`], [`ConvertError::ZeroUpdate`].
pub fn fetch_target(request: &FetchDeltaRequest) -> Result<UpdateId, ConvertError> {
    update_id(&request.update_id)
}

/// Which page of which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries at most, 1 to the call's maximum.
    pub size: usize,
    /// Where to go on; empty: at the start.
    pub token: Bytes,
}

impl Page {
    /// Reads the request of a call whose pages have at most `most` entries.
    ///
    /// # Errors
    /// [`ConvertError::TooLong`] for the token.
    pub fn of(request: Option<&PageRequest>, most: usize) -> Result<Self, ConvertError> {
        let Some(request) = request else { return Ok(Self { size: most, token: Bytes::new() }) };
        at_most("page.token", request.token.len(), PAGE_TOKEN_BYTES)?;
        let size = match usize::try_from(request.size) {
            Ok(size) if (1..most).contains(&size) => size,
            _ => most,
        };
        Ok(Self { size, token: request.token.clone() })
    }
}

/// Whose ACKs, and which page of them.
///
/// # Errors
/// [`ConvertError::Length`], [`ConvertError::ZeroUpdate`], [`ConvertError::TooLong`].
pub fn acks_target(request: &GetAcksRequest) -> Result<(UpdateId, Page), ConvertError> {
    let id = update_id(&request.update_id)?;
    Ok((id, Page::of(request.page.as_ref(), crate::limits::ACKS_PER_PAGE)?))
}
