//! What `pol-dht` is told at start.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Parser;
use libp2p::{Multiaddr, multiaddr::Protocol};
use pol_kit::{config::DataDirArgs, telemetry::LogArgs};

/// The DHT of POL-AI: carries deltas, announcements, identities, ACKs and fault votes between nodes
///
/// UDP on the listening port is libp2p (QUIC), TCP on the same port is HTTP: GET /dht/peers, /dht/records/UPDATE_ID, /health, /metrics.
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
}
