//! What fits, what goes first, and what it costs.

use std::{fs, time::Instant};

use super::*;

#[test]
fn ten_thousand_sybil_acks_from_200_keys_evict_no_members_record() {
    let dir = Scratch::new();
    let store = small(&dir, |limits| limits.unverified = 1_000);
    let members: Vec<VerifiedRecord> = (0..50).map(|i| cheap_ack(update(1), 1_000 + i, Standing::Member, NOW)).collect();
    store.put_all(&members, Commit::Synced, NOW).unwrap();
    let sybils: Vec<VerifiedRecord> =
        (0..10_000).map(|i| cheap_ack(update(i / 200), i % 200, Standing::Unverified, NOW)).collect();
    for batch in sybils.chunks(500) {
        store.put_all(batch, Commit::Lazy, NOW).unwrap();
    }
    assert_eq!(store.counts().unwrap(), (50, 1_000));
    for member in &members {
        assert_eq!(store.get(member.key(), NOW).unwrap().unwrap().envelope, member.envelope());
    }
    assert_eq!(store.acks(update(1), 1_024, NOW).unwrap().len(), 50, "the flood's older records went first");
    assert!(store.get(sybils[9_999].key(), NOW).unwrap().is_some());
}

#[test]
fn a_member_over_its_share_loses_its_own_oldest_and_never_its_identity() {
    let dir = Scratch::new();
    let store = small(&dir, |limits| limits.per_validator = 4);
    let (key, value) = identity(2, &[5], 1);
    let id = accept(&key, &value, &validators(9), &Nothing).unwrap();
    store.put(&id, Commit::Lazy, NOW).unwrap();
    let other = member_ack(3, 1, 1);
    store.put(&other, Commit::Lazy, NOW).unwrap();
    let acks: Vec<VerifiedRecord> = (1..=6).map(|task| member_ack(2, task, 1)).collect();
    for ack in &acks {
        assert_eq!(store.put(ack, Commit::Lazy, NOW).unwrap(), Put::Inserted);
    }
    let held: Vec<bool> = acks.iter().map(|ack| store.get(ack.key(), NOW).unwrap().is_some()).collect();
    assert_eq!(held, [false, false, true, true, true, true]);
    assert!(store.get(id.key(), NOW).unwrap().is_some());
    assert!(store.get(other.key(), NOW).unwrap().is_some());
}

#[test]
fn a_trainer_keeps_a_few_open_candidates_and_cannot_push_out_a_validators_records() {
    let (set, dir) = (validators(9), Scratch::new());
    let store = open(&dir);
    let (key, value) = identity(2, &[1], 1);
    store.put(&accept(&key, &value, &set, &Nothing).unwrap(), Commit::Lazy, NOW).unwrap();
    let ack = member_ack(2, 1, 1);
    store.put(&ack, Commit::Lazy, NOW).unwrap();
    let heads: Vec<VerifiedRecord> = (1..=20)
        .map(|head| {
            let announcement =
                Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([head; 32]), size: 300, sequence: 1 };
            let key = RecordKey::ann(announcement.model_head, ed25519(1));
            accept(&key, &announcement.to_value(), &set, &store).unwrap()
        })
        .collect();
    for announcement in &heads {
        assert_eq!(store.put(announcement, Commit::Lazy, NOW).unwrap(), Put::Inserted);
    }
    let held = heads.iter().filter(|record| store.get(record.key(), NOW).unwrap().is_some()).count();
    assert_eq!((held, store.get(heads[19].key(), NOW).unwrap().is_some()), (4, true));
    assert!(store.get(ack.key(), NOW).unwrap().is_some());
}

