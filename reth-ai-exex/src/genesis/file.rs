//! genesis.json as text.

use alloy_genesis::{ChainConfig, Genesis};
use alloy_primitives::{U64, U256};
use pol_core::{GenesisId, extra_data::ExtraData, genesis::ChainSpec};
use serde::{Deserialize, Serialize};

use super::{ExecutionGenesis, GenesisError, genesis_header};
use crate::chain::Chain;

/// Longest genesis.json that is looked at, bytes.
pub const GENESIS_JSON_BYTES_MAX: usize = 64 << 20;
/// Version of `config.polai`.
const VERSION: u64 = 1;
const KEY: &str = "polai";

/// `config.polai`: what an execution client needs to know of the chain beside Ethereum's own parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolaiConfig {
    /// 1.
    version: u64,
    /// The chain's name, 64 lower-case hex digits as in chain.toml.
    genesis_id: String,
    /// Seconds of a slot.
    slot_seconds: U64,
    /// Smallest difficulty.
    difficulty_floor: U64,
}

impl PolaiConfig {
    /// Of a chain specification.
    pub fn of(spec: &ChainSpec) -> Self {
        let parameters = spec.parameters();
        Self {
            version: VERSION,
            genesis_id: spec.genesis_id().to_string(),
            slot_seconds: U64::from(parameters.slot_seconds),
            difficulty_floor: U64::from(parameters.difficulty_floor),
        }
    }

    pub(super) fn write(&self, config: &mut ChainConfig) -> Result<(), GenesisError> {
        config.extra_fields.insert(KEY.to_owned(), serde_json::to_value(self)?);
        Ok(())
    }

    fn read(config: &ChainConfig) -> Result<Self, GenesisError> {
        let value = config.extra_fields.get(KEY).ok_or(GenesisError::Missing { key: "config.polai" })?;
        let polai: Self = serde_json::from_value(value.clone()).map_err(GenesisError::Polai)?;
        fixed("config.polai.version", &polai.version, &VERSION)?;
        Ok(polai)
    }
}

impl ExecutionGenesis {
    /// Reads genesis.json.
    ///
    /// # Errors
    /// [`GenesisError`]; the operator's fault.
    pub fn read(text: &[u8]) -> Result<Self, GenesisError> {
        if text.len() > GENESIS_JSON_BYTES_MAX {
            return Err(GenesisError::TooLong { found: text.len() });
        }
        Self::check(serde_json::from_slice(text)?)
    }

    /// Takes a genesis that a client has read, as a custom chain of its own.
    ///
    /// # Errors
    /// [`GenesisError`]; the operator's fault.
    pub fn check(genesis: Genesis) -> Result<Self, GenesisError> {
        let polai = PolaiConfig::read(&genesis.config)?;
        check_forks(&genesis.config)?;
        check_block(&genesis, polai.difficulty_floor.to())?;
        let header = genesis_header(&genesis)?;
        let id: GenesisId = polai.genesis_id.parse()?;
        let (slot, floor) = (polai.slot_seconds.to(), polai.difficulty_floor.to());
        let chain = Chain::new(id, header.hash_slow(), genesis.timestamp, slot, floor)?;
        Ok(Self { genesis, header, chain })
    }

    /// The file's text: pretty JSON with a line end.
    ///
    /// # Errors
    /// [`GenesisError::Json`] never: everything in it has a JSON form.
    pub fn to_json(&self) -> Result<String, GenesisError> {
        let mut text = serde_json::to_string_pretty(&self.genesis)?;
        text.push('\n');
        Ok(text)
    }
}

fn fixed<T: PartialEq + core::fmt::Debug>(key: &'static str, found: &T, expected: &T) -> Result<(), GenesisError> {
    if found == expected {
        Ok(())
    } else {
        Err(GenesisError::Fixed { key, found: format!("{found:?}"), expected: format!("{expected:?}") })
    }
}

/// Cancun from the first block, nothing later.
fn check_forks(config: &ChainConfig) -> Result<(), GenesisError> {
    let at_genesis = Some(0);
    for (key, found) in [
        ("config.londonBlock", config.london_block),
        ("config.shanghaiTime", config.shanghai_time),
        ("config.cancunTime", config.cancun_time),
    ] {
        fixed(key, &found, &at_genesis)?;
    }
    for (key, found) in [
        ("config.pragueTime", config.prague_time),
        ("config.osakaTime", config.osaka_time),
        ("config.amsterdamTime", config.amsterdam_time),
        ("config.bogotaTime", config.bogota_time),
        ("config.mergeNetsplitBlock", config.merge_netsplit_block),
    ] {
        fixed(key, &found, &None)?;
    }
    fixed("config.terminalTotalDifficulty", &config.terminal_total_difficulty, &Some(U256::ZERO))
}

/// Section 3: 64 zero bytes, difficulty = floor, nonce 0.
fn check_block(genesis: &Genesis, floor: u64) -> Result<(), GenesisError> {
    fixed("extraData", &genesis.extra_data.as_ref(), &ExtraData::GENESIS.encode().as_slice())?;
    fixed("difficulty", &genesis.difficulty, &U256::from(floor))?;
    fixed("nonce", &genesis.nonce, &0)?;
    fixed("number", &genesis.number.unwrap_or(0), &0)?;
    fixed("parentHash", &genesis.parent_hash.unwrap_or_default(), &Default::default())
}
