//! Floods: records of sybils, streams that nobody uses, connections, subscriptions, offers. What they cost is bounded, and who was there
//! before is served all the while.

mod common;

use std::time::{Duration, Instant};

use common::{
    CHAIN, child,
    cluster::Cluster,
    eventually,
    liar::{Command, Liar, Options, Wire, short},
    lies::provided,
    sign_ack, update,
    victim::{self, Besieged, MEMBERS, Victim},
};
use ed25519_dalek::SigningKey;
use pol_core::{
    bls::SecretKey,
    record::{Envelope, Topic},
    sha256,
};
use pol_kit::clock::{Clock as _, System};

const SYBILS: u64 = 200;

/// The ACKs of one sybil, in its own envelopes: what no quota of a single writer refuses.
fn acks_of(sybil: u64, each: u64, now: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let secret = sha256(&[b"sybil", &sybil.to_le_bytes()]);
    // Below the group's order.
    let bls = SecretKey::from_bytes(&{
        let mut bytes = secret;
        bytes[0] = 1;
        bytes
    })
    .unwrap();
    let ed25519 = SigningKey::from_bytes(&secret);
    let signed = (0..each).map(|i| sign_ack(update(1_000_000 + i), &bls, &common::domains()));
    signed.map(|ack| (ack.raw().key().to_bytes(), Envelope::seal(&ed25519, CHAIN, now, &ack.raw().to_value()))).collect()
}

