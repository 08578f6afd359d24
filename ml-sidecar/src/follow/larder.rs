//! Containers: fetched from pol-dht for the engine, and offered to other nodes.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use pol_api::{
    client::{self, CallError},
    serve,
    tonic::{Status, transport::Channel},
};
use pol_core::UpdateId;
use pol_kit::{exit::Exit, link::Link, metrics::Health};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

/// Containers that are kept while they may be asked for: 10 MB.
const LARDER: usize = 64;
/// Containers that are fetched at once.
const FETCHES: usize = 4;
/// Pauses between two tries to fetch bytes that are nowhere: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Containers on their way and here.
pub(super) struct Larder {
    dht: Channel,
    pub(super) held: BTreeMap<UpdateId, Bytes>,
    /// Not found: when to ask again, and the pause after that.
    pub(super) resting: BTreeMap<UpdateId, (Instant, Duration)>,
    pub(super) fetching: JoinSet<(UpdateId, Result<Vec<u8>, CallError>)>,
    under_way: Vec<UpdateId>,
}

impl Larder {
    pub(super) fn new(dht: Channel) -> Self {
        Self { dht, held: BTreeMap::new(), resting: BTreeMap::new(), fetching: JoinSet::new(), under_way: Vec::new() }
    }

    /// Begins to fetch what is wanted, in that order, as far as there is room.
    pub(super) fn fetch(&mut self, wanted: &[UpdateId]) {
        self.resting.retain(|id, _| wanted.contains(id));
        let now = Instant::now();
        for id in wanted {
            let rests = self.resting.get(id).is_some_and(|(until, _)| *until > now);
            if self.fetching.len() >= FETCHES || rests || self.under_way.contains(id) || self.held.contains_key(id) {
                continue;
            }
            self.under_way.push(*id);
            let (id, mut client) = (*id, serve::dht_client(self.dht.clone()));
            self.fetching.spawn(async move { (id, client::fetch_delta(&mut client, id).await) });
        }
    }

    /// When the next one that was not found is asked for again.
    pub(super) fn next_retry(&self) -> Instant {
        let far = Instant::now() + PAUSES.1;
        self.resting.iter().filter(|(id, _)| !self.under_way.contains(id)).map(|(_, (until, _))| *until).min().unwrap_or(far)
    }

    pub(super) fn take(&mut self, (id, fetched): (UpdateId, Result<Vec<u8>, CallError>)) {
        self.under_way.retain(|other| *other != id);
        match fetched {
            Ok(bytes) => {
                if self.resting.remove(&id).is_some() {
                    tracing::info!(target: "polai::sidecar", update_id = %id, "the bytes are here");
                }
                while self.held.len() >= LARDER {
                    self.held.pop_first();
                }
                self.held.insert(id, bytes.into());
            }
            Err(error) => {
                let pause = match self.resting.get(&id) {
                    Some((_, pause)) => pause.saturating_mul(2).min(PAUSES.1),
                    None => {
                        tracing::warn!(target: "polai::sidecar", update_id = %id, %error, "an accepted update's bytes are out of reach: waiting");
                        PAUSES.0
                    }
                };
                self.resting.insert(id, (Instant::now() + pause, pause));
            }
        }
    }
}

/// Offers containers to other nodes through pol-dht: what decided an update can be fetched here.
///
/// # Errors
/// Never; it ends when nothing can come any more.
pub async fn provide(dht: Channel, mut outgoing: mpsc::Receiver<Bytes>, health: Health) -> Result<(), Exit> {
    let mut link = Link::new("dht-provide", health);
    while let Some(bytes) = outgoing.recv().await {
        loop {
            match client::publish_delta(&mut serve::dht_client(dht.clone()), &bytes, None).await {
                Ok(_) => break link.works(),
                // Finalized bytes that are no container of this chain add zero; pol-dht does not hold such.
                Err(CallError::Refused(status)) if is_final(&status) => break,
                Err(error) => link.failed(&error).await,
            }
        }
    }
    Ok(())
}

fn is_final(status: &Status) -> bool {
    pol_api::status::Reason::of(status).is_some_and(|reason| !reason.may_heal())
}
