//! Errors of the node as refusals with a reason.

use pol_api::{status::Reason, tonic::Status};
use pol_core::{ack::AckError, fault::FaultVoteError, record::IdError};
use pol_kit::tasks::Panic;

use crate::{
    PublishError,
    net::{AskError, FetchError, OwnError, SnapshotFetchError},
    store::{DeltaError, Put, SnapshotStoreError, StoreError},
    validators::SetError,
    verify::{Unavailable, VerifyError},
};

/// An error that has a name on the wire.
pub(super) trait Refusal {
    /// Why, for machines.
    fn reason(&self) -> Reason;
}

/// The error as an answer. What is our own defect goes into the log too.
pub(super) fn refuse<E: Refusal + std::error::Error>(error: E) -> Status {
    let reason = error.reason();
    if matches!(reason, Reason::Internal | Reason::StoreFull) {
        tracing::warn!(target: "polai::dht", %error, reason = reason.name(), "a call failed");
    }
    reason.refuse(error.to_string())
}

impl Refusal for StoreError {
    fn reason(&self) -> Reason {
        match self {
            Self::DiskFull => Reason::StoreFull,
            _ => Reason::Internal,
        }
    }
}

impl Refusal for DeltaError {
    fn reason(&self) -> Reason {
        match self {
            Self::Length { .. } | Self::Id { .. } => Reason::BadDelta,
            Self::Budget { .. } | Self::Pins { .. } => Reason::StoreFull,
            Self::Store(error) => error.reason(),
        }
    }
}

impl Refusal for Unavailable {
    fn reason(&self) -> Reason {
        Reason::Internal
    }
}

impl Refusal for Panic {
    fn reason(&self) -> Reason {
        Reason::Internal
    }
}

impl Refusal for AskError {
    fn reason(&self) -> Reason {
        match self {
            Self::Ended => Reason::ShuttingDown,
            Self::Peer(_) => Reason::Internal,
        }
    }
}

impl Refusal for VerifyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Ack(AckError::Bls(_))
            | Self::Identity(IdError::Bls(_))
            | Self::Fault(FaultVoteError::Voter(_) | FaultVoteError::Accused(_)) => Reason::BadSignature,
            Self::Key(_) | Self::ProviderKey | Self::Ack(_) | Self::Identity(_) | Self::Fault(_) => Reason::BadRecord,
            // Only a trainer's envelope comes from a caller; all others are sealed here.
            Self::Envelope(_) | Self::Announcement(_) => Reason::BadAnnouncement,
            Self::Future { .. } | Self::Expired { .. } => Reason::Expired,
            Self::NotMember | Self::UnknownTrainer => Reason::NotAMember,
            // A duplicate is an outcome, not a refusal: callers never get here with it.
            Self::Known => Reason::Outdated,
            Self::Unavailable(error) => error.reason(),
        }
    }
}

impl Refusal for OwnError {
    fn reason(&self) -> Reason {
        match self {
            Self::Verify(error) => error.reason(),
            Self::Store(error) => error.reason(),
        }
    }
}

/// Why a put that stored nothing is refused.
pub(super) const fn reason_of_put(put: Put) -> Reason {
    match put {
        Put::Full => Reason::StoreFull,
        // A member's record is held, and there is no set that would make the new one a member's too.
        Put::Outranked => Reason::NotAMember,
        _ => Reason::Outdated,
    }
}

impl Refusal for PublishError {
    fn reason(&self) -> Reason {
        match self {
            Self::Length { .. } | Self::Magic | Self::Chain { .. } => Reason::BadDelta,
            Self::Envelope(_) | Self::Announcement(_) | Self::About { .. } => Reason::BadAnnouncement,
            Self::Refused(put) => reason_of_put(*put),
            Self::Own(error) => error.reason(),
            Self::Keep(error) => error.reason(),
            Self::Seal(_) => Reason::Internal,
            Self::Ended(error) => error.reason(),
        }
    }
}

impl Refusal for FetchError {
    fn reason(&self) -> Reason {
        match self {
            Self::NoSource(_) | Self::Failed { .. } => Reason::NotFound,
            Self::Ended => Reason::ShuttingDown,
            Self::Store(error) => error.reason(),
            Self::Keep(error) => error.reason(),
        }
    }
}

impl Refusal for SnapshotStoreError {
    fn reason(&self) -> Reason {
        match self {
            Self::Budget { .. } => Reason::StoreFull,
            Self::Busy => Reason::Quota,
            Self::Chunk(_) | Self::Missing { .. } => Reason::BadTransfer,
            Self::Store(error) => error.reason(),
        }
    }
}

impl Refusal for SnapshotFetchError {
    fn reason(&self) -> Reason {
        match self {
            Self::NoSource { .. } | Self::Failed { .. } => Reason::NotFound,
            Self::Ended => Reason::ShuttingDown,
            Self::Keep(error) => error.reason(),
        }
    }
}

impl Refusal for SetError {
    fn reason(&self) -> Reason {
        Reason::BadField
    }
}

/// The process stops.
pub(super) fn shutting_down() -> Status {
    Reason::ShuttingDown.refuse("the daemon is shutting down")
}

/// A watcher that did not keep up.
pub(super) fn lagged() -> Status {
    Reason::Lagged.refuse("the watcher did not keep up: open the watch again, what is held comes first")
}
