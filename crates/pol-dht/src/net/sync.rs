//! Anti-entropy: two nodes compare digests of their records, and each pulls what it lacks.
//!
//! Gossip is fast and forgets; this is slow and does not. It is what brings records to a node that joined late, was cut off, or ran
//! alone. What comes is verified like anything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use libp2p::PeerId;
use pol_core::record::RecordKey;
use tokio::{sync::mpsc, time};
use tracing::debug;

use super::{
    exchange::{Answer, Ask, AskKeys, AskRecords, Digests, Empty, KeyEntry, Request},
    handle::{AskError, NetHandle},
    intake::{Arrival, Way},
    limits::{PULLS_MAX, SYNC_INTERVAL, SYNC_KEYS_MAX, SYNC_RECORDS_MAX},
};
use crate::{
    quota::Offence,
    shared::Shared,
    store::{BUCKETS, Digest, DigestBucket, bucket_of},
    verify::RawRecord,
};

/// Pages of keys read of one bucket in one round; what is beyond comes in the next.
const PAGES_MAX: usize = 16;
/// Pages of keys that a peer may name without having any of their records: they may have died on the way.
const EMPTY_MAX: usize = 3;
/// Time for one pull.
const PULL_TIMEOUT: Duration = Duration::from_secs(60);

/// A bucket's digest as it travels: the first 8 bytes of the sum, mixed with the count.
pub(crate) const fn short(bucket: &DigestBucket) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = bucket.sum;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ bucket.count
}

/// All buckets as they travel.
pub(crate) fn digests(digest: &Digest) -> Digests {
    Digests { buckets: digest.0.iter().map(short).collect() }
}

/// Why a pull ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// The peer gave no answer; the next round goes on.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The peer answered what no honest node answers; it was blamed.
    #[error("found {0}")]
    Lie(&'static str),
    /// The peer names keys whose records it then has not.
    #[error("found {EMPTY_MAX} pages of keys without any of their records")]
    Empty,
}

async fn ask(net: &NetHandle, peer: PeerId, ask: Ask) -> Result<Option<Answer>, AskError> {
    Ok(net.ask(peer, Request { ask: Some(ask) }).await?.answer)
}

async fn lie<T>(net: &NetHandle, peer: PeerId, what: &'static str) -> Result<T, PullError> {
    net.blame(peer, Offence::Protocol).await;
    Err(PullError::Lie(what))
}

/// Whether a key is one of a record in this bucket.
fn belongs(key: &[u8], bucket: u8) -> bool {
    let is_record = matches!(RecordKey::parse(key), Ok(key) if !matches!(key, RecordKey::Update(_) | RecordKey::Snapshot(_)));
    is_record && bucket_of(key) == bucket
}

/// Keys of a bucket that the peer has and we lack, or have otherwise.
async fn lacking(net: &NetHandle, shared: &Shared, peer: PeerId, bucket: u8) -> Result<Vec<Vec<u8>>, PullError> {
    let mut ours = BTreeMap::new();
    let mut after: Option<RecordKey> = None;
    while let Ok(page) = shared.store.digest_page(bucket, after.as_ref(), SYNC_KEYS_MAX) {
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        ours.extend(page.into_iter().map(|(key, short)| (key.to_bytes(), u64::from_le_bytes(short))));
    }
    let (mut wanted, mut after) = (Vec::new(), Vec::new());
    for _ in 0..PAGES_MAX {
        let page = AskKeys { bucket: u32::from(bucket), after: std::mem::take(&mut after) };
        let Some(Answer::Keys(keys)) = ask(net, peer, Ask::Keys(page)).await? else { break };
        if keys.entries.len() > SYNC_KEYS_MAX || keys.entries.iter().any(|entry| !belongs(&entry.key, bucket)) {
            return lie(net, peer, "keys of no records in their bucket").await;
        }
        let more = keys.more && !keys.entries.is_empty();
        after = keys.entries.last().map(|entry| entry.key.clone()).unwrap_or_default();
        let lacks = |entry: &KeyEntry| ours.get(&entry.key) != Some(&entry.short_hash);
        wanted.extend(keys.entries.into_iter().filter(lacks).map(|entry| entry.key));
        if !more {
            break;
        }
    }
    Ok(wanted)
}

