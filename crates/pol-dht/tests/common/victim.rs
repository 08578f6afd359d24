//! A node in a process of its own, so that what an attack costs it can be measured.

use std::path::Path;

use libp2p::Multiaddr;
use pol_dht::verify::Standing;
use tempfile::{TempDir, tempdir};

use super::{
    Running, ack,
    child::{Process, say, told_blocking},
    eventually, update, validators,
};

/// Members that the victim knows, each with an ACK of update 0 that it holds.
pub(crate) const MEMBERS: u8 = 64;

/// What a victim says about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    /// Members' ACKs of update 0, held as such.
    pub(crate) members_acks: usize,
    /// Member records, unverified records.
    pub(crate) records: (u64, u64),
    /// Connected peers.
    pub(crate) peers: usize,
    /// Bans in force.
    pub(crate) bans: usize,
}

/// The victim's own process: a node with members' records; `forgetful` when it restarted since and nobody told it of members again.
pub(crate) async fn run(directory: &Path, forgetful: bool) {
    let start = || Running::start(directory, vec![]);
    let mut running = start();
    running.node.set_validators(validators(MEMBERS)).unwrap();
    for by in 0..MEMBERS {
        let signed = ack(update(0), by);
        running.node.put_value(signed.raw().key(), &signed.raw().to_value()).await.unwrap();
    }
    if forgetful {
        running.stop().await;
        running = start();
    }
    say(&format!("listens {}", running.address().await));
    while told_blocking().await {
        let node = &running.node;
        let held = node.acks(update(0), 1_000).unwrap();
        let members_acks = held.iter().filter(|ack| ack.record.standing == Standing::Member).count();
        let (members, unverified) = node.shared().store.counts().unwrap();
        let (peers, bans) = (node.peers().await.unwrap().len(), node.shared().bans().count);
        say(&format!("state {members_acks} {members} {unverified} {peers} {bans}"));
    }
}

/// A victim seen from outside.
pub(crate) struct Victim {
    process: Process,
    _dir: TempDir,
    /// Where it listens.
    pub(crate) address: Multiaddr,
}

impl Victim {
    /// Starts the test named `test` again as a victim.
    pub(crate) fn start(test: &str) -> Self {
        let dir = tempdir().unwrap();
        let process = Process::start(test, dir.path());
        let address = process.expect("listens ").parse().unwrap();
        Self { process, _dir: dir, address }
    }

    /// How it is now.
    pub(crate) fn state(&mut self) -> State {
        self.process.tell();
        let said = self.process.expect("state ");
        let numbers: Vec<u64> = said.split(' ').map(|number| number.parse().unwrap()).collect();
        let size = |i: usize| usize::try_from(numbers[i]).unwrap();
        State { members_acks: size(0), records: (numbers[1], numbers[2]), peers: size(3), bans: size(4) }
    }

    /// Waits until it is as wanted.
    pub(crate) async fn becomes(&mut self, what: &str, wanted: impl Fn(&State) -> bool) -> State {
        for _ in 0..1_200 {
            let state = self.state();
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("not {what} within 60 s: {:?}", self.state());
    }

    /// Its resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
    }

    /// A neighbour can still give it a record and get one, and how long that took.
    pub(crate) async fn serves(&mut self, neighbour: &Running, number: u64) -> std::time::Duration {
        let start = std::time::Instant::now();
        let before = self.state().records.0;
        let signed = ack(update(number), 1);
        neighbour.node.put_value(signed.raw().key(), &signed.raw().to_value()).await.unwrap();
        self.becomes("given a record", |state| state.records.0 > before).await;
        let got = || async { (neighbour.node.acks(update(0), 1_000).unwrap().len() == usize::from(MEMBERS)).then_some(()) };
        eventually("the victim's records", got).await;
        start.elapsed()
    }
}
