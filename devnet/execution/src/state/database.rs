//! A state as the EVM reads it.

use core::{convert::Infallible, fmt};
use std::sync::Arc;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};

use super::WorldState;

/// Where the EVM finds hashes of earlier blocks (BLOCKHASH).
pub trait BlockHashes: fmt::Debug + Send + Sync {
    /// Hash of the ancestor at a height; none when it is no ancestor.
    fn block_hash(&self, number: u64) -> Option<B256>;
}

/// A state and the ancestors of the block that is executed on it.
#[derive(Debug, Clone)]
pub struct StateAt {
    state: WorldState,
    ancestors: Arc<dyn BlockHashes>,
}

impl StateAt {
    /// Of a state and the chain that it is the end of.
    pub fn new(state: WorldState, ancestors: Arc<dyn BlockHashes>) -> Self {
        Self { state, ancestors }
    }
}

impl DatabaseRef for StateAt {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.state.account(&address).map(|account| AccountInfo {
            balance: account.fields.balance,
            nonce: account.fields.nonce,
            code_hash: account.fields.code_hash,
            account_id: None,
            code: (account.fields.code_hash == KECCAK256_EMPTY).then(Bytecode::default),
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.state.code(&code_hash))
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.state.storage(&address, index))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.ancestors.block_hash(number).unwrap_or_default())
    }
}
