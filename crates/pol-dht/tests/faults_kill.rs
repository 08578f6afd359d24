//! `kill -9` at any moment: what was acknowledged is there afterwards, and the store opens.

mod common;

use std::{collections::BTreeSet, path::Path, thread::sleep, time::Duration};

use common::{
    CHAIN, Running, ack, child,
    child::{Process, say},
    container,
    daemon::{Daemon, chain, chain_toml, command, free_port},
    sign_ack, trainer, update,
};
use pol_core::{UpdateId, record::RecordKey, sha256};
use pol_dht::store::{Store, StoreLimits};
use pol_kit::clock::{Clock as _, System};
use tempfile::tempdir;

/// A number that looks random and is the same in every run.
fn seeded(seed: u64, round: u64, below: u64) -> u64 {
    let hash = sha256(&[&seed.to_le_bytes(), &round.to_le_bytes()]);
    u64::from_le_bytes(*hash.first_chunk().unwrap()) % below
}

fn delta(number: i32) -> (UpdateId, Vec<u8>) {
    let bytes = container(number);
    (UpdateId(sha256(&[&bytes])), bytes)
}

/// Publishes and acknowledges from number `from` on, until it is killed.
async fn victim(directory: &Path, from: i32) {
    let node = Running::start(directory, vec![]).node;
    for number in from.. {
        say(&format!("begins {number}"));
        let update_id = node.publish_delta(&delta(number).1, &trainer(0), number.unsigned_abs().into()).await.unwrap();
        say(&format!("delta {number}"));
        let mine = ack(update_id, 0);
        node.put_value(mine.raw().key(), &mine.raw().to_value()).await.unwrap();
        say(&format!("ack {number}"));
    }
}

/// The numbers after `what`.
fn numbers<'a>(said: &'a [String], what: &'a str) -> impl Iterator<Item = i32> + 'a {
    said.iter().filter_map(move |line| line.strip_prefix(what)?.trim().parse().ok())
}

fn acknowledged_is_there(directory: &Path, deltas: &BTreeSet<i32>, acks: &BTreeSet<i32>) {
    let now = System::new().unix_seconds();
    let store = Store::open(directory, CHAIN, StoreLimits::default()).unwrap();
    let peer = ack(update(0), 0).raw().peer_id();
    for number in deltas {
        let (update_id, bytes) = delta(*number);
        assert_eq!(store.deltas().get(&update_id).unwrap(), Some(bytes), "delta {number}");
        assert!(store.deltas().is_pinned(&update_id));
    }
    for number in acks {
        let update_id = delta(*number).0;
        assert!(store.get(&RecordKey::ack(update_id, peer), now).unwrap().is_some(), "ACK {number}");
    }
    let (members, unverified) = store.counts().unwrap();
    assert_eq!(store.digest().unwrap().count(), members + unverified, "no half of a transaction");
}

async fn rounds(test: &str, seed: u64, rounds: u64) {
    if let Some(directory) = child::directory() {
        let from = std::fs::read_to_string(directory.join("from")).unwrap().parse().unwrap();
        return victim(&directory.join("data"), from).await;
    }
    let dir = tempdir().unwrap();
    let (mut from, mut deltas, mut acks) = (0, BTreeSet::new(), BTreeSet::new());
    for round in 0..rounds {
        std::fs::write(dir.path().join("from"), from.to_string()).unwrap();
        let process = Process::start(test, dir.path());
        // Some die before they have opened the store, most while they write.
        sleep(Duration::from_millis(seeded(seed, round, 500)));
        let said = process.kill();
        deltas.extend(numbers(&said, "delta "));
        acks.extend(numbers(&said, "ack "));
        from = numbers(&said, "begins ").last().map_or(from, |number| number + 1);
        acknowledged_is_there(&dir.path().join("data"), &deltas, &acks);
    }
    println!("{} deltas and {} ACKs over {rounds} kills", deltas.len(), acks.len());
    assert!(acks.len() > 20, "the kills came too early to show anything: {}", acks.len());
    let again = Running::start(&dir.path().join("data"), vec![]);
    for number in acks {
        let (update_id, bytes) = delta(number);
        assert_eq!(again.node.fetch_delta(update_id).await.unwrap(), bytes);
        assert_eq!(again.node.acks(update_id, 10).unwrap().len(), 1);
    }
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_no_acknowledged_record_and_no_delta() {
    rounds("a_kill_at_any_moment_loses_no_acknowledged_record_and_no_delta", 1, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_two_hundred_kills_lose_no_acknowledged_record_and_no_delta() {
    rounds("long_two_hundred_kills_lose_no_acknowledged_record_and_no_delta", 2, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_it_receives_opens_again_and_catches_up() {
    let (dir, chain) = (tempdir().unwrap(), chain(7));
    let sender = Running::start_with(chain.genesis_id(), chain.domains(), &dir.path().join("sender"), vec![]);
    let bootstrap = sender.address().await.to_string();
    let (data, chain_file) = (dir.path().join("daemon"), dir.path().join("chain.toml"));
    std::fs::write(&chain_file, chain_toml(7)).unwrap();
    let start = || {
        let port = free_port();
        let flags = ["--chain", chain_file.to_str().unwrap(), "--bootstrap", &bootstrap];
        Daemon::start(command(":", port, &data, &flags), port)
    };
    let mut written = 0;
    for round in 0..6 {
        let daemon = start();
        // Records keep coming while it dies.
        for _ in 0..10 {
            let signed = sign_ack(update(written), &common::member(0), &chain.domains());
            sender.node.put_value(signed.raw().key(), &signed.raw().to_value()).await.unwrap();
            written += 1;
            tokio::time::sleep(Duration::from_millis(seeded(3, round, 80))).await;
        }
        daemon.kill();
    }
    let mut daemon = start();
    for number in 0..written {
        let path = format!("/dht/records/{}", update(number));
        daemon.eventually(&path, |answer| answer.contains("\"peer_id\""));
    }
    sender.stop().await;
}
