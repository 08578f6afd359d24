//! Fetching a snapshot: its beginning from one peer, its chunks from several, each checked before it is written.
//!
//! A peer that sends a chunk of another hash is held to it at once. One that stops answering is asked for no more, and what it left is asked
//! of the others. What came stays on the disk: the next try goes on from there.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, stream};
use libp2p::PeerId;
use pol_api::convert::SnapshotWanted;
use pol_core::{
    ModelHead, ResultRoot,
    record::RecordKey,
    state::{CHUNK_VALUES, Shape, SnapshotManifest, manifest_bytes, snapshot_bytes},
};
use tokio::{task::spawn_blocking, time};
use tracing::{debug, info};

use super::{
    exchange::{Answer, Ask, AskSnapshot, Request, SnapshotPart},
    handle::NetHandle,
    limits::{FETCH_SOURCES, FETCH_STRANGERS, SNAPSHOT_ASKED_MAX, SNAPSHOT_FAILURES_MAX, SNAPSHOT_PACE, SNAPSHOT_PART_BYTES},
};
use crate::{
    quota::Offence,
    shared::Shared,
    store::{Ingest, SnapshotName, SnapshotStoreError},
};

/// Chunks in one part.
const PART_CHUNKS: usize = 4;
/// How often all peers are asked for what others left.
const ROUNDS: usize = 3;

/// Why a snapshot is not here. All but `Keep` may heal: ask again later, it goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFetchError {
    /// Nobody who was asked has one that is wanted.
    #[error("snapshot of model head {head}: none of {asked} peers has one that is wanted")]
    NoSource {
        /// The head.
        head: ModelHead,
        /// Peers asked.
        asked: usize,
    },
    /// Those who had it are gone or lied.
    #[error("snapshot of model head {head}: {missing} chunks did not come")]
    Failed {
        /// The head.
        head: ModelHead,
        /// Chunks that are still missing.
        missing: usize,
    },
    /// This node is shutting down; or a defect of ours, which is in the log.
    #[error("the snapshot was not written: the node is shutting down")]
    Ended,
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] SnapshotStoreError),
}

/// What a peer made of a question.
enum Asked {
    Got(SnapshotPart),
    Nothing,
    Lied,
}

/// One download.
struct Download {
    net: NetHandle,
    shape: Shape,
    wanted: SnapshotWanted,
}

impl Download {
    async fn ask(&self, peer: PeerId, root: Option<ResultRoot>, offset: u64) -> Asked {
        let root = root.map(|root| root.0.to_vec()).unwrap_or_default();
        let ask = AskSnapshot { model_head: self.wanted.model_head.0.to_vec(), root: root.clone(), offset };
        match self.net.ask(peer, Request { ask: Some(Ask::Snapshot(ask)) }).await.ok().and_then(|response| response.answer) {
            None => Asked::Nothing,
            Some(Answer::Snapshot(part)) if self.fits(&part, &root, offset) => Asked::Got(part),
            Some(_) => Asked::Lied,
        }
    }

    /// Whether a part has the length that its place demands, and is of the snapshot that was asked for.
    fn fits(&self, part: &SnapshotPart, root: &[u8], offset: u64) -> bool {
        let left = usize::try_from(snapshot_bytes(&self.shape).saturating_sub(offset)).unwrap_or(usize::MAX);
        part.root.len() == 32 && (root.is_empty() || part.root == root) && part.bytes.len() == left.min(SNAPSHOT_PART_BYTES)
    }

    /// The beginning of a snapshot that is wanted, of a peer that is held to it.
    async fn manifest(self: Arc<Self>, peer: PeerId) -> Option<SnapshotManifest> {
        let (length, mut bytes, mut root) = (manifest_bytes(&self.shape), Vec::new(), self.wanted.root);
        while bytes.len() < length {
            match self.ask(peer, root, u64::try_from(bytes.len()).ok()?).await {
                Asked::Got(part) => {
                    root = Some(ResultRoot(part.root.try_into().ok()?));
                    bytes.extend(part.bytes);
                }
                Asked::Nothing => return None,
                Asked::Lied => return self.blame(peer).await,
            }
            // A long one takes several questions.
            time::sleep(SNAPSHOT_PACE).await;
        }
        bytes.truncate(length);
        match SnapshotManifest::decode(self.shape, &bytes) {
            Ok(found) if Some(found.root()) == root && found.updates == self.wanted.updates => {
                // One that is known to be wrong may be held by who does not know yet.
                self.wanted.accepts(found.root()).then_some(found)
            }
            _ => self.blame(peer).await,
        }
    }

    async fn blame<T>(&self, peer: PeerId) -> Option<T> {
        debug!(target: "polai::dht", %peer, head = %self.wanted.model_head, "sent something else than a snapshot's part");
        self.net.blame(peer, Offence::BadDelta).await;
        None
    }

    /// Asks one peer for part after part, until there is nothing left to ask for, or this peer is not worth it.
    async fn chunks_of(
        self: Arc<Self>,
        peer: PeerId,
        root: ResultRoot,
        queue: Arc<Mutex<VecDeque<u32>>>,
        ingest: Arc<Ingest>,
    ) -> Option<()> {
        let (mut failures, mut pace) = (0_u32, time::interval(SNAPSHOT_PACE));
        loop {
            let first = lock(&queue).pop_front()?;
            pace.tick().await;
            let asked = self.ask(peer, Some(root), self.offset(first)).await;
            let give_back = || lock(&queue).push_back(first);
            match asked {
                Asked::Got(part) => match self.put(&ingest, first, part.bytes).await {
                    Some(Ok(())) => failures = 0,
                    Some(Err(SnapshotStoreError::Chunk(_))) => {
                        give_back();
                        return self.blame(peer).await;
                    }
                    _ => {
                        give_back();
                        return None;
                    }
                },
                Asked::Nothing => {
                    give_back();
                    failures = failures.saturating_add(1);
                    if failures >= SNAPSHOT_FAILURES_MAX {
                        return None;
                    }
                }
                Asked::Lied => {
                    give_back();
                    return self.blame(peer).await;
                }
            }
        }
    }

