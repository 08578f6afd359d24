#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use pol_core::{
    ModelHead, UpdateId,
    record::{Announcement, RecordKey},
};
use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{CHAIN, NOW, Nothing, accept, accept_at, ack, cheap_ack, ed25519, identity, update, validators},
    scratch::Scratch,
    validators::ValidatorSet,
    verify::{Known as _, RESEAL_SECONDS, Standing, VerifiedRecord, VerifyError},
};

mod capacity;
mod faults;

fn open(dir: &Scratch) -> Store {
    Store::open(dir.path(), CHAIN, StoreLimits::default()).unwrap()
}

fn small(dir: &Scratch, change: impl FnOnce(&mut StoreLimits)) -> Store {
    let mut limits = StoreLimits::default();
    change(&mut limits);
    Store::open(dir.path(), CHAIN, limits).unwrap()
}

fn member_ack(member: u8, update: u8, root: u8) -> VerifiedRecord {
    let ack = ack(member, update, root);
    accept(&ack.key(), &ack.to_value(), &validators(9), &Nothing).unwrap()
}

#[test]
fn a_record_is_found_as_it_came_after_a_restart_and_until_it_dies() {
    let dir = Scratch::new();
    let record = member_ack(2, 7, 3);
    let store = open(&dir);
    assert_eq!(store.put(&record, Commit::Synced, NOW).unwrap(), Put::Inserted);
    assert_eq!(store.put(&record, Commit::Synced, NOW).unwrap(), Put::Duplicate);
    drop(store);
    let store = open(&dir);
    let found = store.get(record.key(), NOW + 3_599).unwrap().unwrap();
    assert_eq!((found.envelope.as_slice(), found.key), (record.envelope(), *record.key()));
    assert_eq!((found.standing, found.owner, found.conflicted), (Standing::Member, record.owner(), false));
    assert_eq!(found.value, ack(2, 7, 3).to_value());
    assert_eq!(store.get(record.key(), NOW + 3_600).unwrap(), None);
    assert_eq!(store.acks(UpdateId([7; 32]), 10, NOW + 3_600).unwrap(), []);
    assert_eq!(store.page(None, 10, NOW + 3_600).unwrap(), []);
    assert_eq!(store.put(&record, Commit::Lazy, NOW + 3_600).unwrap(), Put::Inserted, "a dead one is in nobody's way");
}

#[test]
fn a_directory_of_another_chain_another_schema_or_in_use_is_refused() {
    let dir = Scratch::new();
    let store = open(&dir);
    assert!(matches!(Store::open(dir.path(), CHAIN, StoreLimits::default()), Err(StoreError::Locked)));
    drop(store);
    let other = GenesisId([1; 32]);
    let error = Store::open(dir.path(), other, StoreLimits::default()).unwrap_err();
    assert!(matches!(error, StoreError::OtherGenesis { found: CHAIN, expected } if expected == other));
    assert!(!error.to_string().contains('\n'));
    let database = open_database(dir.path(), StoreLimits::default()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(layout::META).unwrap().insert("schema", 9_u64.to_le_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(dir.path(), CHAIN, StoreLimits::default()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 9, expected: layout::SCHEMA }));
}

#[test]
fn a_second_result_root_does_not_replace_the_first_and_both_are_evidence_once() {
    let dir = Scratch::new();
    let store = open(&dir);
    let (first, second, third) = (member_ack(2, 7, 3), member_ack(2, 7, 4), member_ack(2, 7, 5));
    store.put(&first, Commit::Synced, NOW).unwrap();
    assert_eq!(store.put(&second, Commit::Synced, NOW).unwrap(), Put::Conflict { new: true });
    assert_eq!(store.put(&second, Commit::Synced, NOW).unwrap(), Put::Conflict { new: false });
    assert_eq!(store.put(&third, Commit::Synced, NOW).unwrap(), Put::Conflict { new: false });
    let held = store.get(first.key(), NOW).unwrap().unwrap();
    assert_eq!((held.envelope.as_slice(), held.conflicted), (first.envelope(), true));
    let evidence = store.evidence(10).unwrap();
    let [both] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!((both.first.as_slice(), both.second.as_slice()), (first.envelope(), second.envelope()));
    assert_eq!(store.envelopes(first.key(), NOW).unwrap(), [first.envelope(), second.envelope()]);

    // Evidence outlives the record, until it is in a block.
    assert_eq!(store.sweep(NOW + 4_000, 10).unwrap(), 1);
    assert_eq!(store.evidence(10).unwrap().len(), 1);
    assert!(store.forget_evidence(both, NOW).unwrap());
    assert!(!store.forget_evidence(both, NOW).unwrap());
    assert_eq!(store.evidence(10).unwrap(), []);
}

