//! Two nodes in one process: the first publishes a delta, the second fetches it and answers with an ACK.

use std::{path::Path, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    delta::{Claims, Context, Profile, encode},
    domains::Domains,
    state::Shape,
};
use pol_dht::{Node, NodeConfig, net::NetConfig, verify::Body};
use pol_kit::{clock::System, tasks::Root};

const CHAIN: GenesisId = GenesisId([7; 32]);

fn start(data_dir: &Path, bootstrap: Vec<libp2p::Multiaddr>, tasks: &Root) -> eyre::Result<Node> {
    let net = NetConfig { listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse()?], bootstrap, mdns: false };
    let domains = Domains::new(CHAIN, Hash32::ZERO);
    let config = NodeConfig { data_dir: data_dir.to_owned(), genesis_id: CHAIN, domains, net };
    Ok(Node::start(&config, Arc::new(System::new()), &tasks.child("node"))?)
}

#[tokio::main]
pub(crate) async fn main() -> eyre::Result<()> {
    let (dir, tasks) = (tempfile::tempdir()?, Root::new("two-nodes"));
    let one = start(&dir.path().join("one"), vec![], &tasks)?;
    while one.net().listeners().await?.is_empty() {}
    let two = start(&dir.path().join("two"), one.net().listeners().await?, &tasks)?;
    let (mut at_one, mut at_two) = (one.watch(), two.watch());

    // A trainer at the first node. The announcement finds its way as soon as the nodes have met.
    let shape = Shape::new(4, 64, 64, 32, 96)?;
    let change: Vec<i32> = (1..).take(usize::try_from(shape.value_count())?).collect();
    let claims = Claims { model_head: ModelHead([2; 32]), slot: 1, samples: Hash32::ZERO, inner_steps: 10, tokens_seen: 4_096 };
    let (context, trainer) = (Context { genesis_id: CHAIN, shape, profile: Profile::F16x20 }, SigningKey::from_bytes(&[3; 32]));
    let container = encode(&context, &claims, &change)?.sign(&trainer).into_bytes();
    let update_id = one.publish_delta(&container, &trainer, 1).await?;

    // A member of the committee at the second.
    while !matches!(at_two.recv().await?.body(), Body::Announcement(found) if found.update_id == update_id) {}
    println!("second node: fetched {} bytes of {update_id}", two.fetch_delta(update_id).await?.len());
    let data = AckData { update_id, model_head: claims.model_head, result_root: ResultRoot([4; 32]) };
    let ack = VerifiedAck::sign(data, &SecretKey::from_bytes(&[5; 32])?, &Domains::new(CHAIN, Hash32::ZERO))?;
    two.put_value(ack.raw().key(), &ack.raw().to_value()).await?;

    while !matches!(at_one.recv().await?.body(), Body::Ack(found) if found.data().update_id == update_id) {}
    println!("first node: ACK by {} has come back", ack.raw().peer_id());
    tasks.stop(Duration::from_secs(5)).await.into_result().map_err(|exit| eyre::eyre!("{exit}"))
}
