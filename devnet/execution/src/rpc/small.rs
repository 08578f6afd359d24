//! `net`, `web3` and `txpool`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U64, keccak256};
use alloy_rpc_types_eth::Transaction;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::Serialize;

use alloy_consensus::Transaction as _;

use super::{Eth, convert};

/// What the node says of its network.
#[rpc(server, namespace = "net")]
pub trait NetApi {
    /// The chain id, as text.
    #[method(name = "version")]
    fn version(&self) -> RpcResult<String>;

    /// No peers of its own: blocks come from the consensus client.
    #[method(name = "peerCount")]
    fn peer_count(&self) -> RpcResult<U64>;

    /// It does not listen for peers.
    #[method(name = "listening")]
    fn listening(&self) -> RpcResult<bool>;
}

/// What the node says of itself.
#[rpc(server, namespace = "web3")]
pub trait Web3Api {
    /// Name and version.
    #[method(name = "clientVersion")]
    fn client_version(&self) -> RpcResult<String>;

    /// Keccak-256.
    #[method(name = "sha3")]
    fn sha3(&self, bytes: Bytes) -> RpcResult<B256>;
}

/// How many transactions wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    /// Ready for a block.
    pub pending: U64,
    /// Behind a gap.
    pub queued: U64,
}

/// By sender and nonce (decimal).
type BySender = BTreeMap<Address, BTreeMap<String, Transaction>>;

/// Transactions that wait.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PoolContent {
    /// Ready for a block.
    pub pending: BySender,
    /// Behind a gap.
    pub queued: BySender,
}

/// The mempool.
#[rpc(server, namespace = "txpool")]
pub trait TxPoolApi {
    /// How many wait.
    #[method(name = "status", blocking)]
    fn status(&self) -> RpcResult<PoolStatus>;

    /// All of them.
    #[method(name = "content", blocking)]
    fn content(&self) -> RpcResult<PoolContent>;
}

impl NetApiServer for Eth {
    fn version(&self) -> RpcResult<String> {
        Ok(self.chain.executor().spec().chain_id().to_string())
    }

    fn peer_count(&self) -> RpcResult<U64> {
        Ok(U64::ZERO)
    }

    fn listening(&self) -> RpcResult<bool> {
        Ok(false)
    }
}

impl Web3ApiServer for Eth {
    fn client_version(&self) -> RpcResult<String> {
        Ok(format!(
            "{}/v{}/{}-{}",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ))
    }

    fn sha3(&self, bytes: Bytes) -> RpcResult<B256> {
        Ok(keccak256(bytes))
    }
}

impl TxPoolApiServer for Eth {
    fn status(&self) -> RpcResult<PoolStatus> {
        let (pending, queued) = self.pool.status();
        Ok(PoolStatus { pending: U64::from(pending), queued: U64::from(queued) })
    }

    fn content(&self) -> RpcResult<PoolContent> {
        let state = &self.chain.head().state;
        let mut content = PoolContent::default();
        for transaction in self.pool.content() {
            let (sender, nonce) = (transaction.signer(), transaction.nonce());
            let ready = nonce < self.pool.next_nonce(&sender, state.fields(&sender).nonce);
            let part = if ready { &mut content.pending } else { &mut content.queued };
            part.entry(sender).or_default().insert(nonce.to_string(), convert::pending(transaction));
        }
        Ok(content)
    }
}
