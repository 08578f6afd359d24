#![allow(clippy::arithmetic_side_effects)]

mod faults;
mod follow;

use alloy_primitives::B256;
use pol_core::{UpdateId, model_head};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::fixtures::{chain, log_block, run};

fn open(directory: &TempDir) -> ModelLog {
    ModelLog::open(directory.path(), &chain(), Metrics::new()).unwrap()
}

fn fresh() -> (TempDir, ModelLog) {
    let directory = tempdir().unwrap();
    let log = open(&directory);
    (directory, log)
}

/// Everything that the log says, to compare two.
fn dump(log: &ModelLog) -> (Vec<Entry>, Vec<Entry>, u64) {
    let snapshot = log.snapshot().unwrap();
    let blocks = (0..=snapshot.tip().block.number).map(|number| snapshot.block(number).unwrap().unwrap()).collect();
    (blocks, snapshot.updates(0..=u64::MAX, usize::MAX).unwrap(), snapshot.finalized().block.number)
}

/// What the log must say after these blocks, from pol-core's rule alone.
fn expected_head(blocks: &[LogBlock]) -> pol_core::ModelHead {
    model_head::fold(chain().genesis_head(), blocks.iter().map(|block| block.update_id))
}

#[test]
fn a_new_log_stands_at_genesis_with_the_chains_own_head() {
    let (_directory, log) = fresh();
    for entry in [log.tip(), log.finalized()] {
        assert_eq!((entry.block.number, entry.block.hash), (0, chain().genesis_hash()));
        assert_eq!((entry.model_head, entry.updates), (chain().genesis_head(), 0));
    }
}

#[test]
fn the_head_is_folded_from_the_blocks_and_every_update_is_found() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 30, 1);
    log.commit(&blocks).unwrap();
    assert_eq!(log.tip().model_head, expected_head(&blocks));
    assert_eq!((log.tip().block, log.tip().updates), (blocks[29].block, 10));
    let snapshot = log.snapshot().unwrap();
    for (i, block) in blocks.iter().enumerate() {
        let entry = snapshot.block(block.block.number).unwrap().unwrap();
        assert_eq!((entry.block, entry.update_id, entry.timestamp), (block.block, block.update_id, block.timestamp));
        assert_eq!(entry.model_head, expected_head(&blocks[..=i]));
        if !block.update_id.is_zero() {
            assert_eq!(snapshot.by_id(&block.update_id).unwrap(), [entry]);
        }
    }
    let updates = snapshot.updates(0..=u64::MAX, 100).unwrap();
    assert_eq!(updates.iter().map(|entry| entry.updates).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert_eq!(snapshot.updates(4..=9, 100).unwrap().len(), 2);
    assert_eq!(snapshot.updates(0..=u64::MAX, 3).unwrap(), updates[..3]);
    assert_eq!((snapshot.block(31).unwrap(), snapshot.by_id(&UpdateId([0xee; 32])).unwrap()), (None, vec![]));
}

#[test]
fn saying_something_twice_changes_nothing() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 12, 1);
    log.commit(&blocks).unwrap();
    log.finalize(blocks[5].block).unwrap();
    let before = dump(&log);
    let (_, mut events) = log.snapshot_and_events().unwrap();
    log.commit(&blocks).unwrap();
    log.commit(&blocks[3..7]).unwrap();
    log.commit(&[]).unwrap();
    log.revert(log.tip().block).unwrap();
    log.finalize(blocks[5].block).unwrap();
    log.finalize(blocks[2].block).unwrap();
    assert_eq!(dump(&log), before);
    assert!(events.try_recv().is_err(), "nothing happened, and something was told");
}

#[test]
fn a_revert_takes_back_exactly_what_lies_above() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 12, 1);
    log.commit(&blocks[..7]).unwrap();
    let before = dump(&log);
    log.commit(&blocks[7..]).unwrap();
    log.revert(blocks[6].block).unwrap();
    assert_eq!(dump(&log), before);
    assert_eq!(log.snapshot().unwrap().by_id(&blocks[8].update_id).unwrap(), []);
    log.commit(&blocks[7..]).unwrap();
    assert_eq!(log.tip().model_head, expected_head(&blocks));
}

#[test]
fn a_run_on_another_branch_is_a_reorg() {
    let (_directory, log) = fresh();
    let trunk = run(log.tip().block, 10, 1);
    log.commit(&trunk).unwrap();
    let branch = run(trunk[5].block, 2, 2);
    let (_, mut events) = log.snapshot_and_events().unwrap();
    log.commit(&branch).unwrap();
    let chain: Vec<_> = trunk[..6].iter().chain(&branch).copied().collect();
    assert_eq!((log.tip().block, log.tip().model_head), (branch[1].block, expected_head(&chain)));
    assert!(matches!(events.try_recv(), Ok(LogEvent::Reverted(to)) if to.block == trunk[5].block));
    assert_eq!(log.snapshot().unwrap().by_id(&trunk[8].update_id).unwrap(), []);
}

#[test]
fn a_run_with_a_gap_or_on_a_stranger_is_refused_whole() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 10, 1);
    log.commit(&blocks[..4]).unwrap();
    let before = dump(&log);
    let holed = [blocks[4], blocks[6]];
    let strange = run(log_block(3, 9, B256::ZERO, 0).block, 3, 1);
    let genesis = [log_block(0, 9, B256::ZERO, 0)];
    for wrong in [&blocks[5..], &holed[..], &strange, &genesis] {
        assert!(matches!(log.commit(wrong), Err(LogError::Gap { .. })));
        assert_eq!(dump(&log), before, "half of a run was taken");
    }
}

