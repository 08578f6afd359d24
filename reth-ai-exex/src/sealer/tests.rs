#![allow(clippy::arithmetic_side_effects)]

use std::{sync::mpsc, thread};

use alloy_primitives::{B256, U256};
use pol_core::{GenesisId, UpdateId, seal::verify};
use pol_kit::clock::{Manual, System};

use super::*;
use crate::{
    fixtures::{FLOOR, chain, draft, genesis, sealer},
    header,
};

fn job(salt: u8) -> SealJob {
    let parent = genesis();
    let draft = alloy_consensus::Header { beneficiary: [salt; 20].into(), ..draft(&parent, 1) };
    SealJob::new(draft, parent.hash_slow(), &parent, UpdateId([salt; 32]), chain().difficulty()).unwrap()
}

/// A job that no search of this age of the universe ends.
fn hopeless() -> SealJob {
    let rule = pol_core::difficulty::DifficultyRule::new(6, (1 << 62) - 1).unwrap();
    let parent = alloy_consensus::Header { difficulty: U256::from(rule.ceiling()), ..genesis() };
    SealJob::new(draft(&parent, 1), parent.hash_slow(), &parent, UpdateId::ZERO, &rule).unwrap()
}

#[test]
fn a_sealed_block_passes_every_rule_and_carries_its_own_hash() {
    let parent = genesis();
    let block = sealer(2).seal(job(9), &Cancel::new()).unwrap();
    let checked = header::check_child(block.header(), parent.hash_slow(), &parent, chain().difficulty());
    assert_eq!(checked, Ok(UpdateId([9; 32])));
    assert_eq!((block.hash(), block.difficulty()), (block.header().hash_slow(), FLOOR));
    assert!(block.hashes() > 0);
}

#[test]
fn the_same_job_gives_the_same_block_whatever_the_number_of_threads() {
    let sealers = [1, 2, 3, 8].map(sealer);
    for salt in 0..40 {
        let blocks = sealers.each_ref().map(|sealer| sealer.seal(job(salt), &Cancel::new()).unwrap().into_parts());
        assert!(blocks.iter().all(|block| *block == blocks[0]), "job {salt}");
        let core = header::to_core(&blocks[0].0).unwrap();
        let lower = (0..core.nonce).find(|nonce| verify(&core.seal_hash(), *nonce, core.difficulty).is_ok());
        assert_eq!(lower, None, "job {salt}: a lower nonce is valid too");
    }
}

#[test]
fn whatever_stands_in_a_drafts_difficulty_nonce_and_extra_data_does_not_matter() {
    let parent = genesis();
    let noisy = alloy_consensus::Header {
        difficulty: U256::MAX,
        nonce: 7_u64.into(),
        extra_data: vec![1; 300].into(),
        ..draft(&parent, 1)
    };
    let clean = SealJob::new(draft(&parent, 1), parent.hash_slow(), &parent, UpdateId::ZERO, chain().difficulty());
    assert_eq!(SealJob::new(noisy, parent.hash_slow(), &parent, UpdateId::ZERO, chain().difficulty()), clean);
}

#[test]
fn a_draft_that_no_rule_accepts_makes_no_job() {
    let parent = genesis();
    let make = |draft| SealJob::new(draft, parent.hash_slow(), &parent, UpdateId::ZERO, chain().difficulty()).unwrap_err();
    let good = draft(&parent, 1);
    let stranger = alloy_consensus::Header { parent_hash: B256::repeat_byte(3), ..good.clone() };
    assert!(matches!(make(stranger), JobError::Parent { .. }));
    let early = alloy_consensus::Header { timestamp: parent.timestamp, ..good.clone() };
    assert!(matches!(make(early), JobError::Difficulty(_)));
    let between = alloy_consensus::Header { timestamp: parent.timestamp + 1, ..good.clone() };
    assert!(matches!(make(between), JobError::Difficulty(_)));
    let shanghai = alloy_consensus::Header { blob_gas_used: None, ..good };
    assert!(matches!(make(shanghai), JobError::Header(_)));
}

#[test]
fn a_machine_too_slow_for_the_chain_gets_no_sealer_and_is_told_what_it_needs() {
    let fast = chain().genesis_hash();
    let chain = Chain::new(GenesisId::ZERO, fast, 0, 1, 1 << 50).unwrap();
    let refused = Sealer::start(NonZeroUsize::MIN, &chain, Arc::new(System::new()), Metrics::new()).unwrap_err();
    assert_eq!((refused.needed, refused.threads, refused.floor), (276 << 50, 1, 1 << 50));
    assert!(refused.rate > 0 && refused.to_string().contains("more threads"), "{refused}");
}

