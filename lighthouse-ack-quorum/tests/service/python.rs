//! The independent Python verifier of slashings, with the official specification's types.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use pol_core::{Hash32, fault::SlashingPair, genesis::ChainSpec, identity::GenesisSeed};
use serde_json::{Value, json};

use crate::world::SEED;

/// What `scripts/setup` made of testing/vectors/requirements.txt.
fn interpreter() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = std::env::var_os("POLAI_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("pol-ai"));
    let python = cache.join("vectors-venv/bin/python");
    assert!(python.exists(), "{} is missing: run ./scripts/setup", python.display());
    python
}

/// The chain as the verifier is told about it.
pub fn chain(state_slot: u64, canonical_root: Hash32, n: u64) -> Value {
    json!({ "state_slot": state_slot, "slots_per_historical_root": 64, "canonical_root": canonical_root.to_string(),
        "dev_slash_small": false, "committee": (0..n).collect::<Vec<_>>() })
}

/// One line per slashing.
pub fn verdicts(spec: &ChainSpec, n: u32, slashings: &[(SlashingPair, Value)]) -> Vec<String> {
    let seed = GenesisSeed::from_bytes(SEED);
    let key = |index: u32| hex::encode(seed.validator_key(index).unwrap().public_key().to_bytes());
    let request = json!({
        "genesis_id": spec.genesis_id().to_string(),
        "genesis_validators_root": spec.parameters().genesis_validators_root.to_string(),
        "public_keys": (0..n).map(|index| (index.to_string(), key(index).into())).collect::<serde_json::Map<_, _>>(),
        "slashings": slashings.iter().map(|(pair, chain)| {
            json!({ "ssz": hex::encode(lighthouse_ack_quorum::faults::to_ssz(pair)), "chain": chain })
        }).collect::<Vec<_>>(),
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/vectors/verify_slashing.py");
    let mut child = Command::new(interpreter()).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
