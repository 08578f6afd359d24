//! The execution genesis: from seed, time and parameters to `genesis.json`, and back (section 5).
//!
//! # Contract
//! `GenesisParameters -> GenesisDraft -> ExecutionGenesis`. The draft has the block's hash, from which the rest of the chain is made (beacon
//! genesis, chain.toml); with the finished chain specification it becomes the file that every execution client reads. Same inputs, same
//! bytes. Cancun from the first block, terminal total difficulty 0, 64 zero bytes of `extraData`, difficulty = floor. In the state: the
//! seed's funded account, the deposit contract at [`DEPOSIT_CONTRACT`], the beacon roots contract of EIP-4788. The chain's own keys
//! stand under `config.polai`.
//!
//! # What it does not protect against
//! Whoever knows the seed owns the funded account.

mod error;
mod file;
mod header;

pub use error::GenesisError;
pub use file::{GENESIS_JSON_BYTES_MAX, PolaiConfig};
pub use header::genesis_header;

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::{
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7840::BlobParams,
};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use pol_core::{extra_data::ExtraData, genesis::ChainSpec, identity::GenesisSeed};

use crate::chain::{Chain, b256};

/// Where the deposit contract lies: the address that test networks use.
pub const DEPOSIT_CONTRACT: Address = address!("4242424242424242424242424242424242424242");
/// Runtime code of `contracts/DepositContract.sol`; `contracts/compile.mjs` makes it anew.
pub const DEPOSIT_CONTRACT_CODE: &[u8] = include_bytes!("../../contracts/DepositContract.bin");
/// Balance of the funded account: 10^9 ether, in wei.
pub const FUNDED_WEI: u128 = 1_000_000_000 * 1_000_000_000_000_000_000;
/// Gas limit of the genesis block.
pub const GAS_LIMIT: u64 = 30_000_000;
/// Base fee of the genesis block, wei: EIP-1559's own.
pub const BASE_FEE_WEI: u64 = 1_000_000_000;

/// What the execution genesis depends on. The ranges are chain.toml's (section 2.1), checked by [`GenesisDraft::finish`].
#[derive(Debug, Clone)]
pub struct GenesisParameters {
    /// GENESIS_SEED.
    pub seed: GenesisSeed,
    /// GENESIS_TIME, unix seconds: timestamp of the block.
    pub genesis_time: u64,
    /// Chain id of transactions.
    pub chain_id: u64,
    /// Smallest difficulty, and the block's own.
    pub difficulty_floor: u64,
}

/// The genesis block, before the chain has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisDraft {
    genesis: Genesis,
    header: Header,
    hash: B256,
}

impl GenesisDraft {
    /// The genesis of these parameters.
    ///
    /// # Errors
    /// [`GenesisError::Account`]: the operator takes another seed.
    pub fn build(parameters: &GenesisParameters) -> Result<Self, GenesisError> {
        let funded = Address::from(parameters.seed.funded_account()?.address());
        let genesis = Genesis {
            config: config(parameters.chain_id),
            timestamp: parameters.genesis_time,
            extra_data: Bytes::copy_from_slice(&ExtraData::GENESIS.encode()),
            gas_limit: GAS_LIMIT,
            difficulty: U256::from(parameters.difficulty_floor),
            alloc: BTreeMap::from([
                (funded, GenesisAccount { balance: U256::from(FUNDED_WEI), ..GenesisAccount::default() }),
                (DEPOSIT_CONTRACT, contract(Bytes::from_static(DEPOSIT_CONTRACT_CODE))),
                (BEACON_ROOTS_ADDRESS, contract(BEACON_ROOTS_CODE.clone())),
            ]),
            base_fee_per_gas: Some(BASE_FEE_WEI.into()),
            ..Genesis::default()
        };
        let header = genesis_header(&genesis)?;
        let hash = header.hash_slow();
        Ok(Self { genesis, header, hash })
    }

    /// Hash of the block: `execution_genesis_hash` of chain.toml, and the beacon genesis' `eth1_data.block_hash`.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The block's header, from which the beacon genesis takes its payload header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Gives the genesis its chain's name.
    ///
    /// # Errors
    /// [`GenesisError::Mismatch`]: the specification is not of this block. Our own fault.
    pub fn finish(mut self, spec: &ChainSpec) -> Result<ExecutionGenesis, GenesisError> {
        PolaiConfig::of(spec).write(&mut self.genesis.config)?;
        let genesis = ExecutionGenesis::check(self.genesis)?;
        genesis.check_spec(spec)?;
        Ok(genesis)
    }
}

/// A checked genesis of an execution client on this protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionGenesis {
    genesis: Genesis,
    header: Header,
    chain: Chain,
}

impl ExecutionGenesis {
    /// Fork schedule, state and block, as alloy's type: what clients start from.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Header of the genesis block.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The chain's parameters, as far as the execution side lives by them.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Refuses a chain.toml that is not of this genesis.
    ///
    /// # Errors
    /// [`GenesisError::Mismatch`]: the operator mixed two genesis directories.
    pub fn check_spec(&self, spec: &ChainSpec) -> Result<(), GenesisError> {
        let theirs = spec.parameters();
        let (ours, hash) = (&self.chain, b256(theirs.execution_genesis_hash));
        let fields: [(&'static str, String, String); 6] = [
            ("execution_genesis_hash", ours.genesis_hash().to_string(), hash.to_string()),
            ("genesis_id", ours.genesis_id().to_string(), spec.genesis_id().to_string()),
            ("genesis_time", ours.genesis_time().to_string(), theirs.genesis_time.to_string()),
            ("chain_id", self.genesis.config.chain_id.to_string(), theirs.chain_id.to_string()),
            ("slot_seconds", ours.slot_seconds().to_string(), theirs.slot_seconds.to_string()),
            ("difficulty_floor", ours.difficulty().floor().to_string(), theirs.difficulty_floor.to_string()),
        ];
        match fields.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            None => Ok(()),
            Some((field, found, expected)) => Err(GenesisError::Mismatch { field, found, expected }),
        }
    }
}

const fn zero() -> Option<u64> {
    Some(0)
}

/// Every fork up to Cancun from the first block on, none after it.
fn config(chain_id: u64) -> ChainConfig {
    ChainConfig {
        chain_id,
        homestead_block: zero(),
        eip150_block: zero(),
        eip155_block: zero(),
        eip158_block: zero(),
        byzantium_block: zero(),
        constantinople_block: zero(),
        petersburg_block: zero(),
        istanbul_block: zero(),
        berlin_block: zero(),
        london_block: zero(),
        shanghai_time: zero(),
        cancun_time: zero(),
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        deposit_contract_address: Some(DEPOSIT_CONTRACT),
        blob_schedule: BTreeMap::from([("cancun".to_owned(), BlobParams::cancun())]),
        ..ChainConfig::default()
    }
}

/// A contract account, as if it had been created: nonce 1 (EIP-161).
fn contract(code: Bytes) -> GenesisAccount {
    GenesisAccount { nonce: Some(1), code: Some(code), ..GenesisAccount::default() }
}

#[cfg(test)]
mod tests;
