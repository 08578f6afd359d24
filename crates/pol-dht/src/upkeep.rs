//! What keeps a node findable for weeks: provider records, own identities, pins.
//!
//! # Contract
//! Section 7 says what may be renewed by whom. A *provider record* is this node's own word: told again every [`REOFFER_SECONDS`], taken
//! back when the bytes are gone. An *identity* is its validator's: the value carries no time, so this node puts it into a new envelope
//! when half its life is over, and everybody lets it live from there. An *announcement* is sealed by the trainer's key, which is not here;
//! an *ACK* or a *fault vote* says something about a moment: none of these is ever renewed, anti-entropy spreads them while they live.
//!
//! # What it does not protect against
//! A validator that is in no set any more: its identity is refused everywhere and runs out. [`OwnIdentities`] says so in time; only the
//! validator can put another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pol_core::{
    UpdateId,
    identity::PeerId,
    params::{ACK_TTL_SECONDS, ID_TTL_SECONDS},
    record::{RawIdRecord, RecordKey},
};
use pol_kit::tasks::Panic;
use tokio::time;
use tracing::{debug, info, warn};

use crate::{
    Node,
    net::{self, OwnError},
    shared::Shared,
    store::{Put, StoreError, StoredRecord},
    verify::VerifyError,
};

/// A provider record is told again after this long, half its life.
pub const REOFFER_SECONDS: u64 = ID_TTL_SECONDS / 2;
/// An own identity is sealed anew when less than this of its life is left.
pub const RESEAL_BEFORE_SECONDS: u64 = ID_TTL_SECONDS / 2;
/// How long this node keeps what it published or ACKed from eviction: the life of the announcement and of all its ACKs, with room.
pub const PIN_SECONDS: u64 = 2 * ACK_TTL_SECONDS;
/// Own identities that are looked after: one daemon serves a handful of validators.
pub const OWN_IDENTITIES_MAX: usize = 64;

const TICK: Duration = Duration::from_secs(5);
/// Identities and pins are looked at every so many ticks.
const SLOW_TICKS: u32 = 12;
/// Provider records told in one tick: 32,768 take 45 minutes.
const OFFERS_PER_TICK: usize = 64;
const PAGE: usize = 1_024;

/// Identities that name this node's key, by validator: when each of them ends, unix seconds. One that ended stays until it is replaced.
#[derive(Debug, Clone, Default)]
pub struct OwnIdentities(Arc<Mutex<BTreeMap<PeerId, u64>>>);

impl OwnIdentities {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by validator.
    pub fn all(&self) -> Vec<(PeerId, u64)> {
        self.lock().iter().map(|(peer, ends)| (*peer, *ends)).collect()
    }

    /// The one that ends first.
    pub fn first_to_end(&self) -> Option<(PeerId, u64)> {
        self.all().into_iter().min_by_key(|(_, ends)| *ends)
    }
}

/// What this node said about having some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Nobody was there to be told.
    Unheard,
    /// Told at that time, unix seconds.
    Told(u64),
}

const fn is_due(offer: Option<&Offer>, in_company: bool, now: u64) -> bool {
    match offer {
        None => true,
        Some(Offer::Unheard) => in_company,
        Some(Offer::Told(at)) => in_company && now >= at.saturating_add(REOFFER_SECONDS),
    }
}

/// Identities in the store that name this node's key, and those of `known` that name another by now.
fn named(shared: &Shared, node_key: [u8; 32], known: &[PeerId]) -> Result<(Vec<StoredRecord>, Vec<PeerId>), StoreError> {
    let [first, last] = [[0; 8], [0xff; 8]].map(|peer| RecordKey::Id { peer: PeerId(peer) });
    let (mut ours, mut moved, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = shared.store.range((&first, &last), after.as_ref(), PAGE, shared.now())?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|record| record.key);
        for record in page {
            let RecordKey::Id { peer } = record.key else { continue };
            if RawIdRecord::decode(&record.value).is_ok_and(|id| id.data.node_key == node_key) {
                if ours.len() < OWN_IDENTITIES_MAX {
                    ours.push(record);
                }
            } else if known.contains(&peer) {
                moved.push(peer);
            }
        }
        if is_last {
            return Ok((ours, moved));
        }
    }
}

/// The task that does it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    node: Node,
    own: OwnIdentities,
    offers: BTreeMap<RecordKey, Offer>,
}

impl Upkeep {
    /// Nothing said yet.
    pub(crate) fn new(node: Node) -> Self {
        Self { own: node.own_identities().clone(), node, offers: BTreeMap::new() }
    }