#[test]
fn evidence_that_was_taken_is_not_news_again() {
    let dir = Scratch::new();
    let store = open(&dir);
    store.put(&member_ack(2, 7, 3), Commit::Lazy, NOW).unwrap();
    assert_eq!(store.put(&member_ack(2, 7, 4), Commit::Lazy, NOW).unwrap(), Put::Conflict { new: true });
    store.forget_evidence(&store.evidence(1).unwrap()[0], NOW).unwrap();
    assert_eq!(store.put(&member_ack(2, 7, 4), Commit::Lazy, NOW).unwrap(), Put::Conflict { new: false });
}

#[test]
fn a_lazy_put_is_on_disk_after_the_flush() {
    let (dir, copy) = (Scratch::new(), Scratch::new());
    let store = open(&dir);
    let record = member_ack(2, 7, 3);
    store.put(&record, Commit::Lazy, NOW).unwrap();
    store.flush(NOW).unwrap();
    // What a kill at this moment leaves behind.
    std::fs::copy(dir.path().join(DATABASE_FILE), copy.path().join(DATABASE_FILE)).unwrap();
    assert!(open(&copy).get(record.key(), NOW).unwrap().is_some());
}

#[test]
fn two_nodes_that_saw_a_conflict_in_another_order_agree_once_each_has_both() {
    let (here, there) = (Scratch::new(), Scratch::new());
    let (a, b) = (open(&here), open(&there));
    let (first, second) = (member_ack(2, 7, 3), member_ack(2, 7, 4));
    a.put(&first, Commit::Lazy, NOW).unwrap();
    b.put(&second, Commit::Lazy, NOW).unwrap();
    let differing: Vec<u8> = a.digest().unwrap().differing(&b.digest().unwrap()).collect();
    assert_eq!(differing, [layout::bucket(&first.key().to_bytes())]);
    a.put(&second, Commit::Lazy, NOW).unwrap();
    b.put(&first, Commit::Lazy, NOW).unwrap();
    assert_eq!(a.digest().unwrap(), b.digest().unwrap());
}

#[test]
fn evidence_is_bounded_in_all_and_per_validator() {
    let dir = Scratch::new();
    let store = small(&dir, |limits| (limits.evidence, limits.evidence_per_validator) = (3, 2));
    let mut kept = BTreeMap::new();
    for member in [1, 2] {
        for task in [7, 8, 9] {
            store.put(&member_ack(member, task, 3), Commit::Lazy, NOW).unwrap();
            let put = store.put(&member_ack(member, task, 4), Commit::Lazy, NOW).unwrap();
            *kept.entry(member).or_insert(0) += usize::from(put == Put::Conflict { new: true });
        }
    }
    assert_eq!(kept, BTreeMap::from([(1, 2), (2, 1)]));
    assert_eq!(store.evidence(10).unwrap().len(), 3);
}

#[test]
fn the_highest_sequence_of_an_identity_or_announcement_wins_in_any_order() {
    let set = validators(9);
    let id = |sequence| {
        let (key, value) = identity(2, &[1, 5], sequence);
        accept(&key, &value, &set, &Nothing).unwrap()
    };
    let dir = Scratch::new();
    let store = open(&dir);
    assert_eq!(store.put(&id(5), Commit::Lazy, NOW).unwrap(), Put::Inserted);
    assert_eq!(store.put(&id(4), Commit::Lazy, NOW).unwrap(), Put::Stale);
    assert_eq!(store.put(&id(6), Commit::Lazy, NOW).unwrap(), Put::Replaced);
    let ann = |size, sequence| {
        let announcement = Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), size, sequence };
        let key = RecordKey::ann(announcement.model_head, ed25519(1));
        accept(&key, &announcement.to_value(), &set, &store).unwrap()
    };
    assert_eq!(store.put(&ann(1, 2), Commit::Lazy, NOW).unwrap(), Put::Inserted);
    assert_eq!(store.put(&ann(1, 1), Commit::Lazy, NOW).unwrap(), Put::Stale);
    // One sequence twice: every node ends with the same one.
    let twins = [ann(10, 3), ann(11, 3)];
    let ends: Vec<Vec<u8>> = [[0, 1], [1, 0]]
        .into_iter()
        .map(|order| {
            let dir = Scratch::new();
            let other = open(&dir);
            for i in order {
                other.put(&twins[i], Commit::Lazy, NOW).unwrap();
            }
            other.get(twins[0].key(), NOW).unwrap().unwrap().envelope
        })
        .collect();
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_trainer_is_known_while_a_members_live_identity_names_it() {
    let (set, dir) = (validators(9), Scratch::new());
    let store = open(&dir);
    let put = |trainers: &[u8], sequence, set: &ValidatorSet| {
        let (key, value) = identity(2, trainers, sequence);
        let record = accept(&key, &value, set, &Nothing).unwrap();
        store.put(&record, Commit::Lazy, NOW).unwrap();
        record.owner()
    };
    let named = |i| store.validators_naming(&ed25519(i), NOW).unwrap();
    let owner = put(&[5], 1, &ValidatorSet::empty(crate::fixtures::domains()));
    assert_eq!(named(5), [], "an unverified identity names nobody");
    put(&[5, 6], 2, &set);
    assert_eq!((named(5), named(6)), (vec![owner], vec![owner]));
    put(&[6, 7], 3, &set);
    assert_eq!((named(5), named(6), named(7)), (vec![], vec![owner], vec![owner]));
    assert_eq!(store.validators_naming(&ed25519(6), NOW + 86_400).unwrap(), []);
    store.sweep(NOW + 86_400, 10).unwrap();
    assert_eq!(named(6), []);
}

