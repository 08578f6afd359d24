//! The chain.toml of daemons in tests.

use pol_core::{
    Hash32,
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    params::{Preset, SELF_TEST_TEXTS},
    state::Shape,
};

/// A chain like a devnet's.
pub(crate) fn spec() -> ChainSpec {
    ChainSpec::new(&ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 3,
        chain_id: 1_337_001,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 4_096,
        manifest_hash: Hash32([3; 32]),
        shape: Shape::new(4, 128, 128, 64, 352).unwrap(),
        dev_texts_hash: Hash32([4; 32]),
        reference_losses: [NanoNats::new(2_000_000_000).unwrap(); SELF_TEST_TEXTS],
        profile: Profile::F16x20,
        dev_slash_small: true,
    })
    .unwrap()
}
