//! Fetching a delta: from several sources at once, and nothing is seen by anybody before its hash is right.

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use libp2p::PeerId;
use pol_core::{UpdateId, params::DELTA_MAX_BYTES, sha256};
use tokio::time;
use tracing::debug;

use super::{
    exchange::{Answer, Ask, AskChunk, Chunk, Request},
    handle::NetHandle,
    limits::{CHUNK_BYTES, FETCH_PATIENCE, FETCH_SOURCES, FETCH_STRANGERS},
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

/// What a peer made of a question for a chunk.
enum Asked {
    /// The chunk, with exactly the length its place demands.
    Got(Chunk),
    /// No answer, or "not here".
    Nothing,
    /// Something else than a chunk of that size: no honest node answers so.
    Lied,
}

/// Asks for a chunk; `size` is the delta's, once it is known.
async fn chunk(net: &NetHandle, peer: PeerId, id: UpdateId, size: Option<usize>, offset: usize) -> Asked {
    let Ok(at) = u32::try_from(offset) else { return Asked::Nothing };
    let ask = AskChunk { update_id: id.0.to_vec(), offset: at };
    match net.ask(peer, Request { ask: Some(Ask::Chunk(ask)) }).await.ok().and_then(|response| response.answer) {
        None => Asked::Nothing,
        Some(Answer::Chunk(chunk)) if fits(&chunk, size, offset) => Asked::Got(chunk),
        Some(_) => Asked::Lied,
    }
}

fn fits(chunk: &Chunk, size: Option<usize>, offset: usize) -> bool {
    let Some(said) = usize::try_from(chunk.size).ok().filter(|size| (1..=DELTA_MAX_BYTES).contains(size)) else { return false };
    size.is_none_or(|size| size == said) && chunk.bytes.len() == CHUNK_BYTES.min(said.saturating_sub(offset))
}

/// Tries one after the other, the next one when the last gave nothing or is slow; the first result counts.
async fn first<T, F: Future<Output = Option<T>>>(tries: impl Iterator<Item = F>) -> Option<T> {
    let (mut tries, mut running) = (tries, FuturesUnordered::new());
    loop {
        match tries.next() {
            Some(next) => running.push(next),
            None if running.is_empty() => return None,
            None => {}
        }
        if let Ok(Some(Some(found))) = time::timeout(FETCH_PATIENCE, running.next()).await {
            return Some(found);
        }
    }
}

/// All bytes, chunk by chunk, starting with another source for each; a chunk that fails is asked of the next source.
async fn together(net: &NetHandle, id: UpdateId, sources: &[PeerId]) -> Option<Vec<u8>> {
    let got = async |peer: PeerId, size, offset| match chunk(net, peer, id, size, offset).await {
        Asked::Got(chunk) => Some(chunk),
        Asked::Nothing | Asked::Lied => None,
    };
    let begun = first(sources.iter().map(|peer| got(*peer, None, 0))).await?;
    let size = usize::try_from(begun.size).ok()?;
    let offsets = (CHUNK_BYTES..size).step_by(CHUNK_BYTES).enumerate();
    let rest = stream::iter(offsets).map(|(turn, offset)| {
        let turned = sources.iter().cycle().skip(turn.checked_rem(sources.len()).unwrap_or(0)).take(sources.len());
        first(turned.map(move |peer| got(*peer, Some(size), offset)))
    });
    let mut rest = rest.buffered(FETCH_SOURCES);
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(begun.bytes);
    while let Some(part) = rest.next().await {
        bytes.extend(part?.bytes);
    }
    Some(bytes)
}

/// All bytes from one peer, who is held to them.
async fn alone(net: &NetHandle, id: UpdateId, peer: PeerId) -> Option<Vec<u8>> {
    let (mut bytes, mut size) = (Vec::new(), None);
    let is_right = loop {
        match chunk(net, peer, id, size, bytes.len()).await {
            Asked::Got(chunk) => {
                size = usize::try_from(chunk.size).ok();
                bytes.extend(chunk.bytes);
            }
            Asked::Nothing => return None,
            Asked::Lied => break false,
        }
        if size.is_some_and(|size| bytes.len() >= size) {
            break sha256(&[&bytes]) == id.0;
        }
    };
    if is_right {
        return Some(bytes);
    }
    debug!(target: "polai::dht", %peer, update_id = %id, "delivered other bytes than asked for");
    net.blame(peer, Offence::BadDelta).await;
    None
}

/// Whom to ask: hints, then who says to have it, then who is connected; nobody twice. The second list are the first two, as far as
/// they are connected.
async fn sources(net: &NetHandle, id: UpdateId, hints: &[PeerId]) -> (Vec<PeerId>, Vec<PeerId>) {
    let connected: BTreeSet<PeerId> = net.peers().await.unwrap_or_default().into_iter().map(|peer| peer.peer).collect();
    let providers = net.providers(id).await.unwrap_or_default();
    let (near, far): (Vec<PeerId>, Vec<PeerId>) =
        hints.iter().copied().chain(providers).partition(|peer| connected.contains(peer));
    let mut seen = BTreeSet::from([net.local_peer_id()]);
    let mut fresh = |peers: Vec<PeerId>, most: usize| -> Vec<PeerId> {
        peers.into_iter().filter(|peer| seen.insert(*peer)).take(most).collect()
    };
    let near = fresh(near, usize::MAX);
    let others = fresh(connected.into_iter().collect(), usize::MAX);
    let far = fresh(far, FETCH_STRANGERS);
    let all = [near.clone(), others, far].concat();
    (all, near)
}

/// The bytes of an update: from the store, else from `hints` and from whoever provides it. Stored before they are returned.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(net: &NetHandle, shared: &Arc<Shared>, id: UpdateId, hints: &[PeerId]) -> Result<Vec<u8>, FetchError> {
    if let Some(bytes) = shared.store.deltas().get(&id)? {
        return Ok(bytes);
    }
    let (sources, near) = sources(net, id, hints).await;
    if sources.is_empty() {
        return Err(FetchError::NoSource(id));
    }
    let likely = if near.is_empty() { &sources } else { &near };
    let likely = likely.get(..FETCH_SOURCES.min(likely.len())).unwrap_or_default();
    let mut found = together(net, id, likely).await.filter(|bytes| sha256(&[bytes]) == id.0);
    if found.is_none() {
        // Somebody among several lied, or nobody had it: alone, each can be held to its bytes.
        found = first(sources.iter().map(|peer| alone(net, id, *peer))).await;
    }
    let bytes = found.ok_or(FetchError::Failed { id, asked: sources.len() })?;
    let keeper = Arc::clone(shared);
    let kept = tokio::task::spawn_blocking(move || keeper.store.deltas().add_with(id, &bytes, Commit::Lazy).map(|_| bytes)).await;
    let bytes = kept.map_err(|_| FetchError::Ended)??;
    net.provide(id).await;
    Ok(bytes)
}
