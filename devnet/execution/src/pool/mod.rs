//! The mempool: signed transactions that wait for a block.
//!
//! # Contract
//! [`Pool::add`] says at once whether a transaction may ever go in; [`Pool::best`] offers to a draft, by tip, what can go in now, each
//! sender's in nonce order. [`Pool::follow`] keeps it in step with the chain: what went into a block leaves, what a reorg dropped comes back.
//!
//! # Limits
//! [`limits::POOL_TRANSACTIONS`] and [`limits::POOL_BYTES`] in all, [`limits::POOL_SENDER`] of one sender, and of him no more than his
//! balance pays for; a replacement offers 10 % more. When it is full, who tips least goes first. It is in memory only. Blob transactions are refused: this chain's pool carries no blobs.
//!
//! # What it does not protect against
//! A sender who spends his balance otherwise: his transactions are found out when they are drafted, and stay until he is seen to lack the
//! fee at the next block.

mod best;
mod check;
mod decode;
mod gossip;

pub use best::Best;
pub use check::PoolError;
pub use decode::decode;
pub use gossip::gossip;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, U256};
use tokio::sync::broadcast;
use tracing::debug;

use crate::{
    chain::{Chain, ChainEvent},
    limits,
    state::AccountFields,
};

/// A transaction and its signer.
pub type Transaction = Recovered<TxEnvelope>;

#[derive(Debug, Clone)]
struct Entry {
    transaction: Transaction,
    /// As it is sent.
    bytes: usize,
    /// Earlier ones go first among equals.
    seen: u64,
}

#[derive(Debug, Default)]
struct Held {
    by_sender: BTreeMap<Address, BTreeMap<u64, Entry>>,
    by_hash: BTreeMap<B256, (Address, u64)>,
    bytes: usize,
    seen: u64,
}

/// The mempool of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Pool {
    chain: Chain,
    held: Arc<Mutex<Held>>,
    added: broadcast::Sender<B256>,
}

impl Pool {
    /// An empty one.
    pub fn new(chain: Chain) -> Self {
        Self { chain, held: Arc::default(), added: broadcast::Sender::new(limits::POOL_TRANSACTIONS) }
    }

    /// Takes a transaction.
    ///
    /// # Errors
    /// [`PoolError`]: its sender's.
    pub fn add(&self, transaction: Transaction) -> Result<B256, PoolError> {
        let hash = *transaction.tx_hash();
        let head = self.chain.head();
        let sender = head.state.fields(&transaction.signer());
        check::check(&transaction, &head.data.block.header, &sender, self.chain.executor())?;
        let mut held = self.lock();
        held.add(transaction, &sender)?;
        drop(held);
        debug!(target: "polai::pool", %hash, "transaction");
        // Without listeners there is nobody to tell.
        let _ = self.added.send(hash);
        Ok(hash)
    }

