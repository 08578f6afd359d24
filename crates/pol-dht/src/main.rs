//! `pol-dht`: the daemon around [`pol_dht::Node`].

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pol_core::{GenesisId, Hash32, delta::Context, domains::Domains, genesis::ChainSpec};
use pol_dht::{
    Node, NodeConfig,
    args::{self, Args},
    net::NetConfig,
    service::{self, alarms::Alarms, grpc, watch},
};
use pol_kit::{
    clock::System,
    config,
    exit::{self, Exit, OrUsage as _},
    fs, http, metrics,
    metrics::Health,
    tasks::{self, Tasks},
    telemetry,
};
use tracing::{info, warn};

/// Folder of the records inside the data directory, as in the original.
const DHT_FOLDER: &str = "dht_db";
const CHAIN_FILE: &str = "chain.toml";

fn main() -> exit::Code {
    exit::main("pol-dht", || {
        let args = config::load::<Args>(&config::Sources::of_process())?.args;
        telemetry::init(&args.log())?;
        fs::create_private_directory(&args.data.data_dir)?;
        let chain = chain(&args)?;
        tasks::run("pol-dht", Duration::from_secs(10), move |tasks| start(tasks, args, chain))
    })
}

/// What the daemon must know of its chain.
struct Chain {
    genesis_id: GenesisId,
    domains: Domains,
    containers: Option<Context>,
}

/// Without a chain.toml, `--solo` alone may start: on a nameless chain, to try things.
fn chain(args: &Args) -> Result<Chain, Exit> {
    let path = args.chain.clone().unwrap_or_else(|| args.data.data_dir.join(CHAIN_FILE));
    if !path.exists() && args.solo && args.chain.is_none() {
        warn!(target: "polai::dht", "no chain.toml: running on a chain without a name, good for trying things only");
        let genesis_id = GenesisId::ZERO;
        return Ok(Chain { genesis_id, domains: Domains::new(genesis_id, Hash32::ZERO), containers: None });
    }
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| Exit::usage(format!("{}: {error}; give the chain's file with --chain", path.display())))?;
    let spec = ChainSpec::parse(&text).map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?;
    Ok(Chain { genesis_id: spec.genesis_id(), domains: spec.domains(), containers: Some(spec.delta_context()) })
}

async fn start(tasks: Tasks, args: Args, chain: Chain) -> Result<(), Exit> {
    let Chain { genesis_id, domains, containers } = chain;
    let address = args.address();
    // First, so that a port in use is the first thing said, before any state is opened.
    let listener = http::bind(address).await?;
    let address = listener.local_addr().unwrap_or(address);
    let grpc_listener = http::bind(args.grpc_address(address.port()).or_usage()?).await?;
    let mut listen = vec![args::quic(address)];
    listen.extend(args.tcp_port.map(|port| tcp(SocketAddr::new(address.ip(), port))));
    let bootstrap = args.bootstrap.iter().filter(|peer| !is_nobody(peer));
    let bootstrap = bootstrap.map(|peer| args::bootstrap(peer, address.port())).collect::<Result<Vec<_>, _>>().or_usage()?;
    let config = NodeConfig {
        data_dir: args.data.data_dir.join(DHT_FOLDER),
        genesis_id,
        domains,
        net: NetConfig { listen, bootstrap, mdns: args.mdns },
    };
    let node = Node::start(&config, Arc::new(System::new()), &tasks.child("net")).or_usage()?;
    info!(target: "polai::dht", %genesis_id, peer = %node.identity().peer_id(), %address, solo = args.solo, "DHT started");

    let (health, mut registry) = (Health::new(), metrics::registry());
    tasks.register(&mut registry);
    let alarms = Alarms::default();
    let options = grpc::Options { containers, solo: args.solo, alarms: alarms.clone() };
    let connections = grpc::spawn(node.clone(), grpc_listener, options, &tasks.child("grpc"));
    let watch = watch::Watch {
        node: node.clone(),
        measured: watch::Measured::register(&mut registry),
        health: health.clone(),
        alarms,
        connections: Some(connections),
        solo: args.solo,
    };
    // Whoever asks for health from the first answered request on hears the truth.
    watch.look().await;
    tasks.spawn_until_stopped("watch", watch.run());
    let router = metrics::router(registry, health).merge(service::http::router(node));
    let token = tasks.token();
    tasks.child("http").spawn_critical("server", http::serve(listener, router, http::Limits::default(), token));
    Ok(())
}

/// The original's `.env` names the machine itself when there is nobody else yet.
fn is_nobody(peer: &str) -> bool {
    matches!(peer, "" | "localhost" | "127.0.0.1")
}

fn tcp(address: SocketAddr) -> libp2p::Multiaddr {
    use libp2p::multiaddr::Protocol;
    libp2p::Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}
