use alloy_primitives::{B256, b256};
use pol_core::{
    committee::QuorumRule, delta::Profile, gate::NanoNats, genesis::ChainParameters, params::SELF_TEST_TEXTS, state::Shape,
};
use ssz::Decode as _;
use ssz_types::typenum::{U16, U32, U512, U4096};
use tree_hash::TreeHash as _;

use super::*;
use crate::types::{BeaconState, MinimalPreset, OfficialMinimal};

fn execution() -> Header {
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
        timestamp: 1_700_000_000,
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

fn seed() -> GenesisSeed {
    GenesisSeed::from_bytes([7; 32])
}

fn parameters(preset: Preset, validators: u32) -> ChainParameters {
    ChainParameters {
        genesis_time: 1_700_000_000,
        preset,
        slot_seconds: 3,
        chain_id: 1_337_001,
        genesis_validators_root: validators_root(&seed(), validators).unwrap(),
        execution_genesis_hash: execution().block_hash(),
        quorum: QuorumRule::Auto,
        difficulty_floor: 1_024,
        manifest_hash: Hash32([8; 32]),
        shape: Shape::new(2, 64, 64, 32, 96).unwrap(),
        dev_texts_hash: Hash32([9; 32]),
        reference_losses: [NanoNats::new(1).unwrap(); SELF_TEST_TEXTS],
        profile: Profile::F16x20,
        dev_slash_small: false,
    }
}

fn made(chain: &ChainParameters, validators: u32, execution: &Header) -> Result<GenesisFiles, GenesisError> {
    let chain = ChainSpec::new(chain).unwrap();
    let deposit_contract = Address::repeat_byte(0x42);
    GenesisFiles::new(&GenesisInputs { chain: &chain, seed: &seed(), validators, execution, deposit_contract })
}

#[test]
fn the_empty_body_has_the_root_that_a_real_lighthouse_accepts() {
    let golden = b256!("01c86542e5b1465a09812b97dc53bb9fa4da3ae6aa551b743897a3340c21b2f5");
    assert_eq!(empty_body_root::<Minimal>(), golden);
}

#[test]
fn both_limits_are_part_of_the_empty_body_root() {
    let starts = |root: B256, start: &str| root.to_string().starts_with(start);
    assert!(starts(empty_body_root::<MinimalPreset<U32, U16>>(), "0x21ae7857"));
    assert!(starts(empty_body_root::<MinimalPreset<U512, U4096>>(), "0xf25ca81d"));
    assert!(starts(empty_body_root::<OfficialMinimal>(), "0x9a93f48c"));
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_another_chain_other_ones() {
    for preset in [Preset::Minimal, Preset::Mainnet] {
        let chain = parameters(preset, 3);
        let files = made(&chain, 3, &execution()).unwrap();
        assert_eq!(made(&chain, 3, &execution()).unwrap(), files);
        let other = made(&ChainParameters { chain_id: 1, ..chain }, 3, &execution()).unwrap();
        assert_ne!(other.genesis_ssz, files.genesis_ssz, "the fork versions carry the chain's name");
        assert_ne!(other.config_yaml, files.config_yaml);
    }
}

#[test]
fn the_state_decodes_to_the_same_root_and_names_its_own_payload_header() {
    let chain = parameters(Preset::Minimal, 3);
    let files = made(&chain, 3, &execution()).unwrap();
    let state = BeaconState::<Minimal>::from_ssz_bytes(&files.genesis_ssz).unwrap();
    assert_eq!(state.validators.tree_hash_root().0, chain.genesis_validators_root.0);
    assert_eq!(state.latest_execution_payload_header.extra_data.len(), 64);
    assert_eq!(state.latest_execution_payload_header.block_hash.0, chain.execution_genesis_hash.0);
    assert_eq!(state.latest_block_header.body_root, empty_body_root::<Minimal>());
    assert_eq!(state.eth1_data.deposit_root, b256!("d70a234731285c6804c2a4f56711ddb8c82c99740f207854891028af34e27e5e"));
}

#[test]
fn inputs_that_do_not_belong_together_are_refused() {
    let chain = parameters(Preset::Minimal, 3);
    assert!(matches!(made(&chain, 4, &execution()), Err(GenesisError::ValidatorsRoot { .. })));
    assert_eq!(made(&chain, 0, &execution()), Err(GenesisError::Validators { found: 0 }));
    assert_eq!(made(&chain, 16_385, &execution()), Err(GenesisError::Validators { found: 16_385 }));
    let other = Header { gas_limit: 1, ..execution() };
    assert!(matches!(made(&chain, 3, &other), Err(GenesisError::ExecutionHash { .. })));

    let refused = |header: Header| {
        let mut named = parameters(Preset::Minimal, 3);
        named.execution_genesis_hash = header.block_hash();
        made(&named, 3, &header).unwrap_err()
    };
    let field = |error| match error {
        GenesisError::ExecutionHeader { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(refused(Header { timestamp: 1, ..execution() })), "timestamp");
    assert_eq!(field(refused(Header { difficulty: 1, ..execution() })), "difficulty");
    assert_eq!(field(refused(Header { nonce: 1, ..execution() })), "nonce");
    assert_eq!(field(refused(Header { number: 1, ..execution() })), "number");
    assert_eq!(refused(Header { extra_data: [1; 64], ..execution() }), GenesisError::ExtraData);
}

#[test]
fn the_configuration_names_every_key_that_lighthouse_has_no_default_for() {
    let files = made(&parameters(Preset::Minimal, 3), 3, &execution()).unwrap();
    let keys: Vec<&str> = files.config_yaml.lines().map(|line| line.split(':').next().unwrap()).collect();
    for key in [
        "PRESET_BASE",
        "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT",
        "MIN_GENESIS_TIME",
        "GENESIS_FORK_VERSION",
        "GENESIS_DELAY",
        "ALTAIR_FORK_VERSION",
        "ALTAIR_FORK_EPOCH",
        "DENEB_FORK_VERSION",
        "DENEB_FORK_EPOCH",
        "SECONDS_PER_SLOT",
        "SECONDS_PER_ETH1_BLOCK",
        "MIN_VALIDATOR_WITHDRAWABILITY_DELAY",
        "SHARD_COMMITTEE_PERIOD",
        "ETH1_FOLLOW_DISTANCE",
        "INACTIVITY_SCORE_BIAS",
        "INACTIVITY_SCORE_RECOVERY_RATE",
        "EJECTION_BALANCE",
        "MIN_PER_EPOCH_CHURN_LIMIT",
        "CHURN_LIMIT_QUOTIENT",
        "PROPOSER_SCORE_BOOST",
        "TERMINAL_TOTAL_DIFFICULTY",
        "DEPOSIT_CHAIN_ID",
        "DEPOSIT_NETWORK_ID",
        "DEPOSIT_CONTRACT_ADDRESS",
    ] {
        assert_eq!(keys.iter().filter(|k| **k == key).count(), 1, "{key}");
    }
    assert!(!files.config_yaml.contains("ELECTRA"));
    let address = format!("DEPOSIT_CONTRACT_ADDRESS: 0x{}\n", "42".repeat(20));
    assert!(files.config_yaml.ends_with(&address), "lower case, as in the official files:\n{}", files.config_yaml);
    assert_eq!(files.deposit_contract_block, "0\n");
}
