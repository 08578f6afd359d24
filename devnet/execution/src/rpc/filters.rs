//! Log queries, and filters that are polled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, FilterChanges, Log};
use jsonrpsee::{core::RpcResult, proc_macros::rpc, types::ErrorObjectOwned};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::{
    Eth,
    error::{LIMIT, SERVER, params, refusal},
    logs::{self, Since},
};
use crate::limits;

/// Logs, and filters that are polled.
#[rpc(server, namespace = "eth")]
pub trait FilterApi {
    /// Logs of a range of blocks, or of one.
    #[method(name = "getLogs", blocking)]
    fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>>;

    /// A filter for logs.
    #[method(name = "newFilter")]
    fn new_filter(&self, filter: Filter) -> RpcResult<U64>;

    /// A filter for blocks.
    #[method(name = "newBlockFilter")]
    fn new_block_filter(&self) -> RpcResult<U64>;

    /// A filter for transactions as they come.
    #[method(name = "newPendingTransactionFilter")]
    fn new_pending_filter(&self) -> RpcResult<U64>;

    /// What happened since the last question.
    #[method(name = "getFilterChanges", blocking)]
    fn changes(&self, id: U64) -> RpcResult<FilterChanges>;

    /// Everything that a log filter names.
    #[method(name = "getFilterLogs", blocking)]
    fn filter_logs(&self, id: U64) -> RpcResult<Vec<Log>>;

    /// Forgets a filter.
    #[method(name = "uninstallFilter")]
    fn uninstall(&self, id: U64) -> RpcResult<bool>;
}

#[derive(Debug)]
enum Kind {
    /// The newest block that was told of.
    Blocks {
        seen: B256,
    },
    /// The same, and which logs.
    Logs {
        seen: B256,
        filter: Box<Filter>,
    },
    Pending(Receiver<B256>),
}

#[derive(Debug, Default)]
struct Installed {
    filters: BTreeMap<u64, (Kind, u64)>,
    next: u64,
    uses: u64,
}

/// Filters of all clients: at most [`limits::FILTERS`]; one more drops the one that was asked least recently.
#[derive(Debug, Clone)]
pub struct Filters {
    eth: Eth,
    installed: Arc<Mutex<Installed>>,
}

impl Filters {
    /// None yet.
    pub fn new(eth: Eth) -> Self {
        Self { eth, installed: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Installed> {
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> B256 {
        self.eth.chain.head().data.hash
    }

    fn take(&self, id: U64) -> RpcResult<Kind> {
        let kind = self.lock().filters.remove(&id.to()).map(|(kind, _)| kind);
        kind.ok_or_else(not_found)
    }

    fn since(&self, seen: B256) -> RpcResult<Since> {
        logs::since(&self.eth.chain, seen)?.ok_or_else(not_found)
    }

    /// Logs since `seen`, of whole blocks, as many as fit one answer; `seen` moves to the last of them, so that the next question goes on there.
    fn poll_logs(&self, seen: &mut B256, filter: &Filter) -> RpcResult<Vec<Log>> {
        let since = self.since(*seen)?;
        let reverted = since.reverted.into_iter().map(|(hash, parent)| (hash, parent, true));
        let committed = since.committed.into_iter().map(|hash| (hash, hash, false));
        let mut found = Vec::new();
        for (hash, then, removed) in reverted.chain(committed) {
            let data = self.eth.chain.block(&hash)?.ok_or_else(not_found)?;
            let logs = logs::matching(filter, &data, removed);
            if logs.len() > limits::LOGS.saturating_sub(found.len()) {
                if found.is_empty() {
                    return Err(refusal(LIMIT, format!("query returned more than {} results", limits::LOGS)));
                }
                break;
            }
            found.extend(logs);
            *seen = then;
        }
        Ok(found)
    }

    fn poll(&self, kind: &mut Kind) -> RpcResult<FilterChanges> {
        match kind {
            Kind::Blocks { seen } => {
                let since = self.since(*seen)?;
                *seen = since.committed.last().copied().unwrap_or(since.common);
                Ok(FilterChanges::Hashes(since.committed))
            }
            Kind::Logs { seen, filter } => self.poll_logs(seen, filter).map(FilterChanges::Logs),
            Kind::Pending(receiver) => {
                let mut hashes = Vec::new();
                loop {
                    match receiver.try_recv() {
                        Ok(hash) => hashes.push(hash),
                        Err(TryRecvError::Lagged(_)) => {}
                        Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(FilterChanges::Hashes(hashes)),
                    }
                }
            }
        }
    }
}

/// Never installed, forgotten, or its place in the chain is: whoever asks makes a new one and reads anew.
fn not_found() -> ErrorObjectOwned {
    refusal(SERVER, "filter not found")
}

impl Installed {
    fn add(&mut self, kind: Kind) -> U64 {
        self.next = self.next.saturating_add(1);
        let id = self.next;
        self.put(id, kind);
        U64::from(id)
    }

    fn put(&mut self, id: u64, kind: Kind) {
        if self.filters.len() >= limits::FILTERS {
            let oldest = self.filters.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.and_then(|id| self.filters.remove(&id));
        }
        self.uses = self.uses.saturating_add(1);
        self.filters.insert(id, (kind, self.uses));
    }
}

impl FilterApiServer for Filters {
    fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        self.eth.find_logs(&filter)
    }

    fn new_filter(&self, filter: Filter) -> RpcResult<U64> {
        let kind = Kind::Logs { seen: self.head(), filter: Box::new(filter) };
        Ok(self.lock().add(kind))
    }

    fn new_block_filter(&self) -> RpcResult<U64> {
        let kind = Kind::Blocks { seen: self.head() };
        Ok(self.lock().add(kind))
    }

    fn new_pending_filter(&self) -> RpcResult<U64> {
        let kind = Kind::Pending(self.eth.pool.watch());
        Ok(self.lock().add(kind))
    }

    fn changes(&self, id: U64) -> RpcResult<FilterChanges> {
        // Taken out while it is read, so that the disk is not read under the lock.
        let mut kind = self.take(id)?;
        let changes = self.poll(&mut kind);
        self.lock().put(id.to(), kind);
        changes
    }

    fn filter_logs(&self, id: U64) -> RpcResult<Vec<Log>> {
        let filter = match self.lock().filters.get(&id.to()) {
            Some((Kind::Logs { filter, .. }, _)) => filter.clone(),
            Some(_) => return Err(params("not a log filter")),
            None => return Err(not_found()),
        };
        self.eth.find_logs(&filter)
    }

    fn uninstall(&self, id: U64) -> RpcResult<bool> {
        Ok(self.lock().filters.remove(&id.to()).is_some())
    }
}
