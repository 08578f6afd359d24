//! Nodes on `pol-reth`, and a second execution client beside a node, for `scripts/test-reth`.

use std::{
    env,
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pol_kit::{
    clock::{Clock as _, System},
    jwt::Secret,
};
use polai::{ask::Ask, refeed::Refeed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::{home::Process, ports, program, up::Up};

/// Of the Engine API of a client beside a node, hex.
pub const SECRET: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";
/// What an unoptimized Reth may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, as `scripts/test-reth` built it.
///
/// # Panics
/// Nobody says where it is.
pub fn reth() -> PathBuf {
    PathBuf::from(env::var_os("POLAI_RETH_BIN").expect("POLAI_RETH_BIN: run scripts/test-reth"))
}

/// Flags of `polai up` on pol-reth, for a chain without a model.
pub fn flags(up: &Up) -> Vec<String> {
    let [p2p]: [u16; 1] = ports::free_ports();
    let (program, p2p) = (reth().display().to_string(), p2p.to_string());
    up.without_ai(&["--execution", "reth", "--reth-bin", &program, "--execution-p2p-port", &p2p])
}

/// An execution client alone, on the genesis of a node.
#[derive(Debug)]
pub struct Beside {
    _directory: TempDir,
    _process: Process,
    /// JSON-RPC.
    pub http: String,
    /// Engine API.
    pub auth: String,
    secret: Arc<Secret>,
    runtime: Runtime,
}

impl Beside {
    /// Starts `pol-execution`.
    ///
    /// # Panics
    /// It does not start.
    pub fn embedded(node: &Path) -> Self {
        Self::start(node, |folder, [http, auth, ai, feed, metrics, _]| {
            let mut command = Command::new(program("pol-execution"));
            command.env_clear().arg("--data-dir").arg(folder).arg("--authrpc.jwtsecret").arg(folder.join("jwt.hex"));
            command.args(["--http.port", &http, "--authrpc.port", &auth, "--ai-engine.port", &ai]);
            command.args(["--feed.port", &feed, "--metrics.port", &metrics]);
            command
        })
    }

    /// Starts `pol-reth`.
    ///
    /// # Panics
    /// It does not start.
    pub fn reth(node: &Path) -> Self {
        Self::start(node, |folder, [http, auth, ai, feed, metrics, p2p]| {
            let mut command = Command::new(reth());
            command.env_clear().env("HOME", folder).arg("node").arg("--datadir").arg(folder.join("reth"));
            command.arg("--chain").arg(folder.join("genesis.json")).arg("--authrpc.jwtsecret").arg(folder.join("jwt.hex"));
            command.args(["--http", "--http.port", &http, "--authrpc.port", &auth, "--port", &p2p, "--ipcdisable"]);
            command.args(["--ai-engine.port", &ai, "--ai-engine.feed.port", &feed, "--ai-engine.metrics.port", &metrics]);
            command.args(["--disable-discovery", "--nat", "none", "--addr", "127.0.0.1", "--log.file.max-files", "0"]);
            command
        })
    }

    fn start(node: &Path, command: impl FnOnce(&Path, [String; 6]) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::copy(node.join("genesis.json"), directory.path().join("genesis.json")).expect("a genesis");
        let file = directory.path().join("jwt.hex");
        fs::write(&file, SECRET).expect("a disk");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a disk");
        let secret = Arc::new(Secret::load(&file).expect("a secret"));
        let ports: [u16; 6] = ports::free_ports();
        let mut command = command(directory.path(), ports.map(|port| port.to_string()));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client");
        let start = Instant::now();
        while !ports[..2].iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            assert!(start.elapsed() < PATIENCE, "the client does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        let [http, auth] = [ports[0], ports[1]].map(|port| format!("http://127.0.0.1:{port}"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { _directory: directory, _process: Process(process), http, auth, secret, runtime }
    }

    /// Feeds it what the node's beacon chain has; how many blocks it lacked.
    ///
    /// # Panics
    /// It refuses one.
    pub fn feed(&self, up: &Up) -> usize {
        let (ask, beacon) = (Ask::new().expect("a client"), format!("http://127.0.0.1:{}", up.port("BEACON_REST_PORT")));
        let refeed = Refeed::new(ask, beacon, self.auth.clone(), Arc::clone(&self.secret), Arc::new(System::new()));
        self.runtime.block_on(refeed.feed()).expect("every block is taken")
    }

    /// Makes a block that it was fed its head: Reth shows no other.
    ///
    /// # Panics
    /// It refuses.
    pub fn adopt(&self, hash: &str) {
        let token = self.secret.token(System::new().unix_seconds()).expect("a token");
        let zero = format!("0x{}", "00".repeat(32));
        let state = json!({ "headBlockHash": hash, "safeBlockHash": zero, "finalizedBlockHash": zero });
        let ask = Ask::new().expect("a client");
        let call = ask.call_with_token::<Value>(&self.auth, Some(&token), "engine_forkchoiceUpdatedV3", json!([state, null]));
        let answer = self.runtime.block_on(call).expect("an answer").unwrap_or_default();
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{answer}");
    }

    /// A block by its hash.
    ///
    /// # Panics
    /// No answer.
    pub fn block(&self, hash: &str) -> Value {
        let ask = Ask::new().expect("a client");
        let call = ask.call(&self.http, "eth_getBlockByHash", json!([hash, false]));
        self.runtime.block_on(call).expect("an answer").unwrap_or_default()
    }
}
