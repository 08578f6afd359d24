#![allow(clippy::arithmetic_side_effects)]

use core::time::Duration;

use alloy_primitives::Bytes;
use pol_core::{UpdateId, wire::WireError};
use pol_kit::clock::Manual;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{GENESIS_TIME, SLOT, certificate, chain};

const PARENT: B256 = B256::repeat_byte(7);
/// The clock's slot at the beginning of each test.
const NOW: u64 = 100;

fn register(mode: Mode) -> (Register, Arc<Manual>) {
    let clock = Arc::new(Manual::at(GENESIS_TIME + NOW * SLOT + 1));
    (Register::new(chain(), clock.clone(), mode, Metrics::new()), clock)
}

fn push(slot: u64, update: u8) -> Push {
    let certificate = if update == 0 { Bytes::new() } else { certificate() };
    Push { parent_hash: PARENT, slot, update_id: UpdateId([update; 32]), certificate }
}

fn timestamp(slot: u64) -> u64 {
    GENESIS_TIME + slot * SLOT
}

fn chosen(register: &Register, slot: u64) -> Option<u8> {
    let choice = register.choose(PARENT, timestamp(slot));
    choice.candidate.map(|candidate| candidate.update_id().0[0])
}

#[test]
fn a_candidate_is_chosen_for_its_parent_and_slot_and_for_no_other() {
    let (register, _) = register(Mode::Enabled);
    assert_eq!(register.push(&push(NOW + 1, 9)), Ok(Pushed::Held));
    assert_eq!(chosen(&register, NOW + 1), Some(9));
    assert_eq!([NOW, NOW + 2].map(|slot| chosen(&register, slot)), [None, None]);
    assert_eq!(register.choose(B256::repeat_byte(8), timestamp(NOW + 1)).candidate, None);
    let held = register.held(PARENT, NOW + 1).unwrap();
    assert_eq!((held.certificate(), held.slot(), held.parent_hash()), (&certificate(), NOW + 1, PARENT));
    assert_eq!(register.all().len(), 1);
}

#[test]
fn the_last_push_for_a_parent_and_slot_counts() {
    let (register, _) = register(Mode::Enabled);
    for update in [1, 2, 3] {
        register.push(&push(NOW, update)).unwrap();
    }
    assert_eq!(chosen(&register, NOW), Some(3));
    assert_eq!(register.all().len(), 1);
}

#[test]
fn the_zero_id_clears_and_every_clear_is_a_new_generation() {
    let (register, _) = register(Mode::Enabled);
    register.push(&push(NOW, 9)).unwrap();
    let with = register.choose(PARENT, timestamp(NOW));
    assert_eq!(register.push(&push(NOW, 0)), Ok(Pushed::Cleared));
    let without = register.choose(PARENT, timestamp(NOW));
    assert_eq!((without.candidate.clone(), without.generation != with.generation), (None, true));
    assert_eq!(register.push(&push(NOW, 0)), Ok(Pushed::Cleared));
    assert_ne!(register.choose(PARENT, timestamp(NOW)).generation, without.generation, "a clear always rebuilds");
    assert_eq!(register.all(), []);
}

#[test]
fn a_candidate_expires_with_its_slot() {
    let (register, clock) = register(Mode::Enabled);
    register.push(&push(NOW, 9)).unwrap();
    clock.advance(Duration::from_secs(SLOT - 2));
    assert_eq!(chosen(&register, NOW), Some(9), "the last second of the slot");
    clock.advance(Duration::from_secs(1));
    assert_eq!(chosen(&register, NOW), None);
    assert_eq!((register.held(PARENT, NOW), register.all().len()), (None, 0));
    assert_eq!(register.push(&push(NOW, 9)), Err(CandidateError::Expired { found: NOW, now: NOW + 1 }));
}

#[test]
fn a_candidate_far_ahead_of_the_clock_is_refused() {
    let (register, _) = register(Mode::Enabled);
    let most = NOW + limits::CANDIDATE_SLOTS_AHEAD;
    assert_eq!(register.push(&push(most, 9)), Ok(Pushed::Held));
    for found in [most + 1, u64::MAX] {
        assert_eq!(register.push(&push(found, 9)), Err(CandidateError::Early { found, most }));
    }
}

#[test]
fn what_cannot_stand_behind_the_80_bytes_is_refused_and_leaves_what_is_held() {
    let (register, _) = register(Mode::Enabled);
    register.push(&push(NOW, 9)).unwrap();
    let with = |update, certificate: &[u8]| Push { certificate: certificate.to_vec().into(), ..push(NOW, update) };
    let missing = register.push(&with(1, &[])).unwrap_err();
    assert!(matches!(missing, CandidateError::Wire(WireError::CertificateMissing { .. })), "{missing}");
    let stray = register.push(&with(0, &certificate())).unwrap_err();
    assert!(matches!(stray, CandidateError::Wire(WireError::CertificateWithoutUpdate { .. })), "{stray}");
    for length in [1, 80, 130, 195, 432, 433, 16_000] {
        let error = register.push(&with(1, &vec![0; length])).unwrap_err();
        assert_eq!(error.reason(), "malformed", "{length}: {error}");
    }
    // A length that some committee has, and n of another one.
    let error = register.push(&with(1, &[0; 131])).unwrap_err();
    assert!(matches!(error, CandidateError::Certificate(_)), "{error}");
    assert_eq!(chosen(&register, NOW), Some(9));
}

