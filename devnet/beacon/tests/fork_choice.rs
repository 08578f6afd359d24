//! What fork choice promises beside the specification: the gate, the stages of an import, payloads that turn out invalid, pruning.

#[path = "../examples/devnet/mod.rs"]
mod devnet;

use std::cell::RefCell;

use alloy_primitives::B256;
use devnet::Devnet;
use pol_beacon::{
    fork_choice::{BlockGate, BlockRefusal, ExecutionStatus, OpenGate, Store, VoteRefusal},
    transition::{SignatureOf, TransitionError, VerifySignatures},
    types::{BeaconState, HashedBlock, Minimal, SignedBeaconBlock},
};

type Chain = Devnet<Minimal>;

fn store(chain: &Chain) -> Store<Minimal> {
    Store::new(chain.genesis.clone(), chain.config).unwrap()
}

fn tick(chain: &Chain, store: &mut Store<Minimal>, slot: u64) {
    let slot_ms = chain.config.slot_seconds * 1_000;
    store.on_tick(chain.genesis.genesis_time * 1_000 + slot * slot_ms).unwrap();
}

fn import(store: &mut Store<Minimal>, block: HashedBlock<Minimal>, status: ExecutionStatus) -> B256 {
    let root = block.root();
    let checked = store.check_block(block, &OpenGate, VerifySignatures::Yes).unwrap();
    store.import(checked, status).unwrap();
    root
}

fn state_of(store: &Store<Minimal>, root: &B256) -> BeaconState<Minimal> {
    (*store.node(root).unwrap().state).clone()
}

fn signed(block: &HashedBlock<Minimal>) -> SignedBeaconBlock<Minimal> {
    block.signed().clone()
}

/// Refuses everything, and remembers what it was shown.
#[derive(Default)]
struct Shut(RefCell<Vec<(u64, B256)>>);

impl BlockGate<Minimal> for Shut {
    type Pass = ();
    type Refusal = &'static str;

    fn check(&self, state: &BeaconState<Minimal>, block: &HashedBlock<Minimal>) -> Result<(), &'static str> {
        self.0.borrow_mut().push((state.slot, block.root()));
        Err("shut")
    }
}

#[test]
fn the_gate_sees_the_parents_state_at_the_blocks_slot_and_its_refusal_keeps_the_block_out() {
    let chain = Chain::new(4);
    let mut store = store(&chain);
    tick(&chain, &mut store, 9);
    let block = chain.block(&chain.genesis, 9, &[], 0);
    let gate = Shut::default();
    let refused = store.check_block(block.clone(), &gate, VerifySignatures::Yes).unwrap_err();
    assert_eq!(refused, BlockRefusal::Gate("shut"));
    assert_eq!(*gate.0.borrow(), [(9, block.root())]);
    assert!(store.node(&block.root()).is_none());
}

#[test]
fn the_gate_comes_before_the_block_itself() {
    let chain = Chain::new(4);
    let mut store = store(&chain);
    tick(&chain, &mut store, 1);
    let mut block = signed(&chain.block(&chain.genesis, 1, &[], 0));
    block.signature = Default::default();
    let refused = store.check_block(block.clone().into(), &Shut::default(), VerifySignatures::Yes).unwrap_err();
    assert_eq!(refused, BlockRefusal::Gate("shut"));
    let refused = store.check_block(block.into(), &OpenGate, VerifySignatures::Yes).unwrap_err();
    let of = SignatureOf::Block;
    assert!(matches!(refused, BlockRefusal::Transition(TransitionError::Signature { of: found, .. }) if found == of));
}

#[test]
fn a_block_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let chain = Chain::new(4);
    let mut store = store(&chain);
    let check = |store: &Store<Minimal>, block: &SignedBeaconBlock<Minimal>| {
        store.check_block(block.clone().into(), &OpenGate, VerifySignatures::Yes).unwrap_err()
    };
    let good = chain.block(&chain.genesis, 1, &[], 0);
    assert!(matches!(check(&store, good.signed()), BlockRefusal::Future { slot: 1, current: 0 }));
    tick(&chain, &mut store, 1);
    let root = import(&mut store, good.clone(), ExecutionStatus::Valid);
    assert_eq!(check(&store, good.signed()), BlockRefusal::Known { root });

    let mut other = signed(&chain.block(&chain.genesis, 1, &[], 1));
    other.message.parent_root = B256::repeat_byte(7);
    assert_eq!(check(&store, &other), BlockRefusal::UnknownParent { parent: B256::repeat_byte(7) });
    let mut other = signed(&chain.block(&chain.genesis, 1, &[], 1));
    other.message.slot = 0;
    assert_eq!(check(&store, &other), BlockRefusal::Finalized { slot: 0, finalized: 0 });
    let mut other = signed(&chain.block(&chain.genesis, 1, &[], 1));
    other.message.body.blob_kzg_commitments = vec![Default::default()].try_into().unwrap();
    assert_eq!(check(&store, &other), BlockRefusal::Blobs { found: 1 });

    store.set_execution(&root, ExecutionStatus::Invalid);
    tick(&chain, &mut store, 2);
    let child = chain.block(&state_of(&store, &root), 2, &[], 0);
    assert_eq!(check(&store, child.signed()), BlockRefusal::InvalidParent { parent: root });
}

