//! The execution client's feed.

use pol_core::{Hash32, ModelHead, ResultRoot, UpdateId};

use super::{ConvertError, field, fixed, optional, update_id};
use crate::execution::v1::{self, watch_updates_response::Event};

/// A block of the canonical chain: where a reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub block_hash: Hash32,
}

impl TryFrom<&v1::Cursor> for Cursor {
    type Error = ConvertError;

    fn try_from(message: &v1::Cursor) -> Result<Self, ConvertError> {
        Ok(Self { height: message.height, block_hash: Hash32(fixed("block_hash", &message.block_hash)?) })
    }
}

impl From<Cursor> for v1::Cursor {
    fn from(cursor: Cursor) -> Self {
        Self { height: cursor.height, block_hash: field(cursor.block_hash.0) }
    }
}

/// Which blocks a reader hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Canonical ones as they come, and reverts.
    Canonical,
    /// Final ones only.
    Finalized,
}

impl TryFrom<i32> for View {
    type Error = ConvertError;

    fn try_from(number: i32) -> Result<Self, ConvertError> {
        match v1::View::try_from(number) {
            Ok(v1::View::Canonical) => Ok(Self::Canonical),
            Ok(v1::View::Finalized) => Ok(Self::Finalized),
            Ok(v1::View::Unspecified) | Err(_) => {
                Err(ConvertError::Range { field: "view", found: number.into(), least: 1, most: 2 })
            }
        }
    }
}

impl From<View> for v1::View {
    fn from(view: View) -> Self {
        match view {
            View::Canonical => Self::Canonical,
            View::Finalized => Self::Finalized,
        }
    }
}

/// Where a reader begins, and what it wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchUpdates {
    /// The last block it has dealt with; none: from genesis on.
    pub after: Option<Cursor>,
    /// Which blocks.
    pub view: View,
}

impl TryFrom<&v1::WatchUpdatesRequest> for WatchUpdates {
    type Error = ConvertError;

    fn try_from(message: &v1::WatchUpdatesRequest) -> Result<Self, ConvertError> {
        let after = message.after.as_ref().map(Cursor::try_from).transpose()?;
        Ok(Self { after, view: message.view.try_into()? })
    }
}

impl From<WatchUpdates> for v1::WatchUpdatesRequest {
    fn from(request: WatchUpdates) -> Self {
        Self { after: request.after.map(Into::into), view: v1::View::from(request.view).into() }
    }
}

/// A block that names an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainUpdate {
    /// The block.
    pub block: Cursor,
    /// The update.
    pub update_id: UpdateId,
    /// Model head after it.
    pub model_head: ModelHead,
    /// Which update of the chain it is, from 1.
    pub number: u64,
    /// Unix seconds of the block.
    pub timestamp: u64,
    /// Whether the block is final.
    pub finalized: bool,
    /// Root that the block's certificate names; none: the certificate did not come with the block.
    pub result_root: Option<ResultRoot>,
}

/// A block and the model head after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The block.
    pub block: Cursor,
    /// Model head after it.
    pub model_head: ModelHead,
    /// Updates up to it.
    pub updates: u64,
}

/// One event of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainEvent {
    /// A block names an update.
    Update(ChainUpdate),
    /// Everything above this block is gone.
    Reverted(Head),
    /// Everything up to this block is final.
    Finalized(Head),
}

impl ChainEvent {
    /// The block that the event is about.
    pub const fn block(&self) -> Cursor {
        match self {
            Self::Update(update) => update.block,
            Self::Reverted(head) | Self::Finalized(head) => head.block,
        }
    }

    /// What a reader keeps, durably, once it has dealt with the event: where it goes on. Finality may lag behind what was said already, and
    /// then moves nothing.
    pub const fn advance(&self, cursor: Option<Cursor>) -> Cursor {
        match (self, cursor) {
            (Self::Finalized(head), Some(cursor)) if head.block.height <= cursor.height => cursor,
            _ => self.block(),
        }
    }
}

fn block(name: &'static str, message: Option<&v1::Cursor>) -> Result<Cursor, ConvertError> {
    message.ok_or(ConvertError::Missing { field: name })?.try_into()
}

impl TryFrom<&v1::WatchUpdatesResponse> for ChainEvent {
    type Error = ConvertError;

    fn try_from(message: &v1::WatchUpdatesResponse) -> Result<Self, ConvertError> {
        let head = |block, model_head: &[u8], updates| {
            Ok::<_, ConvertError>(Head { block, model_head: ModelHead(fixed("model_head", model_head)?), updates })
        };
        match message.event.as_ref().ok_or(ConvertError::Missing { field: "event" })? {
            Event::Update(update) => Ok(Self::Update(ChainUpdate {
                block: block("block", update.block.as_ref())?,
                update_id: update_id(&update.update_id)?,
                model_head: ModelHead(fixed("model_head", &update.model_head)?),
                number: update.number,
                timestamp: update.timestamp,
                finalized: update.finalized,
                result_root: optional("result_root", &update.result_root)?.map(ResultRoot),
            })),
            Event::Reverted(m) => Ok(Self::Reverted(head(block("to", m.to.as_ref())?, &m.model_head, m.updates)?)),
            Event::Finalized(m) => Ok(Self::Finalized(head(block("block", m.block.as_ref())?, &m.model_head, m.updates)?)),
        }
    }
}

impl From<ChainEvent> for v1::WatchUpdatesResponse {
    fn from(event: ChainEvent) -> Self {
        let event = match event {
            ChainEvent::Update(update) => Event::Update(v1::Update {
                block: Some(update.block.into()),
                update_id: field(update.update_id.0),
                model_head: field(update.model_head.0),
                number: update.number,
                timestamp: update.timestamp,
                finalized: update.finalized,
                result_root: update.result_root.map(|root| field(root.0)).unwrap_or_default(),
            }),
            ChainEvent::Reverted(head) => Event::Reverted(v1::Reverted {
                to: Some(head.block.into()),
                model_head: field(head.model_head.0),
                updates: head.updates,
            }),
            ChainEvent::Finalized(head) => Event::Finalized(v1::Finalized {
                block: Some(head.block.into()),
                model_head: field(head.model_head.0),
                updates: head.updates,
            }),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<&v1::Head> for Head {
    type Error = ConvertError;

    fn try_from(message: &v1::Head) -> Result<Self, ConvertError> {
        let model_head = ModelHead(fixed("model_head", &message.model_head)?);
        Ok(Self { block: block("block", message.block.as_ref())?, model_head, updates: message.updates })
    }
}

impl From<Head> for v1::Head {
    fn from(head: Head) -> Self {
        Self { block: Some(head.block.into()), model_head: field(head.model_head.0), updates: head.updates }
    }
}
