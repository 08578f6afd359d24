//! The daemon as a process: what a person types, and what it answers.

#[path = "common/chain.rs"]
mod chain;
#[path = "../../../testing/ports.rs"]
mod ports;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use chain::spec;
use tempfile::tempdir;

/// One for HTTP and QUIC; the next one is gRPC's.
fn free_port() -> u16 {
    let [port, _grpc] = ports::free_ports();
    port
}

fn daemon(port: u16, data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pol-dht"));
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data.join("data")).args(more);
    for name in ["GENESIS_HOST", "DHT_PORT", "DHT_LISTEN", "DHT_GRPC_PORT", "DHT_GRPC_LISTEN"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// One request without a library; None while nobody answers.
fn get(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(found) = ask() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {what} within 20 s");
}

/// Ends the process in any case.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn refused(mut command: Command, says: &str) {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("pol-dht: ") && last.contains(says), "{stderr}");
}

#[test]
fn solo_answers_dht_peers_and_two_daemons_find_each_other() {
    let (one_dir, two_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let (one, two) = (free_port(), free_port());
    let _first = Running(daemon(one, one_dir.path(), &["--solo"]).spawn().unwrap());
    let answer = eventually("answer", || get(one, "/dht/peers"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"peers\":[]"), "{answer}");
    assert!(get(one, "/health").unwrap().starts_with("HTTP/1.1 200"));
    let metrics = get(one, "/metrics").unwrap();
    for name in ["polai_dht_peers 0", "polai_dht_bans 0", "polai_dht_bans_last_end_seconds 0", "polai_dht_validators 0"] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    assert!(get(one, "/dht/records/zz").unwrap().starts_with("HTTP/1.1 400"));

    let bootstrap = format!("127.0.0.1:{one}");
    let _second = Running(daemon(two, two_dir.path(), &["--solo", "--bootstrap", &bootstrap]).spawn().unwrap());
    let met = |port| eventually("peer", || get(port, "/dht/peers").filter(|answer| answer.contains("pol-dht/")));
    assert!(met(two).contains("outbound"));
    assert!(met(one).contains("inbound"));
}

#[test]
fn a_port_in_use_a_locked_directory_and_a_missing_chain_are_one_line_and_exit_code_2() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let port = free_port();
    let _running = Running(daemon(port, dir.path(), &["--solo"]).spawn().unwrap());
    eventually("answer", || get(port, "/dht/peers"));
    refused(daemon(port, other.path(), &["--solo"]), "in use");
    refused(daemon(free_port(), dir.path(), &["--solo"]), "in use by another process");
    refused(daemon(free_port(), other.path(), &[]), "--chain");
    refused(daemon(free_port(), other.path(), &["--solo", "--bootstrap", "a b"]), "bootstrap peer");
    std::fs::write(other.path().join("data/chain.toml"), "genesis_time = 0\n").unwrap();
    refused(daemon(free_port(), other.path(), &["--solo"]), "chain.toml");
}

#[test]
fn a_grpc_port_in_use_or_beyond_this_machine_is_one_line_and_exit_code_2() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let (port, taken) = (free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
    let grpc = taken.local_addr().unwrap().port().to_string();
    refused(daemon(port, dir.path(), &["--solo", "--grpc-port", &grpc]), &format!("TCP 127.0.0.1:{grpc} is in use"));
    assert!(!dir.path().join("data/dht_db").exists(), "said before any state is opened");
    refused(daemon(port, dir.path(), &["--solo", "--grpc-listen", "0.0.0.0:0"]), "--grpc-open");
    let _open = Running(daemon(port, other.path(), &["--solo", "--grpc-listen", "0.0.0.0:0", "--grpc-open"]).spawn().unwrap());
    eventually("answer", || get(port, "/dht/peers"));
}

#[test]
fn without_a_peer_and_not_solo_health_is_206_and_says_why() {
    let dir = tempdir().unwrap();
    let port = free_port();
    let chain = dir.path().join("chain.toml");
    std::fs::write(&chain, spec().to_toml()).unwrap();
    let _running = Running(daemon(port, dir.path(), &["--chain", chain.to_str().unwrap()]).spawn().unwrap());
    let answer = eventually("answer", || get(port, "/health"));
    assert!(answer.starts_with("HTTP/1.1 206") && answer.contains("no peer is connected"), "{answer}");
    assert!(get(port, "/metrics").unwrap().contains("polai_dht_alone 1"));
}
