//! The port of the public methods.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering},
};

use jsonrpsee::{
    Methods, RpcModule,
    core::{RegisterMethodError, traits::IdProvider},
    server::{BatchRequestConfig, PingConfig, Server, ServerConfig},
    types::SubscriptionId,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Calls, Eth, FilterApiServer as _, Filters, pubsub};
use crate::limits;

/// Names of subscriptions as geth's and Reth's: clients check that they are 16 bytes in hex.
#[derive(Debug, Default)]
struct HexIds(AtomicU64);

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let id = self.0.fetch_add(1, Ordering::Relaxed);
        SubscriptionId::Str(format!("0x{id:032x}").into())
    }
}

/// A port that is bound and not served yet.
pub type HttpServer = TcpListener;

/// All public methods of Ethereum.
///
/// # Errors
/// Two methods of one name: our own fault.
pub fn methods(eth: &Eth) -> Result<RpcModule<()>, RegisterMethodError> {
    let (mut all, calls) = (RpcModule::new(()), Calls::new(eth.clone()));
    all.merge(with_calls(eth, calls.clone())?)?;
    all.merge(super::NetApiServer::into_rpc(eth.clone()))?;
    all.merge(super::Web3ApiServer::into_rpc(eth.clone()))?;
    all.merge(super::TxPoolApiServer::into_rpc(eth.clone()))?;
    all.merge(super::DebugApiServer::into_rpc(calls))?;
    all.merge(pubsub::methods(eth.clone())?)?;
    Ok(all)
}

/// Those of them that a consensus client asks for beside the Engine API.
///
/// # Errors
/// Two methods of one name: our own fault.
pub fn eth_methods(eth: &Eth) -> Result<RpcModule<()>, RegisterMethodError> {
    with_calls(eth, Calls::new(eth.clone()))
}

fn with_calls(eth: &Eth, calls: Calls) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut all = RpcModule::new(());
    all.merge(super::EthApiServer::into_rpc(eth.clone()))?;
    all.merge(super::StateApiServer::into_rpc(eth.clone()))?;
    all.merge(super::CallApiServer::into_rpc(calls))?;
    all.merge(Filters::new(eth.clone()).into_rpc())?;
    Ok(all)
}

/// Serves methods over HTTP and WebSocket until the token is cancelled.
///
/// # Errors
/// The operating system's, at start.
pub async fn serve(listener: HttpServer, methods: impl Into<Methods>, stop: CancellationToken) -> std::io::Result<()> {
    let config = ServerConfig::builder()
        .max_connections(limits::HTTP_CONNECTIONS)
        .max_request_body_size(limits::HTTP_REQUEST_BYTES)
        .max_response_body_size(limits::HTTP_RESPONSE_BYTES)
        .max_subscriptions_per_connection(limits::SUBSCRIPTIONS)
        .set_message_buffer_capacity(limits::SUBSCRIPTION_BUFFER)
        .set_batch_request_config(BatchRequestConfig::Limit(limits::HTTP_BATCH))
        .set_id_provider(HexIds::default())
        .enable_ws_ping(PingConfig::new())
        .build();
    let server = Server::builder().set_config(config).build_from_tcp(listener)?.start(methods);
    let running = server.clone();
    tokio::select! {
        () = stop.cancelled() => {
            let _: Result<(), _> = server.stop();
            // Idle connections would hold it for ever.
            let _ = timeout(limits::HTTP_DRAIN, running.stopped()).await;
        }
        () = server.clone().stopped() => {}
    }
    Ok(())
}