#[test]
fn an_older_seal_cannot_shorten_a_life_and_a_newer_one_prolongs_it_without_being_news() {
    let (set, dir) = (validators(9), Scratch::new());
    let store = open(&dir);
    let ack = ack(2, 7, 3);
    let sealed = |at| accept_at((&ack.key(), &ack.to_value()), 1, at, &set, &Nothing, NOW).unwrap();
    assert_eq!(store.put(&sealed(NOW - 3_000), Commit::Lazy, NOW).unwrap(), Put::Inserted);
    let digest = store.digest().unwrap();
    assert_eq!(store.put(&sealed(NOW - 3_000 + RESEAL_SECONDS - 1), Commit::Lazy, NOW).unwrap(), Put::Duplicate);
    let put = store.put(&sealed(NOW), Commit::Lazy, NOW).unwrap();
    assert_eq!((put, put.is_news()), (Put::Resealed, false));
    assert_eq!(store.put(&sealed(NOW - 3_000), Commit::Lazy, NOW).unwrap(), Put::Duplicate);
    assert_eq!(store.get(&ack.key(), NOW).unwrap().unwrap().expires_at, NOW + 3_600);
    assert_eq!(store.digest().unwrap(), digest, "a digest names values, not envelopes");
    assert_eq!(store.sweep(NOW + 3_599, 10).unwrap(), 0);
    assert_eq!(store.sweep(NOW + 3_600, 10).unwrap(), 1);
}

#[test]
fn a_held_ack_is_known_before_its_signature_is_looked_at() {
    let (set, dir) = (validators(9), Scratch::new());
    let store = open(&dir);
    store.put(&member_ack(2, 7, 3), Commit::Lazy, NOW).unwrap();
    let ack = ack(2, 7, 3);
    assert_eq!(accept(&ack.key(), &ack.to_value(), &set, &store), Err(VerifyError::Known));
}

#[test]
fn unverified_records_are_promoted_when_the_validator_set_arrives() {
    let (dir, empty) = (Scratch::new(), ValidatorSet::empty(crate::fixtures::domains()));
    let store = open(&dir);
    let ack = ack(2, 7, 3);
    let unverified = accept(&ack.key(), &ack.to_value(), &empty, &store).unwrap();
    store.put(&unverified, Commit::Lazy, NOW).unwrap();
    assert_eq!(store.counts().unwrap(), (0, 1));
    let [waiting] = store.unverified(0, 10).unwrap().try_into().unwrap();
    let raw = crate::verify::RawRecord::new(&waiting.key.to_bytes(), &waiting.envelope).unwrap();
    let member = raw.open(CHAIN, NOW).unwrap().verify(&validators(9), &store, NOW).unwrap();
    assert_eq!(store.put(&member, Commit::Lazy, NOW).unwrap(), Put::Promoted);
    assert_eq!(store.put(&unverified, Commit::Lazy, NOW).unwrap(), Put::Duplicate);
    assert_eq!((store.counts().unwrap(), store.unverified(0, 10).unwrap().len()), ((1, 0), 0));
    assert!(store.remove(member.key(), NOW).unwrap());
    assert_eq!((store.counts().unwrap(), store.digest().unwrap().count()), ((0, 0), 0));
}

#[test]
fn acks_of_an_update_with_the_same_16_digits_are_told_apart_and_members_come_first() {
    let dir = Scratch::new();
    let store = open(&dir);
    let (mine, mut other) = (update(1), update(1));
    other.0[31] ^= 1;
    for validator in 0..30 {
        store.put(&cheap_ack(mine, validator, Standing::Unverified, NOW), Commit::Lazy, NOW).unwrap();
    }
    for validator in 100..110 {
        store.put(&cheap_ack(mine, validator, Standing::Member, NOW), Commit::Lazy, NOW).unwrap();
        store.put(&cheap_ack(other, validator + 100, Standing::Member, NOW), Commit::Lazy, NOW).unwrap();
    }
    let found = store.acks(mine, 15, NOW).unwrap();
    assert!(found.iter().all(|found| found.ack.data.update_id == mine));
    let members = found.iter().filter(|found| found.record.standing == Standing::Member).count();
    assert_eq!((found.len(), members), (15, 10));
    assert_eq!(store.acks(other, 100, NOW).unwrap().len(), 10);
    let same_key = cheap_ack(other, 100, Standing::Member, NOW);
    assert_eq!(store.put(&same_key, Commit::Lazy, NOW).unwrap(), Put::Collision);
}

