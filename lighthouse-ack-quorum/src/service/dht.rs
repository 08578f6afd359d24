//! pol-dht: ACKs and votes in, our own out, validators and identities kept up to date.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use futures::StreamExt as _;
use pol_api::{
    client,
    convert::{Node, Outcome, Stored, StoredAck, StoredFault},
    dht::v1::{PutAckRequest, PutFaultRequest, PutIdentityRequest, StatusRequest, WatchAcksRequest, WatchFaultsRequest},
    serve,
    status::Reason,
    tonic::{Status, transport::Channel},
};
use pol_core::{ack::RawAck, fault::RawFaultVote};
use pol_kit::{
    exit::Exit,
    link::Link,
    metrics::Condition,
    telemetry::{self, Stage},
};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    accuse,
    shared::{Shared, lock},
};
use crate::{
    collector::{Added, Seen},
    identity, limits,
};

/// A record that is to be put.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    Ack(Box<RawAck>),
    Fault(Box<RawFaultVote>),
}

/// Watches ACKs; after every break from the beginning, since what is held comes first.
pub(crate) async fn acks(shared: Arc<Shared>, channel: Channel) -> Result<(), Exit> {
    let mut link = Link::new("dht", shared.health.clone());
    shared.until_ready().await;
    loop {
        let error = match serve::dht_client(channel.clone()).watch_acks(WatchAcksRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut batches = stream.into_inner().ready_chunks(limits::BATCH);
                let mut ended = Status::unavailable("the stream of ACKs ended");
                while let Some(batch) = batches.next().await {
                    let (mut received, mut broken) = (Vec::new(), None);
                    for message in batch {
                        match message.map(StoredAck::try_from) {
                            Ok(Ok(stored)) => received.push(stored),
                            Ok(Err(_)) => shared.measured.acks.inc("broken"),
                            Err(status) => broken = Some(status),
                        }
                    }
                    take_acks(&shared, received).await?;
                    if let Some(status) = broken {
                        ended = status;
                        break;
                    }
                }
                ended
            }
            Err(status) => status,
        };
        link.failed(&error.message()).await;
    }
}

async fn take_acks(shared: &Arc<Shared>, received: Vec<StoredAck>) -> Result<(), Exit> {
    if received.is_empty() {
        return Ok(());
    }
    let now_ms = shared.now_ms();
    // A daemon with a wrong clock must not prolong a life.
    let seen = |stored: &StoredAck| Seen { ack: stored.ack, first_seen_ms: stored.first_seen_unix_ms.min(now_ms) };
    let seen: Vec<Seen> = received.iter().map(seen).collect();
    for_strangers_with_our_keys(shared, &seen)?;
    let inside = Arc::clone(shared);
    let added = spawn_blocking(move || {
        let mut collector = lock(&inside.collector);
        let added = collector.add(&seen, now_ms);
        inside.measured.acks_held.set(i64::try_from(collector.len()).unwrap_or(i64::MAX));
        added
    })
    .await?;
    report(shared, &added);
    Ok(())
}

/// An ACK that really carries the signature of one of our keys, and that our guard has never let pass, was signed elsewhere.
fn for_strangers_with_our_keys(shared: &Shared, seen: &[Seen]) -> Result<(), Exit> {
    for ack in seen.iter().map(|seen| &seen.ack).filter(|ack| shared.signer.has(&ack.public_key)) {
        if shared.guard.knows_ack(&ack.public_key, &ack.data)? || shared.signing_stopped.load(Ordering::Relaxed) {
            continue;
        }
        if ack.verify(&shared.chain.domains).is_ok() {
            let key = hex::encode(ack.public_key);
            let text =
                format!("an ACK by our key 0x{key} was not signed here: two signers with one key, or a lost guard database");
            tracing::error!(target: "polai::quorum", "{text}; signing is switched off (stop the other signer, import its guard, restart)");
            shared.stop_signing();
            shared.health.set("signer", Condition::Degraded(text));
        }
    }
    Ok(())
}

fn report(shared: &Shared, added: &Added) {
    let counts = [
        ("counted", added.counted),
        ("repeated", added.repeated),
        ("foreign", added.foreign),
        ("bad", added.bad),
        ("late", added.late),
        ("conflicting", added.conflicting),
    ];
    counts.iter().for_each(|(outcome, n)| shared.measured.acks.add(outcome, *n));
    if added.conflicting > 0 {
        tracing::warn!(target: "polai::quorum", acks = added.conflicting, "contradictory ACKs: evidence of malfeasance kept");
    }
    for data in &added.new_quorums {
        telemetry::update(Stage::Candidate, &data.update_id.0);
    }
    if added.counted > 0 {
        shared.changed.notify_one();
    }
}

