#![allow(clippy::arithmetic_side_effects)]

use std::thread;

use super::*;
use crate::scratch::Scratch;

const BIG: usize = 100_000;

fn delta(i: u8, length: usize) -> (UpdateId, Vec<u8>) {
    let bytes = vec![i; length];
    (UpdateId(sha256(&[&bytes])), bytes)
}

fn open(dir: &Scratch, budget_bytes: u64, files: usize) -> DeltaStore {
    DeltaStore::open(dir.path(), DeltaLimits { budget_bytes, files }).unwrap()
}

fn add(store: &DeltaStore, i: u8, length: usize) -> Result<bool, DeltaError> {
    let (id, bytes) = delta(i, length);
    store.add(id, &bytes)
}

fn held(store: &DeltaStore, length: usize) -> Vec<u8> {
    (0..=20).filter(|i| store.contains(&delta(*i, length).0)).collect()
}

#[test]
fn a_delta_is_given_back_as_it_came_after_a_restart_too() {
    let dir = Scratch::new();
    let (id, bytes) = delta(1, DELTA_MAX_BYTES);
    let store = open(&dir, 1 << 20, 10);
    assert!(store.add(id, &bytes).unwrap());
    assert!(!store.add(id, &bytes).unwrap());
    assert_eq!(store.get(&id).unwrap(), Some(bytes.clone()));
    let usage = store.usage();
    drop(store);
    let store = open(&dir, 1 << 20, 10);
    assert_eq!((store.get(&id).unwrap(), store.size(&id), store.usage()), (Some(bytes), Some(150_000), usage));
    assert_eq!(store.ids(None, 10), [id]);
    assert_eq!(store.get(&UpdateId([0; 32])).unwrap(), None);
}

#[test]
fn a_delta_that_did_not_wait_for_the_disk_is_given_back_and_waits_when_it_is_pinned() {
    let dir = Scratch::new();
    let (id, bytes) = delta(1, 5_000);
    let store = open(&dir, 1 << 20, 10);
    assert!(store.add_with(id, &bytes, Commit::Lazy).unwrap());
    assert!(!store.add_with(id, &bytes, Commit::Lazy).unwrap() && !store.add(id, &bytes).unwrap());
    drop(store);
    let store = open(&dir, 1 << 20, 10);
    assert_eq!(store.get(&id).unwrap(), Some(bytes.clone()));
    // What its file lost with the power is noticed by whoever asks, and fetched again.
    fs::write(dir.path().join(format!("{id}.pld1")), vec![0; bytes.len()]).unwrap();
    assert_eq!(store.get(&id).unwrap(), None);
    store.pin(id).unwrap();
    assert!(store.add_with(id, &bytes, Commit::Lazy).unwrap());
    assert_eq!((store.get(&id).unwrap(), store.is_pinned(&id)), (Some(bytes), true));
}

#[test]
fn bytes_of_another_id_empty_ones_and_oversize_ones_are_refused() {
    let dir = Scratch::new();
    let store = open(&dir, 1 << 20, 10);
    let (id, bytes) = delta(1, 500);
    let (other, _) = delta(2, 500);
    assert!(matches!(store.add(other, &bytes), Err(DeltaError::Id { found, expected }) if found == id && expected == other));
    assert!(matches!(add(&store, 1, 0), Err(DeltaError::Length { found: 0 })));
    assert!(matches!(add(&store, 1, DELTA_MAX_BYTES + 1), Err(DeltaError::Length { found: 150_001 })));
    assert_eq!(store.usage(), (0, 0));
}

