//! The ACK side, in this process: verdicts of the sidecar become ACKs, identities and validators reach pol-dht, gRPC and the fault service
//! answer. It is the very service that stands beside a node of another make, given this node's own REST; certificates, pushes and checks
//! that blocks depend on are the driver's and go through nobody's port.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use lighthouse_ack_quorum::{
    guard::Guard,
    hooks::open_table,
    service::{self, Parts, Ports, beacon::BeaconNode},
    signer::Signer,
};
use pol_core::{bls::SecretKey, genesis::ChainSpec};
use pol_kit::{
    clock::System,
    exit::{Exit, OrUsage as _},
    fs::create_private_directory,
    metrics::loopback,
    tasks::Tasks,
};

use super::args::Args;

/// Starts it, if there is a DHT.
///
/// ACKs have a guard of their own, so that the service can also stand beside this node with the same files: what the two guards decide does
/// not overlap but in fault votes, of which there is only one to give.
pub(super) async fn start(
    tasks: &Tasks,
    args: &Args,
    spec: ChainSpec,
    keys: Vec<SecretKey>,
    rest: SocketAddr,
) -> Result<(), Exit> {
    let mut rest = rest;
    if rest.ip().is_unspecified() {
        rest.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let folder = args.chain_data().join("ack-quorum");
    create_private_directory(&folder)?;
    let guard = args.data.data_dir.join("secrets_data/guard");
    let parts = Parts {
        spec,
        beacon: BeaconNode::new(&format!("http://{rest}")).or_usage()?,
        dht: args.dht.clone(),
        sidecar: Some(args.sidecar.clone()).filter(|uri| !uri.is_empty()),
        // The driver pushes.
        ai_engine: None,
        table: open_table(&folder, spec.genesis_id()).or_usage()?,
        checkpoint: None,
        guard: Guard::open(&guard, spec.delta_context(), spec.domains()).or_usage()?,
        signer: Signer::new(keys, spec.domains()),
        trainers: args.trainers.iter().map(|key| key.0).collect(),
        clock: Arc::new(System::new()),
    };
    let ports = Ports { grpc: loopback(args.grpc_port), faults: loopback(args.fault_port), metrics: args.quorum_metrics_port };
    service::start(tasks, parts, ports).await.map(drop)
}
