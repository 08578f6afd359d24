//! pol-dht: ACKs and fault votes in, our own fault votes out. It may be away at any time; nothing waits for it.

use std::sync::Arc;

use futures::StreamExt as _;
use lighthouse_ack_quorum::{collector::Seen, limits};
use pol_api::{
    convert::{StoredAck, StoredFault},
    dht::v1::{PutFaultRequest, WatchAcksRequest, WatchFaultsRequest},
    serve,
    status::Reason,
    tonic::{Status, transport::Channel},
};
use pol_core::fault::RawFaultVote;
use pol_kit::{
    exit::{Exit, OrUsage as _},
    link::Link,
    metrics::Health,
    tasks::Tasks,
};
use tokio::sync::mpsc;

use crate::{driver::Node, types::EthSpec};

/// Spawns the three streams.
pub(super) fn spawn<E: EthSpec>(
    tree: &Tasks,
    uri: &str,
    node: &Arc<Node<E>>,
    outgoing: mpsc::Receiver<RawFaultVote>,
) -> Result<(), Exit> {
    let channel = serve::endpoint(uri.to_owned()).or_usage()?.connect_lazy();
    tree.spawn_until_stopped("acks", acks(Arc::clone(node), channel.clone()));
    tree.spawn_until_stopped("votes", votes(Arc::clone(node), channel.clone()));
    tree.spawn_until_stopped("outbox", outbox(node.health().clone(), channel, outgoing));
    Ok(())
}

/// Watches ACKs; after every break from the beginning, since what is held comes first.
async fn acks<E: EthSpec>(node: Arc<Node<E>>, channel: Channel) -> Result<(), Exit> {
    let mut link = Link::new("dht-acks", node.health().clone());
    loop {
        let status = match serve::dht_client(channel.clone()).watch_acks(WatchAcksRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut batches = stream.into_inner().ready_chunks(limits::BATCH);
                let mut ended = Status::unavailable("the stream of ACKs ended");
                while let Some(batch) = batches.next().await {
                    let now_ms = node.clock().unix_millis();
                    let mut seen = Vec::with_capacity(batch.len());
                    for message in batch {
                        match message.map(StoredAck::try_from) {
                            // A daemon with a wrong clock must not prolong a life.
                            Ok(Ok(stored)) => {
                                seen.push(Seen { ack: stored.ack, first_seen_ms: stored.first_seen_unix_ms.min(now_ms) });
                            }
                            Ok(Err(error)) => tracing::debug!(target: "polai::beacon", %error, "an ACK that is none"),
                            Err(status) => ended = status,
                        }
                    }
                    node.with(move |chain| chain.add_acks(&seen, now_ms)).await?;
                }
                ended
            }
            Err(status) => status,
        };
        link.failed(&status.message()).await;
    }
}

async fn votes<E: EthSpec>(node: Arc<Node<E>>, channel: Channel) -> Result<(), Exit> {
    let mut link = Link::new("dht-votes", node.health().clone());
    loop {
        let status = match serve::dht_client(channel.clone()).watch_faults(WatchFaultsRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            let Ok(stored) = StoredFault::try_from(message) else { continue };
                            if let Err(refused) = node.with(move |chain| chain.add_fault_vote(&stored.vote)).await? {
                                tracing::debug!(target: "polai::beacon", %refused, "fault vote not counted");
                            }
                        }
                        Ok(None) => break Status::unavailable("the stream of fault votes ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        link.failed(&status.message()).await;
    }
}

/// Puts our fault votes, each until the daemon answered; one that is refused is not tried again.
async fn outbox(health: Health, channel: Channel, mut outgoing: mpsc::Receiver<RawFaultVote>) -> Result<(), Exit> {
    let mut link = Link::new("dht-put", health);
    let mut client = serve::dht_client(channel);
    while let Some(vote) = outgoing.recv().await {
        loop {
            match client.put_fault(PutFaultRequest::from(&vote)).await {
                Ok(_) => {
                    link.works();
                    break;
                }
                Err(status) if Reason::of(&status).is_some_and(|reason| !reason.may_heal()) => {
                    tracing::warn!(target: "polai::beacon", error = status.message(), "the DHT refuses our fault vote");
                    break;
                }
                Err(status) => link.failed(&status.message()).await,
            }
        }
    }
    Ok(())
}
