//! The life of an update, as events.

/// Target of these events, in every process.
pub const UPDATE_TARGET: &str = "polai::update";

/// The stages of an update's life, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its container and announcement are in the DHT.
    Published,
    /// A member's loss gate has judged it.
    Gated,
    /// A member has signed an ACK for it.
    Acked,
    /// It has a quorum and may be proposed.
    Candidate,
    /// A block that names it is sealed.
    Sealed,
    /// A block that names it is imported.
    Imported,
    /// That block is final.
    Finalized,
    /// It is part of the model state.
    Applied,
    /// It was turned down; see the event's `reason`.
    Refused,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Published,
        Self::Gated,
        Self::Acked,
        Self::Candidate,
        Self::Sealed,
        Self::Imported,
        Self::Finalized,
        Self::Applied,
        Self::Refused,
    ];

    /// The word in the event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Gated => "gated",
            Self::Acked => "acked",
            Self::Candidate => "candidate",
            Self::Sealed => "sealed",
            Self::Imported => "imported",
            Self::Finalized => "finalized",
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// Says that an update has reached a stage: level info, target [`UPDATE_TARGET`], fields `update_id` (64 hex digits) and `stage`.
/// One grep for the id shows its life over all processes.
pub fn update(stage: Stage, update_id: &[u8; 32]) {
    tracing::info!(target: UPDATE_TARGET, update_id = %hex::encode(update_id), stage = stage.as_str());
}

/// Says that an update was turned down, and why. Only for updates whose size and signature have been checked: a stranger must not
/// be able to fill the log.
pub fn refused(update_id: &[u8; 32], reason: &dyn std::error::Error) {
    tracing::info!(target: UPDATE_TARGET, update_id = %hex::encode(update_id), stage = Stage::Refused.as_str(), %reason);
}
