//! The JSON of the Beacon API: integers as decimal strings, bytes as 0x-hex, and back to the same value.

#[path = "../examples/devnet/mod.rs"]
mod devnet;

use devnet::Devnet;
use pol_beacon::{
    transition::{VerifySignatures, state_transition},
    types::{Minimal, SignedBeaconBlock},
};
use serde_json::Value;

/// Every number must be a string, every byte string 0x-hex in lower case.
fn check(path: &str, value: &Value) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| check(&format!("{path}.{key}"), value)),
        Value::Array(list) => list.iter().for_each(|value| check(path, value)),
        Value::String(text) => {
            let is_hex =
                text.strip_prefix("0x").is_some_and(|hex| hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)));
            assert!(is_hex || text.chars().all(|c| c.is_ascii_digit()), "{path}: {text}");
        }
        other => panic!("{path}: {other}"),
    }
}

#[test]
fn a_block_survives_its_json_and_has_the_shape_of_the_beacon_api() {
    let chain = Devnet::<Minimal>::new(4);
    let first = chain.block(&chain.genesis, 1, &[], 0);
    let state = state_transition(&chain.genesis, &first, &chain.config, VerifySignatures::Yes).unwrap();
    let votes = chain.attestations(&state);
    assert!(!votes.is_empty());
    let block = chain.block(&state, 2, &votes, 0);
    let value = serde_json::to_value(block.signed()).unwrap();
    check("block", &value);
    assert_eq!(value["message"]["slot"], "2");
    assert_eq!(value["message"]["body"]["attestations"][0]["data"]["slot"], "1");
    assert_eq!(value["message"]["body"]["execution_payload"]["base_fee_per_gas"], "0");
    let back: SignedBeaconBlock<Minimal> = serde_json::from_value(value).unwrap();
    assert_eq!(back, *block.signed());
}
