//! Some of the nodes lie, in every way that the protocols allow. No honest node stores, forwards or serves a lie; honest records and
//! deltas are found all the same; and no honest node blames another for what a liar did.

mod common;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use common::{
    CHAIN, ack,
    cluster::Cluster,
    container, eventually, eventually_within,
    liar::{Command, Liar, Options},
    lies::{Forged, TONGUES, answers, ask_records, forged, provided, records_in, told},
    trainer, update,
};
use libp2p::{Multiaddr, PeerId};
use pol_core::{ModelHead, UpdateId, record::RecordKey, sha256};
use pol_kit::clock::{Clock as _, System};

const MEMBERS: u8 = 16;
/// Honest ACKs, each of which must be found.
const TRIES: u64 = 100;

/// Addresses at which nobody is, as long as an identify message can carry.
fn junk(liar: usize) -> Vec<Multiaddr> {
    let long = "j".repeat(200);
    let dns = (0..14).map(|i| format!("/dns4/{long}-{liar}-{i}.invalid/udp/9/quic-v1"));
    let dead = ["/ip4/192.0.2.7/udp/9/quic-v1", "/ip4/127.0.0.1/tcp/1", "/memory/7", "/ip4/127.0.0.1/udp/9/quic-v1"];
    dns.chain(dead.map(str::to_owned)).map(|address| address.parse().unwrap()).collect()
}

fn ghosts() -> Vec<(PeerId, Multiaddr)> {
    (0..20).map(|i| (PeerId::random(), format!("/ip4/192.0.2.{i}/udp/9/quic-v1").parse().unwrap())).collect()
}

/// Where the liars of a round are aimed.
struct Target {
    addresses: Vec<Multiaddr>,
    delta: UpdateId,
    delta_bytes: usize,
}

/// Liars that stay: connected to everybody, with an answer to every question, and said to have what everybody wants.
async fn stay(target: &Target, liars: usize, now: u64) -> Vec<Liar> {
    let mut staying = Vec::new();
    for i in 0..liars {
        let lies: Vec<Forged> = forged(i as u64, now).into_iter().flat_map(|(_, forged)| forged).collect();
        let options = Options {
            junk: junk(i),
            ghosts: ghosts(),
            answers: Box::new(answers(TONGUES[i % TONGUES.len()], target.delta_bytes, lies.clone())),
            ..Options::new(CHAIN)
        };
        let liar = Liar::among(options, &target.addresses).await;
        for forged in &lies {
            liar.tell(Command::Serve(forged.key.clone(), forged.value.clone())).await;
        }
        staying.push(liar);
    }
    for liar in &staying {
        eventually("liars among us", || async { (liar.connected() >= target.addresses.len() / 2).then_some(()) }).await;
        liar.tell(provided(target.delta)).await;
    }
    staying
}

