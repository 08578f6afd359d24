//! Remembering peers for the next start: writes wait for the disk, so they are not the event loop's to do.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::debug;

use crate::{shared::Shared, store::PeerEntry};

/// Peers written in one transaction, and those that wait; one more is met again.
pub(crate) const MET_QUEUE: usize = 64;

/// Writes down peers as they come, several at once when they come fast. A critical task.
///
/// # Errors
/// When the store panicked: a bug, and the process ends with this task's name.
pub(crate) async fn run(shared: Arc<Shared>, mut met: mpsc::Receiver<PeerEntry>) -> Result<(), tokio::task::JoinError> {
    let mut batch = Vec::new();
    while met.recv_many(&mut batch, MET_QUEUE).await > 0 {
        let (worker, peers) = (Arc::clone(&shared), std::mem::take(&mut batch));
        tokio::task::spawn_blocking(move || {
            if let Err(error) = worker.store.remember_peers(&peers, worker.now()) {
                debug!(target: "polai::dht", %error, peers = peers.len(), "peers not remembered");
            }
        })
        .await?;
    }
    Ok(())
}
