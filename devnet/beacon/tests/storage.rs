//! What is on disk after a write, and what is not.

#[path = "../examples/devnet/mod.rs"]
mod devnet;

use std::path::Path;

use alloy_primitives::B256;
use devnet::Devnet;
use pol_beacon::{
    fork_choice::{ExecutionStatus, LatestMessage},
    storage::{Database, Finalized, LoggedDeposit, StorageError},
    types::{
        BeaconBlock, BeaconBlockBody, BeaconState, DepositData, HashedBlock, Minimal, SignatureBytes, SignedBeaconBlock, Slot,
    },
};
use pol_core::GenesisId;

fn genesis() -> BeaconState<Minimal> {
    Devnet::new(1).genesis
}

type Db = Database<Minimal>;

fn block(slot: Slot, parent: B256) -> HashedBlock<Minimal> {
    let body = BeaconBlockBody::default_values();
    let message = BeaconBlock { slot, proposer_index: 0, parent_root: parent, state_root: B256::ZERO, body };
    SignedBeaconBlock { message, signature: SignatureBytes::ZERO }.into()
}

fn open(path: &Path, chain: u8) -> Result<Db, StorageError> {
    Db::open(path, GenesisId([chain; 32]), B256::repeat_byte(1), &genesis())
}

#[test]
fn a_database_of_another_chain_is_refused_and_its_own_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.redb");
    drop(open(&path, 7).unwrap());
    assert!(matches!(open(&path, 8), Err(StorageError::Chain { .. })));
    let again = open(&path, 7).unwrap();
    assert_eq!(again.anchor().unwrap(), (B256::repeat_byte(1), genesis()));
}

#[test]
fn blocks_since_the_anchor_come_parents_first_and_forks_go_at_finality() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder.path().join("beacon.redb"), 7).unwrap();
    let genesis_root = B256::repeat_byte(1);
    let (one, fork) = (block(1, genesis_root), block(2, genesis_root));
    let two = block(2, one.root());
    for (each, status) in [(&two, ExecutionStatus::Optimistic), (&fork, ExecutionStatus::Valid), (&one, ExecutionStatus::Valid)] {
        db.put_block(each, status).unwrap();
    }
    let roots = db.since_anchor().unwrap();
    assert_eq!((roots.len(), roots[0]), (3, one.root()));
    assert_eq!(db.block(&two.root()).unwrap().unwrap(), (two.signed().clone(), ExecutionStatus::Optimistic));
    db.set_execution(&[two.root(), B256::ZERO], ExecutionStatus::Valid).unwrap();
    assert_eq!(db.block(&two.root()).unwrap().unwrap().1, ExecutionStatus::Valid);

    // Nobody names this one as dropped: it was not taken up after a restart.
    let stale = block(1, B256::repeat_byte(0xee));
    db.put_block(&stale, ExecutionStatus::Invalid).unwrap();

    let mut state = genesis();
    state.slot = 1;
    let finalized = Finalized { root: one.root(), state: &state, canonical: &[(1, one.root())], dropped: &[fork.root()] };
    db.finalize(&finalized).unwrap();
    assert_eq!(db.since_anchor().unwrap(), [two.root()]);
    assert_eq!(db.anchor().unwrap(), (one.root(), state));
    assert!(db.block(&fork.root()).unwrap().is_none() && db.block(&one.root()).unwrap().is_some());
    assert!(db.block(&stale.root()).unwrap().is_none());
    assert_eq!(db.canonical_down(9, 5).unwrap(), [(1, one.root()), (0, genesis_root)]);
    assert!(db.state(&genesis_root).unwrap().is_some(), "the genesis state stays");
}

#[test]
fn votes_and_deposits_are_read_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder.path().join("beacon.redb"), 7).unwrap();
    let vote = |validator, epoch| LatestMessage { validator, epoch, root: B256::repeat_byte(3) };
    db.put_votes(&[vote(1, 5), vote(0, 4)]).unwrap();
    db.put_votes(&[vote(1, 6)]).unwrap();
    assert_eq!(db.votes().unwrap(), [vote(0, 4), vote(1, 6)]);

    let deposit = |block_number| LoggedDeposit {
        block_number,
        data: DepositData {
            pubkey: [9; 48].into(),
            withdrawal_credentials: B256::ZERO,
            amount: block_number,
            signature: SignatureBytes::ZERO,
        },
    };
    db.put_deposits(0, &[deposit(3), deposit(4)]).unwrap();
    db.put_deposits(2, &[deposit(5)]).unwrap();
    assert_eq!(db.deposits().unwrap(), [deposit(3), deposit(4), deposit(5)]);
    db.clear_deposits().unwrap();
    assert!(db.deposits().unwrap().is_empty());
}