/// Sends ACKs of [`SYBILS`] keys over several connections, by key and by gossip.
async fn sybil_flood(victim: &Victim, each: u64) -> Vec<Liar> {
    let now = System::new().unix_seconds();
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let made: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                scope.spawn(move || {
                    (0..SYBILS).filter(|s| s % threads == t).flat_map(|s| acks_of(s, each, now)).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(made.len() as u64, SYBILS * each);
    let mut liars = Vec::new();
    for part in made.chunks(made.len().div_ceil(8)) {
        let liar = Liar::among(Options::new(CHAIN), std::slice::from_ref(&victim.address)).await;
        eventually("a connection", || async { (liar.connected() == 1).then_some(()) }).await;
        for (i, (key, envelope)) in part.iter().enumerate() {
            liar.tell(Command::Put(key.clone(), envelope.clone())).await;
            if i % 4 == 0 {
                liar.tell(Command::Publish(Topic::Ack.name(CHAIN), envelope.clone())).await;
            }
        }
        liars.push(liar);
    }
    liars
}

#[tokio::test(flavor = "multi_thread")]
async fn sybil_acks_from_200_keys_reach_no_store_that_knows_the_members() {
    let test = "sybil_acks_from_200_keys_reach_no_store_that_knows_the_members";
    if let Some(directory) = child::directory() {
        return victim::run(&directory, false).await;
    }
    let mut victim = Victim::start(test);
    let before = victim.memory();
    let liars = sybil_flood(&victim, 50).await;
    let (neighbour, _dir) = victim.neighbour();
    println!("served within {:?}", victim.serves(&neighbour, 7).await);
    let state = victim.state();
    assert_eq!((state.members_acks, state.records), (usize::from(MEMBERS), (u64::from(MEMBERS) + 1, 0)));
    victim.grew_little_since(before);
    drop(liars);
    neighbour.stop().await;
}

/// Nobody has told this node of the members since its restart, so it takes any well-signed record.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_sybil_acks_from_200_keys_evict_no_members_record_and_memory_stays_bounded() {
    let test = "ten_thousand_sybil_acks_from_200_keys_evict_no_members_record_and_memory_stays_bounded";
    if let Some(directory) = child::directory() {
        return victim::run(&directory, true).await;
    }
    let mut victim = Victim::start(test);
    let before = victim.memory();
    let start = Instant::now();
    let liars = sybil_flood(&victim, 50).await;
    let state = victim.becomes("flooded", |state| state.records.1 > 2_000).await;
    assert_eq!(state.members_acks, usize::from(MEMBERS));
    // All that gets through.
    let mut last = 0;
    let state = loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let state = victim.state();
        if state.records.1 == last {
            break state;
        }
        last = state.records.1;
    };
    println!("flooded after {:?}", start.elapsed());
    assert_eq!((state.members_acks, state.records.0), (usize::from(MEMBERS), u64::from(MEMBERS)), "no member's record is gone");
    victim.grew_little_since(before);
    drop(liars);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_never_used_cost_a_bounded_amount() {
    let test = "streams_that_are_opened_and_never_used_cost_a_bounded_amount";
    let Some(mut besieged) = Besieged::start(test).await else { return };
    let chain = short(CHAIN);
    let protocols = [
        format!("/pol-ai/{chain}/exchange/1"),
        format!("/pol-ai/{chain}/kad/1"),
        format!("/pol-ai/{chain}/gossip/1.1.0"),
        "/ipfs/id/1.0.0".to_owned(),
        "/ipfs/id/push/1.0.0".to_owned(),
        "/ipfs/ping/1.0.0".to_owned(),
        "/libp2p/autonat/2/dial-request".to_owned(),
        "/no/such/protocol".to_owned(),
    ];
    let mut hogs = Vec::new();
    for protocol in &protocols {
        for _ in 0..2 {
            let options = Options { stuck_on: protocol.clone(), ..Options::new(CHAIN) };
            let hog = Liar::among(options, std::slice::from_ref(&besieged.victim.address)).await;
            eventually("a connection", || async { (hog.connected() == 1).then_some(()) }).await;
            for _ in 0..300 {
                hog.tell(Command::Stick).await;
            }
            hogs.push(hog);
        }
    }
    besieged.serves(10, Duration::from_millis(300)).await;
    besieged.cost_is_bounded().await;
    drop(hogs);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_drip_and_endless_requests_cost_a_bounded_amount() {
    let test = "slow_drip_and_endless_requests_cost_a_bounded_amount";
    let Some(mut besieged) = Besieged::start(test).await else { return };
    let peer = besieged.victims_peer().await;
    let mut hogs = Vec::new();
    for i in 0..16 {
        let hog = Liar::among(Options::new(CHAIN), std::slice::from_ref(&besieged.victim.address)).await;
        eventually("a connection", || async { (hog.connected() == 1).then_some(()) }).await;
        for _ in 0..100 {
            let wire = if i % 2 == 0 { Wire::Drip(vec![0x0a; 40_000]) } else { Wire::Endless };
            hog.tell(Command::Ask(peer, wire, tokio::sync::oneshot::channel().0)).await;
        }
        hogs.push(hog);
    }
    besieged.serves(10, Duration::from_millis(200)).await;
    let state = besieged.cost_is_bounded().await;
    assert!(state.bans >= 1, "who sends without end is thrown out: {state:?}");
    drop(hogs);
}

/// Too long for the library, which says nothing about it.
fn junk(number: u32) -> Command {
    Command::Publish(Topic::Ack.name(CHAIN), [&number.to_le_bytes()[..], &[7; 5_000]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_offers_introductions_and_junk_without_end_cost_a_bounded_amount() {
    let test = "subscriptions_offers_introductions_and_junk_without_end_cost_a_bounded_amount";
    let Some(mut besieged) = Besieged::start(test).await else { return };
    let one = std::slice::from_ref(&besieged.victim.address);
    let [subscriber, provider, talker, gossip] = futures::future::join_all((0..4).map(|_| Liar::among(Options::new(CHAIN), one)))
        .await
        .try_into()
        .unwrap_or_else(|_| unreachable!());
    for liar in [&subscriber, &provider, &talker, &gossip] {
        eventually("a connection", || async { (liar.connected() == 1).then_some(()) }).await;
    }
    for i in 0..20_000_u32 {
        subscriber.tell(Command::Subscribe(format!("{i}{}", "t".repeat(1_000)))).await;
        if i < 3_000 {
            provider.tell(provided(update(i.into()))).await;
        }
        if i < 2_000 {
            talker.tell(Command::Push).await;
        }
        if i < 500 {
            // So much at once that the library closes the stream.
            provider.tell(junk(i)).await;
        }
    }
    besieged.serves(5, Duration::ZERO).await;
    besieged.victim.becomes("rid of who introduces himself for ever", |state| state.bans >= 1).await;
    for i in 0..1_000 {
        if besieged.victim.state().bans >= 2 {
            break;
        }
        gossip.tell(junk(i)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    besieged.victim.becomes("rid of who gossips junk", |state| state.bans >= 2).await;
    besieged.cost_is_bounded().await;
}

/// Peers that connect and then say nothing, as many as there is room for and more.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_is_bounded_and_silent_ones_make_room() {
    let test = "a_flood_of_connections_is_bounded_and_silent_ones_make_room";
    let Some(mut besieged) = Besieged::start(test).await else { return };
    let mut crowd = Vec::new();
    for _ in 0..260 {
        crowd.push(common::liar::Silent::start(&besieged.victim.address));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let full = usize::try_from(pol_dht::net::limits::CONNECTIONS_INBOUND_MAX).unwrap();
    let state = besieged.victim.becomes("full", |state| state.peers >= full - 16).await;
    assert!(state.peers <= full, "{state:?}");
    besieged.serves(1, Duration::ZERO).await;
    // A newcomer gets in, because who says nothing is sent away.
    let start = Instant::now();
    let (newcomer, _dir) = besieged.victim.neighbour();
    let got = || async { (newcomer.node.acks(update(0), 1_000).unwrap().len() == usize::from(MEMBERS)).then_some(()) };
    common::eventually_within(Duration::from_secs(90), "the victim's records", got).await;
    println!("a newcomer was served after {:?}", start.elapsed());
    besieged.cost_is_bounded().await;
    drop(crowd);
    newcomer.stop().await;
}

/// Bursts arrive in one piece of the stream; the library must not take them for one oversize message.
#[tokio::test(flavor = "multi_thread")]
async fn bursts_of_records_do_not_break_the_gossip_of_honest_nodes() {
    let cluster = Cluster::start(10, MEMBERS).await;
    cluster.met(9).await;
    let mut number = 0;
    for _burst in 0..6 {
        let ids: Vec<_> =
            (0..60).map(|i| (update(number + i), u8::try_from((number + i) % u64::from(MEMBERS)).unwrap())).collect();
        futures::future::join_all(ids.iter().map(|(id, by)| cluster.put_ack(0, *id, *by))).await;
        number += 60;
    }
    // One at a time now, far faster than the records that anti-entropy brings every 15 seconds.
    let mut slowest = Duration::ZERO;
    for i in 0..30 {
        let start = Instant::now();
        cluster.put_ack(1, update(number + i), u8::try_from(i).unwrap()).await;
        for at in 0..10 {
            cluster.has_ack(at, update(number + i)).await;
        }
        slowest = slowest.max(start.elapsed());
    }
    println!("the slowest of 30 took {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "gossip is broken: {slowest:?}");
    for at in 0..10 {
        assert_eq!(cluster.keys(at).len() as u64, number + 30);
    }
    cluster.nobody_honest_is_banned();
    cluster.stop().await;
}
