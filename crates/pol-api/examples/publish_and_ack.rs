//! A trainer publishes, a validator's gate fetches and signs, the quorum's collector watches: three clients of one daemon.
//!
//! `cargo run -p pol-api --example publish_and_ack`

#[allow(dead_code, unreachable_pub, missing_docs)]
mod tiny;

use pol_api::{
    client,
    convert::{AckFilter, Candidate, Node, Stored, StoredAck},
    dht::v1::{PutAckRequest, StatusRequest, WatchAcksRequest, WatchCandidatesRequest},
    serve,
};
use pol_core::{ModelHead, ResultRoot, UpdateId, ack::AckData, ack::VerifiedAck, bls::SecretKey, record::Announcement, sha256};
use prost::bytes::Bytes;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tasks = JoinSet::new();
    let uri = tiny::Tiny::new().start(&mut tasks).await?;
    let channel = serve::endpoint(uri)?.connect().await?;
    let (mut trainer, mut gate, mut collector) =
        (serve::dht_client(channel.clone()), serve::dht_client(channel.clone()), serve::dht_client(channel));

    let node = Node::try_from(gate.status(StatusRequest {}).await?.into_inner())?;
    println!("daemon of chain {}", node.genesis_id);

    // Trainer. The real daemon wants the announcement sealed in the trainer's envelope.
    let delta = Bytes::from(vec![42; 150_000]);
    let (update_id, model_head) = (UpdateId(sha256(&[&delta])), ModelHead([3; 32]));
    let announcement = Announcement { update_id, model_head, size: 150_000, sequence: 1 };
    let published = client::publish_delta(&mut trainer, &delta, Some(announcement.to_value().to_vec().into())).await?;
    println!("published {}, announced: {}", published.update_id, published.announced);

    // Collector: the watch comes first, so that no ACK is missed.
    let filter = AckFilter { model_head: Some(model_head), ..AckFilter::default() };
    let mut acks = collector.watch_acks(WatchAcksRequest::from(filter)).await?.into_inner();

    // Gate.
    let mut candidates = gate.watch_candidates(WatchCandidatesRequest::default()).await?.into_inner();
    let candidate = Candidate::try_from(candidates.message().await?.ok_or("no candidate")?)?.announcement;
    let bytes = client::fetch_delta(&mut gate, candidate.update_id).await?;
    println!("candidate {}: fetched {} bytes", candidate.update_id, bytes.len());

    // Signer.
    let key = SecretKey::from_bytes(&[5; 32])?;
    let data = AckData { update_id, model_head, result_root: ResultRoot([4; 32]) };
    let ack = VerifiedAck::sign(data, &key, &tiny::domains())?;
    let stored = Stored::try_from(gate.put_ack(PutAckRequest::from(ack.raw())).await?.get_ref())?;
    println!("ACK put: {:?}", stored.outcome);

    let seen = StoredAck::try_from(acks.message().await?.ok_or("no ACK")?)?;
    seen.ack.verify(&tiny::domains())?;
    println!("ACK by {} seen and verified", seen.ack.peer_id());
    Ok(())
}