/// Watches fault votes. A vote names a block that we may not have looked at yet.
pub(crate) async fn faults(shared: Arc<Shared>, channel: Channel) -> Result<(), Exit> {
    let mut link = Link::new("dht-faults", shared.health.clone());
    shared.until_ready().await;
    loop {
        let error = match serve::dht_client(channel.clone()).watch_faults(WatchFaultsRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => match StoredFault::try_from(message) {
                            Ok(stored) => {
                                let _ = shared.blocks.try_send(stored.vote.vote.block_root);
                                let inside = Arc::clone(&shared);
                                spawn_blocking(move || accuse::count(&inside, &stored.vote)).await?;
                            }
                            Err(_) => shared.measured.votes.inc("broken"),
                        },
                        Ok(None) => break Status::unavailable("the stream of fault votes ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        link.failed(&error.message()).await;
    }
}

/// Puts our records, each until the daemon answered; one that is refused is not tried again.
pub(crate) async fn outbox(shared: Arc<Shared>, channel: Channel, mut outgoing: mpsc::Receiver<Outgoing>) -> Result<(), Exit> {
    let mut link = Link::new("dht-put", shared.health.clone());
    let mut client = serve::dht_client(channel);
    while let Some(record) = outgoing.recv().await {
        loop {
            let put = match &record {
                Outgoing::Ack(ack) => {
                    let answer = client.put_ack(PutAckRequest::from(&**ack)).await;
                    answer.map(|answer| Stored::try_from(answer.get_ref()))
                }
                Outgoing::Fault(vote) => {
                    let answer = client.put_fault(PutFaultRequest::from(&**vote)).await;
                    answer.map(|answer| Stored::try_from(answer.get_ref()))
                }
            };
            match put {
                Ok(stored) => {
                    link.works();
                    if matches!(stored, Ok(Stored { outcome: Outcome::Conflict, .. })) {
                        tracing::error!(target: "polai::quorum", "the DHT holds another record by our key");
                    }
                    break;
                }
                Err(status) if Reason::of(&status).is_some_and(|reason| !reason.may_heal()) => {
                    tracing::warn!(target: "polai::quorum", error = status.message(), "the DHT refuses our record");
                    break;
                }
                Err(status) => link.failed(&status.message()).await,
            }
        }
    }
    Ok(())
}

impl Shared {
    /// Queues a record for the DHT. A queue that is full because the DHT is away loses it: the DHT being back, verdicts come again.
    pub(crate) fn send(&self, record: Outgoing) {
        if self.outbox.try_send(record).is_err() {
            self.measured.signatures.inc("not_sent");
        }
    }
}

/// Once a slot, and when an epoch's validators are known: does the daemon know the validators and our identities?
pub(crate) async fn upkeep(shared: Arc<Shared>, channel: Channel) -> Result<(), Exit> {
    let mut link = Link::new("dht-upkeep", shared.health.clone());
    let mut client = serve::dht_client(channel);
    let (mut slots, mut epochs) = (shared.slot.subscribe(), shared.ready.subscribe());
    let mut lives: BTreeMap<[u8; 48], u64> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = slots.changed() => {}
            _ = epochs.changed() => {}
        }
        let node = match client.status(StatusRequest {}).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                link.failed(&status.message()).await;
                continue;
            }
        };
        let epoch = {
            let registry = lock(&shared.registry);
            (!registry.for_dht.is_empty()).then(|| registry.members.current_epoch())
        };
        let Some(epoch) = epoch else { continue };
        if node.validators_epoch != Some(epoch) {
            let validators = lock(&shared.registry).for_dht.clone();
            let chain = shared.chain.spec.genesis_id();
            if let Err(error) = client::set_validators(&mut client, chain, epoch, validators.into_iter()).await {
                link.failed(&error).await;
                continue;
            }
        }
        let node = match Node::try_from(node) {
            Ok(node) if node.genesis_id == shared.chain.spec.genesis_id() => node,
            Ok(_) => return Err(Exit::usage("pol-dht serves another chain: give both the same chain.toml")),
            Err(error) => {
                link.failed(&error).await;
                continue;
            }
        };
        match identities(&shared, &mut client, node.node_key, &mut lives).await? {
            Ok(()) => link.works(),
            Err(status) => link.failed(&status.message()).await,
        }
    }
}

async fn identities(
    shared: &Arc<Shared>,
    client: &mut pol_api::dht::v1::dht_client::DhtClient<Channel>,
    node_key: [u8; 32],
    lives: &mut BTreeMap<[u8; 48], u64>,
) -> Result<Result<(), Status>, Exit> {
    let members = shared.members();
    let now_ms = shared.now_ms();
    for key in shared.own_keys() {
        if members.member(&key).is_none() || !identity::due(lives.get(&key).copied(), now_ms / 1_000) {
            continue;
        }
        let inside = Arc::clone(shared);
        let record =
            spawn_blocking(move || identity::sign(&inside.guard, &inside.signer, &key, node_key, &inside.trainers, now_ms))
                .await??;
        shared.measured.signatures.inc("identity");
        match client.put_identity(PutIdentityRequest::from(record.raw())).await {
            Ok(answer) => drop(lives.insert(key, answer.get_ref().expires_unix_s)),
            Err(status) => return Ok(Err(status)),
        }
    }
    Ok(Ok(()))
}
