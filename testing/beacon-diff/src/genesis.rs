//! A chain's genesis from inputs that both sides get.

use alloy_primitives::Address;
use pol_beacon::{
    genesis::{GenesisFiles, GenesisInputs, validators_root},
    types::Config,
};
use pol_core::{
    Hash32,
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    header::Header,
    identity::GenesisSeed,
    params::{Preset, SELF_TEST_TEXTS},
    state::Shape,
};
use serde_json::{Value, json};

const SEED: [u8; 32] = [0x11; 32];
const TIME: u64 = 1_700_000_000;

/// The inputs of one chain's genesis.
#[derive(Debug, Clone)]
pub struct Genesis {
    chain: ChainSpec,
    execution: Header,
    validators: u32,
}

impl Genesis {
    /// A chain on a preset, with this many validators.
    ///
    /// # Panics
    /// When pol-core or pol-beacon refuses the inputs.
    pub fn new(preset: Preset, validators: u32) -> Self {
        let execution = execution();
        let parameters = ChainParameters {
            genesis_time: TIME,
            preset,
            slot_seconds: 3,
            chain_id: 1_337_001,
            genesis_validators_root: validators_root(&GenesisSeed::from_bytes(SEED), validators).expect("a root"),
            execution_genesis_hash: execution.block_hash(),
            quorum: QuorumRule::Auto,
            difficulty_floor: execution.difficulty,
            manifest_hash: Hash32([8; 32]),
            shape: Shape::new(2, 64, 64, 32, 96).expect("a shape"),
            dev_texts_hash: Hash32([9; 32]),
            reference_losses: [NanoNats::MAX; SELF_TEST_TEXTS],
            profile: Profile::F16x20,
            dev_slash_small: true,
        };
        Self { chain: ChainSpec::new(&parameters).expect("a chain"), execution, validators }
    }

    /// The configuration of the chain, with waiting times that end while a run lasts.
    pub fn config(&self) -> Config {
        let chain = Config::of_chain(&self.chain, Address::ZERO);
        Config { shard_committee_period: 2, min_validator_withdrawability_delay: 4, ..chain }
    }

    /// The files that pol-beacon makes.
    ///
    /// # Panics
    /// When it refuses.
    pub fn files(&self) -> GenesisFiles {
        let seed = GenesisSeed::from_bytes(SEED);
        GenesisFiles::new(&GenesisInputs {
            chain: &self.chain,
            seed: &seed,
            validators: self.validators,
            execution: &self.execution,
            deposit_contract: Address::ZERO,
        })
        .expect("genesis")
    }

    /// The same inputs for the oracle.
    pub fn arguments(&self) -> Value {
        let header = &self.execution;
        json!({
            "seed": Hash32(SEED).to_string(),
            "genesis_time": TIME,
            "execution_hash": header.block_hash().to_string(),
            "execution_state_root": header.state_root.to_string(),
            "execution_receipts_root": header.receipts_root.to_string(),
            "gas_limit": header.gas_limit,
            "base_fee_per_gas": header.base_fee_per_gas,
        })
    }
}

const fn execution() -> Header {
    Header {
        parent_hash: Hash32::ZERO,
        ommers_hash: Hash32([1; 32]),
        beneficiary: [0; 20],
        state_root: Hash32([2; 32]),
        transactions_root: Hash32([3; 32]),
        receipts_root: Hash32([4; 32]),
        logs_bloom: [0; 256],
        difficulty: 1_024,
        number: 0,
        gas_limit: 30_000_000,
        gas_used: 0,
        timestamp: TIME,
        extra_data: [0; 64],
        mix_hash: Hash32::ZERO,
        nonce: 0,
        base_fee_per_gas: 1_000_000_000,
        withdrawals_root: Hash32([5; 32]),
        blob_gas_used: 0,
        excess_blob_gas: 0,
        parent_beacon_block_root: Hash32::ZERO,
    }
}
