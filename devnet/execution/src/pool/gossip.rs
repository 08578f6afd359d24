//! Where transactions meet a network: this client has none of its own, and whoever has one joins it to the pool here.
//!
//! # Contract
//! [`gossip`] hands every transaction that came from a wallet to the network, once, and takes what the network brings by the same checks.
//! What came from the network is not handed back: spreading it is the network's own work.
//!
//! # Limits
//! Both channels are the caller's and bounded. When the network does not keep up, transactions are not handed to it; they stay in the pool.
//!
//! # What it does not protect against
//! A network that floods: each transaction costs a signature check here. Quotas per peer belong where peers are known.

use std::collections::BTreeSet;

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes};
use tokio::sync::{
    broadcast::error::RecvError,
    mpsc::{Receiver, Sender, error::TrySendError},
};
use tracing::debug;

use super::Pool;
use crate::limits;

/// Joins a pool to a network, until either end is gone. `outgoing` and `incoming`: signed transactions (EIP-2718).
pub async fn gossip(pool: Pool, outgoing: Sender<Bytes>, mut incoming: Receiver<Bytes>) {
    let mut added = pool.watch();
    let mut heard = Heard::default();
    loop {
        tokio::select! {
            hash = added.recv() => match hash {
                Ok(hash) if heard.take(&hash) => {}
                Ok(hash) => {
                    // It may have been replaced meanwhile.
                    let Some(transaction) = pool.get(&hash) else { continue };
                    match outgoing.try_send(transaction.encoded_2718().into()) {
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => debug!(target: "polai::pool", %hash, "the network is too slow"),
                        Err(TrySendError::Closed(_)) => return,
                    }
                }
                Err(RecvError::Lagged(missed)) => debug!(target: "polai::pool", missed, "not handed to the network"),
                Err(RecvError::Closed) => return,
            },
            bytes = incoming.recv() => {
                let Some(bytes) = bytes else { return };
                let taking = pool.clone();
                let taken = tokio::task::spawn_blocking(move || taking.add(super::decode(&bytes)?)).await;
                match taken {
                    Ok(Ok(hash)) => heard.add(hash),
                    Ok(Err(error)) => debug!(target: "polai::pool", %error, "refused from the network"),
                    Err(_) => return,
                }
            }
        }
    }
}

/// Hashes that came from the network and that the pool has still to tell of.
#[derive(Debug, Default)]
struct Heard(BTreeSet<B256>);

impl Heard {
    fn add(&mut self, hash: B256) {
        // As many as the pool tells of at most: what it skipped would stay for ever.
        if self.0.len() >= limits::POOL_TRANSACTIONS {
            self.0.clear();
        }
        self.0.insert(hash);
    }

    fn take(&mut self, hash: &B256) -> bool {
        self.0.remove(hash)
    }
}
