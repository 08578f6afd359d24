//! Many slots in one process.

#[path = "../examples/devnet/mod.rs"]
mod devnet;

use devnet::Devnet;
use pol_beacon::{
    fork_choice::{ExecutionStatus, OpenGate, Store},
    transition::VerifySignatures,
    types::Minimal,
};

/// Resident memory of this process, MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[test]
fn long_memory_stays_bounded_over_5000_slots() {
    let chain = Devnet::<Minimal>::new(8);
    let mut store = Store::new(chain.genesis.clone(), chain.config).unwrap();
    let genesis_ms = chain.genesis.genesis_time * 1_000;
    let (mut votes, mut early) = (Vec::new(), 0);
    for slot in 1..=5_000 {
        store.on_tick(genesis_ms + slot * chain.config.slot_seconds * 1_000).unwrap();
        let head = store.node(&store.head().unwrap()).unwrap().state.clone();
        let block = chain.block(&head, slot, &votes, 0);
        let checked = store.check_block(block, &OpenGate, VerifySignatures::Yes).unwrap();
        votes = chain.attestations(checked.state());
        store.import(checked, ExecutionStatus::Valid).unwrap();
        store.prune();
        assert!(store.nodes().len() <= 40, "slot {slot}: {} blocks since finality", store.nodes().len());
        if slot == 500 {
            early = resident_mib();
        }
    }
    let late = resident_mib();
    println!("{early} MiB after 500 slots, {late} MiB after 5,000");
    assert!(late <= early + 30 && late <= 300, "{early} MiB after 500 slots, {late} MiB after 5,000");
}
