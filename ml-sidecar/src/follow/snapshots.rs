//! Snapshots by the network: making them for others, joining from those of others (section 13).

use std::{sync::Arc, time::Duration};

use pol_api::{
    client::CallError,
    convert::SnapshotWanted,
    serve,
    snapshots::{self, GetError},
    tonic::transport::Channel,
};
use pol_core::{
    ModelHead,
    params::SNAPSHOT_INTERVAL,
    state::{Shape, SnapshotManifest, State},
};
use pol_kit::{exit::Exit, link::Link, metrics::Health};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};

/// One snapshot may take so long to come; what came stays in pol-dht for the next try.
const PATIENCE: Duration = Duration::from_secs(600);
/// Pauses between two rounds of asking in vain: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// When snapshots are made, and when they are joined from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Updates between two: the protocol's, other ones are for tests.
    pub interval: u64,
    /// A state that lies at least so many updates before a snapshot joins from it: folding them would take longer than the eight updates
    /// without ACKs.
    pub far: u64,
    /// As long as this bytes have to be out of reach before a snapshot that is nearer is asked for, too.
    pub stuck: Duration,
}

impl Default for Rule {
    fn default() -> Self {
        Self { interval: SNAPSHOT_INTERVAL, far: 4 * SNAPSHOT_INTERVAL, stuck: Duration::from_secs(120) }
    }
}

impl Rule {
    /// Whether bytes that were asked for in vain since then are too long away.
    pub(super) fn is_stuck(&self, since_unix_ms: u64, now_ms: u64) -> bool {
        let most = u64::try_from(self.stuck.as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_sub(since_unix_ms) >= most
    }
}

/// A snapshot for other nodes.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Model head of the state.
    pub head: ModelHead,
    /// What it begins with.
    pub manifest: SnapshotManifest,
    /// The state.
    pub state: Arc<State>,
}

/// Hands snapshots to pol-dht, which keeps the newest two and tells the network.
///
/// # Errors
/// Never; it ends when nothing can come any more.
pub async fn offer(dht: Channel, mut offers: mpsc::Receiver<Offer>, health: Health) -> Result<(), Exit> {
    let mut link = Link::new("dht-snapshots", health);
    while let Some(Offer { head, manifest, state }) = offers.recv().await {
        let (number, root) = (manifest.updates, manifest.root());
        loop {
            match publish(&dht, head, &manifest, &state).await {
                Ok(true) => {
                    link.works();
                    tracing::info!(target: "polai::sidecar", number, %head, %root, "a snapshot is offered to other nodes");
                    break;
                }
                Ok(false) => break link.works(),
                Err(CallError::Refused(status)) if is_final(&status) => {
                    tracing::warn!(target: "polai::sidecar", number, %status, "pol-dht does not take the snapshot");
                    break;
                }
                Err(error) => link.failed(&error).await,
            }
        }
    }
    Ok(())
}

/// True: it is new there.
async fn publish(dht: &Channel, head: ModelHead, manifest: &SnapshotManifest, state: &Arc<State>) -> Result<bool, CallError> {
    let mut client = serve::dht_client(dht.clone());
    let sources = snapshots::sources(&mut client, head).await?;
    if sources.held.iter().any(|held| held.root == manifest.root()) {
        return Ok(false);
    }
    snapshots::publish(&mut client, head, Arc::clone(state), manifest).await.map(|_| true)
}

fn is_final(status: &pol_api::tonic::Status) -> bool {
    pol_api::status::Reason::of(status).is_some_and(|reason| !reason.may_heal())
}

/// What came: what was asked for, the manifest, the state.
pub(super) type Joined = (SnapshotWanted, SnapshotManifest, State);

/// Asks for snapshots beside the fold, one after the other.
pub(super) struct Joiner {
    dht: Channel,
    shape: Shape,
    asking: JoinSet<Option<Joined>>,
    look: Instant,
    pause: Duration,
}

impl Joiner {
    pub(super) fn new(dht: Channel, rule: Rule, shape: Shape) -> Self {
        // Bytes that are stuck are looked at in time.
        let pause = PAUSES.0.min(rule.stuck);
        Self { dht, shape, asking: JoinSet::new(), look: Instant::now(), pause }
    }

    /// Whether to look for what is wanted.
    pub(super) fn is_due(&self) -> bool {
        self.asking.is_empty() && Instant::now() >= self.look
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Instant {
        if self.asking.is_empty() { self.look } else { Instant::now() + PAUSES.1 }
    }

    /// Asks for these, the first one that comes counts.
    pub(super) fn begin(&mut self, wanted: Vec<SnapshotWanted>) {
        if wanted.is_empty() {
            self.look = Instant::now() + PAUSES.0.min(self.pause);
            return;
        }
        let (dht, shape) = (self.dht.clone(), self.shape);
        self.asking.spawn(async move {
            for wanted in wanted {
                match timeout(PATIENCE, snapshots::get(&mut serve::dht_client(dht.clone()), &wanted, shape)).await {
                    Ok(Ok((manifest, state))) => return Some((wanted, manifest, state)),
                    Ok(Err(error)) => log_failed(&wanted, &error),
                    Err(_) => tracing::info!(target: "polai::sidecar", number = wanted.updates, "a snapshot takes long: it goes on later"),
                }
            }
            None
        });
    }

    /// What came of it; None: nothing is asked for. It can be dropped at any await.
    pub(super) async fn joined(&mut self) -> Option<Result<Joined, Exit>> {
        loop {
            match self.asking.join_next().await? {
                Ok(Some(joined)) => {
                    (self.look, self.pause) = (Instant::now(), PAUSES.0);
                    return Some(Ok(joined));
                }
                Ok(None) => {
                    self.look = Instant::now() + self.pause;
                    self.pause = self.pause.saturating_mul(2).min(PAUSES.1);
                }
                Err(panic) => return Some(Err(panic.into())),
            }
        }
    }
}

fn log_failed(wanted: &SnapshotWanted, error: &GetError) {
    let root = wanted.root.map_or_else(|| "any".to_owned(), |root| root.to_string());
    tracing::info!(target: "polai::sidecar", number = wanted.updates, root, %error, "no snapshot: updates are folded meanwhile");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_interval_is_the_default_and_bytes_are_stuck_after_two_minutes() {
        let rule = Rule::default();
        assert_eq!((rule.interval, rule.far), (256, 1_024));
        assert!(!rule.is_stuck(1_000, 120_999) && rule.is_stuck(1_000, 121_000) && !rule.is_stuck(5, 1));
    }
}