#[test]
fn an_invalid_payload_takes_its_block_and_all_that_descend_from_it_out_of_the_choice() {
    let chain = Chain::new(8);
    let mut store = store(&chain);
    tick(&chain, &mut store, 1);
    let first = import(&mut store, chain.block(&chain.genesis, 1, &[], 0), ExecutionStatus::Valid);
    tick(&chain, &mut store, 2);
    let second = chain.block(&state_of(&store, &first), 2, &[], 0);
    let second = import(&mut store, second, ExecutionStatus::Optimistic);
    tick(&chain, &mut store, 3);
    let third = chain.block(&state_of(&store, &second), 3, &[], 0);
    let third = import(&mut store, third, ExecutionStatus::Optimistic);
    tick(&chain, &mut store, 4);
    for vote in chain.attestations(&state_of(&store, &third)) {
        store.on_attestation(&vote).unwrap();
    }
    assert_eq!(store.head(), Ok(third));
    assert!(store.set_execution(&second, ExecutionStatus::Invalid));
    assert_eq!(store.head(), Ok(first), "votes for the dead branch do not hold it up");
    assert_eq!(store.node(&third).unwrap().execution, ExecutionStatus::Invalid);
    let fork = chain.block(&state_of(&store, &first), 4, &[], 0);
    let fork = import(&mut store, fork, ExecutionStatus::Valid);
    assert_eq!(store.head(), Ok(fork));
    assert!(!store.set_execution(&B256::ZERO, ExecutionStatus::Valid), "an unknown block");
}

#[test]
fn a_valid_payload_vouches_for_all_its_ancestors() {
    let chain = Chain::new(4);
    let mut store = store(&chain);
    let mut roots = Vec::new();
    let mut state = chain.genesis.clone();
    for slot in 1..=3 {
        tick(&chain, &mut store, slot);
        roots.push(import(&mut store, chain.block(&state, slot, &[], 0), ExecutionStatus::Optimistic));
        state = state_of(&store, roots.last().unwrap());
    }
    assert_eq!(store.node(&roots[0]).unwrap().execution, ExecutionStatus::Optimistic);
    store.set_execution(&roots[2], ExecutionStatus::Valid);
    assert!(roots.iter().all(|root| store.node(root).unwrap().execution == ExecutionStatus::Valid));
}

#[test]
fn pruning_drops_what_does_not_descend_from_the_finalized_block_and_nothing_else() {
    let chain = Chain::new(8);
    let mut store = store(&chain);
    let (mut state, mut votes, mut canonical) = (chain.genesis.clone(), Vec::new(), Vec::new());
    let mut fork = B256::ZERO;
    for slot in 1..=33 {
        tick(&chain, &mut store, slot);
        if slot == 5 {
            fork = import(&mut store, chain.block(&state, slot, &[], 9), ExecutionStatus::Valid);
        }
        let root = import(&mut store, chain.block(&state, slot, &votes, 0), ExecutionStatus::Valid);
        canonical.push(root);
        state = state_of(&store, &root);
        votes = chain.attestations(&state);
        if slot == 20 {
            assert!(store.prune().is_empty(), "nothing is final yet");
        }
    }
    let finalized = store.finalized_checkpoint();
    assert_eq!(finalized.epoch, 2, "eight validators finalize two epochs back");
    let head = store.head();
    let dropped: Vec<B256> = store.prune().iter().map(|node| node.root).collect();
    assert!(dropped.contains(&fork) && store.node(&fork).is_none());
    let place = canonical.iter().position(|root| *root == finalized.root).unwrap();
    assert!(canonical[..place].iter().all(|root| dropped.contains(root)));
    assert!(canonical[place..].iter().all(|root| store.node(root).is_some()));
    assert_eq!(store.nodes().len(), canonical.len() - place);
    assert_eq!(store.head(), head);

    // A block that forks off before finality has no parent here any more.
    let late = chain.block(&chain.genesis, 33, &[], 3);
    let refused = store.check_block(late, &OpenGate, VerifySignatures::Yes).unwrap_err();
    assert!(matches!(refused, BlockRefusal::UnknownParent { .. }));
}

#[test]
fn a_checked_block_whose_parent_was_pruned_meanwhile_is_not_imported() {
    let chain = Chain::new(8);
    let mut store = store(&chain);
    let (mut state, mut votes, mut waiting) = (chain.genesis.clone(), Vec::new(), None);
    for slot in 1..=33 {
        tick(&chain, &mut store, slot);
        if slot == 2 {
            let block = chain.block(&chain.genesis, 2, &[], 5);
            waiting = Some(store.check_block(block, &OpenGate, VerifySignatures::Yes).unwrap());
        }
        let root = import(&mut store, chain.block(&state, slot, &votes, 0), ExecutionStatus::Valid);
        state = state_of(&store, &root);
        votes = chain.attestations(&state);
    }
    store.prune();
    let before = store.nodes().len();
    assert!(store.import(waiting.unwrap(), ExecutionStatus::Valid).is_err());
    assert_eq!(store.nodes().len(), before);
}

#[test]
fn a_vote_counts_from_the_slot_after_its_own_and_for_known_blocks_only() {
    let chain = Chain::new(8);
    let mut store = store(&chain);
    tick(&chain, &mut store, 1);
    let block = chain.block(&chain.genesis, 1, &[], 0);
    let checked = store.check_block(block, &OpenGate, VerifySignatures::Yes).unwrap();
    let votes = chain.attestations(checked.state());
    let vote = &votes[0];
    let root = vote.data.beacon_block_root;
    assert_eq!(store.on_attestation(vote), Err(VoteRefusal::UnknownBlock { root }));
    store.import(checked, ExecutionStatus::Valid).unwrap();
    assert_eq!(store.on_attestation(vote), Err(VoteRefusal::TooEarly { slot: 1, current: 1 }));
    tick(&chain, &mut store, 2);
    assert_eq!(store.on_attestation(vote), Ok(()));
    tick(&chain, &mut store, 24);
    assert_eq!(store.on_attestation(vote), Err(VoteRefusal::TargetEpoch { found: 0, current: 3 }));
}
