//! Random networks through both sides.

use beacon_diff::{Kind, Run};

#[test]
fn random_states_of_the_official_rules_agree_after_every_slot() {
    Run::random(Kind::Official, 1, 16, 40).play().must_have(&["block", "attestation", "refused mutant", "accepted mutant"]);
}

#[test]
fn random_states_of_our_chain_agree_after_every_slot() {
    Run::random(Kind::Chain, 2, 33, 40).play().must_have(&["block", "attestation", "refused mutant", "accepted mutant"]);
}
