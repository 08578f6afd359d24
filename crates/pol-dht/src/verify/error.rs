//! Why a record is refused, and whose fault that is.

use pol_core::{
    ack::AckError,
    fault::FaultVoteError,
    record::{AnnouncementError, EnvelopeError, IdError, KeyError},
};

/// Whether the sender of a refused record is to be penalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// An honest sender, who checks before it forwards, never sends this.
    Peer,
    /// An honest sender can send this: clocks differ, validator sets differ by an epoch, records cross on the way.
    Nobody,
}

/// This node's store could not answer. Our fault; the record may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record store gave no answer")]
pub struct Unavailable;

/// Why a record is refused. [`VerifyError::blame`] says whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a key of section 7: too long, upper case, extra parts, unknown prefix.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// `upd:` and `snap:` name providers; no value is stored under them.
    #[error("DHT key: found a provider key, expected the key of a record")]
    ProviderKey,
    /// The envelope: oversize, malformed, forged or of another chain.
    #[error("{0}")]
    Envelope(#[from] EnvelopeError),
    /// An ACK's layout, key or BLS signature.
    #[error("{0}")]
    Ack(#[from] AckError),
    /// An announcement's layout, key or signer.
    #[error("{0}")]
    Announcement(#[from] AnnouncementError),
    /// An identity's layout, key or BLS signature.
    #[error("{0}")]
    Identity(#[from] IdError),
    /// A fault vote's layout, key or signatures. Nobody's fault when it is the accused's: a node that does not know him yet forwards it.
    #[error("{0}")]
    Fault(#[from] FaultVoteError),
    /// Sealed further ahead of this node's clock than clocks may differ.
    #[error("record: sealed {ahead} s in the future, expected at most {allowed} s")]
    Future {
        /// Seconds ahead of this node's clock.
        ahead: u64,
        /// Seconds allowed.
        allowed: u64,
    },
    /// Its life is over; a replay, or slow.
    #[error("record: sealed {age} s ago, expected less than its life of {life} s")]
    Expired {
        /// Seconds since it was sealed.
        age: u64,
        /// Seconds that its kind lives.
        life: u64,
    },
    /// Well signed, by a key that is no validator's in the three epochs this node knows.
    #[error("record: its BLS key belongs to no validator of the previous, current or next epoch")]
    NotMember,
    /// The trainer stands in no identity record that this node holds of a validator.
    #[error("announcement: its trainer stands in no validator's identity record")]
    UnknownTrainer,
    /// This very value is already held, with a seal that is not noticeably older.
    #[error("record: already held")]
    Known,
    /// This node could not look something up.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl VerifyError {
    /// Whose fault the refusal is.
    pub const fn blame(&self) -> Blame {
        match self {
            // Whoever forwards it may not know the accused yet, and then cannot check his signature.
            Self::Fault(FaultVoteError::Accused(_)) => Blame::Nobody,
            Self::Key(_)
            | Self::ProviderKey
            | Self::Envelope(_)
            | Self::Ack(_)
            | Self::Announcement(_)
            | Self::Identity(_)
            | Self::Fault(_) => Blame::Peer,
            Self::Future { .. }
            | Self::Expired { .. }
            | Self::NotMember
            | Self::UnknownTrainer
            | Self::Known
            | Self::Unavailable(_) => Blame::Nobody,
        }
    }
}