    fn offset(&self, chunk: u32) -> u64 {
        let before = u64::from(chunk).saturating_mul(u64::from(CHUNK_VALUES)).saturating_mul(4);
        u64::try_from(manifest_bytes(&self.shape)).unwrap_or(u64::MAX).saturating_add(before)
    }

    async fn put(&self, ingest: &Arc<Ingest>, first: u32, bytes: Vec<u8>) -> Option<Result<(), SnapshotStoreError>> {
        let (ingest, length) = (Arc::clone(ingest), usize::try_from(CHUNK_VALUES).ok()?.checked_mul(4)?);
        let write = move || (first..).zip(bytes.chunks(length)).try_for_each(|(chunk, bytes)| ingest.put(chunk, bytes));
        spawn_blocking(write).await.ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// First chunks of the parts in which chunks are missing.
fn parts(missing: &[u32]) -> VecDeque<u32> {
    let size = u32::try_from(PART_CHUNKS).unwrap_or(1);
    let first = |chunk: &u32| chunk.checked_div(size).unwrap_or(0).saturating_mul(size);
    missing.iter().map(first).collect::<BTreeSet<u32>>().into_iter().collect()
}

/// Whom to ask: who says to have it and is connected, who is connected, who says to have it.
async fn sources(net: &NetHandle, head: ModelHead) -> Vec<PeerId> {
    let connected: BTreeSet<PeerId> = net.peers().await.unwrap_or_default().into_iter().map(|peer| peer.peer).collect();
    let providers = net.providers_of(RecordKey::Snapshot(head)).await.unwrap_or_default();
    let (near, far): (Vec<PeerId>, Vec<PeerId>) = providers.into_iter().partition(|peer| connected.contains(peer));
    let far = far.into_iter().take(FETCH_STRANGERS);
    let mut seen = BTreeSet::from([net.local_peer_id()]);
    near.into_iter().chain(connected).chain(far).filter(|peer| seen.insert(*peer)).take(SNAPSHOT_ASKED_MAX).collect()
}

/// A snapshot that is wanted, whole, from the store or from other nodes. `held` ends as soon as nobody waits: what came stays.
///
/// # Errors
/// [`SnapshotFetchError`].
pub(crate) async fn fetch_snapshot(
    net: NetHandle,
    shared: Arc<Shared>,
    shape: Shape,
    wanted: SnapshotWanted,
) -> Result<SnapshotName, SnapshotFetchError> {
    let head = wanted.model_head;
    let found = shared.store.snapshots().of(head);
    if let Some(held) = found.iter().find(|held| held.updates == wanted.updates && wanted.accepts(held.name.root)) {
        return Ok(held.name);
    }
    let peers = sources(&net, head).await;
    let download = Arc::new(Download { net, shape, wanted });
    let (asking, asked) = (Arc::clone(&download), peers.clone());
    let mut begun = stream::iter(asked).map(move |peer| Arc::clone(&asking).manifest(peer)).buffer_unordered(FETCH_SOURCES);
    let manifest = loop {
        match begun.next().await {
            Some(Some(manifest)) => break manifest,
            Some(None) => {}
            None => return Err(SnapshotFetchError::NoSource { head, asked: peers.len() }),
        }
    };
    drop(begun);
    let (store, root) = (shared.store.snapshots().clone(), manifest.root());
    let ingest = spawn_blocking(move || store.begin(head, &manifest, shape)).await.map_err(|_| SnapshotFetchError::Ended)??;
    let ingest = Arc::new(ingest);
    info!(target: "polai::dht", %head, %root, chunks = ingest.missing().len(), peers = peers.len(), "fetching a snapshot");
    for _ in 0..ROUNDS {
        let queue = Arc::new(Mutex::new(parts(&ingest.missing())));
        let asking =
            peers.iter().map(|peer| Arc::clone(&download).chunks_of(*peer, root, Arc::clone(&queue), Arc::clone(&ingest)));
        let mut asking = stream::iter(asking.collect::<Vec<_>>()).buffer_unordered(FETCH_SOURCES);
        while asking.next().await.is_some() {}
        if ingest.missing().is_empty() {
            let kept = spawn_blocking(move || ingest.finish()).await.map_err(|_| SnapshotFetchError::Ended)??;
            info!(target: "polai::dht", %head, %root, bytes = kept.bytes, "a snapshot is here");
            download.net.provide_key(RecordKey::Snapshot(head)).await;
            return Ok(kept.name);
        }
    }
    Err(SnapshotFetchError::Failed { head, missing: ingest.missing().len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_in_parts_of_four_chunks() {
        assert_eq!(parts(&[0, 1, 3, 4, 9, 11]), [0, 4, 8]);
        assert_eq!(parts(&[]), [0_u32; 0]);
        assert_eq!(parts(&[u32::MAX]), [u32::MAX - 3]);
        assert_eq!(PART_CHUNKS * usize::try_from(CHUNK_VALUES).unwrap() * 4, SNAPSHOT_PART_BYTES);
    }
}
