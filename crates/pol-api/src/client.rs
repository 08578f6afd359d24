//! The three calls of the DHT that are more than one message, as functions. Everything else is a line of the generated client.

use pol_core::{GenesisId, UpdateId};
use prost::bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::{Status, transport::Channel};

use crate::{
    chunks::{self, ChunkError, Part},
    convert::{self, ConvertError, PublishHeader, Published},
    dht::v1::{self, dht_client::DhtClient, publish_delta_request},
    limits,
    validators::{self, Validator},
};

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Refused, or not reached. Whose fault it is and whether it may heal: [`crate::status::Reason::of`].
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(#[from] Status),
    /// The daemon sent a transfer that is none: its defect.
    #[error(transparent)]
    Transfer(#[from] ChunkError),
    /// The daemon sent an answer that is none: its defect.
    #[error(transparent)]
    Answer(#[from] ConvertError),
}

/// The messages of an upload.
pub fn upload(bytes: &Bytes, announcement: Option<Bytes>) -> impl Iterator<Item = v1::PublishDeltaRequest> + Send + use<> {
    let mut announcement = announcement;
    chunks::split(bytes).map(move |part| {
        let part = match part {
            Part::Header(transfer) => {
                publish_delta_request::Part::Header(PublishHeader { transfer, announcement: announcement.take() }.into())
            }
            Part::Chunk(chunk) => publish_delta_request::Part::Chunk(chunk),
        };
        v1::PublishDeltaRequest { part: Some(part) }
    })
}

/// Stores a delta in the DHT, and announces it when the trainer's sealed announcement is given.
///
/// # Errors
/// [`CallError`].
pub async fn publish_delta(
    client: &mut DhtClient<Channel>,
    bytes: &Bytes,
    announcement: Option<Bytes>,
) -> Result<Published, CallError> {
    let answer = client.publish_delta(tokio_stream::iter(upload(bytes, announcement))).await?;
    Ok((&answer.into_inner()).try_into()?)
}

/// Fetches a delta's bytes: at most [`limits::DELTA_BYTES`], and the ones with this id.
///
/// They may still be no container: decode them.
///
/// # Errors
/// [`CallError`].
pub async fn fetch_delta(client: &mut DhtClient<Channel>, id: UpdateId) -> Result<Vec<u8>, CallError> {
    let request = v1::FetchDeltaRequest { update_id: convert::field(id.0) };
    let parts = client.fetch_delta(request).await?.into_inner();
    let whole = chunks::read(parts.map(|part| part.map_err(CallError::from)), limits::DELTA_BYTES).await?;
    Ok(whole.named(id)?)
}

/// Replaces the daemon's validator set. `validators` comes by strictly increasing index.
///
/// # Errors
/// [`CallError::Refused`].
pub async fn set_validators<I>(
    client: &mut DhtClient<Channel>,
    chain: GenesisId,
    epoch: u64,
    validators: I,
) -> Result<v1::SetValidatorsResponse, CallError>
where
    I: ExactSizeIterator<Item = Validator> + Send + 'static,
{
    let messages = tokio_stream::iter(validators::messages(chain, epoch, validators));
    Ok(client.set_validators(messages).await?.into_inner())
}
