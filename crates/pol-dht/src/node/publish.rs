//! Publishing a delta: the bytes and their announcement together, or neither.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, ModelHead, UpdateId,
    params::DELTA_MAX_BYTES,
    record::{Announcement, AnnouncementError, Envelope, EnvelopeError, RecordKey},
    sha256,
};
use pol_kit::tasks::Panic;

use super::Node;
use crate::{
    envelope::SealError,
    net::{OwnError, intake},
    shared::Shared,
    store::{DeltaError, Put},
    verify::{VerifiedRecord, VerifyError},
};

/// Bytes of a container's header and signature (section 14).
const CONTAINER_BYTES_MIN: usize = 272;
const MAGIC: &[u8] = b"PLD1";
/// Where a container names its chain and its model head.
const GENESIS_AT: usize = 8;
const HEAD_AT: usize = 40;

/// Why a publication is refused. All but `Own` and `Keep` with a full disk, and `Ended`, are the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not the size of any container.
    #[error("container: found {found} bytes, expected {CONTAINER_BYTES_MIN} to {DELTA_MAX_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Not a container.
    #[error("container: found no PLD1 magic at its beginning")]
    Magic,
    /// Made for another chain.
    #[error("container: found one of the chain {found}, expected {expected}")]
    Chain {
        /// Chain found.
        found: GenesisId,
        /// Chain of this node.
        expected: GenesisId,
    },
    /// The announcement's envelope is broken, or sealed for another chain.
    #[error("announcement {0}")]
    Envelope(#[from] EnvelopeError),
    /// The announcement's value.
    #[error(transparent)]
    Announcement(#[from] AnnouncementError),
    /// The announcement is about other bytes.
    #[error("announcement: found update {} of {} bytes on head {}, expected {} of {} bytes on head {}",
        found.update_id, found.size, found.model_head, expected.update_id, expected.size, expected.model_head)]
    About {
        /// What it says.
        found: Box<Announcement>,
        /// What the bytes are; its sequence is the one found.
        expected: Box<Announcement>,
    },
    /// What the store makes of the announcement: a newer one is held, or there is no room.
    #[error("announcement: not stored ({0:?})")]
    Refused(Put),
    /// The record.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The delta cannot be kept.
    #[error(transparent)]
    Keep(#[from] DeltaError),
    /// The node's key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A defect of ours, or the process is shutting down.
    #[error("not published: {0}")]
    Ended(#[from] Panic),
}

impl From<VerifyError> for PublishError {
    fn from(error: VerifyError) -> Self {
        Self::Own(error.into())
    }
}

/// What became of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The id of its bytes.
    pub update_id: UpdateId,
    /// Its announcement is stored and on its way.
    pub announced: bool,
    /// The bytes were here before.
    pub already_held: bool,
}

/// What the bytes are, as an announcement with the sequence 0. Only size, magic, chain and head are looked at: what is wrong inside is
/// the gate's to find, which every member runs.
pub(super) fn describe(container: &[u8], genesis_id: GenesisId) -> Result<Announcement, PublishError> {
    let found = container.len();
    if !(CONTAINER_BYTES_MIN..=DELTA_MAX_BYTES).contains(&found) {
        return Err(PublishError::Length { found });
    }
    let field = |at: usize| container.get(at..).and_then(|rest| rest.first_chunk::<32>()).copied().unwrap_or_default();
    if !container.starts_with(MAGIC) {
        return Err(PublishError::Magic);
    }
    let chain = GenesisId(field(GENESIS_AT));
    if chain != genesis_id {
        return Err(PublishError::Chain { found: chain, expected: genesis_id });
    }
    let size = u32::try_from(found).map_err(|_| PublishError::Length { found })?;
    let (update_id, model_head) = (UpdateId(sha256(&[container])), ModelHead(field(HEAD_AT)));
    Ok(Announcement { update_id, model_head, size, sequence: 0 })
}

/// An announcement that may be stored once its bytes are.
enum Announced {
    New(Box<VerifiedRecord>),
    Known,
}

