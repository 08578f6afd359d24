//! Anti-entropy: two nodes compare digests of their records, and each pulls what it lacks.
//!
//! Gossip is fast and forgets; this is slow and does not. It is what brings records to a node that joined late, was cut off, or ran
//! alone. What comes is verified like anything else.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use libp2p::PeerId;
use pol_core::record::RecordKey;
use tokio::{sync::mpsc, time};
use tracing::debug;

use super::{
    exchange::{Answer, Ask, AskKeys, AskRecords, Digests, Empty, KeyEntry, Request},
    handle::{AskError, NetHandle},
    intake::Arrival,
    limits::{SYNC_INTERVAL, SYNC_KEYS_MAX, SYNC_RECORDS_MAX},
};
use crate::{
    shared::Shared,
    store::{BUCKETS, Digest, DigestBucket},
    verify::RawRecord,
};

/// Pages of keys read of one bucket in one round; what is beyond comes in the next.
const PAGES_MAX: usize = 16;

/// A bucket's digest as it travels: the first 8 bytes of the sum, mixed with the count.
pub(crate) const fn short(bucket: &DigestBucket) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = bucket.sum;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ bucket.count
}

/// All buckets as they travel.
pub(crate) fn digests(digest: &Digest) -> Digests {
    Digests { buckets: digest.0.iter().map(short).collect() }
}

async fn ask(net: &NetHandle, peer: PeerId, ask: Ask) -> Result<Option<Answer>, AskError> {
    Ok(net.ask(peer, Request { ask: Some(ask) }).await?.answer)
}

/// Keys of a bucket that the peer has and we lack, or have otherwise.
async fn lacking(net: &NetHandle, shared: &Shared, peer: PeerId, bucket: u8) -> Result<Vec<Vec<u8>>, AskError> {
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
        let more = keys.more && keys.entries.len() <= SYNC_KEYS_MAX;
        after = keys.entries.last().map(|entry| entry.key.clone()).unwrap_or_default();
        let lacks = |entry: &KeyEntry| ours.get(&entry.key) != Some(&entry.short_hash);
        wanted.extend(keys.entries.into_iter().take(SYNC_KEYS_MAX).filter(lacks).map(|entry| entry.key));
        if !more {
            break;
        }
    }
    Ok(wanted)
}

/// Pulls from one peer everything that this node lacks. Returns how many records arrived.
///
/// # Errors
/// [`AskError`] when the peer goes away on the way: the next round goes on.
pub(crate) async fn pull(
    net: &NetHandle,
    shared: &Shared,
    intake: &mpsc::Sender<Arrival>,
    peer: PeerId,
) -> Result<usize, AskError> {
    let Some(Answer::Digests(theirs)) = ask(net, peer, Ask::Digests(Empty {})).await? else { return Ok(0) };
    let Ok(ours) = shared.store.digest() else { return Ok(0) };
    let ours = digests(&ours).buckets;
    if theirs.buckets.len() != BUCKETS {
        return Ok(0);
    }
    let mut arrived = 0_usize;
    let differing = (0..=u8::MAX).zip(theirs.buckets.iter().zip(&ours)).filter(|(_, (a, b))| a != b);
    for (bucket, _) in differing {
        let wanted = lacking(net, shared, peer, bucket).await?;
        for keys in wanted.chunks(SYNC_RECORDS_MAX) {
            let Some(Answer::Records(found)) = ask(net, peer, Ask::Records(AskRecords { keys: keys.to_vec() })).await? else {
                break;
            };
            for record in found.records.into_iter().take(SYNC_RECORDS_MAX) {
                let Ok(raw) = RawRecord::new(&record.key, &record.envelope) else { continue };
                arrived = arrived.saturating_add(1);
                let arrival = Arrival { raw, from: peer, message: None };
                if intake.send(arrival).await.is_err() {
                    return Err(AskError::Ended);
                }
            }
        }
    }
    Ok(arrived)
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
    loop {
        let peer = tokio::select! {
            peer = connected.recv() => match peer {
                Some(peer) => Some(peer),
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                let peers = net.peers().await.unwrap_or_default();
                turn = turn.wrapping_add(1);
                turn.checked_rem(peers.len()).and_then(|i| peers.get(i)).map(|peer| peer.peer)
            }
        };
        let Some(peer) = peer else { continue };
        match time::timeout(Duration::from_secs(60), pull(&net, &shared, &intake, peer)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(records)) => debug!(target: "polai::dht", %peer, records, "pulled records"),
            Ok(Err(error)) => debug!(target: "polai::dht", %peer, %error, "sync ended early"),
            Err(_) => debug!(target: "polai::dht", %peer, "sync took too long"),
        }
    }
}
