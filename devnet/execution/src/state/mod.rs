//! The state of all accounts after a block.
//!
//! # Contract
//! [`WorldState`] is a value: applying a [`StateDiff`] gives the next one and leaves this one as it is, at the price of what the diff touches.
//! Every block keeps its own, so that any of them can be read, built upon or become the head. Contract code is shared by all states and never
//! forgotten: a block that is dropped leaves its code behind.
//!
//! # What it does not protect against
//! A diff of another parent: the caller applies each diff to the state that it was made on.

mod database;
mod diff;

pub use database::{BlockHashes, StateAt};
pub use diff::{AccountDiff, AccountFields, StateDiff};

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::Encodable as _;
use alloy_trie::TrieAccount;
use revm::state::Bytecode;

use crate::trie::{Trie, Value};

/// An account and its storage.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Nonce, balance, hash of the code.
    pub fields: AccountFields,
    /// By hashed slot. Zero values are not in it.
    pub storage: Trie<U256>,
}

impl Value for U256 {
    fn encode(&self, out: &mut Vec<u8>) {
        alloy_rlp::Encodable::encode(self, out);
    }
}

impl Value for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        let AccountFields { nonce, balance, code_hash } = self.fields;
        TrieAccount { nonce, balance, storage_root: self.storage.root(), code_hash }.encode(out);
    }
}

/// Contract code by its hash. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Codes(Arc<RwLock<BTreeMap<B256, Bytecode>>>);

impl Codes {
    /// The code with this hash.
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// Adds code. Its hash is the caller's word.
    pub fn insert(&self, hash: B256, code: Bytes) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(hash).or_insert_with(|| Bytecode::new_legacy(code));
    }
}

/// The state after one block. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct WorldState {
    accounts: Trie<Account>,
    codes: Codes,
}

impl WorldState {
    /// Of a genesis' accounts: the state, and the same as a diff to nothing.
    pub fn genesis(alloc: &BTreeMap<Address, GenesisAccount>) -> (Self, StateDiff) {
        let mut diff = StateDiff::default();
        for (address, account) in alloc {
            let code_hash = account.code.as_ref().map_or(KECCAK256_EMPTY, keccak256);
            if let Some(code) = account.code.as_ref().filter(|code| !code.is_empty()) {
                diff.codes.insert(code_hash, code.clone());
            }
            let storage = account.storage.iter().flatten();
            let storage = storage.map(|(slot, value)| (keccak256(slot), U256::from_be_bytes(value.0))).collect();
            let fields = AccountFields { nonce: account.nonce.unwrap_or(0), balance: account.balance, code_hash };
            diff.accounts.insert(keccak256(address), AccountDiff { fields: Some(fields), wiped: false, storage });
        }
        (Self::default().apply(&diff), diff)
    }

    /// The state after a block with this diff.
    pub fn apply(&self, diff: &StateDiff) -> Self {
        let mut next = self.clone();
        for (hash, code) in &diff.codes {
            next.codes.insert(*hash, code.clone());
        }
        for (key, change) in &diff.accounts {
            let Some(fields) = change.fields else {
                next.accounts.remove(key);
                continue;
            };
            let old = next.accounts.get(key).filter(|_| !change.wiped);
            let mut storage = old.map(|account| account.storage.clone()).unwrap_or_default();
            for (slot, value) in &change.storage {
                if value.is_zero() { storage.remove(slot) } else { storage.insert(slot, *value) }
            }
            next.accounts.insert(key, Account { fields, storage });
        }
        next
    }

    /// The state root.
    pub fn root(&self) -> B256 {
        self.accounts.root()
    }

    /// An account; none when it is empty or was never touched.
    pub fn account(&self, address: &Address) -> Option<&Account> {
        self.accounts.get(&keccak256(address))
    }

    /// Nonce and balance, zero for an account that is not there.
    pub fn fields(&self, address: &Address) -> AccountFields {
        self.account(address).map(|account| account.fields).unwrap_or_default()
    }

    /// The value of a storage slot.
    pub fn storage(&self, address: &Address, slot: U256) -> U256 {
        let key = keccak256(slot.to_be_bytes::<32>());
        self.account(address).and_then(|account| account.storage.get(&key).copied()).unwrap_or_default()
    }

    /// Code by its hash; empty for the hash of no code.
    pub fn code(&self, hash: &B256) -> Bytecode {
        self.codes.get(hash).unwrap_or_default()
    }

    /// Proof of an account (EIP-1186).
    pub fn account_proof(&self, address: &Address) -> Vec<Bytes> {
        self.accounts.proof(&keccak256(address))
    }
}

#[cfg(test)]
mod tests;
