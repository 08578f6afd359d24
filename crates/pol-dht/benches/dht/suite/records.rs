//! One node that holds the ACKs of a whole committee for their whole life: memory, and look-ups.

use std::{thread, time::Instant};

use pol_core::record::RecordKey;
use pol_dht::{
    Node,
    store::Commit,
    verify::{RawRecord, VerifiedRecord},
};

use super::{
    Options,
    cluster::{Members, SEATS, update},
    common::{CHAIN, Running},
    kib, runtime,
    table::{Row, Times, ms},
};

/// Records per transaction, as the intake takes them.
const BATCH: usize = 64;
const LOOKUPS: usize = 20_000;

fn resident_kib() -> u64 {
    kib("/proc/self/status", "VmRSS:")
}

/// ACK number `i`: all seats of one update, then of the next.
const fn place_of(i: usize) -> (usize, usize) {
    (i / SEATS, i % SEATS)
}

/// A record as it arrives, through all stages of verification.
fn verified(node: &Node, members: &Members, i: usize) -> VerifiedRecord {
    let (slot, seat) = place_of(i);
    let (shared, now) = (node.shared(), node.shared().now());
    let ack = members.ack(update(slot), seat);
    let envelope = node.identity().seal(CHAIN, now, &ack.raw().to_value()).unwrap();
    let raw = RawRecord::new(&ack.raw().key().to_bytes(), &envelope).unwrap();
    raw.open(CHAIN, now).unwrap().verify(&shared.validators(), &shared.store, now).unwrap()
}

/// Fills the node from all CPUs; returns the most memory seen.
fn fill(node: &Node, members: &Members, count: usize) -> u64 {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let batches = count.div_ceil(BATCH);
    let one = |worker: usize| {
        let mut peak = 0;
        for batch in (worker..batches).step_by(workers) {
            let numbers = batch * BATCH..((batch + 1) * BATCH).min(count);
            let records: Vec<VerifiedRecord> = numbers.map(|i| verified(node, members, i)).collect();
            node.shared().store.put_all(&records, Commit::Lazy, node.shared().now()).unwrap();
            peak = peak.max(resident_kib());
        }
        peak
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || one(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or(0)
    })
}

fn timed(calls: impl Iterator<Item = usize>, mut call: impl FnMut(usize)) -> Times {
    let time = |i| {
        let start = Instant::now();
        call(i);
        start.elapsed()
    };
    Times::new(calls.map(time).collect())
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let count = options.size(options.records, 153_600, 512);
    let (members, dir, runtime) = (Members::new(SEATS), tempfile::tempdir().unwrap(), runtime());
    let running = runtime.block_on(async { Running::start(dir.path(), vec![]) });
    let node = &running.node;
    node.set_validators(members.set.clone()).unwrap();
    // One of each, so that code and caches that the first use brings are not counted as records.
    drop(verified(node, &members, count));
    let empty = resident_kib();

    let start = Instant::now();
    let mut peak = fill(node, &members, count);
    let filled = start.elapsed();
    let (store, now) = (&node.shared().store, node.shared().now());
    assert_eq!(store.counts().unwrap(), (count as u64, 0));

    let key = |i: usize| {
        let (slot, seat) = place_of(i.wrapping_mul(104_729) % count);
        RecordKey::ack(update(slot), members.peer(seat))
    };
    let keys: Vec<RecordKey> = (0..LOOKUPS.min(count)).map(key).collect();
    let gets = timed(0..keys.len(), |i| assert!(store.get(&keys[i], now).unwrap().is_some()));
    let lists = timed(0..count / SEATS, |slot| assert_eq!(node.acks(update(slot), SEATS).unwrap().len(), SEATS));
    peak = peak.max(resident_kib());
    runtime.block_on(running.stop());

    let growth = peak.saturating_sub(empty) as f64 / 1_024.0 * 1.048_576;
    let (get, list) = (gets.percentile(99), lists.percentile(99));
    vec![
        Row::judged(
            format!("{count} ACK records in one node: RSS growth over empty"),
            "<= 100 MB",
            format!("{growth:.1} MB (from {} MB)", empty / 1_000),
            growth <= 100.0,
        ),
        Row::judged("local look-up by key among them, p99", "<= 5 ms", gets.text(), get.as_millis() < 5),
        Row::judged("all 512 ACKs of one update among them, p99", "<= 5 ms", lists.text(), list.as_millis() < 5),
        Row::note("signing, verifying and storing one of them, all CPUs", ms(filled / u32::try_from(count).unwrap())),
    ]
}
