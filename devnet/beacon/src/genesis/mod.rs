//! Genesis of the beacon chain (docs/PROTOCOL.md sections 2.1 and 5), in the layout of Lighthouse's `--testnet-dir`.
//!
//! # Contract
//! Everything follows from the inputs: same inputs, same bytes of every file. The validators root follows from the seed alone, so it is
//! known before chain.toml is written; the fork versions inside the files carry the chain's name and so need chain.toml.
//!
//! # What it does not protect against
//! Whoever knows the seed holds every genesis key.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod config_yaml;
mod state;

use alloy_primitives::Address;
use pol_core::{
    Hash32,
    bls::BlsError,
    genesis::{ChainParameters, ChainSpec},
    header::Header,
    identity::{AccountError, GenesisSeed},
    params::{EXTRA_DATA_BYTES, Preset},
};
use ssz::Encode as _;

pub use state::{empty_body_root, genesis_state, validators_root};

use crate::{
    transition::StateError,
    types::{Config, Mainnet, Minimal},
};

/// Validators that genesis can have, at most: more join by deposit.
pub const GENESIS_VALIDATORS_MAX: u32 = 16_384;

/// Why there is no genesis. The operator's fault: inputs that do not belong together; never transient.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GenesisError {
    /// Nobody, or too many.
    #[error("validators: found {found}, expected 1 to {GENESIS_VALIDATORS_MAX}")]
    Validators {
        /// Number found.
        found: u32,
    },
    /// chain.toml was written for another seed or number of validators.
    #[error("genesis_validators_root: found {found} in chain.toml, expected {expected} from the seed")]
    ValidatorsRoot {
        /// Of chain.toml.
        found: Hash32,
        /// Of seed and number.
        expected: Hash32,
    },
    /// chain.toml was written for another execution genesis.
    #[error("execution_genesis_hash: found {found} in chain.toml, expected {expected}, the hash of the execution header")]
    ExecutionHash {
        /// Of chain.toml.
        found: Hash32,
        /// Of the header.
        expected: Hash32,
    },
    /// A field of the execution header that the protocol fixes.
    #[error("execution header {field}: found {found}, expected {expected}")]
    ExecutionHeader {
        /// The field.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Value expected.
        expected: u64,
    },
    /// The header's `extraData` is not 64 zero bytes.
    #[error("execution header extraData: found bytes other than zero, expected {EXTRA_DATA_BYTES} zeros")]
    ExtraData,
    /// A key of the seed.
    #[error("validator key: {0}")]
    Key(#[from] BlsError),
    /// The funded account of the seed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The state. Ours.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What genesis is made from.
#[derive(Debug, Clone, Copy)]
pub struct GenesisInputs<'a> {
    /// chain.toml.
    pub chain: &'a ChainSpec,
    /// GENESIS_SEED.
    pub seed: &'a GenesisSeed,
    /// How many validators.
    pub validators: u32,
    /// Header of the execution genesis block.
    pub execution: &'a Header,
    /// Where the deposit contract stands, or will be deployed.
    pub deposit_contract: Address,
}

/// The text of `config.yaml` for a chain that began with so many validators.
pub fn config_yaml(config: &Config, chain: &ChainParameters, validators: u32) -> String {
    config_yaml::write(config, chain, validators)
}

/// The files of a `--testnet-dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisFiles {
    /// `genesis.ssz`.
    pub genesis_ssz: Vec<u8>,
    /// `config.yaml`.
    pub config_yaml: String,
    /// `deposit_contract_block.txt`.
    pub deposit_contract_block: String,
}

impl GenesisFiles {
    /// Makes them.
    ///
    /// # Errors
    /// [`GenesisError`], each variant.
    pub fn new(inputs: &GenesisInputs<'_>) -> Result<Self, GenesisError> {
        let genesis_ssz = match inputs.chain.parameters().preset {
            Preset::Minimal => genesis_state::<Minimal>(inputs)?.as_ssz_bytes(),
            Preset::Mainnet => genesis_state::<Mainnet>(inputs)?.as_ssz_bytes(),
        };
        let config = Config::of_chain(inputs.chain, inputs.deposit_contract);
        Ok(Self {
            genesis_ssz,
            config_yaml: config_yaml::write(&config, &inputs.chain.parameters(), inputs.validators),
            deposit_contract_block: "0\n".to_owned(),
        })
    }

    /// Names and contents, as they lie in the folder.
    pub fn files(&self) -> [(&'static str, &[u8]); 3] {
        [
            ("config.yaml", self.config_yaml.as_bytes()),
            ("deposit_contract_block.txt", self.deposit_contract_block.as_bytes()),
            ("genesis.ssz", &self.genesis_ssz),
        ]
    }
}

#[cfg(test)]
mod tests;
