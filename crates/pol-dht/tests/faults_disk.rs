//! A full disk: a clear error, puts refused, gets served, no crash; and with room again all goes on.
//!
//! The disk is filled by a file size limit of the process, which the system answers like a full disk: writes fail, reads do not.

mod common;

use std::{path::Path, time::Duration};

use common::{
    Running, ack, child,
    child::{Process, say, told},
    container,
    daemon::{Daemon, chain, chain_toml, command, free_port},
    eventually, sign_ack, trainer, update,
};
use libp2p::Multiaddr;
use pol_core::{UpdateId, sha256};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::tempdir;

const NODE: &str = "a_full_disk_refuses_puts_clearly_serves_gets_and_recovers";
const FULL: &str = "the disk of the data directory is full";

/// Bounds the files of a process, or of this one.
fn limit_files(process: Option<u32>, bytes: Option<u64>) {
    let process = process.map(|id| Pid::from_raw(id.try_into().unwrap()).unwrap());
    prlimit(process, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

async fn put(node: &pol_dht::Node, update_id: UpdateId, by: u8) -> Result<(), String> {
    let mine = ack(update_id, by);
    node.put_value(mine.raw().key(), &mine.raw().to_value()).await.map(|_| ()).map_err(|error| error.to_string())
}

async fn starving(directory: &Path) {
    let running = Running::start(directory, vec![]);
    let node = &running.node;
    let held = node.publish_delta(&container(1), &trainer(0), 1).await.unwrap();
    put(node, held, 0).await.unwrap();
    say(&format!("listens {}", running.address().await));
    assert!(told());

    limit_files(None, Some(1));
    for round in 1..=5 {
        let error = put(node, held, round).await.unwrap_err();
        assert!(error.contains(FULL), "{error}");
        let error = node.publish_delta(&container(2), &trainer(0), 2).await.unwrap_err().to_string();
        assert!(error.contains(FULL), "{error}");
        assert_eq!(node.acks(held, 10).unwrap().len(), 1);
        assert_eq!(node.fetch_delta(held).await.unwrap(), container(1));
        // Beyond the pause after which the store tries again.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    }
    say("full");
    assert!(told());

    limit_files(None, None);
    eventually("a put with room again", || async { put(node, held, 100).await.ok() }).await;
    let late = node.publish_delta(&container(2), &trainer(0), 2).await.unwrap();
    assert_eq!(node.fetch_delta(late).await.unwrap(), container(2));
    assert_eq!(node.acks(held, 10).unwrap().len(), 2);
    running.stop().await;
    say("done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_puts_clearly_serves_gets_and_recovers() {
    if let Some(directory) = child::directory() {
        return starving(&directory).await;
    }
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let mut starved = Process::start(NODE, dir.path());
    let address: Multiaddr = starved.expect("listens ").parse().unwrap();
    let held = UpdateId(sha256(&[&container(1)]));
    starved.tell();
    starved.expect("full");
    // What it has, others still get from it.
    let neighbour = Running::start(other.path(), vec![address]);
    eventually("the ACK", || async { (neighbour.node.acks(held, 10).unwrap().len() == 1).then_some(()) }).await;
    assert_eq!(neighbour.node.fetch_delta(held).await.unwrap(), container(1));
    // And what they send it does no harm.
    for by in 10..60 {
        put(&neighbour.node, held, by).await.unwrap();
    }
    starved.tell();
    starved.expect("done");
    assert!(starved.wait().success());
    let again = Running::start(dir.path(), vec![]);
    assert!(again.node.acks(held, 100).unwrap().len() >= 2);
    assert_eq!(again.node.fetch_delta(held).await.unwrap(), container(1));
    neighbour.stop().await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_on_a_full_disk_answers_and_catches_up_with_room_again() {
    let (dir, chain) = (tempdir().unwrap(), chain(7));
    let sender = Running::start_with(chain.genesis_id(), chain.domains(), &dir.path().join("sender"), vec![]);
    let chain_file = dir.path().join("chain.toml");
    std::fs::write(&chain_file, chain_toml(7)).unwrap();
    let put = async |number: u64| {
        let signed = sign_ack(update(number), &common::member(0), &chain.domains());
        sender.node.put_value(signed.raw().key(), &signed.raw().to_value()).await.unwrap();
    };
    let shown = |number: u64| format!("/dht/records/{}", update(number));
    put(0).await;
    let (port, bootstrap) = (free_port(), sender.address().await.to_string());
    let flags = ["--chain", chain_file.to_str().unwrap(), "--bootstrap", &bootstrap];
    let mut daemon = Daemon::start(command("trap '' XFSZ", port, &dir.path().join("daemon"), &flags), port);
    daemon.eventually(&shown(0), |answer| answer.contains("\"peer_id\""));

    limit_files(Some(daemon.id()), Some(1));
    for number in 1..=100 {
        put(number).await;
    }
    // Long enough for the store to fail, to open again and to try again.
    for _ in 0..120 {
        daemon.still_runs();
        // 206: some part is degraded.
        let health = daemon.get("/health").unwrap();
        assert!(health.contains("HTTP/1.1 20"), "{health}");
        assert!(daemon.get(&shown(0)).unwrap().contains("\"peer_id\""), "a record from before is served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    limit_files(Some(daemon.id()), None);
    for number in 1..=100 {
        daemon.eventually(&shown(number), |answer| answer.contains("\"peer_id\""));
    }
    sender.stop().await;
}
