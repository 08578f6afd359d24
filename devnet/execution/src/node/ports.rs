//! The ports of a node.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use jsonrpsee::{RpcModule, core::RegisterMethodError};
use pol_kit::{
    clock::Clock,
    exit::Exit,
    http,
    jwt::Secret,
    metrics::{self, Condition, Health},
    tasks::Tasks,
};
use prometheus_client::registry::Registry;
use reth_ai_exex::{
    feed::Program,
    process::Ai,
    rpc::{PolaiRpc, PolaiServer as _},
    server,
};
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    args::Args,
    chain::Chain,
    engine::{Engine, EngineApiServer as _},
    limits,
    rpc::{self, Eth},
};

/// Where a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// JSON-RPC.
    pub http: SocketAddr,
    /// Engine API.
    pub auth: SocketAddr,
    /// AI engine.
    pub ai_engine: SocketAddr,
    /// gRPC feed.
    pub feed: SocketAddr,
    /// Metrics and health.
    pub metrics: SocketAddr,
}

/// Bound ports: what is in use is said before any state is opened.
pub(super) struct Ports {
    http: StdListener,
    auth: TcpListener,
    ai_engine: StdListener,
    feed: StdListener,
    metrics: TcpListener,
    pub(super) addresses: Addresses,
}

/// What the ports serve.
pub(super) struct Served {
    pub(super) chain: Chain,
    pub(super) eth: Eth,
    pub(super) engine: Engine,
    pub(super) ai: Ai,
    pub(super) secret: Arc<Secret>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Health,
}

impl Ports {
    /// Binds all of them.
    pub(super) async fn bind(args: &Args) -> Result<Self, Exit> {
        let http = http::bind(args.http()).await?.into_std()?;
        let auth = http::bind(args.auth()).await?;
        let ai_engine = http::bind(args.ai_engine()).await?.into_std()?;
        let feed = http::bind(metrics::loopback(args.feed_port)).await?.into_std()?;
        let metrics = http::bind(metrics::loopback(args.metrics_port)).await?;
        let addresses = Addresses {
            http: http.local_addr()?,
            auth: auth.local_addr()?,
            ai_engine: ai_engine.local_addr()?,
            feed: feed.local_addr()?,
            metrics: metrics.local_addr()?,
        };
        Ok(Self { http, auth, ai_engine, feed, metrics, addresses })
    }

    /// Spawns what serves them.
    pub(super) fn serve(self, served: Served, registry: Registry, tasks: &Tasks) -> Result<(), Exit> {
        let Served { chain, eth, engine, ai, secret, clock, health } = served;
        let (public, authenticated) = methods(&eth, engine, &ai)?;

        let http = tasks.child("http");
        http.spawn_critical("server", rpc::serve(self.http, public, http.token()));

        let router = server::authenticated(authenticated, limits::ENGINE, Arc::clone(&secret), Arc::clone(&clock));
        let engine = tasks.child("engine");
        engine.spawn_critical("server", http::serve(self.auth, router, engine_limits(), engine.token()));

        let program = Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
        ai.serve(self.ai_engine, self.feed, program, secret, clock, tasks);

        health.set("chain", Condition::Ok);
        let watched = tasks.child("metrics");
        let router = metrics::router(registry, health);
        watched.spawn_critical("server", http::serve(self.metrics, router, http::Limits::default(), watched.token()));

        let Addresses { http, auth, ai_engine, feed, metrics } = self.addresses;
        let head = chain.head().number_hash();
        info!(target: "polai::execution", %http, authrpc = %auth, %ai_engine, %feed, %metrics, head = head.number, hash = %head.hash, "up");
        Ok(())
    }
}

/// Room for a block of the largest size, on a machine that is busy.
fn engine_limits() -> http::Limits {
    http::Limits { request: Duration::from_secs(30), ..http::Limits::default() }
}

/// What everybody may ask, and what the consensus client may.
fn methods(eth: &Eth, engine: Engine, ai: &Ai) -> Result<(RpcModule<()>, RpcModule<()>), RegisterMethodError> {
    let mut public = rpc::methods(eth)?;
    public.merge(PolaiRpc::new(ai.log.clone(), ai.sealer.clone()).into_rpc())?;
    let mut authenticated = rpc::eth_methods(eth)?;
    authenticated.merge(engine.into_rpc())?;
    Ok((public, authenticated))
}
