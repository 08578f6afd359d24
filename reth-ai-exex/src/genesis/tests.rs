#![allow(clippy::arithmetic_side_effects)]

use std::str::FromStr as _;

use alloy_primitives::hex;
use pol_core::{
    committee::QuorumRule, delta::Profile, gate::NanoNats, genesis::ChainParameters, params::Preset, sha256, state::Shape,
};
use serde_json::{Value, json};

use super::*;

fn parameters() -> GenesisParameters {
    let seed = GenesisSeed::from_str(&"5e".repeat(32)).unwrap();
    GenesisParameters { seed, genesis_time: 1_700_000_000, chain_id: 1_337_001, difficulty_floor: 4_096 }
}

fn spec(change: impl FnOnce(&mut ChainParameters)) -> ChainSpec {
    let mut parameters = ChainParameters {
        genesis_time: 1_700_000_000,
        preset: Preset::Minimal,
        slot_seconds: 6,
        chain_id: 1_337_001,
        genesis_validators_root: pol_core::Hash32([3; 32]),
        execution_genesis_hash: crate::chain::hash32(GenesisDraft::build(&parameters()).unwrap().hash()),
        quorum: QuorumRule::Auto,
        difficulty_floor: 4_096,
        manifest_hash: pol_core::Hash32([4; 32]),
        shape: Shape::new(2, 64, 64, 32, 96).unwrap(),
        dev_texts_hash: pol_core::Hash32([5; 32]),
        reference_losses: [NanoNats::new(1).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    };
    change(&mut parameters);
    ChainSpec::new(&parameters).unwrap()
}

fn finished() -> ExecutionGenesis {
    GenesisDraft::build(&parameters()).unwrap().finish(&spec(|_| {})).unwrap()
}

fn json() -> Value {
    serde_json::from_str(&finished().to_json().unwrap()).unwrap()
}

fn read(value: &Value) -> Result<ExecutionGenesis, GenesisError> {
    ExecutionGenesis::read(value.to_string().as_bytes())
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_any_other_input_another_block() {
    assert_eq!(finished().to_json().unwrap(), finished().to_json().unwrap());
    let hash = GenesisDraft::build(&parameters()).unwrap().hash();
    let other_seed = GenesisParameters { seed: GenesisSeed::from_bytes([1; 32]), ..parameters() };
    let other_time = GenesisParameters { genesis_time: 1, ..parameters() };
    let other_floor = GenesisParameters { difficulty_floor: 4_097, ..parameters() };
    for other in [other_seed, other_time, other_floor] {
        assert_ne!(GenesisDraft::build(&other).unwrap().hash(), hash);
    }
}

#[test]
fn what_is_written_is_read_again_with_the_chains_own_keys() {
    let genesis = finished();
    let back = ExecutionGenesis::read(genesis.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(back, genesis);
    assert_eq!(*back.chain(), Chain::of(&spec(|_| {})));
    back.check_spec(&spec(|_| {})).unwrap();
    assert_eq!(back.header().hash_slow(), back.chain().genesis_hash());
    let polai = &json()["config"]["polai"];
    let expected = json!({
        "version": 1,
        "genesisId": spec(|_| {}).genesis_id().to_string(),
        "slotSeconds": "0x6",
        "difficultyFloor": "0x1000",
    });
    assert_eq!(*polai, expected);
}

#[test]
fn the_file_says_what_every_client_needs_to_start_at_cancun_after_the_merge() {
    let json = json();
    let config = &json["config"];
    for (key, value) in [
        ("chainId", json!(1_337_001)),
        ("cancunTime", json!(0)),
        ("shanghaiTime", json!(0)),
        ("londonBlock", json!(0)),
        ("terminalTotalDifficulty", json!(0)),
        ("terminalTotalDifficultyPassed", json!(true)),
        ("depositContractAddress", json!("0x4242424242424242424242424242424242424242")),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    assert!(config.get("pragueTime").is_none() && config.get("mergeNetsplitBlock").is_none());
    assert_eq!(json["extraData"], format!("0x{}", "00".repeat(64)));
    assert_eq!((&json["difficulty"], &json["nonce"]), (&json!("0x1000"), &json!("0x0")));
    let accounts = json["alloc"].as_object().unwrap();
    assert_eq!(accounts.len(), 3);
    let code = |address: &str| accounts[address]["code"].as_str().unwrap().to_owned();
    assert_eq!(code("0x4242424242424242424242424242424242424242"), hex::encode_prefixed(DEPOSIT_CONTRACT_CODE));
    assert!(code("0x000f3df6d732807ef1319fb7b8bb8522d0beac02").starts_with("0x3373ffff"));
    let funded = hex::encode_prefixed(parameters().seed.funded_account().unwrap().address());
    assert_eq!(accounts[&funded]["balance"], "0x33b2e3c9fd0803ce8000000");
}

#[test]
fn nothing_secret_stands_in_the_file() {
    let text = finished().to_json().unwrap();
    let secret = hex::encode(parameters().seed.funded_account().unwrap().secret());
    assert!(!text.contains(&secret) && !text.contains(&"5e".repeat(32)));
}

#[test]
fn a_specification_of_another_block_does_not_finish_a_draft() {
    type Change = fn(&mut ChainParameters);
    let changes: [(&str, Change); 4] = [
        ("execution_genesis_hash", |p| p.execution_genesis_hash = pol_core::Hash32([9; 32])),
        ("genesis_time", |p| p.genesis_time += 1),
        ("chain_id", |p| p.chain_id += 1),
        ("difficulty_floor", |p| p.difficulty_floor += 1),
    ];
    for (field, change) in changes {
        let draft = GenesisDraft::build(&parameters()).unwrap();
        assert!(draft.finish(&spec(change)).is_err(), "{field}");
        let error = finished().check_spec(&spec(change)).unwrap_err();
        assert!(matches!(error, GenesisError::Mismatch { .. }), "{field}: {error}");
    }
    let slower = finished().check_spec(&spec(|p| p.slot_seconds = 12)).unwrap_err();
    assert!(matches!(slower, GenesisError::Mismatch { field: "genesis_id", .. }), "{slower}");
}

#[test]
fn a_genesis_of_another_kind_of_chain_is_refused_by_the_key_that_says_so() {
    let cases: [(&[&str], Value, &str); 16] = [
        (&["config", "polai"], Value::Null, "polai"),
        (&["config", "polai", "version"], json!(2), "config.polai.version"),
        (&["config", "polai", "genesisId"], json!("0xab"), "genesisId"),
        (&["config", "polai", "slotSeconds"], json!("0x0"), "slot_seconds"),
        (&["config", "polai", "difficultyFloor"], json!("0x0"), "difficulty"),
        (&["config", "polai", "extra"], json!(1), "unknown field"),
        (&["config", "cancunTime"], json!(1), "config.cancunTime"),
        (&["config", "shanghaiTime"], Value::Null, "config.shanghaiTime"),
        (&["config", "londonBlock"], json!(5), "config.londonBlock"),
        (&["config", "pragueTime"], json!(0), "config.pragueTime"),
        (&["config", "osakaTime"], json!(9), "config.osakaTime"),
        (&["config", "mergeNetsplitBlock"], json!(0), "config.mergeNetsplitBlock"),
        (&["config", "terminalTotalDifficulty"], json!(1), "config.terminalTotalDifficulty"),
        (&["extraData"], json!("0x00"), "extraData"),
        (&["difficulty"], json!("0x1001"), "difficulty"),
        (&["nonce"], json!("0x1"), "nonce"),
    ];
    for (path, value, expected) in cases {
        let mut changed = json();
        let place = path.iter().fold(&mut changed, |place, key| &mut place[*key]);
        *place = value;
        let error = read(&changed).unwrap_err().to_string();
        assert!(error.contains(expected), "{path:?}: {error}");
    }
    let mut without = json();
    without["config"].as_object_mut().unwrap().remove("polai");
    assert!(matches!(read(&without), Err(GenesisError::Missing { key: "config.polai" })));
}

#[test]
fn what_is_no_genesis_file_is_refused() {
    for text in ["", "{}", "[]", "null", "{\"config\":{\"polai\":{}}}", &"[".repeat(100_000)] {
        assert!(ExecutionGenesis::read(text.as_bytes()).is_err());
    }
    let huge = vec![b' '; GENESIS_JSON_BYTES_MAX + 1];
    assert!(matches!(ExecutionGenesis::read(&huge), Err(GenesisError::TooLong { .. })));
}

#[test]
fn the_deposit_contracts_code_is_of_the_source_that_stands_beside_it() {
    let compiled: Value = serde_json::from_str(include_str!("../../contracts/DepositContract.json")).unwrap();
    let source = include_bytes!("../../contracts/DepositContract.sol");
    assert_eq!(compiled["source_sha256"], hex::encode(sha256(&[source])), "npm run compile in contracts/");
    assert_eq!(compiled["runtime_code"], hex::encode(DEPOSIT_CONTRACT_CODE));
    // EIP-170.
    assert!(DEPOSIT_CONTRACT_CODE.len() <= 24_576);
}

#[test]
fn the_deposit_contracts_abi_is_the_one_that_consensus_clients_know() {
    let compiled: Value = serde_json::from_str(include_str!("../../contracts/DepositContract.json")).unwrap();
    let abi = compiled["abi"].as_array().unwrap();
    let signature = |entry: &Value| {
        let types = |key: &str| {
            let list = entry[key].as_array().cloned().unwrap_or_default();
            list.iter().map(|input| input["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
        };
        format!(
            "{} {}({}) {}",
            entry["type"].as_str().unwrap(),
            entry["name"].as_str().unwrap(),
            types("inputs"),
            types("outputs")
        )
    };
    let mut found: Vec<String> = abi.iter().map(signature).collect();
    found.sort();
    let expected = [
        "event DepositEvent(bytes,bytes,bytes,bytes,bytes) ",
        "function deposit(bytes,bytes,bytes,bytes32) ",
        "function get_deposit_count() bytes",
        "function get_deposit_root() bytes32",
        "function supportsInterface(bytes4) bool",
    ];
    assert_eq!(found, expected);
}
