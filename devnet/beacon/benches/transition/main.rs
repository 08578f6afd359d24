//! How long slots, epochs and blocks take: `cargo bench -p pol-beacon --bench transition`.

#[path = "../../examples/devnet/mod.rs"]
mod devnet;

use std::time::{Duration, Instant};

use devnet::Devnet;
use pol_beacon::{
    fork_choice::{ExecutionStatus, OpenGate, Store},
    transition::{VerifySignatures, advance, state_transition},
    types::{BeaconState, EthSpec, Mainnet, Minimal},
};
use ssz::{Decode as _, Encode as _};

/// Goal for whatever happens in one slot.
const GOAL: Duration = Duration::from_millis(150);

/// CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().expect("a time"), time.tv_nsec.try_into().expect("a time"))
}

/// Medians of wall time and of CPU time: on a busy machine only the latter says something about the code.
fn timed(runs: usize, mut call: impl FnMut()) -> (Duration, Duration) {
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (start, before) = (Instant::now(), cpu_time());
        call();
        wall.push(start.elapsed());
        cpu.push(cpu_time() - before);
    }
    wall.sort();
    cpu.sort();
    (wall[wall.len() / 2], cpu[cpu.len() / 2])
}

fn row(name: &str, validators: u64, what: &str, (wall, cpu): (Duration, Duration)) {
    let met = if wall <= GOAL { "yes" } else { "NO" };
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    println!("| {name} | {validators} | {what} | {} | {} | {met} |", ms(wall), ms(cpu));
}

/// A copy as another process would have it: nothing remembered but what the SSZ bytes hold.
fn cold<E: EthSpec>(state: &BeaconState<E>) -> BeaconState<E> {
    BeaconState::from_ssz_bytes(&state.as_ssz_bytes()).expect("a state")
}

fn measure<E: EthSpec>(name: &str, validators: u64) {
    let chain = Devnet::<E>::crowd(validators);
    let (config, slots) = (&chain.config, E::slots_per_epoch());
    // One epoch with a block and all votes in every slot, then measure in the next.
    let mut state = chain.genesis.clone();
    let mut votes = Vec::new();
    for slot in 1..=2 * slots - 2 {
        let block = chain.block(&state, slot, &votes, 0);
        state = state_transition(&state, &block, config, VerifySignatures::No).expect("a block");
        // All votes of a crowd would take minutes to sign; those of the last slots before the measurement are enough for its blocks.
        votes = if validators <= 1_024 || slot + 4 > 2 * slots - 2 { chain.attestations(&state) } else { Vec::new() };
    }
    let next = state.slot + 1;
    let empty = chain.block(&state, next, &[], 0);
    let full = chain.block(&state, next, &votes, 0);
    let run = |block| drop(state_transition(&state, block, config, VerifySignatures::Yes).expect("a block"));
    let runs = if validators > 4_096 { 9 } else { 31 };
    run(&full);
    row(name, validators, "slot without a block", timed(runs, || drop(advance(&state, next, config).expect("a slot"))));
    row(name, validators, "block without attestations", timed(runs, || run(&empty)));
    row(name, validators, &format!("block with {} full attestations", votes.len()), timed(runs, || run(&full)));

    let last = state_transition(&state, &full, config, VerifySignatures::No).expect("a block");
    row(
        name,
        validators,
        "slot with the end of an epoch",
        timed(runs, || drop(advance(&last, next + 1, config).expect("a slot"))),
    );
    let mut unhashed = Vec::new();
    unhashed.resize_with(3, || cold(&last));
    row(
        name,
        validators,
        "the same on a state just decoded",
        timed(3, || {
            let state = unhashed.pop().expect("one for each run");
            drop(advance(&state, next + 1, config).expect("a slot"));
        }),
    );
    let block = chain.block(&last, next + 1, &[], 0);
    row(
        name,
        validators,
        "epoch's end and block together",
        timed(runs, || {
            drop(state_transition(&last, &block, config, VerifySignatures::Yes).expect("a block"));
        }),
    );
    head(name, &chain, validators);
}

/// Fork choice with a vote of everybody.
fn head<E: EthSpec>(name: &str, chain: &Devnet<E>, validators: u64) {
    let mut store = Store::new(chain.genesis.clone(), chain.config).expect("a store");
    let slot_ms = chain.config.slot_seconds * 1_000;
    let genesis_ms = chain.genesis.genesis_time * 1_000;
    for slot in 1..=2 {
        store.on_tick(genesis_ms + slot * slot_ms).expect("a tick");
        let head = store.node(&store.head().expect("a head")).expect("its state").state.clone();
        let checked = store.check_block(chain.block(&head, slot, &[], 0), &OpenGate, VerifySignatures::Yes).expect("a block");
        let votes = chain.attestations(checked.state());
        store.import(checked, ExecutionStatus::Valid).expect("an import");
        store.on_tick(genesis_ms + (slot + 1) * slot_ms).expect("a tick");
        votes.iter().for_each(|vote| store.on_attestation(vote).expect("a vote"));
    }
    row(name, validators, "head of fork choice", timed(51, || assert!(store.head().is_ok())));
}

fn main() {
    println!("| preset | validators | what | time | CPU | <= 150 ms |\n| --- | --- | --- | --- | --- | --- |");
    for validators in [64, 1_024, 16_384] {
        measure::<Minimal>("minimal", validators);
    }
    measure::<Mainnet>("mainnet", 16_384);
}
