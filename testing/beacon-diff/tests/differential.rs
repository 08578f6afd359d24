//! Random networks through both sides, from seeds.

use beacon_diff::{Kind, Run};

/// What every random network plays.
const ALWAYS: &[&str] = &["block", "attestation", "deposit", "vote", "refused vote", "refused mutant", "accepted mutant"];

#[test]
fn a_random_network_of_the_official_rules_agrees_after_every_slot() {
    Run::random(Kind::Official, 1, 16, 40).play().must_have(ALWAYS);
}

#[test]
fn a_random_network_of_our_chain_agrees_after_every_slot() {
    Run::random(Kind::Chain, 2, 33, 40).play().must_have(ALWAYS);
}

#[test]
fn dropping_what_finality_leaves_behind_changes_no_head() {
    let run = Run { prune: true, ..Run::random(Kind::Chain, 3, 16, 40) };
    run.play().must_have(&["block", "vote"]);
}

#[test]
fn one_validator_finalizes_from_the_genesis_that_both_sides_make() {
    let tally = Run { calm: true, ..Run::from_genesis(4, 1, 48) }.play();
    assert!(tally.finalized >= 1, "{tally:?}");
}

#[test]
fn four_validators_finalize_from_the_genesis_that_both_sides_make() {
    let tally = Run { calm: true, ..Run::from_genesis(5, 4, 40) }.play();
    assert!(tally.finalized >= 2, "{tally:?}");
}

#[test]
fn long_many_random_networks_agree_after_every_slot() {
    let first: u64 = std::env::var("BEACON_DIFF_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(100);
    let runs: u64 = std::env::var("BEACON_DIFF_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(12);
    let run = |seed: u64| {
        let validators = [1, 2, 5, 8, 16, 33, 64, 70][usize::try_from(seed % 8).unwrap()];
        let kind = if seed.is_multiple_of(3) { Kind::Official } else { Kind::Chain };
        match seed % 5 {
            0 => Run::from_genesis(seed, validators.min(16), 60),
            _ => Run { prune: seed % 5 == 1, ..Run::random(kind, seed, validators, 60) },
        }
    };
    let tally = (first..first + runs).map(|seed| run(seed).play()).reduce(beacon_diff::Tally::and).unwrap();
    println!("{tally:?}");
    tally.must_have(ALWAYS);
    tally.must_have(&["fault", "malfeasance", "proposer_slashing", "attester_slashing", "exit", "bls_change", "undecodable"]);
}