/// One liar after the other comes under a fresh name, tells one kind of lie to some nodes in every way there is, and is thrown out.
async fn attack(target: &Target, liar: u64, now: u64) {
    for (kind, (_, lies)) in forged(100 + liar, now).into_iter().enumerate() {
        let first = (kind * 7 + usize::try_from(liar).unwrap() * 3) % target.addresses.len();
        let some: Vec<_> = target.addresses.iter().cycle().skip(first).take(4).cloned().collect();
        let liar = Liar::among(Options::new(CHAIN), &some).await;
        let start = Instant::now();
        while liar.connected() < some.len() && start.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Subscriptions arrive a moment after the connection; before, gossip reaches nobody.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for forged in lies {
            for command in told(&forged) {
                liar.tell(command).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Publishes at one honest node, finds at another, by store and by key.
async fn publish_and_find(cluster: &Cluster, number: u64) {
    let n = cluster.len();
    let number_of = usize::try_from(number).unwrap();
    let (at, seeker) = (number_of * 5 % n, (number_of * 11 + 3) % n);
    let key = cluster.put_ack(at, update(number), u8::try_from(number % u64::from(MEMBERS)).unwrap()).await;
    cluster.has_ack(seeker, update(number)).await;
    // By key, from others: whatever else they say, somebody has the true one.
    let (now, node) = (cluster.node(at).shared().now(), cluster.node(seeker));
    let envelope = cluster.node(at).shared().store.get(&key, now).unwrap().unwrap().envelope;
    let found = || async {
        let answers = node.net().lookup(key).await.unwrap();
        answers.iter().any(|(_, bytes)| *bytes == envelope).then_some(())
    };
    // One query may lose its whole time to peers that never answer.
    eventually_within(Duration::from_secs(60), "the ACK by its key", found).await;
}

async fn nothing_forged(cluster: &Cluster, honest: &BTreeSet<Vec<u8>>, lies: &[Vec<u8>]) {
    for at in 0..cluster.len() {
        let keys = cluster.keys(at);
        let foreign: Vec<_> = keys.difference(honest).map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        assert!(foreign.is_empty(), "node {at} stores {foreign:?}");
    }
    // And asked for the very lies, as a peer asks.
    let asker = Liar::among(Options::new(CHAIN), &cluster.addresses).await;
    for node in cluster.nodes() {
        let peer = node.net().local_peer_id();
        let known: Vec<Vec<u8>> = honest.iter().take(5).cloned().collect();
        let served = || async { asker.ask(peer, ask_records(&known)).await.filter(|bytes| !records_in(bytes).is_empty()) };
        eventually("an honest record served", served).await;
        for page in lies.chunks(64) {
            let short: Vec<_> = page.iter().filter(|key| key.len() < 200).cloned().collect();
            let answer = asker.ask(peer, ask_records(&short)).await.unwrap_or_default();
            assert!(records_in(&answer).is_empty(), "{peer} serves a lie");
        }
    }
}

async fn liars(honest: usize, liars: usize) {
    let start = Instant::now();
    let cluster = Cluster::start(honest, MEMBERS).await;
    cluster.met((honest - 1).min(8)).await;
    cluster.name_trainer(0).await;
    println!("{:?}: {honest} honest nodes met", start.elapsed());

    let bytes = container(5);
    let delta = UpdateId(sha256(&[&bytes]));
    let target = Target { addresses: cluster.addresses.clone(), delta, delta_bytes: bytes.len() };
    let now = System::new().unix_seconds();
    let staying = stay(&target, liars, now).await;
    println!("{:?}: {liars} liars among them", start.elapsed());

    // All at once: the attacks, and honest work.
    let attacks = futures::future::join_all((0..liars as u64).map(|liar| attack(&target, liar, now)));
    let work = async {
        assert_eq!(cluster.node(1).publish_delta(&bytes, &trainer(0), 1).await.unwrap(), delta);
        for group in 0..TRIES / 10 {
            futures::future::join_all((0..10).map(|i| publish_and_find(&cluster, group * 10 + i))).await;
        }
        println!("{:?}: {TRIES} of {TRIES} ACKs found", start.elapsed());
    };
    let fetches = async {
        for at in (2..honest).step_by(honest / 4) {
            let begun = Instant::now();
            let fetched = || async { cluster.node(at).fetch_delta(delta).await.ok() };
            assert_eq!(eventually("the delta", fetched).await, bytes);
            println!("{:?}: fetched by node {at} in {:?}", start.elapsed(), begun.elapsed());
        }
    };
    tokio::join!(attacks, work, fetches);
    println!("{:?}: all lies told", start.elapsed());

    let mut honest_keys = BTreeSet::new();
    for number in 0..TRIES {
        honest_keys.insert(ack(update(number), u8::try_from(number % u64::from(MEMBERS)).unwrap()).raw().key().to_bytes());
    }
    for at in 0..cluster.len() {
        for number in 0..TRIES {
            cluster.has_ack(at, update(number)).await;
        }
    }
    honest_keys.insert(RecordKey::ann(ModelHead([2; 32]), trainer(0).verifying_key().to_bytes()).to_bytes());
    honest_keys.insert(RecordKey::Id { peer: ack(update(0), 0).raw().peer_id() }.to_bytes());
    let told: BTreeSet<Vec<u8>> = (0..liars as u64)
        .flat_map(|liar| [liar, 100 + liar])
        .flat_map(|salt| forged(salt, now))
        .flat_map(|(_, lies)| lies.into_iter().map(|forged| forged.key))
        .filter(|key| !honest_keys.contains(key))
        .collect();
    nothing_forged(&cluster, &honest_keys, &told.into_iter().collect::<Vec<_>>()).await;
    cluster.nobody_honest_is_banned();
    let bans: usize = cluster.nodes().map(|node| node.shared().bans().count).sum();
    println!("{:?}: no lie is stored or served; {bans} bans", start.elapsed());
    assert!(bans > liars, "the lies reached nobody");
    drop(staying);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_4_of_12_nodes_lie_no_lie_is_stored_and_every_honest_record_is_found() {
    liars(8, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_where_6_of_40_nodes_lie_no_lie_is_stored_and_every_honest_record_is_found() {
    liars(34, 6).await;
}