#[test]
fn pages_and_buckets_list_every_record_once() {
    let dir = Scratch::new();
    let store = open(&dir);
    let records: Vec<VerifiedRecord> = (0..700).map(|i| cheap_ack(update(i), i, Standing::Member, NOW)).collect();
    store.put_all(&records, Commit::Lazy, NOW).unwrap();
    let mut keys: Vec<RecordKey> = records.iter().map(|record| *record.key()).collect();
    keys.sort_by_key(RecordKey::to_bytes);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(after.as_ref(), 64, NOW).unwrap();
        paged.extend(page.iter().map(|record| record.key));
        after = page.last().map(|record| record.key);
        if page.len() < 64 {
            break;
        }
    }
    assert_eq!(paged, keys);
    let mut listed = Vec::new();
    for bucket in 0..=255 {
        let mut after = None;
        loop {
            let page = store.digest_page(bucket, after.as_ref(), 2).unwrap();
            after = page.last().map(|(key, _)| *key);
            listed.extend(page.iter().map(|(key, _)| *key));
            if page.len() < 2 {
                break;
            }
        }
    }
    listed.sort_by_key(RecordKey::to_bytes);
    assert_eq!(listed, keys);
    assert_eq!(store.digest().unwrap().count(), 700);
}

#[test]
fn peers_are_remembered_over_restarts_and_bounded() {
    let dir = Scratch::new();
    let entry = |i: u64| PeerEntry {
        peer: libp2p::PeerId::random(),
        addresses: (0..12).map(|port| format!("/ip4/192.0.2.1/udp/{port}/quic-v1").parse().unwrap()).collect(),
        last_seen: i,
    };
    let peers: Vec<PeerEntry> = (0..PEERS_MAX + 10).map(entry).collect();
    open(&dir).remember_peers(&peers, NOW).unwrap();
    let found = open(&dir).peers().unwrap();
    assert_eq!(found.len(), usize::try_from(PEERS_MAX).unwrap());
    assert_eq!((found[0].peer, found[0].addresses.len()), (peers.last().unwrap().peer, PEER_ADDRESSES_MAX));
    assert!(found.iter().all(|peer| peer.last_seen >= 10), "those not seen for longest went");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn indices_and_digest_always_agree_with_the_records(
        steps in proptest::collection::vec((0..4_u8, 0..12_u64, 0..3_u64, any::<bool>()), 1..80),
    ) {
        let dir = Scratch::new();
        let store = small(&dir, |limits| (limits.members, limits.unverified, limits.per_validator) = (6, 4, 3));
        let mut now = NOW;
        for (what, task, validator, member) in steps {
            let standing = if member { Standing::Member } else { Standing::Unverified };
            let record = cheap_ack(update(task), validator, standing, now);
            match what {
                0 | 1 => drop(store.put(&record, Commit::Lazy, now).unwrap()),
                2 => drop(store.remove(record.key(), now).unwrap()),
                _ => {
                    now += 700;
                    store.sweep(now, 2).unwrap();
                }
            }
            let (members, unverified) = store.counts().unwrap();
            prop_assert!(members <= 6 && unverified <= 4);
            let all = store.page(None, 100, 0).unwrap();
            let count = |wanted| u64::try_from(all.iter().filter(|r| r.standing == wanted).count()).unwrap();
            prop_assert_eq!((count(Standing::Member), count(Standing::Unverified)), (members, unverified));
            for owner in all.iter().map(|record| record.owner) {
                let owned = all.iter().filter(|r| r.owner == owner && r.standing == Standing::Member).count();
                prop_assert!(owned <= 3);
            }
            let mut digest = [DigestBucket::default(); BUCKETS];
            for record in &all {
                let key = record.key.to_bytes();
                let bucket = &mut digest[usize::from(layout::bucket(&key))];
                bucket.count += 1;
                let entry = crate::verify::entry_hash(&record.key, &record.value);
                bucket.sum.iter_mut().zip(entry).for_each(|(to, from)| *to ^= from);
            }
            prop_assert_eq!(*store.digest().unwrap().0, digest);
        }
        while store.sweep(now + 4_000, 3).unwrap() == 3 {}
        prop_assert_eq!((store.counts().unwrap(), store.digest().unwrap().count()), ((0, 0), 0));
        prop_assert_eq!(store.unverified(0, 10).unwrap(), vec![]);
    }
}