#[test]
fn what_is_final_is_never_reverted() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 10, 1);
    log.commit(&blocks).unwrap();
    log.finalize(blocks[6].block).unwrap();
    let before = dump(&log);
    assert!(matches!(log.revert(blocks[5].block), Err(LogError::BelowFinality { found: 6, finalized: 7 })));
    let branch = run(blocks[5].block, 1, 2);
    assert!(matches!(log.commit(&branch), Err(LogError::BelowFinality { .. })));
    assert_eq!(dump(&log), before);
    log.revert(blocks[6].block).unwrap();
    assert_eq!(log.tip(), log.finalized());
}

#[test]
fn blocks_that_the_log_does_not_have_cannot_become_final() {
    let (_directory, log) = fresh();
    let blocks = run(log.tip().block, 5, 1);
    log.commit(&blocks[..3]).unwrap();
    assert!(matches!(log.finalize(blocks[4].block), Err(LogError::NotCanonical { expected: None, .. })));
    let stranger = log_block(2, 9, B256::ZERO, 0).block;
    assert!(matches!(log.finalize(stranger), Err(LogError::NotCanonical { expected: Some(_), .. })));
    assert!(matches!(log.revert(stranger), Err(LogError::NotCanonical { .. })));
    assert_eq!(log.finalized().block.number, 0);
}

#[test]
fn an_update_that_a_quorum_lets_in_twice_moves_the_head_twice() {
    let (_directory, log) = fresh();
    let genesis = log.tip().block;
    let one = log_block(1, 1, genesis.hash, 9);
    let two = log_block(2, 1, one.block.hash, 9);
    log.commit(&[one, two]).unwrap();
    assert_eq!(log.snapshot().unwrap().by_id(&UpdateId([9; 32])).unwrap().len(), 2);
    log.revert(one.block).unwrap();
    assert_eq!(log.snapshot().unwrap().by_id(&UpdateId([9; 32])).unwrap().len(), 1);
}

#[test]
fn a_restart_finds_everything_and_events_begin_anew() {
    let (directory, log) = fresh();
    let blocks = run(log.tip().block, 20, 1);
    log.commit(&blocks).unwrap();
    log.finalize(blocks[9].block).unwrap();
    let (before, finalized) = (dump(&log), log.finalized());
    drop(log);
    let log = open(&directory);
    assert_eq!((dump(&log), log.finalized()), (before, finalized));
}

#[test]
fn a_log_of_another_chain_or_in_use_is_refused() {
    let (directory, log) = fresh();
    let again = ModelLog::open(directory.path(), &chain(), Metrics::new());
    assert!(matches!(again, Err(LogError::Database(DatabaseError::Locked))), "{again:?}");
    drop(log);
    let other = Chain::new(pol_core::GenesisId([0x22; 32]), chain().genesis_hash(), 1, 6, 1).unwrap();
    let error = ModelLog::open(directory.path(), &other, Metrics::new()).unwrap_err();
    assert!(matches!(error, LogError::OtherChain { name: "genesis id", .. }), "{error}");
    let other = Chain::new(chain().genesis_id(), B256::ZERO, 1, 6, 1).unwrap();
    let error = ModelLog::open(directory.path(), &other, Metrics::new()).unwrap_err();
    assert!(matches!(error, LogError::OtherChain { name: "genesis block", .. }), "{error}");
    assert_eq!(open(&directory).tip().block.number, 0);
}

#[test]
fn listeners_hear_of_updates_reverts_and_finality_in_order() {
    let (_directory, log) = fresh();
    let (snapshot, mut events) = log.snapshot_and_events().unwrap();
    assert_eq!(snapshot.tip().block.number, 0);
    let blocks = run(log.tip().block, 6, 1);
    log.commit(&blocks).unwrap();
    log.finalize(blocks[2].block).unwrap();
    log.revert(blocks[4].block).unwrap();
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        heard.push(match event {
            LogEvent::Update(entry) => ("update", entry.block.number),
            LogEvent::Reverted(entry) => ("reverted", entry.block.number),
            LogEvent::Finalized(entry) => ("finalized", entry.block.number),
        });
    }
    assert_eq!(heard, [("update", 3), ("update", 6), ("finalized", 3), ("reverted", 5)]);
}

// A story: a run (0) of some length and fork, a revert (1) or a mark of finality (other), so many blocks back from the head.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn after_any_story_the_log_is_what_a_fresh_one_would_be(story in proptest::collection::vec((0..3_u8, 0..12_u64, 1..12_u64, 0..3_u8), 1..12)) {
        let (_directory, log) = fresh();
        let mut chain: Vec<LogBlock> = Vec::new();
        let mut finalized = 0_usize;
        for (what, back, length, fork) in story {
            let at = chain.len().saturating_sub(usize::try_from(back).unwrap()).max(finalized);
            let on = at.checked_sub(1).map_or(BlockNumHash::new(0, crate::fixtures::chain().genesis_hash()), |i| chain[i].block);
            match what {
                0 => {
                    let blocks = run(on, length, fork);
                    log.commit(&blocks).unwrap();
                    let same = blocks.iter().zip(&chain[at..]).take_while(|(new, old)| new == old).count();
                    if same < blocks.len() {
                        chain.truncate(at);
                        chain.extend(blocks);
                    }
                }
                1 => {
                    log.revert(on).unwrap();
                    chain.truncate(at);
                }
                _ => {
                    log.finalize(on).unwrap();
                    finalized = finalized.max(at);
                }
            }
        }
        let (_other, fresh) = fresh();
        fresh.commit(&chain).unwrap();
        if let Some(last) = finalized.checked_sub(1) {
            fresh.finalize(chain[last].block).unwrap();
        }
        prop_assert_eq!(dump(&log), dump(&fresh));
        prop_assert_eq!(log.tip().model_head, expected_head(&chain));
    }
}
