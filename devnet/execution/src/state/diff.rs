//! What one block changes in the state.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use revm::database::BundleState;

/// An account without its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct AccountFields {
    /// Transactions sent, or 1 for a fresh contract.
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    /// Keccak of the code.
    pub code_hash: B256,
}

impl Default for AccountFields {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

/// Change of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDiff {
    /// After the block; none: the account is gone.
    pub fields: Option<AccountFields>,
    /// Whether what was in the storage before is gone.
    pub wiped: bool,
    /// By hashed slot; zero: gone.
    pub storage: BTreeMap<B256, U256>,
}

/// Changes of all accounts, by hashed address. Independent of the order of execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// By hashed address.
    pub accounts: BTreeMap<B256, AccountDiff>,
    /// Code that appeared, by hash.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateDiff {
    /// How much it touches: accounts and slots, a measure of the memory that keeping the state costs.
    pub fn touched(&self) -> usize {
        self.accounts.values().map(|account| account.storage.len().saturating_add(1)).sum()
    }

    /// The diff as rows of bytes, for the disk.
    pub fn to_rlp(&self) -> Vec<u8> {
        let accounts = self.accounts.iter().map(|(key, account)| AccountRow {
            key: *key,
            wiped: account.wiped,
            fields: account.fields.into_iter().collect(),
            storage: account.storage.iter().map(|(slot, value)| SlotRow { slot: *slot, value: *value }).collect(),
        });
        let codes = self.codes.iter().map(|(hash, code)| CodeRow { hash: *hash, code: code.clone() });
        alloy_rlp::encode(DiffRow { accounts: accounts.collect(), codes: codes.collect() })
    }

    /// What [`Self::to_rlp`] wrote.
    ///
    /// # Errors
    /// The disk's content is damaged.
    pub fn from_rlp(mut bytes: &[u8]) -> Result<Self, alloy_rlp::Error> {
        let row = <DiffRow as alloy_rlp::Decodable>::decode(&mut bytes)?;
        let accounts = row.accounts.into_iter().map(|account| {
            let storage = account.storage.into_iter().map(|slot| (slot.slot, slot.value)).collect();
            (account.key, AccountDiff { fields: account.fields.first().copied(), wiped: account.wiped, storage })
        });
        let codes = row.codes.into_iter().map(|code| (code.hash, code.code));
        Ok(Self { accounts: accounts.collect(), codes: codes.collect() })
    }
}

impl From<&BundleState> for StateDiff {
    fn from(bundle: &BundleState) -> Self {
        let mut diff = Self::default();
        for (address, account) in &bundle.state {
            let wiped = account.status.was_destroyed();
            let changed = account.storage.iter().filter(|(_, slot)| wiped || slot.is_changed());
            let storage: BTreeMap<_, _> =
                changed.map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), value.present_value)).collect();
            if !account.is_info_changed() && storage.is_empty() && !wiped {
                continue;
            }
            let fields = account.info.as_ref().map(|info| AccountFields {
                nonce: info.nonce,
                balance: info.balance,
                code_hash: info.code_hash,
            });
            diff.accounts.insert(keccak256(address), AccountDiff { fields, wiped, storage });
        }
        for (hash, code) in &bundle.contracts {
            diff.codes.insert(*hash, code.original_bytes());
        }
        diff
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct DiffRow {
    accounts: Vec<AccountRow>,
    codes: Vec<CodeRow>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct AccountRow {
    key: B256,
    wiped: bool,
    /// One, or none for an account that is gone.
    fields: Vec<AccountFields>,
    storage: Vec<SlotRow>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SlotRow {
    slot: B256,
    value: U256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct CodeRow {
    hash: B256,
    code: Bytes,
}