#[test]
fn a_store_full_of_members_refuses_the_next_and_keeps_all() {
    let dir = Scratch::new();
    let store = small(&dir, |limits| limits.members = 10);
    for i in 0..10 {
        assert_eq!(store.put(&cheap_ack(update(i), i, Standing::Member, NOW), Commit::Lazy, NOW).unwrap(), Put::Inserted);
    }
    assert_eq!(store.put(&cheap_ack(update(10), 10, Standing::Member, NOW), Commit::Lazy, NOW).unwrap(), Put::Full);
    let waiting = cheap_ack(update(11), 11, Standing::Unverified, NOW);
    store.put(&waiting, Commit::Lazy, NOW).unwrap();
    let promoted = VerifiedRecord { standing: Standing::Member, ..waiting.clone() };
    assert_eq!(store.put(&promoted, Commit::Lazy, NOW).unwrap(), Put::Full);
    assert_eq!(store.get(waiting.key(), NOW).unwrap().unwrap().standing, Standing::Unverified);
    assert_eq!(store.counts().unwrap(), (10, 1));
    while store.sweep(NOW + 3_600, 3).unwrap() > 0 {}
    let later = NOW + 3_600;
    assert_eq!(store.put(&cheap_ack(update(10), 10, Standing::Member, later), Commit::Lazy, later).unwrap(), Put::Inserted);
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn p99(mut times: Vec<u128>) -> (u128, u128) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// 512 seats, one ACK per 12-second slot, for the 3,600 s that an ACK lives.
#[test]
fn long_153_600_acks_cost_at_most_100_mb_and_are_found_within_5_ms() {
    let dir = Scratch::new();
    let store = open(&dir);
    let before = resident_kib();
    let (mut peak, mut puts) = (before, Vec::new());
    for slot in 0..300 {
        for part in 0..8 {
            let seats = part * 64..(part + 1) * 64;
            let batch: Vec<VerifiedRecord> =
                seats.map(|seat| cheap_ack(update(slot), seat, Standing::Member, NOW + slot)).collect();
            let start = Instant::now();
            store.put_all(&batch, Commit::Lazy, NOW + slot).unwrap();
            puts.push(start.elapsed().as_micros() / 64);
        }
        store.flush(NOW + slot).unwrap();
        peak = peak.max(resident_kib());
    }
    assert_eq!(store.counts().unwrap(), (153_600, 0));
    let (mut gets, mut lists) = (Vec::new(), Vec::new());
    for i in 0_u64..20_000 {
        let (slot, seat) = (i * 7_919 % 300, i * 104_729 % 512);
        let key = *cheap_ack(update(slot), seat, Standing::Member, NOW).key();
        let start = Instant::now();
        assert!(store.get(&key, NOW + 300).unwrap().is_some());
        gets.push(start.elapsed().as_micros());
    }
    for slot in 0..300 {
        let start = Instant::now();
        assert_eq!(store.acks(update(slot), 512, NOW + 300).unwrap().len(), 512);
        lists.push(start.elapsed().as_micros());
    }
    let start = Instant::now();
    store.digest().unwrap();
    let digest = start.elapsed().as_micros();
    peak = peak.max(resident_kib());
    let file = fs::metadata(dir.path().join(handle::DATABASE_FILE)).unwrap().len() >> 20;
    drop(store);
    let start = Instant::now();
    let store = open(&dir);
    let reopen = start.elapsed().as_millis();
    let single = {
        let record = cheap_ack(update(999), 1, Standing::Member, NOW);
        let start = Instant::now();
        store.put(&record, Commit::Synced, NOW).unwrap();
        start.elapsed().as_micros()
    };
    let ((put50, put99), (get50, get99), (list50, list99)) = (p99(puts), p99(gets), p99(lists));
    let growth = peak.saturating_sub(before) / 1_024;
    println!(
        "RSS growth {growth} MiB, file {file} MiB, put in batches p50 {put50} us p99 {put99} us, get p50 {get50} us p99 {get99} us, \
         512 ACKs of an update p50 {list50} us p99 {list99} us, digest {digest} us, reopen {reopen} ms, synced put {single} us"
    );
    assert!(growth <= 100, "RSS grew by {growth} MiB");
    assert!(get99 <= 5_000, "look-up p99 {get99} us");
}
