//! The files of genesis, bounded and compared with each other.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use pol_core::{
    committee::QuorumRule,
    genesis::{CHAIN_TOML_BYTES_MAX, ChainSpec},
};
use pol_kit::{
    config::Contradiction,
    exit::{Exit, OrUsage as _},
};

use super::args::Args;
use crate::{
    driver::read_genesis,
    genesis::config_yaml,
    types::{BeaconState, Config, EthSpec},
};

/// Bytes of a genesis state: 16,384 validators on mainnet's preset take 10 MB.
const GENESIS_BYTES: u64 = 256 << 20;
const CONFIG_BYTES: u64 = 64 << 10;

fn read(path: &Path, most: u64, hint: &str) -> Result<Vec<u8>, Exit> {
    let failed = |error: std::io::Error| Exit::usage(format!("{}: {error}; {hint}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(Exit::usage(format!("{}: more than {most} bytes", path.display())));
    }
    Ok(bytes)
}

/// chain.toml.
pub(super) fn chain(args: &Args) -> Result<ChainSpec, Exit> {
    let path = args.chain.clone().unwrap_or_else(|| args.data.data_dir.join("chain.toml"));
    let most = u64::try_from(CHAIN_TOML_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = read(&path, most, "give the chain's file with --chain")?;
    let text = String::from_utf8(bytes).map_err(|_| Exit::usage(format!("{}: no text", path.display())))?;
    let spec = ChainSpec::parse(&text).map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?;
    let quorum = match spec.parameters().quorum {
        QuorumRule::Auto => "auto".to_owned(),
        QuorumRule::Fixed(number) => number.to_string(),
    };
    Contradiction::check("AI_QUORUM", args.ai_quorum.as_ref(), &quorum, "chain.toml").or_usage()?;
    Ok(spec)
}

/// config.yaml and genesis.ssz, both of the chain that chain.toml names.
pub(super) fn genesis<E: EthSpec>(args: &Args, spec: &ChainSpec) -> Result<(Config, BeaconState<E>), Exit> {
    let folder: PathBuf = args.testnet();
    let hint = "give the folder of genesis with --testnet-dir";
    let yaml_path = folder.join("config.yaml");
    let yaml = String::from_utf8_lossy(&read(&yaml_path, CONFIG_BYTES, hint)?).into_owned();
    let named = yaml.lines().find_map(|line| line.strip_prefix("DEPOSIT_CONTRACT_ADDRESS:"));
    let contract: Address = named
        .and_then(|address| address.trim().trim_matches('\'').parse().ok())
        .ok_or_else(|| Exit::usage(format!("{}: no DEPOSIT_CONTRACT_ADDRESS", yaml_path.display())))?;
    let config = Config::of_chain(spec, contract);

    let genesis_path = folder.join("genesis.ssz");
    let bytes = read(&genesis_path, GENESIS_BYTES, hint)?;
    let state =
        read_genesis::<E>(&bytes, spec, &config).map_err(|error| Exit::usage(format!("{}: {error}", genesis_path.display())))?;

    let validators = u32::try_from(state.validators.len()).unwrap_or(u32::MAX);
    let expected = config_yaml(&config, &spec.parameters(), validators);
    let mut lines = yaml.lines();
    for expected in expected.lines() {
        let found = lines.next().unwrap_or("the end of the file");
        if found != expected {
            let (found, path) = (found.chars().take(80).collect::<String>(), yaml_path.display());
            return Err(Exit::usage(format!(
                "{path}: of another chain, or changed by hand: found {found:?}, expected {expected:?}"
            )));
        }
    }
    Ok((config, state))
}