#[test]
fn a_clock_that_stands_still_measures_no_rate_and_ends() {
    let stopped = Sealer::start(NonZeroUsize::MIN, &chain(), Arc::new(Manual::at(1)), Metrics::new());
    assert_eq!(stopped.unwrap_err().rate, 0);
}

#[test]
fn a_search_ends_soon_after_it_is_cancelled() {
    let (sealer, cancel) = (sealer(2), Cancel::new());
    let (send, receive) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(|| send.send(sealer.seal(hopeless(), &cancel)).unwrap());
        assert!(receive.recv_timeout(Duration::from_millis(20)).is_err(), "it ended by itself");
        cancel.cancel();
        assert_eq!(receive.recv_timeout(Duration::from_secs(5)), Ok(Err(SealError::Cancelled)));
    });
    assert_eq!(sealer.statistics().cancelled, 1);
    assert_eq!(sealer.seal(job(1), &cancel), Err(SealError::Cancelled), "the switch stays on");
    assert!(sealer.seal(job(1), &Cancel::new()).is_ok(), "the next one has its turn");
}

#[test]
fn a_search_that_nobody_wants_any_more_ends() {
    let (sealer, wanted) = (sealer(1), AtomicBool::new(true));
    thread::scope(|scope| {
        let search = scope.spawn(|| sealer.seal_while(hopeless(), || wanted.load(Ordering::Relaxed)));
        thread::sleep(Duration::from_millis(20));
        assert!(!search.is_finished(), "it ended by itself");
        wanted.store(false, Ordering::Relaxed);
        assert_eq!(search.join().unwrap(), Err(SealError::Cancelled));
    });
    assert!(sealer.seal_while(job(1), || true).is_ok());
    assert_eq!(sealer.seal_while(hopeless(), || false), Err(SealError::Cancelled));
}

#[test]
fn searches_wait_for_their_turn_and_not_too_many_of_them() {
    let sealer = sealer(1);
    let (first, others) = (Cancel::new(), Cancel::new());
    let (send, receive) = mpsc::sync_channel(64);
    thread::scope(|scope| {
        let seal = |cancel: &Cancel| {
            let (sealer, cancel, send) = (sealer.clone(), cancel.clone(), send.clone());
            scope.spawn(move || send.send(sealer.seal(hopeless(), &cancel)).unwrap());
        };
        seal(&first);
        for _ in 0..limits::SEALS_WAITING + 6 {
            seal(&others);
        }
        // Only those beyond the bound end; whichever search has the turn, the others wait.
        for _ in 0..6 {
            assert_eq!(receive.recv_timeout(Duration::from_secs(5)), Ok(Err(SealError::Busy)));
        }
        assert!(receive.recv_timeout(Duration::from_millis(20)).is_err());
        first.cancel();
        others.cancel();
        for _ in 0..=limits::SEALS_WAITING {
            assert_eq!(receive.recv_timeout(Duration::from_secs(5)), Ok(Err(SealError::Cancelled)));
        }
    });
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_search_along() {
    let sealer = sealer(1);
    let cancel = Cancel::new();
    let search = sealer.seal_async(hopeless(), &cancel);
    assert!(tokio::time::timeout(Duration::from_millis(20), search).await.is_err());
    assert!(cancel.is_cancelled());
    let block = sealer.seal_async(job(3), &Cancel::new()).await.unwrap();
    assert_eq!(block.update_id(), UpdateId([3; 32]));
}

#[test]
fn statistics_count_what_was_sealed() {
    let sealer = sealer(1);
    let blocks = [1, 2, 3].map(|salt| sealer.seal(job(salt), &Cancel::new()).unwrap());
    let statistics = sealer.statistics();
    assert_eq!((statistics.sealed, statistics.cancelled, statistics.last_difficulty), (3, 0, FLOOR));
    assert_eq!(statistics.hashes, blocks.iter().map(SealedBlock::hashes).sum::<u64>());
    assert_eq!(statistics.time, blocks.iter().map(SealedBlock::took).sum::<Duration>());
    assert_eq!(statistics.last, blocks[2].took());
}
