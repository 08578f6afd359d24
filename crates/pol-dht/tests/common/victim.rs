//! A node in a process of its own, so that what an attack costs it can be measured.

use std::{path::Path, time::Duration};

use libp2p::{Multiaddr, PeerId};
use pol_dht::verify::Standing;
use tempfile::{TempDir, tempdir};

use super::{
    Running, ack,
    child::{self, Process, say, told_blocking},
    eventually, update, validators,
};

/// Members that the victim knows, each with an ACK of update 0 that it holds.
pub(crate) const MEMBERS: u8 = 64;

/// What the victim's memory may grow by in any attack, bytes: its caches (24 MiB of the database's) and buffers fill, and that is all.
pub(crate) const GROWTH_MAX: u64 = 96 << 20;

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
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {what} within 60 s: {:?}", self.state());
    }

    /// Its resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
    }

    /// An honest node beside it, which knows the members.
    pub(crate) fn neighbour(&self) -> (Running, TempDir) {
        let dir = tempdir().unwrap();
        let neighbour = Running::start(dir.path(), vec![self.address.clone()]);
        neighbour.node.set_validators(validators(MEMBERS)).unwrap();
        (neighbour, dir)
    }

    /// It needs no more memory than [`GROWTH_MAX`] beyond what it did.
    pub(crate) fn grew_little_since(&mut self, before: u64) {
        let growth = self.memory().saturating_sub(before);
        println!("{:?}, memory grew by {} KiB", self.state(), growth >> 10);
        assert!(growth < GROWTH_MAX, "{growth}");
    }

    /// A neighbour can still give it a record and get one, and how long that took.
    pub(crate) async fn serves(&mut self, neighbour: &Running, number: u64) -> Duration {
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

/// A victim, and an honest neighbour that it serves while it is attacked.
pub(crate) struct Besieged {
    /// Who is attacked.
    pub(crate) victim: Victim,
    neighbour: Running,
    memory_before: u64,
    _dir: TempDir,
}

impl Besieged {
    /// Both, with the neighbour served once; None in the victim's own process, when that has ended.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        if let Some(directory) = child::directory() {
            run(&directory, false).await;
            return None;
        }
        let mut victim = Victim::start(test);
        let (neighbour, dir) = victim.neighbour();
        victim.serves(&neighbour, 7).await;
        let memory_before = victim.memory();
        Some(Self { victim, neighbour, memory_before, _dir: dir })
    }

    /// The victim's peer id.
    pub(crate) async fn victims_peer(&self) -> PeerId {
        self.neighbour.node.peers().await.unwrap()[0].peer
    }

    /// The neighbour is served that often, each time within 10 seconds.
    pub(crate) async fn serves(&mut self, rounds: u64, pause: Duration) {
        for round in 0..rounds {
            let took = self.victim.serves(&self.neighbour, 100 + round).await;
            assert!(took < Duration::from_secs(10), "{took:?}");
            tokio::time::sleep(pause).await;
        }
    }

    /// The end: the attack cost no more memory than [`GROWTH_MAX`].
    pub(crate) async fn cost_is_bounded(mut self) -> State {
        let state = self.victim.state();
        self.victim.grew_little_since(self.memory_before);
        self.neighbour.stop().await;
        state
    }
}
