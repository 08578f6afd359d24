//! What `pol-dht` is told at start.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Parser;
use libp2p::{Multiaddr, multiaddr::Protocol};
use pol_kit::{config::DataDirArgs, telemetry::LogArgs};

/// The DHT of POL-AI: carries deltas, announcements, identities, ACKs and fault votes between nodes
///
/// UDP on the listening port is libp2p (QUIC), TCP on the same port is HTTP: GET /dht/peers, /dht/records/UPDATE_ID, /health, /metrics.
/// This machine's own processes talk gRPC with it, on loopback.
#[derive(Debug, Clone, Parser)]
#[command(name = "pol-dht", version)]
pub struct Args {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDirArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// Address and port of libp2p (UDP) and HTTP (TCP)
    #[arg(long, env = "DHT_LISTEN", default_value = "0.0.0.0:13337", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Port instead of the one in --listen
    #[arg(long, env = "DHT_PORT", value_name = "PORT")]
    pub port: Option<u16>,
    /// Address and port of gRPC (TCP), for this machine's own processes; by default 127.0.0.1 and the port after HTTP's
    #[arg(long, env = "DHT_GRPC_LISTEN", value_name = "ADDRESS:PORT")]
    pub grpc_listen: Option<SocketAddr>,
    /// gRPC port instead of the one in --grpc-listen
    #[arg(long, env = "DHT_GRPC_PORT", value_name = "PORT")]
    pub grpc_port: Option<u16>,
    /// Let gRPC listen beyond this machine: whoever reaches the port can call everything
    #[arg(long)]
    pub grpc_open: bool,
    /// Peers to stay connected to: host, host:port or a libp2p address, separated by commas
    #[arg(long, env = "GENESIS_HOST", value_delimiter = ',', value_name = "PEER")]
    pub bootstrap: Vec<String>,
    /// Being alone is fine: no alarm without peers
    #[arg(long)]
    pub solo: bool,
    /// The chain's chain.toml; by default the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Also speak libp2p over TCP, on this port
    #[arg(long, value_name = "PORT")]
    pub tcp_port: Option<u16>,
    /// Look for neighbours in the local network (mDNS)
    #[arg(long)]
    pub mdns: bool,
}

/// A bootstrap peer that cannot be understood. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bootstrap peer {found:?}: expected host, host:port, or a libp2p address such as /ip4/192.0.2.1/udp/13337/quic-v1")]
pub struct BootstrapError {
    found: String,
}

/// A gRPC address that the operator has to think about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcAddressError {
    /// Reachable from other machines, without authentication.
    #[error(
        "--grpc-listen {found}: found an address beyond this machine, where whoever reaches it can call everything; expected \
        loopback, or --grpc-open"
    )]
    Open {
        /// The address.
        found: SocketAddr,
    },
    /// There is no port after 65535.
    #[error("no port follows {found}: give --grpc-port")]
    Port {
        /// HTTP's port.
        found: u16,
    },
}

/// QUIC on an address.
pub fn quic(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Udp(address.port())).with(Protocol::QuicV1)
}

/// Reads a bootstrap peer; `port` where it names none. Our own name for "nobody", `localhost`, stands in the original's `.env`.
///
/// # Errors
/// [`BootstrapError`].
pub fn bootstrap(text: &str, port: u16) -> Result<Multiaddr, BootstrapError> {
    let error = || BootstrapError { found: text.to_owned() };
    if text.starts_with('/') {
        return text.parse().map_err(|_| error());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(quic(address));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(quic(SocketAddr::new(address, port)));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| error())?),
        None => (text, port),
    };
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !plain {
        return Err(error());
    }
    Ok(Multiaddr::empty().with(Protocol::Dns(host.into())).with(Protocol::Udp(port)).with(Protocol::QuicV1))
}

impl Args {
    /// Where HTTP (TCP) and QUIC (UDP) listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.listen.ip(), self.port.unwrap_or(self.listen.port()))
    }

    /// Where gRPC listens when HTTP has the port `http`: 13338 beside 13337. Two daemons on one machine need no flag for it.
    ///
    /// # Errors
    /// [`GrpcAddressError`].
    pub fn grpc_address(&self, http: u16) -> Result<SocketAddr, GrpcAddressError> {
        let ip = self.grpc_listen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |listen| listen.ip());
        let port = match self.grpc_port.or(self.grpc_listen.map(|listen| listen.port())) {
            Some(port) => port,
            None => http.checked_add(1).ok_or(GrpcAddressError::Port { found: http })?,
        };
        let found = SocketAddr::new(ip, port);
        if ip.to_canonical().is_loopback() || self.grpc_open { Ok(found) } else { Err(GrpcAddressError::Open { found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_peers_are_hosts_addresses_or_libp2p_addresses() {
        for (text, expected) in [
            ("192.0.2.1", "/ip4/192.0.2.1/udp/13337/quic-v1"),
            ("192.0.2.1:9", "/ip4/192.0.2.1/udp/9/quic-v1"),
            ("[2001:db8::1]:9", "/ip6/2001:db8::1/udp/9/quic-v1"),
            ("node-1.example", "/dns/node-1.example/udp/13337/quic-v1"),
            ("node-1.example:9", "/dns/node-1.example/udp/9/quic-v1"),
            ("/ip4/192.0.2.1/tcp/9", "/ip4/192.0.2.1/tcp/9"),
        ] {
            assert_eq!(bootstrap(text, 13_337).unwrap().to_string(), expected);
        }
        for bad in ["", ":9", "host:port", "host:70000", "a b", "/ip4/nonsense", "host/9"] {
            assert!(bootstrap(bad, 13_337).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_flags_are_those_of_the_original() {
        let args = Args::try_parse_from(["pol-dht", "--listen", "0.0.0.0:13337", "--solo"]).unwrap();
        assert!(args.solo && args.address().port() == 13_337);
        let args = Args::try_parse_from(["pol-dht", "--port", "9", "--bootstrap", "a,b:7"]).unwrap();
        assert_eq!((args.address().port(), args.bootstrap.len()), (9, 2));
    }

    #[test]
    fn grpc_is_on_loopback_beside_http_unless_asked_for_explicitly() {
        let grpc = |flags: &[&str], http| Args::try_parse_from([&["pol-dht"], flags].concat()).unwrap().grpc_address(http);
        let address = |text: &str| Ok(text.parse().unwrap());
        assert_eq!(grpc(&[], 13_337), address("127.0.0.1:13338"));
        assert_eq!(grpc(&["--listen", "0.0.0.0:7"], 7), address("127.0.0.1:8"));
        assert_eq!(grpc(&["--grpc-port", "9"], 13_337), address("127.0.0.1:9"));
        assert_eq!(grpc(&["--grpc-listen", "[::1]:5"], 13_337), address("[::1]:5"));
        assert_eq!(grpc(&["--grpc-listen", "127.0.0.1:5", "--grpc-port", "6"], 13_337), address("127.0.0.1:6"));
        let open = "192.0.2.1:5".parse().unwrap();
        assert_eq!(grpc(&["--grpc-listen", "192.0.2.1:5"], 13_337), Err(GrpcAddressError::Open { found: open }));
        assert_eq!(grpc(&["--grpc-listen", "192.0.2.1:5", "--grpc-open"], 13_337), Ok(open));
        assert!(grpc(&["--grpc-listen", "0.0.0.0:5"], 1).is_err() && grpc(&["--grpc-listen", "[::]:5"], 1).is_err());
        assert_eq!(grpc(&[], u16::MAX), Err(GrpcAddressError::Port { found: u16::MAX }));
    }
}