/// Hands what a peer has under these keys to the intake; returns how many records arrived.
async fn records(net: &NetHandle, intake: &mpsc::Sender<Arrival>, peer: PeerId, keys: &[Vec<u8>]) -> Result<usize, PullError> {
    let asked = AskRecords { keys: keys.to_vec() };
    let Some(Answer::Records(found)) = ask(net, peer, Ask::Records(asked)).await? else { return Ok(0) };
    let mut arrived = 0_usize;
    // Two of each: a record may have one that contradicts it.
    for record in found.records.into_iter().take(SYNC_RECORDS_MAX.saturating_mul(2)) {
        let raw = RawRecord::new(&record.key, &record.envelope).ok().filter(|_| keys.contains(&record.key));
        let Some(raw) = raw else { return lie(net, peer, "a record that was not asked for").await };
        arrived = arrived.saturating_add(1);
        intake.send(Arrival { raw, from: peer, way: Way::Pulled }).await.map_err(|_| AskError::Ended)?;
    }
    Ok(arrived)
}

/// Pulls from one peer everything that this node lacks. Returns how many records arrived.
///
/// # Errors
/// [`PullError`].
async fn pull(net: &NetHandle, shared: &Shared, intake: &mpsc::Sender<Arrival>, peer: PeerId) -> Result<usize, PullError> {
    let Some(Answer::Digests(theirs)) = ask(net, peer, Ask::Digests(Empty {})).await? else { return Ok(0) };
    let Ok(ours) = shared.store.digest() else { return Ok(0) };
    let ours = digests(&ours).buckets;
    if theirs.buckets.len() != BUCKETS {
        return lie(net, peer, "another number of buckets").await;
    }
    let (mut arrived, mut empty) = (0_usize, 0);
    let differing = (0..=u8::MAX).zip(theirs.buckets.iter().zip(&ours)).filter(|(_, (a, b))| a != b);
    for (bucket, _) in differing {
        let wanted = lacking(net, shared, peer, bucket).await?;
        for keys in wanted.chunks(SYNC_RECORDS_MAX) {
            match records(net, intake, peer, keys).await? {
                0 if empty >= EMPTY_MAX => return Err(PullError::Empty),
                0 => empty = empty.saturating_add(1),
                some => arrived = arrived.saturating_add(some),
            }
        }
    }
    Ok(arrived)
}

/// A pull that ends in time; gives the peer back.
async fn pull_in_time(net: &NetHandle, shared: &Shared, intake: &mpsc::Sender<Arrival>, peer: PeerId) -> PeerId {
    match time::timeout(PULL_TIMEOUT, pull(net, shared, intake, peer)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(records)) => debug!(target: "polai::dht", %peer, records, "pulled records"),
        Ok(Err(error)) => debug!(target: "polai::dht", %peer, %error, "sync ended early"),
        Err(_) => debug!(target: "polai::dht", %peer, "sync took too long"),
    }
    peer
}

/// Pulls from every peer that connects, and from one after the other at an interval. A critical task.
///
/// # Errors
/// Never.
pub(crate) async fn run(
    net: NetHandle,
    shared: Arc<Shared>,
    intake: mpsc::Sender<Arrival>,
    mut connected: mpsc::Receiver<PeerId>,
) -> Result<(), Infallible> {
    let mut ticks = time::interval(SYNC_INTERVAL);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut turn = 0_usize;
    let mut pulls = FuturesUnordered::new();
    // One pull per peer at a time, so that nobody takes all places.
    let mut busy = BTreeSet::new();
    loop {
        let peer = tokio::select! {
            Some(peer) = pulls.next() => {
                busy.remove(&peer);
                continue;
            }
            peer = connected.recv(), if pulls.len() < PULLS_MAX => match peer {
                Some(peer) => Some(peer),
                None => return Ok(()),
            },
            _ = ticks.tick(), if pulls.len() < PULLS_MAX => {
                let peers = net.peers().await.unwrap_or_default();
                turn = turn.wrapping_add(1);
                turn.checked_rem(peers.len()).and_then(|i| peers.get(i)).map(|peer| peer.peer)
            }
        };
        if let Some(peer) = peer.filter(|peer| busy.insert(*peer)) {
            pulls.push(pull_in_time(&net, &shared, &intake, peer));
        }
    }
}
