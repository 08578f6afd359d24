//! Accounts and storage.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

use super::{Eth, error::params};
use crate::state::WorldState;

/// Slots of one proof request.
const PROOF_SLOTS: usize = 1_024;

/// Accounts and storage.
#[rpc(server, namespace = "eth")]
pub trait StateApi {
    /// Balance, wei.
    #[method(name = "getBalance", blocking)]
    fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256>;

    /// Nonce; at `pending` with what waits in the pool.
    #[method(name = "getTransactionCount", blocking)]
    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64>;

    /// Code.
    #[method(name = "getCode", blocking)]
    fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes>;

    /// Value of a storage slot.
    #[method(name = "getStorageAt", blocking)]
    fn storage_at(&self, address: Address, slot: JsonStorageKey, block: Option<BlockId>) -> RpcResult<B256>;

    /// Proofs of an account and of some of its slots (EIP-1186).
    #[method(name = "getProof", blocking)]
    fn proof(
        &self,
        address: Address,
        slots: Vec<JsonStorageKey>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse>;
}

impl Eth {
    fn state(&self, block: Option<BlockId>) -> RpcResult<WorldState> {
        let place = self.place(block.unwrap_or_default());
        Ok(self.chain.state(place).map(|(_, state)| state)?)
    }
}

impl StateApiServer for Eth {
    fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256> {
        Ok(self.state(block)?.fields(&address).balance)
    }

    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64> {
        let nonce = self.state(block)?.fields(&address).nonce;
        let pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        Ok(U64::from(if pending { self.pool.next_nonce(&address, nonce) } else { nonce }))
    }

    fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes> {
        let state = self.state(block)?;
        Ok(state.code(&state.fields(&address).code_hash).original_bytes())
    }

    fn storage_at(&self, address: Address, slot: JsonStorageKey, block: Option<BlockId>) -> RpcResult<B256> {
        let slot = U256::from_be_bytes(slot.as_b256().0);
        Ok(self.state(block)?.storage(&address, slot).into())
    }

    fn proof(
        &self,
        address: Address,
        slots: Vec<JsonStorageKey>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse> {
        if slots.len() > PROOF_SLOTS {
            return Err(params(format!("slots: found {}, expected at most {PROOF_SLOTS}", slots.len())));
        }
        let state = self.state(block)?;
        let account = state.account(&address).cloned().unwrap_or_default();
        let prove = |key: JsonStorageKey| {
            let hashed = keccak256(key.as_b256());
            let value = account.storage.get(&hashed).copied().unwrap_or_default();
            EIP1186StorageProof { key, value, proof: account.storage.proof(&hashed) }
        };
        Ok(EIP1186AccountProofResponse {
            address,
            balance: account.fields.balance,
            code_hash: account.fields.code_hash,
            nonce: account.fields.nonce,
            storage_hash: account.storage.root(),
            account_proof: state.account_proof(&address),
            storage_proof: slots.into_iter().map(prove).collect(),
        })
    }
}
