//! The ports of a node, all of them on this machine.

use clap::Args;
use pol_kit::exit::Exit;
use serde::{Deserialize, Serialize};

/// Ports of a node.
#[derive(Debug, Clone, Args)]
pub struct PortArgs {
    /// Added to every port: several nodes on one machine
    #[arg(long, env = "POLAI_PORT_OFFSET", default_value_t = 0, value_name = "NUMBER")]
    pub port_offset: u16,
    /// Port of the DHT: libp2p (UDP) and HTTP (TCP)
    #[arg(long, env = "DHT_PORT", default_value_t = 13_337, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub dht_port: u16,
    /// Port of the DHT's gRPC
    #[arg(long, env = "DHT_GRPC_PORT", default_value_t = 13_338, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub dht_grpc_port: u16,
    /// Port of the execution client's JSON-RPC
    #[arg(long, env = "EL_HTTP_PORT", default_value_t = 8_545, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub http_port: u16,
    /// Port of the Engine API
    #[arg(long, env = "EL_AUTH_PORT", default_value_t = 8_551, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub auth_port: u16,
    /// Port of the AI engine
    #[arg(long, env = "AI_ENGINE_PORT", default_value_t = 8_552, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub ai_engine_port: u16,
    /// Port of the execution client's feed
    #[arg(long, env = "EL_FEED_PORT", default_value_t = 8_553, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub feed_port: u16,
    /// Port of the execution client's /metrics and /health
    #[arg(long, env = "EL_METRICS_PORT", default_value_t = 9_001, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub execution_metrics_port: u16,
    /// Port of the Beacon API
    #[arg(long, env = "BEACON_REST_PORT", default_value_t = 3_500, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub beacon_port: u16,
    /// Port of the beacon node's /metrics and /health
    #[arg(long, env = "BEACON_METRICS_PORT", default_value_t = 9_002, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub beacon_metrics_port: u16,
    /// Port of Lighthouse's libp2p; the embedded beacon node has none
    #[arg(long, env = "BEACON_P2P_PORT", default_value_t = 13_000, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub beacon_p2p_port: u16,
    /// Port of the quorum service's gRPC
    #[arg(long, env = "BEACON_GRPC_PORT", default_value_t = 4_000, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub beacon_grpc_port: u16,
    /// Port of the fault service
    #[arg(long, env = "SLASHER_PORT", default_value_t = 4_003, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub fault_port: u16,
    /// Port of the quorum service's /metrics and /health
    #[arg(long, env = "ACK_QUORUM_METRICS_PORT", default_value_t = 9_003, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub quorum_metrics_port: u16,
    /// Port of the ML sidecar's gRPC
    #[arg(long, env = "SIDECAR_PORT", default_value_t = 8_560, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub sidecar_port: u16,
    /// Port of the ML sidecar's /metrics and /health
    #[arg(long, env = "SIDECAR_METRICS_PORT", default_value_t = 8_561, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub sidecar_metrics_port: u16,
}

/// The ports of one node, the offset added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and explained in PortArgs")]
pub struct Ports {
    pub dht: u16,
    pub dht_grpc: u16,
    pub http: u16,
    pub auth: u16,
    pub ai_engine: u16,
    pub feed: u16,
    pub execution_metrics: u16,
    pub beacon: u16,
    pub beacon_metrics: u16,
    pub beacon_p2p: u16,
    pub beacon_grpc: u16,
    pub faults: u16,
    pub quorum_metrics: u16,
    pub sidecar: u16,
    pub sidecar_metrics: u16,
}

/// A port, what it is for, and the variable that moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPort {
    /// The number.
    pub port: u16,
    /// What it is for.
    pub what: &'static str,
    /// The variable.
    pub variable: &'static str,
    /// UDP as well as TCP.
    pub udp: bool,
}

impl PortArgs {
    /// The ports with the offset.
    ///
    /// # Errors
    /// The operator's: a port beyond 65535, or one that two would share.
    pub fn ports(&self) -> Result<Ports, Exit> {
        let at = |port: u16| {
            let offset = self.port_offset;
            port.checked_add(offset)
                .ok_or_else(|| Exit::usage(format!("--port-offset {offset}: port {port} would be above 65535")))
        };
        let ports = Ports {
            dht: at(self.dht_port)?,
            dht_grpc: at(self.dht_grpc_port)?,
            http: at(self.http_port)?,
            auth: at(self.auth_port)?,
            ai_engine: at(self.ai_engine_port)?,
            feed: at(self.feed_port)?,
            execution_metrics: at(self.execution_metrics_port)?,
            beacon: at(self.beacon_port)?,
            beacon_metrics: at(self.beacon_metrics_port)?,
            beacon_p2p: at(self.beacon_p2p_port)?,
            beacon_grpc: at(self.beacon_grpc_port)?,
            faults: at(self.fault_port)?,
            quorum_metrics: at(self.quorum_metrics_port)?,
            sidecar: at(self.sidecar_port)?,
            sidecar_metrics: at(self.sidecar_metrics_port)?,
        };
        let named = ports.named();
        for (place, one) in named.iter().enumerate() {
            if let Some(other) = named.iter().skip(place + 1).find(|other| other.port == one.port) {
                let (port, a, b) = (one.port, one.variable, other.variable);
                return Err(Exit::usage(format!("{a} and {b} are both port {port}: each needs its own")));
            }
        }
        Ok(ports)
    }
}

impl Ports {
    /// Each with its name.
    pub const fn named(&self) -> [NamedPort; 15] {
        const fn tcp(port: u16, what: &'static str, variable: &'static str) -> NamedPort {
            NamedPort { port, what, variable, udp: false }
        }
        [
            NamedPort { port: self.dht, what: "DHT", variable: "DHT_PORT", udp: true },
            tcp(self.dht_grpc, "gRPC of the DHT", "DHT_GRPC_PORT"),
            tcp(self.http, "JSON-RPC", "EL_HTTP_PORT"),
            tcp(self.auth, "Engine API", "EL_AUTH_PORT"),
            tcp(self.ai_engine, "AI engine", "AI_ENGINE_PORT"),
            tcp(self.feed, "feed of the execution client", "EL_FEED_PORT"),
            tcp(self.execution_metrics, "metrics of the execution client", "EL_METRICS_PORT"),
            tcp(self.beacon, "Beacon API", "BEACON_REST_PORT"),
            tcp(self.beacon_metrics, "metrics of the beacon node", "BEACON_METRICS_PORT"),
            NamedPort { port: self.beacon_p2p, what: "libp2p of Lighthouse", variable: "BEACON_P2P_PORT", udp: true },
            tcp(self.beacon_grpc, "quorum service", "BEACON_GRPC_PORT"),
            tcp(self.faults, "fault service", "SLASHER_PORT"),
            tcp(self.quorum_metrics, "metrics of the quorum service", "ACK_QUORUM_METRICS_PORT"),
            tcp(self.sidecar, "ML sidecar", "SIDECAR_PORT"),
            tcp(self.sidecar_metrics, "metrics of the ML sidecar", "SIDECAR_METRICS_PORT"),
        ]
    }
}
