//! Why a call was refused, for machines: a gRPC code and one name in the metadata.
//!
//! # Contract
//! A refusal by one of our services carries [`REASON_KEY`] with one of the names of [`Reason`]. Names are never given another meaning;
//! new ones may come, so a reader that does not know one goes by the code. What the transport itself refuses (oversize message, bytes that
//! are no message, stream or connection cap, timeout) has a code and no reason.

use tonic::{Code, Status, metadata::MetadataValue};

use crate::{chunks::ChunkError, convert::ConvertError, validators::ValidatorsError};

/// Metadata key of the reason.
pub const REASON_KEY: &str = "polai-reason";

/// Why a service refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A field is missing or has a wrong length or value. Caller's fault; the same call fails again.
    BadField,
    /// A record's value breaks its grammar. Caller's fault; fails again.
    BadRecord,
    /// A signature does not hold. Caller's fault (wrong key or chain); fails again.
    BadSignature,
    /// Parts of an upload in the wrong order, or too many or too few bytes. Caller's fault; fails again.
    BadTransfer,
    /// The bytes of a delta are no container of this chain. Caller's fault; fails again.
    BadDelta,
    /// The announcement's envelope is not the trainer's, or not about these bytes. Caller's fault; fails again.
    BadAnnouncement,
    /// Of another chain. The operator mixed two genesis directories.
    ForeignChain,
    /// The writer is not among the validators of these epochs. May heal with the next set.
    NotAMember,
    /// Sealed in the future, or its life has ended. The caller's clock, or too late.
    Expired,
    /// An older one than what is held: sequence or epoch. Caller's fault; fails again.
    Outdated,
    /// A page token that this process did not give. Start from the first page.
    BadToken,
    /// Nothing by this id, here or at any reachable node. May heal; try again later.
    NotFound,
    /// Too much by this writer or caller. Heals; try again after seconds.
    Quota,
    /// The store or its disk is full. The operator's; records can still be read.
    StoreFull,
    /// A watcher that did not keep up. Open the watch again: what is held comes first.
    Lagged,
    /// This process does not do that: it was started without the role. The operator's.
    NoRole,
    /// Not yet: it is still starting. Try again after seconds.
    NotReady,
    /// The process is shutting down. Try again with backoff.
    ShuttingDown,
    /// A defect or a failing disk on this side; the log has the details.
    Internal,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 19] = [
        Self::BadField,
        Self::BadRecord,
        Self::BadSignature,
        Self::BadTransfer,
        Self::BadDelta,
        Self::BadAnnouncement,
        Self::ForeignChain,
        Self::NotAMember,
        Self::Expired,
        Self::Outdated,
        Self::BadToken,
        Self::NotFound,
        Self::Quota,
        Self::StoreFull,
        Self::Lagged,
        Self::NoRole,
        Self::NotReady,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadField => "bad-field",
            Self::BadRecord => "bad-record",
            Self::BadSignature => "bad-signature",
            Self::BadTransfer => "bad-transfer",
            Self::BadDelta => "bad-delta",
            Self::BadAnnouncement => "bad-announcement",
            Self::ForeignChain => "foreign-chain",
            Self::NotAMember => "not-a-member",
            Self::Expired => "expired",
            Self::Outdated => "outdated",
            Self::BadToken => "bad-token",
            Self::NotFound => "not-found",
            Self::Quota => "quota",
            Self::StoreFull => "store-full",
            Self::Lagged => "lagged",
            Self::NoRole => "no-role",
            Self::NotReady => "not-ready",
            Self::ShuttingDown => "shutting-down",
            Self::Internal => "internal",
        }
    }

    /// The gRPC code that goes with it.
    pub const fn code(self) -> Code {
        match self {
            Self::BadField
            | Self::BadRecord
            | Self::BadSignature
            | Self::BadTransfer
            | Self::BadDelta
            | Self::BadAnnouncement
            | Self::BadToken => Code::InvalidArgument,
            Self::ForeignChain | Self::NotAMember | Self::Expired | Self::Outdated | Self::NoRole => Code::FailedPrecondition,
            Self::NotFound => Code::NotFound,
            Self::Quota | Self::StoreFull => Code::ResourceExhausted,
            Self::Lagged => Code::Aborted,
            Self::NotReady | Self::ShuttingDown => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn may_heal(self) -> bool {
        matches!(self, Self::NotAMember | Self::NotFound | Self::Quota | Self::Lagged | Self::NotReady | Self::ShuttingDown)
    }

    /// A refusal for this reason. `message` is for people: one line that names what was found and what was expected.
    pub fn refuse(self, message: impl Into<String>) -> Status {
        let mut status = Status::new(self.code(), message);
        status.metadata_mut().insert(REASON_KEY, MetadataValue::from_static(self.name()));
        status
    }

    /// The reason that a refusal carries. None: not by one of our services, or a name newer than this code.
    pub fn of(status: &Status) -> Option<Self> {
        let name = status.metadata().get(REASON_KEY)?.to_str().ok()?;
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl From<ConvertError> for Status {
    fn from(error: ConvertError) -> Self {
        let reason = match error {
            ConvertError::Ack(_) | ConvertError::Fault(_) | ConvertError::Identity(_) | ConvertError::Announcement(_) => {
                Reason::BadRecord
            }
            _ => Reason::BadField,
        };
        reason.refuse(error.to_string())
    }
}

impl From<ChunkError> for Status {
    fn from(error: ChunkError) -> Self {
        Reason::BadTransfer.refuse(error.to_string())
    }
}

impl From<ValidatorsError> for Status {
    fn from(error: ValidatorsError) -> Self {
        match error {
            ValidatorsError::Field(error) => error.into(),
            ValidatorsError::Chain { .. } => Reason::ForeignChain.refuse(error.to_string()),
            _ => Reason::BadTransfer.refuse(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire_and_names_are_unique() {
        for reason in Reason::ALL {
            let status = reason.refuse("found 1, expected 2");
            assert_eq!(Reason::of(&status), Some(reason));
            assert_eq!(status.code(), reason.code());
            assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }

    #[test]
    fn an_unknown_or_missing_reason_is_none() {
        let mut status = Status::new(Code::Internal, "");
        assert_eq!(Reason::of(&status), None);
        status.metadata_mut().insert(REASON_KEY, MetadataValue::from_static("of-version-2"));
        assert_eq!(Reason::of(&status), None);
    }

    #[test]
    fn the_readme_lists_every_reason_with_its_code() {
        let readme = include_str!("../README.md");
        for reason in Reason::ALL {
            let line = format!("| `{}` | {:?} |", reason.name(), reason.code());
            assert!(readme.contains(&line), "README.md lacks: {line}");
        }
    }
}
