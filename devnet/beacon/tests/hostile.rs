//! Bytes from outside, and states from a broken disk: an error, never a panic.

#[path = "../examples/devnet/mod.rs"]
mod devnet;

use devnet::Devnet;
use pol_beacon::{
    transition::{Operation, VerifySignatures, advance, apply_operation, state_transition},
    types::{
        Attestation, AttesterSlashing, BeaconState, Deposit, HashedBlock, Minimal, ProposerSlashing, SignedBeaconBlock,
        SignedVoluntaryExit,
    },
};
use proptest::prelude::*;
use ssz::{Decode, Encode};

fn decodes_or_not<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_ssz_bytes(bytes) {
        assert_eq!(value.as_ssz_bytes(), bytes, "one encoding for one value");
    }
}

/// A block with votes, and the state it is built on.
fn sample() -> (Devnet<Minimal>, BeaconState<Minimal>, Vec<u8>) {
    let chain = Devnet::new(4);
    let first = chain.block(&chain.genesis, 1, &[], 0);
    let state = state_transition(&chain.genesis, &first, &chain.config, VerifySignatures::Yes).unwrap();
    let second = chain.block(&state, 2, &chain.attestations(&state), 0);
    (chain, state, second.signed().as_ssz_bytes())
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_to_one_value_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        decodes_or_not::<SignedBeaconBlock<Minimal>>(&bytes);
        decodes_or_not::<BeaconState<Minimal>>(&bytes);
        decodes_or_not::<Attestation>(&bytes);
        decodes_or_not::<AttesterSlashing>(&bytes);
        decodes_or_not::<ProposerSlashing>(&bytes);
        decodes_or_not::<Deposit>(&bytes);
        decodes_or_not::<SignedVoluntaryExit>(&bytes);
    }
}

#[test]
fn blocks_with_random_bytes_changed_are_refused_or_processed() {
    let (chain, state, good) = sample();
    let mut seed = 7_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let (mut decoded, mut processed) = (0, 0);
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(3) {
            // The slot is left: a slot far in the future is fork choice's to refuse.
            let at = next(bytes.len());
            if !(100..108).contains(&at) {
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)];
            }
        }
        if let Ok(signed) = SignedBeaconBlock::<Minimal>::from_ssz_bytes(&bytes) {
            decoded += 1;
            let block = HashedBlock::from(signed);
            let accepted = state_transition(&state, &block, &chain.config, VerifySignatures::No).is_ok();
            assert!(
                !accepted
                    || bytes == good
                    || block.signed().signature != SignedBeaconBlock::<Minimal>::from_ssz_bytes(&good).unwrap().signature
            );
            processed += u32::from(accepted);
            for attestation in block.message().body.attestations.iter().cloned() {
                let _ = apply_operation(&state, &Operation::Attestation(Box::new(attestation)), &chain.config);
            }
        }
    }
    assert!(decoded > 1_000 && processed < decoded, "{decoded} decoded, {processed} processed");
}

#[test]
fn states_with_random_bytes_changed_advance_or_say_why_not() {
    let (chain, state, _) = sample();
    let good = state.as_ssz_bytes();
    let mut refused = 0;
    for seed in 0..600_usize {
        let mut bytes = good.clone();
        for i in 0..3 {
            let at = (seed * 7_919 + i * 104_729) % bytes.len();
            bytes[at] = [0, 0xff, 0x80][(seed + i) % 3];
        }
        match BeaconState::<Minimal>::from_ssz_bytes(&bytes) {
            Ok(state) if state.slot < 1_000 => {
                let next = state.slot - state.slot % 8 + 9;
                refused += u32::from(advance(&state, next, &chain.config).is_err());
            }
            _ => refused += 1,
        }
    }
    assert!(refused > 0);
}