    /// Hashes of transactions as they come. Who reads too slowly loses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<B256> {
        self.added.subscribe()
    }

    /// Grows with everything that was added: a draft made at another number may miss something.
    pub fn generation(&self) -> u64 {
        self.lock().seen
    }

    /// What may go into a child of the head, best first.
    pub fn best(&self, base_fee: u64, nonce_of: &dyn Fn(&Address) -> u64) -> Best {
        let held = self.lock();
        Best::new(held.by_sender.iter().map(|(sender, queue)| (queue, nonce_of(sender))), base_fee)
    }

    /// A transaction that waits.
    pub fn get(&self, hash: &B256) -> Option<Transaction> {
        let held = self.lock();
        let (sender, nonce) = held.by_hash.get(hash)?;
        held.by_sender.get(sender)?.get(nonce).map(|entry| entry.transaction.clone())
    }

    /// The nonce that a sender's next transaction should have, counting those that wait without a gap.
    pub fn next_nonce(&self, sender: &Address, mut nonce: u64) -> u64 {
        let held = self.lock();
        let queue = held.by_sender.get(sender);
        while queue.is_some_and(|queue| queue.contains_key(&nonce)) {
            nonce = nonce.saturating_add(1);
        }
        nonce
    }

    /// Everything that waits, by sender and nonce.
    pub fn content(&self) -> Vec<Transaction> {
        let held = self.lock();
        held.by_sender.values().flat_map(BTreeMap::values).map(|entry| entry.transaction.clone()).collect()
    }

    /// How many wait: ready for a block, and behind a gap.
    pub fn status(&self) -> (usize, usize) {
        let head = self.chain.head();
        let held = self.lock();
        let ready = |(sender, queue): (&Address, &BTreeMap<u64, Entry>)| {
            let first = head.state.fields(sender).nonce;
            queue.keys().zip(first..).take_while(|(nonce, expected)| *nonce == expected).count()
        };
        let ready = held.by_sender.iter().map(ready).sum();
        (ready, held.by_hash.len().saturating_sub(ready))
    }

    /// Follows a change of the chain.
    pub fn follow(&self, event: &ChainEvent) {
        self.lock().drop_spent(|sender| event.head.state.fields(sender));
        let blocks = event.reverted.iter();
        for block in blocks {
            let data = &block.data;
            for (transaction, sender) in data.block.body.transactions.iter().zip(&data.senders) {
                // What the new branch has too, or what it made impossible, stays out.
                if let Err(error) = self.add(Recovered::new_unchecked(transaction.clone(), *sender)) {
                    debug!(target: "polai::pool", hash = %transaction.tx_hash(), %error, "not taken back");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, transaction: Transaction, account: &AccountFields) -> Result<(), PoolError> {
        let (sender, nonce, hash) = (transaction.signer(), transaction.nonce(), *transaction.tx_hash());
        if self.by_hash.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let queue = self.by_sender.get(&sender);
        if let Some(old) = queue.and_then(|queue| queue.get(&nonce)) {
            check::replaces(&transaction, &old.transaction)?;
        } else {
            // Nearer nonces are worth more than distant ones: only what can follow on is kept.
            let reach = u64::try_from(limits::POOL_SENDER).unwrap_or(u64::MAX);
            if nonce.saturating_sub(account.nonce) >= reach {
                return Err(PoolError::TooFar { found: nonce, account: account.nonce });
            }
        }
        let others = queue.into_iter().flatten().filter(|(other, _)| **other >= account.nonce && **other != nonce);
        let others = others.fold(U256::ZERO, |sum, (_, other)| sum.saturating_add(check::cost(&other.transaction)));
        let expected = others.saturating_add(check::cost(&transaction));
        if expected > account.balance {
            return Err(PoolError::Funds { found: account.balance, expected });
        }
        let bytes = transaction.encode_2718_len();
        for (sender, nonce) in self.leaving(&transaction, bytes)? {
            self.remove(&sender, nonce);
        }
        self.remove(&sender, nonce);
        self.seen = self.seen.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.by_sender.entry(sender).or_default().insert(nonce, Entry { transaction, bytes, seen: self.seen });
        self.by_hash.insert(hash, (sender, nonce));
        Ok(())
    }

    /// What has to go for a newcomer: always the last transaction of whoever tips least, as long as that is less than the newcomer's tip. His
    /// own stay, because he follows on from them.
    fn leaving(&self, newcomer: &Transaction, bytes: usize) -> Result<Vec<(Address, u64)>, PoolError> {
        let sender = newcomer.signer();
        let replaced = self.by_sender.get(&sender).and_then(|queue| queue.get(&newcomer.nonce()));
        let mut held = self.bytes.saturating_add(bytes).saturating_sub(replaced.map_or(0, |old| old.bytes));
        let mut count = self.by_hash.len().saturating_add(usize::from(replaced.is_none()));
        let mut leaving = Vec::new();
        if count <= limits::POOL_TRANSACTIONS && held <= limits::POOL_BYTES {
            return Ok(leaving);
        }
        let rank =
            |sender: &Address, (nonce, entry): (&u64, &Entry)| Reverse((check::tip_cap(&entry.transaction), *sender, *nonce));
        let others = self.by_sender.iter().filter(|(other, _)| **other != sender);
        let mut lasts: BinaryHeap<_> = others.filter_map(|(other, queue)| Some(rank(other, queue.last_key_value()?))).collect();
        while count > limits::POOL_TRANSACTIONS || held > limits::POOL_BYTES {
            let Reverse((tip, other, nonce)) = lasts.pop().ok_or(PoolError::Full)?;
            if tip >= check::tip_cap(newcomer) {
                return Err(PoolError::Full);
            }
            let queue = self.by_sender.get(&other);
            held = held.saturating_sub(queue.and_then(|queue| queue.get(&nonce)).map_or(0, |entry| entry.bytes));
            count = count.saturating_sub(1);
            leaving.push((other, nonce));
            lasts.extend(queue.and_then(|queue| queue.range(..nonce).next_back()).map(|before| rank(&other, before)));
        }
        Ok(leaving)
    }

    fn remove(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.by_sender.get_mut(sender) else { return };
        if let Some(entry) = queue.remove(&nonce) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            self.by_hash.remove(entry.transaction.tx_hash());
        }
        if queue.is_empty() {
            self.by_sender.remove(sender);
        }
    }

    /// Drops what is in a block, and what its sender cannot pay any more.
    fn drop_spent(&mut self, fields: impl Fn(&Address) -> AccountFields) {
        let mut spent = Vec::new();
        for (sender, queue) in &self.by_sender {
            let account = fields(sender);
            let gone = queue
                .iter()
                .filter(|(nonce, entry)| **nonce < account.nonce || check::cost(&entry.transaction) > account.balance);
            spent.extend(gone.map(|(nonce, _)| (*sender, *nonce)));
        }
        for (sender, nonce) in spent {
            self.remove(&sender, nonce);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod gossip_tests;
#[cfg(test)]
mod tests;
