//! The daemon as a process.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pol_core::genesis::ChainSpec;

#[path = "../../../../testing/ports.rs"]
pub(crate) mod ports;

/// A port that nobody had a moment ago; nor the next one, which is gRPC's.
pub(crate) fn free_port() -> u16 {
    let [port, _grpc] = ports::free_ports();
    port
}

/// A chain.toml; another `chain_id` is another chain.
pub(crate) fn chain_toml(chain_id: u64) -> String {
    let hash = |byte: &str| byte.repeat(32);
    let losses = ["2000000000"; 32].join(", ");
    format!(
        "genesis_time = 1800000000\npreset = \"minimal\"\nslot_seconds = 3\nchain_id = {chain_id}\n\
         genesis_validators_root = \"{}\"\nexecution_genesis_hash = \"{}\"\nquorum = \"auto\"\ndifficulty_floor = 16384\n\
         profile = 1\ndev_slash_small = false\n\n[model]\nmanifest_hash = \"{}\"\nlayers = 4\nhidden = 128\nquery = 128\n\
         key_value = 64\nintermediate = 352\n\n[gate]\ndev_texts_hash = \"{}\"\nreference_losses = [{losses}]\n\n[lora]\n\
         rank = 8\nalpha = 16\ndropout_ppm = 50000\ntargets = [\"q\", \"k\", \"v\", \"o\", \"gate\", \"up\", \"down\"]\n",
        hash("01"),
        hash("02"),
        hash("03"),
        hash("04"),
    )
}

/// What [`chain_toml`] says.
pub(crate) fn chain(chain_id: u64) -> ChainSpec {
    ChainSpec::parse(&chain_toml(chain_id)).unwrap()
}

/// `pol-dht` on a loopback port, with its data under `directory`; started by a shell that runs `first`.
pub(crate) fn command(first: &str, port: u16, directory: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_pol-dht")]);
    command
        .args(["--listen", &format!("127.0.0.1:{port}"), "--grpc-listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory)
        .args(more);
    for name in ["GENESIS_HOST", "DHT_PORT", "DHT_LISTEN", "DHT_GRPC_LISTEN", "DHT_GRPC_PORT", "POLAI_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A running daemon, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Starts it.
    pub(crate) fn start(mut command: Command, port: u16) -> Self {
        Self { child: command.spawn().unwrap(), port }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `SIGKILL`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Fails when it ended.
    pub(crate) fn still_runs(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the daemon ended");
    }

    /// The answer to one HTTP request, without a library; None while nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Asks until `good` takes the answer; fails after 60 s.
    pub(crate) fn eventually(&mut self, path: &str, good: impl Fn(&str) -> bool) -> String {
        let (start, mut last) = (Instant::now(), None);
        while start.elapsed() < Duration::from_secs(60) {
            self.still_runs();
            last = self.get(path).or(last);
            if let Some(answer) = last.as_ref().filter(|answer| good(answer)) {
                return answer.clone();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no good answer to {path} within 60 s; the last one: {last:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
