//! Fetching a delta: from several sources at once, and nothing is seen by anybody before its hash is right.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use libp2p::PeerId;
use pol_core::{UpdateId, params::DELTA_MAX_BYTES, sha256};
use tracing::debug;

use super::{
    exchange::{Answer, Ask, AskChunk, Chunk, Request},
    handle::NetHandle,
    limits::{CHUNK_BYTES, FETCH_SOURCES},
};
use crate::{
    quota::Offence,
    shared::Shared,
    store::{Commit, StoreError},
};

/// Why a delta is not here. All but `Store` may heal: fetch again later.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody is known to have it.
    #[error("update {0}: no peer is known that has its bytes")]
    NoSource(UpdateId),
    /// Everybody who was asked failed.
    #[error("update {id}: none of {asked} peers delivered its bytes")]
    Failed {
        /// The update.
        id: UpdateId,
        /// Peers asked.
        asked: usize,
    },
    /// This node is shutting down; or a defect of ours, which is in the log.
    #[error("the delta was not written: the node is shutting down")]
    Ended,
    /// The disk or the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The delta cannot be kept.
    #[error(transparent)]
    Keep(#[from] crate::store::DeltaError),
}

async fn chunk(net: &NetHandle, peer: PeerId, id: UpdateId, offset: usize) -> Option<Chunk> {
    let ask = AskChunk { update_id: id.0.to_vec(), offset: u32::try_from(offset).ok()? };
    match net.ask(peer, Request { ask: Some(Ask::Chunk(ask)) }).await.ok()?.answer? {
        Answer::Chunk(chunk) => Some(chunk),
        _ => None,
    }
}

/// A chunk that has exactly the length its place demands.
fn fits(chunk: &Chunk, size: usize, offset: usize) -> bool {
    usize::try_from(chunk.size) == Ok(size) && chunk.bytes.len() == CHUNK_BYTES.min(size.saturating_sub(offset))
}

/// All bytes, chunk by chunk, starting with another source for each; a chunk that fails is asked of the next source.
async fn assemble(net: &NetHandle, id: UpdateId, sources: &[PeerId]) -> Option<Vec<u8>> {
    let mut first = None;
    for peer in sources {
        if let Some(found) = chunk(net, *peer, id, 0).await {
            first = Some(found);
            break;
        }
    }
    let first = first?;
    let size = usize::try_from(first.size).ok().filter(|size| (1..=DELTA_MAX_BYTES).contains(size))?;
    if !fits(&first, size, 0) {
        return None;
    }
    let offsets = (CHUNK_BYTES..size).step_by(CHUNK_BYTES).enumerate();
    let rest = stream::iter(offsets).map(|(turn, offset)| async move {
        for peer in sources.iter().cycle().skip(turn.checked_rem(sources.len()).unwrap_or(0)).take(sources.len()) {
            if let Some(found) = chunk(net, *peer, id, offset).await.filter(|found| fits(found, size, offset)) {
                return Some(found.bytes);
            }
        }
        None
    });
    let mut rest = rest.buffered(FETCH_SOURCES);
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(first.bytes);
    while let Some(part) = rest.next().await {
        bytes.extend(part?);
    }
    Some(bytes)
}

/// The bytes of an update: from the store, else from `hints` and from whoever provides it. Stored before they are returned.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(net: &NetHandle, shared: &Arc<Shared>, id: UpdateId, hints: &[PeerId]) -> Result<Vec<u8>, FetchError> {
    if let Some(bytes) = shared.store.deltas().get(&id)? {
        return Ok(bytes);
    }
    let mut sources: Vec<PeerId> = hints.to_vec();
    sources.extend(net.providers(id).await.unwrap_or_default());
    sources.extend(net.peers().await.unwrap_or_default().into_iter().map(|peer| peer.peer));
    let mut seen = std::collections::BTreeSet::new();
    sources.retain(|peer| *peer != net.local_peer_id() && seen.insert(*peer));
    if sources.is_empty() {
        return Err(FetchError::NoSource(id));
    }
    let good = |bytes: &Vec<u8>| sha256(&[bytes]) == id.0;
    let together = sources.get(..FETCH_SOURCES.min(sources.len())).unwrap_or_default();
    let mut found = assemble(net, id, together).await.filter(good);
    if found.is_none() {
        // Somebody among several lied, or nobody had it: alone, each can be held to its bytes.
        for peer in &sources {
            match assemble(net, id, &[*peer]).await {
                Some(bytes) if good(&bytes) => {
                    found = Some(bytes);
                    break;
                }
                Some(_) => {
                    debug!(target: "polai::dht", %peer, update_id = %id, "delivered other bytes than asked for");
                    net.blame(*peer, Offence::BadDelta).await;
                }
                None => {}
            }
        }
    }
    let bytes = found.ok_or(FetchError::Failed { id, asked: sources.len() })?;
    let keeper = Arc::clone(shared);
    let kept = tokio::task::spawn_blocking(move || keeper.store.deltas().add_with(id, &bytes, Commit::Lazy).map(|_| bytes)).await;
    let bytes = kept.map_err(|_| FetchError::Ended)??;
    net.provide(id).await;
    Ok(bytes)
}
