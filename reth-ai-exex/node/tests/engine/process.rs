//! `pol-reth` as a process of its own, on a chain made for the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use pol_kit::clock::{Clock as _, System};
use reth_ai_exex::genesis::ExecutionGenesis;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{
    driver::{
        Driver, Urls,
        chain::{SECRET, genesis},
    },
    ports::free_ports,
};

pub use super::driver::chain::{SEED, SLOT};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pol-reth");
/// What an unoptimized Reth may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory with a genesis, and at most one process on it.
pub struct Home {
    directory: tempfile::TempDir,
    pub genesis: ExecutionGenesis,
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    pub driver: Driver,
    pub metrics: String,
}

impl Home {
    /// A chain that began 500 slots ago.
    pub fn new() -> Self {
        Self::of(genesis(System::new().unix_seconds() - 500 * SLOT))
    }

    /// Another node of the same chain.
    pub fn of(genesis: ExecutionGenesis) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("genesis.json"), genesis.to_json().unwrap()).unwrap();
        let secret = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.path().join("jwt.hex"));
        std::io::Write::write_all(&mut secret.unwrap(), hex::encode(SECRET).as_bytes()).unwrap();
        Self { directory, genesis }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// As before the first start: what a node has of its chain is gone.
    pub fn forget_chain(&self) {
        fs::remove_dir_all(self.path().join("reth")).unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.path()).arg("node");
        command.arg("--chain").arg(self.path().join("genesis.json")).arg("--datadir").arg(self.path().join("reth"));
        command.arg("--authrpc.jwtsecret").arg(self.path().join("jwt.hex"));
        command.args(["--http", "--http.api", "eth,net,web3,txpool,admin,debug,polai", "--ipcdisable"]);
        command.args(["--disable-discovery", "--nat", "none", "--addr", "127.0.0.1", "--log.file.max-files", "0"]);
        command
    }

    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub fn start_with(&self, flags: &[&str]) -> Process {
        let ports: [u16; 6] = free_ports();
        let mut command = self.command();
        let names = ["http.port", "authrpc.port", "ai-engine.port", "port", "ai-engine.feed.port", "ai-engine.metrics.port"];
        for (name, port) in names.iter().zip(ports) {
            command.arg(format!("--{name}")).arg(port.to_string());
        }
        let log = fs::File::create(self.path().join("log")).unwrap();
        if std::env::var_os("POLAI_TEST_LOG").is_none() {
            command.stdout(log.try_clone().unwrap()).stderr(log);
        }
        let mut child = command.args(flags).spawn().unwrap();
        let start = Instant::now();
        while !ports[..3].iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            let log = || fs::read_to_string(self.path().join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "pol-reth did not start: {}", log());
            assert!(start.elapsed() < PATIENCE, "pol-reth is not up: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let urls = Urls { http: url(ports[0]), auth: url(ports[1]), ai_engine: url(ports[2]) };
        let chain = self.genesis.chain();
        let driver = Driver::new(urls, SECRET, chain.genesis_hash(), chain.genesis_time(), chain.slot_seconds());
        Process { child, driver, metrics: format!("{}/metrics", url(ports[5])) }
    }
}

impl Process {
    /// SIGKILL: no chance to write anything.
    pub fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Where other nodes reach it.
    pub async fn enode(&self) -> String {
        self.driver.rpc("admin_nodeInfo", json!([])).await["enode"].as_str().unwrap().to_owned()
    }

    /// A number of the metrics page.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = reqwest::get(&self.metrics).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Asks again until the answer is so: what follows the chain does so a moment later.
    pub async fn wait_for(&self, method: &str, params: Value, so: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.driver.rpc(method, params.clone()).await;
            if so(&answer) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{method} never answers so: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this client calls a header field when it refuses it.
pub fn in_its_words(field: &str) -> &str {
    match field {
        "number" => "block number",
        "gasLimit" => "gas_limit",
        "gasUsed" => "gas",
        "stateRoot" => "state root",
        "receiptsRoot" => "receipt root",
        "logsBloom" => "bloom",
        "baseFeePerGas" => "base fee",
        "excessBlobGas" => "excess blob gas",
        "blobGasUsed" => "blob gas used",
        "parent" => "rejected",
        other => other,
    }
}

/// Whom it blames for a block that it knows to be invalid: nobody. With difficulty above zero Reth takes any parent of what is invalid for a
/// terminal proof-of-work block.
pub const fn blamed_again(_: B256) -> Option<B256> {
    Some(B256::ZERO)
}

/// Whom it blames for a child of an invalid block: nobody likewise.
pub const fn blamed_for_child(_: B256) -> Option<B256> {
    Some(B256::ZERO)
}
