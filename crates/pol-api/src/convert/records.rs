//! Records that validators sign.

use pol_core::{ack::RawAck, fault::RawFaultVote, record::RawIdRecord};

use super::{ConvertError, field};
use crate::dht::v1;

/// An ACK as the daemon holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAck {
    /// The ACK, its signature not checked here.
    pub ack: RawAck,
    /// What the daemon says of signature and membership.
    pub verified: bool,
    /// Evidence against its signer, not a vote.
    pub conflict: bool,
    /// When the daemon first saw it, unix milliseconds.
    pub first_seen_unix_ms: u64,
    /// When its life ends, unix seconds.
    pub expires_unix_s: u64,
}

impl TryFrom<&v1::AckRecord> for StoredAck {
    type Error = ConvertError;

    fn try_from(message: &v1::AckRecord) -> Result<Self, ConvertError> {
        Ok(Self {
            ack: RawAck::decode(&message.value)?,
            verified: message.verified,
            conflict: message.conflict,
            first_seen_unix_ms: message.first_seen_unix_ms,
            expires_unix_s: message.expires_unix_s,
        })
    }
}

impl From<&StoredAck> for v1::AckRecord {
    fn from(stored: &StoredAck) -> Self {
        Self {
            value: field(stored.ack.to_value()),
            verified: stored.verified,
            conflict: stored.conflict,
            first_seen_unix_ms: stored.first_seen_unix_ms,
            expires_unix_s: stored.expires_unix_s,
        }
    }
}

impl TryFrom<v1::WatchAcksResponse> for StoredAck {
    type Error = ConvertError;

    fn try_from(message: v1::WatchAcksResponse) -> Result<Self, ConvertError> {
        message.ack.as_ref().ok_or(ConvertError::Missing { field: "ack" })?.try_into()
    }
}

/// A fault vote as the daemon holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFault {
    /// The vote, its signatures not checked here.
    pub vote: RawFaultVote,
    /// What the daemon says of signatures and membership.
    pub verified: bool,
    /// When the daemon first saw it, unix milliseconds.
    pub first_seen_unix_ms: u64,
    /// When its life ends, unix seconds.
    pub expires_unix_s: u64,
}

impl TryFrom<&v1::FaultRecord> for StoredFault {
    type Error = ConvertError;

    fn try_from(message: &v1::FaultRecord) -> Result<Self, ConvertError> {
        Ok(Self {
            vote: RawFaultVote::decode(&message.value)?,
            verified: message.verified,
            first_seen_unix_ms: message.first_seen_unix_ms,
            expires_unix_s: message.expires_unix_s,
        })
    }
}

impl From<&StoredFault> for v1::FaultRecord {
    fn from(stored: &StoredFault) -> Self {
        Self {
            value: field(stored.vote.to_value()),
            verified: stored.verified,
            first_seen_unix_ms: stored.first_seen_unix_ms,
            expires_unix_s: stored.expires_unix_s,
        }
    }
}

impl TryFrom<v1::WatchFaultsResponse> for StoredFault {
    type Error = ConvertError;

    fn try_from(message: v1::WatchFaultsResponse) -> Result<Self, ConvertError> {
        message.fault.as_ref().ok_or(ConvertError::Missing { field: "fault" })?.try_into()
    }
}

macro_rules! put {
    ($request:ident, $record:ident, $response:ident) => {
        impl TryFrom<&v1::$request> for $record {
            type Error = ConvertError;

            fn try_from(message: &v1::$request) -> Result<Self, ConvertError> {
                Ok(Self::decode(&message.value)?)
            }
        }

        impl From<&$record> for v1::$request {
            fn from(record: &$record) -> Self {
                Self { value: field(record.to_value()) }
            }
        }

        impl TryFrom<&v1::$response> for Stored {
            type Error = ConvertError;

            fn try_from(message: &v1::$response) -> Result<Self, ConvertError> {
                let outcome = Outcome::try_from(message.outcome)?;
                Ok(Self { outcome, verified: message.verified, expires_unix_s: message.expires_unix_s })
            }
        }

        impl From<&Stored> for v1::$response {
            fn from(stored: &Stored) -> Self {
                let outcome = v1::PutOutcome::from(stored.outcome).into();
                Self { outcome, verified: stored.verified, expires_unix_s: stored.expires_unix_s }
            }
        }
    };
}

put!(PutAckRequest, RawAck, PutAckResponse);
put!(PutFaultRequest, RawFaultVote, PutFaultResponse);
put!(PutIdentityRequest, RawIdRecord, PutIdentityResponse);

/// What became of a record that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Outcome.
    pub outcome: Outcome,
    /// What the daemon says of signature and membership.
    pub verified: bool,
    /// When the life of the record that now stands there ends, unix seconds.
    pub expires_unix_s: u64,
}

/// What the daemon did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New; stored and on its way to others.
    Stored,
    /// Exactly this was there before.
    Duplicate,
    /// Another one by this signer stands there and stays.
    Conflict,
    /// One with a higher sequence is there.
    Outdated,
}

impl TryFrom<i32> for Outcome {
    type Error = ConvertError;

    /// Reads the enum's number on the wire.
    fn try_from(number: i32) -> Result<Self, ConvertError> {
        match v1::PutOutcome::try_from(number) {
            Ok(v1::PutOutcome::Stored) => Ok(Self::Stored),
            Ok(v1::PutOutcome::Duplicate) => Ok(Self::Duplicate),
            Ok(v1::PutOutcome::Conflict) => Ok(Self::Conflict),
            Ok(v1::PutOutcome::Outdated) => Ok(Self::Outdated),
            Ok(v1::PutOutcome::Unspecified) | Err(_) => {
                Err(ConvertError::Range { field: "outcome", found: number.into(), least: 1, most: 4 })
            }
        }
    }
}

impl From<Outcome> for v1::PutOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored => Self::Stored,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Conflict => Self::Conflict,
            Outcome::Outdated => Self::Outdated,
        }
    }
}