#[test]
fn a_flood_pushes_out_its_own_oldest_and_the_last_one_stands() {
    let (register, _) = register(Mode::Enabled);
    let parents = (0..1_000_u16).map(|i| {
        let mut parent = B256::ZERO;
        parent.0[..2].copy_from_slice(&i.to_be_bytes());
        parent
    });
    for parent_hash in parents.clone() {
        register.push(&Push { parent_hash, ..push(NOW + 1, 9) }).unwrap();
    }
    assert_eq!(register.all().len(), limits::CANDIDATES);
    let held: Vec<_> = parents.filter(|parent| register.held(*parent, NOW + 1).is_some()).collect();
    assert_eq!(held.len(), limits::CANDIDATES);
    assert_eq!(held.last().unwrap().0[..2], 999_u16.to_be_bytes());
}

#[test]
fn in_dry_run_candidates_are_held_and_blocks_stay_empty() {
    let (register, _) = register(Mode::DryRun);
    assert_eq!(register.push(&push(NOW, 9)), Ok(Pushed::DryRun));
    assert_eq!(chosen(&register, NOW), None);
    assert!(register.held(PARENT, NOW).is_some());
    assert_eq!(register.set_mode(Mode::Enabled), Mode::DryRun);
    assert_eq!(chosen(&register, NOW), Some(9));
}

#[test]
fn disabled_refuses_candidates_takes_clears_and_empties_blocks() {
    let (register, _) = register(Mode::Enabled);
    register.push(&push(NOW, 9)).unwrap();
    register.set_mode(Mode::Disabled);
    assert_eq!(chosen(&register, NOW), None);
    assert_eq!(register.push(&push(NOW, 8)), Err(CandidateError::Disabled));
    assert_eq!(register.push(&push(NOW, 0)), Ok(Pushed::Cleared));
    register.set_mode(Mode::Enabled);
    assert_eq!(chosen(&register, NOW), None);
}

#[test]
fn a_mode_is_known_by_its_name_and_no_other() {
    for mode in Mode::ALL {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    for name in ["", "Enabled", "dry-run", "off", "enabled "] {
        assert_eq!(name.parse::<Mode>(), Err(UnknownMode));
    }
}

#[tokio::test]
async fn a_payload_job_wakes_at_a_push_a_clear_and_a_change_of_mode() {
    let (register, _) = register(Mode::Enabled);
    let built = register.choose(PARENT, timestamp(NOW)).generation;
    type Change = fn(&Register);
    let changes: [(Change, bool); 4] = [
        (|register| drop(register.push(&push(NOW, 9))), true),
        (|register| drop(register.push(&push(NOW, 0))), false),
        (|register| drop(register.push(&push(NOW, 7))), true),
        (|register| assert_eq!(register.set_mode(Mode::DryRun), Mode::Enabled), false),
    ];
    let mut last = built;
    for (change, is_there) in changes {
        let (next, ()) = tokio::join!(register.next_choice(PARENT, timestamp(NOW), last), async { change(&register) });
        assert_eq!(next.candidate.is_some(), is_there);
        last = next.generation;
    }
}

#[tokio::test]
async fn a_payload_job_sleeps_through_what_does_not_concern_it() {
    let (register, _) = register(Mode::Enabled);
    register.push(&push(NOW, 9)).unwrap();
    let built = register.choose(PARENT, timestamp(NOW)).generation;
    let waiting = register.next_choice(PARENT, timestamp(NOW), built);
    let other = async {
        register.push(&push(NOW + 1, 8)).unwrap();
        register.push(&Push { parent_hash: B256::ZERO, ..push(NOW, 8) }).unwrap();
        register.set_mode(Mode::Enabled);
        assert!(register.push(&push(NOW - 1, 8)).is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    tokio::select! {
        choice = waiting => panic!("woken for {choice:?}"),
        () = other => {}
    }
}

#[tokio::test]
async fn a_push_between_choosing_and_waiting_is_not_missed() {
    let (register, _) = register(Mode::Enabled);
    let built = register.choose(PARENT, timestamp(NOW)).generation;
    register.push(&push(NOW, 9)).unwrap();
    let choice = register.next_choice(PARENT, timestamp(NOW), built).await;
    assert_eq!(choice.candidate.unwrap().update_id(), UpdateId([9; 32]));
}

proptest! {
    #[test]
    fn no_push_makes_the_register_panic_or_grow(
        pushes in proptest::collection::vec((any::<[u8; 32]>(), 95..110_u64, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let (register, _) = register(Mode::Enabled);
        for (parent, slot, update, bytes) in pushes {
            let raw = Push { parent_hash: parent.into(), slot, update_id: UpdateId([update; 32]), certificate: bytes.into() };
            let _ = register.push(&raw);
            let _ = register.push(&Push { certificate: certificate(), ..raw });
            prop_assert!(register.all().len() <= limits::CANDIDATES);
        }
    }
}