#[test]
fn the_least_recently_used_goes_first_and_the_budget_is_kept() {
    let dir = Scratch::new();
    let store = open(&dir, 4 * cost(100_000), 100);
    for i in 0..4 {
        add(&store, i, BIG).unwrap();
    }
    store.get(&delta(0, BIG).0).unwrap();
    add(&store, 4, BIG).unwrap();
    assert_eq!(held(&store, BIG), [0, 2, 3, 4]);
    assert_eq!(store.usage(), (4, 4 * cost(100_000)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    drop(store);
    assert_eq!(open(&dir, 2 * cost(100_000), 100).usage().0, 2, "a smaller budget holds from the next start");
}

#[test]
fn many_small_deltas_are_bounded_by_number_and_cost_whole_blocks() {
    let dir = Scratch::new();
    let store = open(&dir, 1 << 30, 5);
    for i in 0..20 {
        add(&store, i, 300).unwrap();
        assert!(store.usage().0 <= 5);
    }
    assert_eq!(held(&store, 300), [15, 16, 17, 18, 19]);
    assert_eq!(store.usage().1, 5 * 4_096);
}

#[test]
fn a_pinned_delta_is_never_evicted_not_even_after_a_restart() {
    let dir = Scratch::new();
    let store = open(&dir, 3 * cost(100_000), 100);
    // Pinned before it came, and after.
    store.pin(delta(0, BIG).0).unwrap();
    add(&store, 0, BIG).unwrap();
    add(&store, 1, BIG).unwrap();
    store.pin(delta(1, BIG).0).unwrap();
    drop(store);
    let store = open(&dir, 3 * cost(100_000), 100);
    for i in 2..10 {
        add(&store, i, BIG).unwrap();
    }
    assert_eq!(held(&store, BIG), [0, 1, 9]);
    store.pin(delta(9, BIG).0).unwrap();
    assert!(matches!(add(&store, 10, BIG), Err(DeltaError::Budget { .. })));
    assert_eq!(held(&store, BIG), [0, 1, 9], "what does not fit evicts nothing");
    assert!(store.unpin(&delta(0, BIG).0).unwrap());
    assert!(!store.unpin(&delta(0, BIG).0).unwrap());
    add(&store, 10, BIG).unwrap();
    assert_eq!(held(&store, BIG), [1, 9, 10]);
    assert!(store.is_pinned(&delta(9, BIG).0));
}

#[test]
fn pins_are_bounded() {
    let dir = Scratch::new();
    let store = open(&dir, 1 << 20, 2);
    store.pin(delta(0, 1).0).unwrap();
    store.pin(delta(0, 1).0).unwrap();
    store.pin(delta(1, 1).0).unwrap();
    assert!(matches!(store.pin(delta(2, 1).0), Err(DeltaError::Pins { max: 2 })));
}

#[test]
fn what_a_crash_left_half_written_is_removed_at_the_start() {
    let dir = Scratch::new();
    let (id, bytes) = delta(1, 5_000);
    let (cut, whole) = delta(2, 5_000);
    fs::write(dir.path().join(format!("{id}.tmp")), &bytes[..4_000]).unwrap();
    fs::write(dir.path().join(format!("{id}.pld1")), b"").unwrap();
    fs::write(dir.path().join(format!("{cut}.pld1")), &whole[..4_000]).unwrap();
    fs::write(dir.path().join("notes.txt"), b"of the operator").unwrap();
    let store = open(&dir, 1 << 20, 10);
    assert_eq!((store.contains(&id), store.contains(&cut)), (false, true));
    // A file whose tail is gone has the right name and the wrong bytes: found out when read, and then replaced.
    assert_eq!(store.get(&cut).unwrap(), None);
    assert_eq!(store.usage(), (0, 0));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["notes.txt"]);
    assert!(store.add(cut, &whole).unwrap());
    assert_eq!(store.get(&cut).unwrap(), Some(whole));
}

#[test]
fn readers_and_writers_at_once_never_see_wrong_bytes() {
    let dir = Scratch::new();
    let store = open(&dir, 4 * 4_096, 100);
    thread::scope(|scope| {
        for worker in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..200_u8 {
                    let i = round.wrapping_mul(worker + 1) % 12;
                    let (id, bytes) = delta(i, 700);
                    store.add(id, &bytes).unwrap();
                    if let Some(found) = store.get(&id).unwrap() {
                        assert_eq!(found, bytes);
                    }
                }
            });
        }
    });
    let (files, bytes) = store.usage();
    assert_eq!((files, bytes), (4, 4 * 4_096));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn what_came_and_what_went_is_told_and_old_pins_are_given_up() {
    let dir = Scratch::new();
    let store = open(&dir, 2 * 4_096, 100);
    let mut changed = store.changed();
    let mut is_told = || {
        let told = changed.has_changed().unwrap();
        changed.mark_unchanged();
        told
    };
    let [(a, a_bytes), (b, b_bytes), (c, c_bytes)] = [1, 2, 3].map(|i| delta(i, 700));
    assert!(store.add(a, &a_bytes).unwrap() && is_told());
    assert!(!store.add(a, &a_bytes).unwrap() && !is_told());
    store.pin(a).unwrap();
    assert!(!store.remove(&a).unwrap(), "a pinned one stays");
    assert!(store.add(b, &b_bytes).unwrap() && store.add(c, &c_bytes).unwrap() && is_told());
    assert!(!store.contains(&b), "evicted");
    assert!(store.remove(&c).unwrap() && is_told() && !store.remove(&c).unwrap());
    assert_eq!(store.unpin_older(0).unwrap(), 0);
    let pin = fs::File::options().write(true).open(dir.path().join(format!("{a}.pin"))).unwrap();
    pin.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000)).unwrap();
    assert_eq!((store.unpin_older(1_000).unwrap(), store.unpin_older(1_001).unwrap()), (0, 1));
    assert!(store.remove(&a).unwrap());
}