    /// A critical task: without it the node is forgotten within a day.
    ///
    /// # Errors
    /// A panic in one of its parts.
    pub(crate) async fn run(mut self) -> Result<(), Panic> {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut turn = 0_u32;
        loop {
            ticks.tick().await;
            self.offer().await;
            if turn.is_multiple_of(SLOW_TICKS) {
                self.identities().await?;
                self.pins().await?;
            }
            turn = turn.wrapping_add(1);
        }
    }

    /// Tells the DHT what is held and not told lately, and takes back what is gone.
    async fn offer(&mut self) {
        // A peer that has not said who it is stands in no routing table yet.
        let peers = self.node.peers().await.unwrap_or_default();
        let in_company = peers.iter().any(|peer| peer.agent.is_some());
        let (now, store) = (self.node.shared().now(), &self.node.shared().store);
        let (deltas, snapshots) = (store.deltas(), store.snapshots());
        // Snapshots are few, and first.
        let mut held: BTreeSet<RecordKey> = snapshots.heads().into_iter().map(RecordKey::Snapshot).collect();
        let mut after: Option<UpdateId> = None;
        loop {
            let page = deltas.ids(after.as_ref(), PAGE);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            held.extend(page.into_iter().map(RecordKey::Update));
        }
        let due = held.iter().rev().filter(|key| is_due(self.offers.get(key), in_company, now));
        for key in due.take(OFFERS_PER_TICK).copied().collect::<Vec<_>>() {
            self.node.net().provide_key(key).await;
            self.offers.insert(key, if in_company { Offer::Told(now) } else { Offer::Unheard });
        }
        let gone: Vec<RecordKey> = self.offers.keys().filter(|key| !held.contains(key)).copied().collect();
        for key in gone {
            self.node.net().stop_providing(key).await;
            self.offers.remove(&key);
        }
    }

    /// Seals own identities anew in time, and notes when each of them ends.
    async fn identities(&self) -> Result<(), Panic> {
        let node_key = self.node.identity().node_key();
        let known: Vec<PeerId> = self.own.all().into_iter().map(|(peer, _)| peer).collect();
        let (ours, moved) = match self.node.blocking(move |shared| named(shared, node_key, &known)).await? {
            Ok(found) => found,
            Err(error) => {
                warn!(target: "polai::dht", %error, "identities cannot be looked up");
                return Ok(());
            }
        };
        let now = self.node.shared().now();
        self.own.lock().retain(|peer, _| !moved.contains(peer));
        for record in ours {
            let RecordKey::Id { peer } = record.key else { continue };
            let left = record.expires_at.saturating_sub(now);
            let ends = if left < RESEAL_BEFORE_SECONDS { self.reseal(peer, &record).await? } else { record.expires_at };
            let mut own = self.own.lock();
            if own.contains_key(&peer) || own.len() < OWN_IDENTITIES_MAX {
                own.insert(peer, ends);
            }
        }
        Ok(())
    }

    /// Puts an own identity into a new envelope; gives back when it ends now.
    async fn reseal(&self, peer: PeerId, record: &StoredRecord) -> Result<u64, Panic> {
        let (key, genesis_id, now) = (record.key, self.node.shared().genesis_id, self.node.shared().now());
        let envelope = match self.node.identity().seal(genesis_id, now, &record.value) {
            Ok(envelope) => envelope,
            Err(error) => {
                warn!(target: "polai::dht", validator = %peer, %error, "identity not renewed");
                return Ok(record.expires_at);
            }
        };
        match self.node.blocking(move |shared| net::put_own(shared, &key.to_bytes(), &envelope)).await? {
            Ok((put @ (Put::Resealed | Put::Promoted | Put::Inserted), renewed)) => {
                info!(target: "polai::dht", validator = %peer, ?put, "identity renewed");
                let ends = renewed.expires_at();
                self.node.net().spread(renewed).await;
                return Ok(ends);
            }
            Ok((put, _)) => debug!(target: "polai::dht", validator = %peer, ?put, "identity not renewed"),
            Err(OwnError::Verify(error @ VerifyError::NotMember)) => {
                debug!(target: "polai::dht", validator = %peer, %error, "identity not renewed");
            }
            Err(error) => warn!(target: "polai::dht", validator = %peer, %error, "identity not renewed"),
        }
        Ok(record.expires_at)
    }

    /// Gives up old pins, so that own deltas do not fill the budget for ever.
    async fn pins(&self) -> Result<(), Panic> {
        let unpinned = self.node.blocking(|shared| shared.store.deltas().unpin_older(shared.now().saturating_sub(PIN_SECONDS)));
        match unpinned.await? {
            Ok(0) => {}
            Ok(count) => debug!(target: "polai::dht", count, "pins given up"),
            Err(error) => warn!(target: "polai::dht", %error, "pins"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
