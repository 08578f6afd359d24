//! Subscriptions over WebSocket: new heads, logs, transactions as they come.

use std::sync::Arc;

use alloy_rpc_types_eth::{
    Filter,
    pubsub::{Params, SubscriptionKind},
};
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink,
    core::{RegisterMethodError, SubscriptionResult, to_json_raw_value},
};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::{Eth, convert, error::params, logs};
use crate::chain::ChainEvent;

/// `eth_subscribe`: one kind, until the client ends it or reads too slowly.
///
/// # Errors
/// Two methods of one name: our own fault.
pub(super) fn methods(eth: Eth) -> Result<RpcModule<PubSub>, RegisterMethodError> {
    let mut module = RpcModule::new(PubSub(eth));
    let subscribe = |parameters: jsonrpsee::types::Params<'static>, pending: PendingSubscriptionSink, on: Arc<PubSub>, _| async move {
        let mut parameters = parameters.sequence();
        let read = parameters.next::<SubscriptionKind>().and_then(|kind| Ok((kind, parameters.optional_next::<Params>()?)));
        match read {
            Ok((kind, parameters)) => on.subscribe(pending, kind, parameters).await,
            Err(error) => {
                pending.reject(error).await;
                Ok(())
            }
        }
    };
    module.register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", subscribe)?;
    Ok(module)
}

/// Subscriptions on a chain and its mempool.
#[derive(Debug, Clone)]
pub(super) struct PubSub(Eth);

impl PubSub {
    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: SubscriptionKind,
        parameters: Option<Params>,
    ) -> SubscriptionResult {
        match (kind, parameters) {
            (SubscriptionKind::NewHeads, _) => {
                let sink = pending.accept().await?;
                self.follow(sink, |event| event.committed.iter().map(|block| convert::header(&block.data)).collect()).await;
            }
            (SubscriptionKind::Logs, parameters) => {
                let filter = match parameters {
                    Some(Params::Logs(filter)) => filter,
                    _ => Box::new(Filter::new()),
                };
                let sink = pending.accept().await?;
                self.follow(sink, move |event| {
                    let reverted = event.reverted.iter().rev().map(|block| (block, true));
                    let committed = event.committed.iter().map(|block| (block, false));
                    reverted.chain(committed).flat_map(|(block, removed)| logs::matching(&filter, &block.data, removed)).collect()
                })
                .await;
            }
            (SubscriptionKind::NewPendingTransactions, parameters) => {
                let full = matches!(parameters, Some(Params::Bool(true)));
                let sink = pending.accept().await?;
                self.follow_pool(sink, full).await;
            }
            (SubscriptionKind::Syncing | SubscriptionKind::TransactionReceipts, _) => {
                pending.reject(params("unsupported subscription kind")).await;
            }
        }
        Ok(())
    }

    /// Sends what each change of the chain gives. Who lags is cut off: a gap is worse than an end.
    async fn follow<T: Serialize>(&self, sink: SubscriptionSink, items: impl Fn(&ChainEvent) -> Vec<T> + Send) {
        let mut events = self.0.chain.watch_events();
        loop {
            let event: Arc<ChainEvent> = tokio::select! {
                () = sink.closed() => return,
                event = events.recv() => match event {
                    Ok(event) => event,
                    Err(_) => return,
                },
            };
            for item in items(&event) {
                if !send(&sink, &item).await {
                    return;
                }
            }
        }
    }

    async fn follow_pool(&self, sink: SubscriptionSink, full: bool) {
        let mut added = self.0.pool.watch();
        loop {
            let hash = tokio::select! {
                () = sink.closed() => return,
                hash = added.recv() => match hash {
                    Ok(hash) => hash,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
            };
            let sent = if full {
                match self.0.pool.get(&hash) {
                    Some(transaction) => send(&sink, &convert::pending(transaction)).await,
                    None => continue,
                }
            } else {
                send(&sink, &hash).await
            };
            if !sent {
                return;
            }
        }
    }
}

async fn send<T: Serialize>(sink: &SubscriptionSink, item: &T) -> bool {
    let Ok(json) = to_json_raw_value(item) else { return false };
    sink.send(SubscriptionMessage::from(json)).await.is_ok()
}
