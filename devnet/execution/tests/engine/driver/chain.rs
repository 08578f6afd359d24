//! A chain made for the test.

use pol_core::{
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    identity::GenesisSeed,
    params::Preset,
    state::Shape,
};
use reth_ai_exex::{
    chain::hash32,
    genesis::{ExecutionGenesis, GenesisDraft, GenesisParameters},
};

use super::wallet::CHAIN_ID;

pub const SEED: [u8; 32] = [7; 32];
pub const SLOT: u64 = 6;
/// Of the Engine API.
pub const SECRET: [u8; 32] = [0x5e; 32];

/// The genesis of a chain that begins then, with a difficulty that a test pays at once.
pub fn genesis(genesis_time: u64) -> ExecutionGenesis {
    let (chain_id, difficulty_floor) = (CHAIN_ID, 256);
    let seed = GenesisSeed::from_bytes(SEED);
    let draft = GenesisDraft::build(&GenesisParameters { seed, genesis_time, chain_id, difficulty_floor }).unwrap();
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time,
        preset: Preset::Minimal,
        slot_seconds: SLOT,
        chain_id,
        genesis_validators_root: Default::default(),
        execution_genesis_hash: hash32(draft.hash()),
        quorum: QuorumRule::Auto,
        difficulty_floor,
        manifest_hash: Default::default(),
        shape: Shape::new(1, 8, 8, 8, 8).unwrap(),
        dev_texts_hash: Default::default(),
        reference_losses: [NanoNats::new(1).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    })
    .unwrap();
    draft.finish(&spec).unwrap()
}