fn check(shared: &Shared, bytes: Announcement, envelope: &[u8]) -> Result<Announced, PublishError> {
    let Envelope { signer, value, .. } = Envelope::open(envelope, shared.genesis_id)?;
    let found = Announcement::decode(&value)?;
    let expected = Announcement { sequence: found.sequence, ..bytes };
    if found != expected {
        return Err(PublishError::About { found: Box::new(found), expected: Box::new(expected) });
    }
    let key = RecordKey::ann(found.model_head, signer).to_bytes();
    match intake::verify_own(shared, &key, envelope) {
        Ok(record) => Ok(Announced::New(Box::new(record))),
        Err(VerifyError::Known) => Ok(Announced::Known),
        Err(error) => Err(error.into()),
    }
}

type Stored = Option<(Put, Arc<VerifiedRecord>)>;

fn announce(shared: &Shared, announced: Option<Announced>) -> Result<Stored, PublishError> {
    let Some(Announced::New(record)) = announced else { return Ok(None) };
    let (put, record) = intake::keep_own(shared, *record)?;
    match put {
        Put::Inserted | Put::Replaced | Put::Promoted | Put::Resealed | Put::Duplicate => Ok(Some((put, record))),
        Put::Stale | Put::Outranked | Put::Conflict { .. } | Put::Collision | Put::Full => Err(PublishError::Refused(put)),
    }
}

/// Keeps and pins the bytes, then stores the announcement; what was not here before is given up again when anything fails.
fn keep(shared: &Shared, container: &[u8], envelope: Option<&[u8]>) -> Result<(Published, Stored), PublishError> {
    let bytes = describe(container, shared.genesis_id)?;
    let announced = envelope.map(|envelope| check(shared, bytes, envelope)).transpose()?;
    let (update_id, is_announced) = (bytes.update_id, announced.is_some());
    let deltas = shared.store.deltas();
    let was_pinned = deltas.is_pinned(&update_id);
    let added = deltas.add(update_id, container)?;
    let kept = deltas.pin(update_id).map_err(PublishError::from).and_then(|()| announce(shared, announced));
    match kept {
        Ok(stored) => Ok((Published { update_id, announced: is_announced, already_held: !added }, stored)),
        Err(error) => {
            let undone = if was_pinned { Ok(false) } else { deltas.unpin(&update_id) };
            let undone = if added { undone.and_then(|_| deltas.remove(&update_id)) } else { undone };
            if let Err(left) = undone {
                tracing::warn!(target: "polai::dht", %update_id, error = %left, "a refused delta stays on disk until it is evicted");
            }
            Err(error)
        }
    }
}

impl Node {
    /// Keeps a container, offers its bytes to whoever asks for the id, and spreads its announcement: an `ann:` envelope sealed by the
    /// trainer. A refused announcement refuses all of it. Without one nobody is told (children of a merge).
    ///
    /// The bytes are pinned for [`PIN_SECONDS`](crate::upkeep::PIN_SECONDS). What is wrong inside a container is the gate's to find.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, container: Vec<u8>, announcement: Option<Vec<u8>>) -> Result<Published, PublishError> {
        // One at a time: what one gives up again must not be what another was told is held.
        let turn = Arc::clone(&self.publishing).lock_owned().await;
        let work = move |shared: &Shared| {
            let _turn = turn;
            keep(shared, &container, announcement.as_deref())
        };
        let (published, stored) = self.blocking(work).await??;
        self.net.provide(published.update_id).await;
        if let Some((put, record)) = stored
            && (put.is_news() || put == Put::Resealed)
        {
            self.net.spread(record).await;
        }
        Ok(published)
    }

    /// [`Self::publish`] for who has the trainer's key at hand.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_delta(&self, container: &[u8], trainer: &SigningKey, sequence: u64) -> Result<UpdateId, PublishError> {
        let genesis_id = self.shared.genesis_id;
        let announcement = Announcement { sequence, ..describe(container, genesis_id)? };
        let envelope = Envelope::seal(trainer, genesis_id, self.shared.now(), &announcement.to_value());
        Ok(self.publish(container.to_vec(), Some(envelope)).await?.update_id)
    }
}
