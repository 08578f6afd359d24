use alloy_eips::BlockHashOrNumber;
use alloy_primitives::{Address, B256};

use super::*;
use crate::fixtures::{child, genesis, sealer};

fn open(directory: &Path, history: History) -> Chain {
    Chain::open(directory, genesis(), history, Metrics::new()).unwrap()
}

fn heads(head: B256, finalized: Option<B256>) -> HeadsRequest {
    HeadsRequest { head, safe: finalized, finalized }
}

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// A run of blocks, the one three behind final each time.
fn grow(chain: &Chain, blocks: u64) -> Vec<B256> {
    grow_saying(chain, blocks, 1)
}

/// The same, with every choice of heads made so many times, as consensus clients do.
fn grow_saying(chain: &Chain, blocks: u64, times: usize) -> Vec<B256> {
    let sealer = sealer(chain.genesis());
    let mut run = vec![chain.head().data.hash];
    for _ in 0..blocks {
        let head = chain.head();
        let block = child(chain, &sealer, &head, address(head.number_hash().number + 1));
        let hash = block.hash();
        assert_eq!(chain.import(block).unwrap(), Imported::New);
        run.push(hash);
        let finalized = run.len().checked_sub(4).map(|index| run[index]);
        for _ in 0..times {
            chain.set_heads(heads(hash, finalized)).unwrap();
        }
    }
    run
}

/// The states that can be asked for are the right ones.
fn check_states(chain: &Chain, kept: core::ops::RangeInclusive<u64>) {
    let head = chain.head().number_hash().number;
    for number in 0..=head {
        match chain.state(BlockHashOrNumber::Number(number)) {
            Ok((block, state)) => {
                assert!(kept.contains(&number), "{number} is kept");
                assert_eq!(state.root(), block.block.header.state_root, "{number}");
                assert_eq!(state.fields(&address(number + 1)).balance.to::<u64>(), 0);
                assert_eq!(state.fields(&address(number)).balance.to::<u64>(), if number == 0 { 0 } else { 1_000_000_000 });
            }
            Err(ReadError::NoState { .. }) => assert!(!kept.contains(&number), "{number} is gone"),
            Err(error) => panic!("{number}: {error}"),
        }
    }
}

#[test]
fn old_states_fold_into_the_anchor_and_a_reopened_chain_has_the_same_ones() {
    let directory = tempfile::tempdir().unwrap();
    let history = History { blocks: 8, touched: usize::MAX };
    let chain = open(directory.path(), history);
    let run = grow(&chain, 30);
    check_states(&chain, 22..=30);
    drop(chain);
    let chain = open(directory.path(), history);
    assert_eq!((chain.head().data.hash, chain.finalized().hash), (run[30], run[27]));
    check_states(&chain, 22..=30);
    grow(&chain, 3);
    check_states(&chain, 25..=33);
    assert_eq!(chain.canonical_block(1).unwrap().unwrap().hash, run[1], "blocks stay for ever");
}

#[test]
fn a_state_that_touches_much_is_forgotten_earlier() {
    let directory = tempfile::tempdir().unwrap();
    // Each block touches four: the account paid, the contract of beacon roots and two of its slots.
    let chain = open(directory.path(), History { blocks: 1_000, touched: 40 });
    grow(&chain, 30);
    let oldest = (0..=30).find(|number| chain.state(BlockHashOrNumber::Number(*number)).is_ok()).unwrap();
    assert!((15..=27).contains(&oldest), "{oldest}");
    check_states(&chain, oldest..=30);
}

#[test]
fn a_choice_of_heads_that_is_repeated_leaves_memory_and_disk_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let history = History { blocks: 1_000, touched: 40 };
    let kept = |chain: &Chain| {
        let head = chain.head().number_hash().number;
        (0..=head).find(|number| chain.state(BlockHashOrNumber::Number(*number)).is_ok()).unwrap()
    };
    let chain = open(directory.path(), history);
    grow_saying(&chain, 30, 2);
    let oldest = kept(&chain);
    check_states(&chain, oldest..=30);
    drop(chain);
    let chain = open(directory.path(), history);
    assert_eq!(kept(&chain), oldest, "the disk folded what memory did");
    check_states(&chain, oldest..=30);
    grow_saying(&chain, 30, 2);
    drop(chain);
    let chain = open(directory.path(), history);
    check_states(&chain, kept(&chain)..=60);
}

#[test]
fn a_block_of_a_losing_branch_is_gone_after_finality_and_cannot_be_built_on() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), History::default());
    let run = grow(&chain, 2);
    let (sealer, base) = (sealer(chain.genesis()), chain.executed(&run[1]).unwrap());
    let loser = child(&chain, &sealer, &base, address(99));
    let (loser_hash, again) = (loser.hash(), loser.clone());
    assert_eq!(chain.import(loser).unwrap(), Imported::New);
    assert_eq!(chain.import(again.clone()).unwrap(), Imported::Known);
    let on_loser = child(&chain, &sealer, &chain.executed(&loser_hash).unwrap(), address(98));
    chain.set_heads(heads(loser_hash, None)).unwrap();
    chain.set_heads(heads(run[2], Some(run[2]))).unwrap();
    assert!(chain.block(&loser_hash).unwrap().is_none());
    assert!(matches!(chain.import(on_loser), Err(ImportError::UnknownParent { .. })));
    assert!(matches!(chain.import(again), Err(ImportError::UnknownParent { .. })));
    assert!(matches!(chain.set_heads(heads(loser_hash, None)), Err(ForkchoiceError::UnknownHead { .. })));
    assert!(matches!(chain.set_heads(heads(run[1], None)), Err(ForkchoiceError::Inconsistent { role: "head", .. })));
    drop(chain);
    assert_eq!(open(directory.path(), History::default()).head().data.hash, run[2]);
}

#[test]
fn blockhash_finds_ancestors_of_its_own_branch_only() {
    use crate::state::BlockHashes as _;
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), History::default());
    let run = grow(&chain, 8);
    let sealer = sealer(chain.genesis());
    let side = child(&chain, &sealer, &chain.executed(&run[6]).unwrap(), address(50));
    let side_hash = side.hash();
    chain.import(side).unwrap();
    for (parent, number, expected) in [
        (run[8], 8, Some(run[8])),
        (run[8], 7, Some(run[7])),
        (side_hash, 7, Some(side_hash)),
        (side_hash, 6, Some(run[6])),
        (side_hash, 1, Some(run[1])),
        (side_hash, 8, None),
    ] {
        assert_eq!(chain.ancestors(parent).block_hash(number), expected, "{number}");
    }
}
