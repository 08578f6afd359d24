//! What runs beside Reth in the process: the library's AI side, and one page for the metrics of both.

use std::sync::Arc;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use pol_kit::{
    clock::{Clock, System},
    exit::{Exit, OrUsage as _},
    http,
    jwt::Secret,
    metrics::{self, Condition, Health},
    tasks::Tasks,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use reth_ai_exex::{
    chain::Chain,
    feed::Program,
    metrics::Metrics,
    process::{Ai, Settings},
};
use reth_ethereum::{chainspec::ChainSpec, node::core::node_config::NodeConfig};
use reth_node_metrics::recorder::install_prometheus_recorder;

use crate::args::AiArgs;

/// Reth itself, on the health page: down until it is launched.
pub(crate) const NODE: &str = "node";

/// Opens and serves everything that does not need Reth.
///
/// # Errors
/// Ports, secret, data directory: the operator's, exit code 2.
pub(crate) async fn start(
    args: &AiArgs,
    config: &NodeConfig<ChainSpec>,
    chain: Chain,
    tasks: &Tasks,
) -> Result<(Ai, Health), Exit> {
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    // What is in use is said before anything is opened.
    let ai_engine = http::bind((config.rpc.auth_addr, args.ai_engine_port).into()).await?.into_std()?;
    let feed = http::bind(metrics::loopback(args.ai_engine_feed_port)).await?.into_std()?;
    let scrapes = http::bind(metrics::loopback(args.ai_engine_metrics_port)).await?;
    let folder = config.datadir();
    let secret = Secret::load_or_create(&config.rpc.auth_jwtsecret.clone().unwrap_or_else(|| folder.jwt())).or_usage()?;
    let (mut registry, own, health) = (metrics::registry(), Metrics::new(), Health::new());
    health.set(NODE, Condition::Down("starting".to_owned()));
    tasks.register(&mut registry);
    own.register(&mut registry);
    let settings = Settings {
        mode: args.ai_engine_mode,
        seal_threads: (!args.ai_engine_seal_off).then_some(args.ai_engine_seal_threads),
        log: folder.data_dir().join("model_log"),
    };
    let ai = Ai::start(settings, chain, Arc::clone(&clock), (own, health.clone()), tasks).await.or_usage()?;
    let program = Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    ai.serve(ai_engine, feed, program, Arc::new(secret), clock, tasks);
    let own = tasks.child("metrics");
    own.spawn_critical("server", http::serve(scrapes, scraped(registry, health.clone()), http::Limits::default(), own.token()));
    Ok((ai, health))
}

/// Reth's metrics and ours in one answer; /health as every process of ours has it.
fn scraped(registry: Registry, health: Health) -> Router {
    let registry = Arc::new(registry);
    let both = async move || {
        let mut text = install_prometheus_recorder().handle().render();
        let mut ours = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut ours, &registry);
        text.push_str(ours.trim_end_matches("# EOF\n"));
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
    };
    Router::new().route("/metrics", get(both)).fallback_service(metrics::router(metrics::registry(), health))
}
