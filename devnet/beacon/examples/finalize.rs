//! One validator from genesis until it finalizes: `cargo run -p pol-beacon --example finalize [validators]`.

mod devnet;

use devnet::Devnet;
use pol_beacon::{
    fork_choice::{ExecutionStatus, OpenGate, Store},
    transition::VerifySignatures,
    types::Minimal,
};

fn main() {
    let validators = std::env::args().nth(1).map_or(1, |n| n.parse().expect("a number of validators"));
    let chain = Devnet::<Minimal>::new(validators);
    let mut store = Store::new(chain.genesis.clone(), chain.config).expect("a store");
    let slot_ms = chain.config.slot_seconds * 1_000;
    let mut votes = Vec::new();
    for slot in 1..=64 {
        store.on_tick(chain.genesis.genesis_time * 1_000 + slot * slot_ms).expect("a tick");
        let head = store.node(&store.head().expect("a head")).expect("its state").state.clone();
        let block = chain.block(&head, slot, &votes, 0);
        let checked = store.check_block(block, &OpenGate, VerifySignatures::Yes).expect("a good block");
        votes = chain.attestations(checked.state());
        store.import(checked, ExecutionStatus::Valid).expect("an import");
        let (justified, finalized) = (store.justified_checkpoint().epoch, store.finalized_checkpoint().epoch);
        if slot % 8 == 0 {
            println!("slot {slot:2}: justified epoch {justified}, finalized epoch {finalized}");
        }
        if finalized > 0 {
            println!("slot {slot:2}: epoch {finalized} is final");
            return;
        }
    }
    panic!("nothing was finalized in 64 slots");
}
