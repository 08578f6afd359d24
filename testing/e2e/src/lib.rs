//! Nodes of one machine, for tests: `pol-execution` and `pol-beacon` on a genesis that `polai` made.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

#[path = "../../ports.rs"]
mod ports;
pub mod up;

/// Everybody's.
pub const SEED: &str = "3333333333333333333333333333333333333333333333333333333333333333";

/// A program of this workspace, as cargo built it beside this test.
///
/// # Panics
/// It is not there.
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(Path::parent).expect("target/debug/deps");
    let program = folder.join(name);
    assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
    program
}

/// Where a test keeps what a chain must know of its model.
const MODEL_TABLES: &str = "model.toml";

/// Of a small model that does not exist: such a chain has empty AI blocks only.
fn model_tables() -> String {
    let (hash, losses) = ("07".repeat(32), vec!["2000000000"; 32].join(", "));
    format!(
        "[model]\nmanifest_hash = \"{hash}\"\nlayers = 2\nhidden = 64\nquery = 64\nkey_value = 32\nintermediate = 96\n\n\
         [gate]\ndev_texts_hash = \"{hash}\"\nreference_losses = [{losses}]\n"
    )
}

/// A process that ends with its owner.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a chain is made with.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Validators, all of them this node's.
    pub validators: u32,
    /// Seconds of a slot.
    pub slot_seconds: u64,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    plan: Plan,
    directory: TempDir,
    ports: [u16; 7],
    execution: Option<Process>,
    beacon: Option<Process>,
}

impl Node {
    /// Makes a chain and starts its only node.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(plan: Plan) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let model = directory.path().join(MODEL_TABLES);
        fs::write(&model, model_tables()).expect("a disk");
        let mut node = Self { plan, directory, ports: ports::free_ports(), execution: None, beacon: None };
        let (validators, seconds) = (plan.validators.to_string(), plan.slot_seconds.to_string());
        let genesis_time = (now() + 8).to_string();
        let mut command = node.command("polai");
        command.arg("genesis").args(["--validators", &validators, "--slot-seconds", &seconds, "--genesis-time", &genesis_time]);
        // Any machine seals in time, a busy one too.
        command.args(["--seed", SEED, "--difficulty-floor", "64"]).arg("--model").arg(model);
        let made = command.status().expect("polai");
        assert!(made.success(), "polai genesis: {}", node.log("polai"));
        node.start_execution();
        node.start_beacon();
        node
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        let log = fs::File::options().create(true).append(true).open(self.log_path(name)).expect("a log");
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.arg("--data-dir").arg(self.directory.path().join("data"));
        command
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    /// What a program has logged.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    /// Starts the execution client, anew when it runs.
    pub fn start_execution(&mut self) {
        self.execution = None;
        let [http, auth, ai, feed, metrics, ..] = self.ports.map(|port| port.to_string());
        let mut command = self.command("pol-execution");
        command.args(["--http.port", &http, "--authrpc.port", &auth, "--ai-engine.port", &ai]);
        command.args(["--feed.port", &feed, "--metrics.port", &metrics]);
        self.execution = Some(Process(command.spawn().expect("pol-execution")));
    }

    /// Starts the beacon node, anew when it runs.
    pub fn start_beacon(&mut self) {
        self.beacon = None;
        let [_, auth, ai, _, _, rest, metrics] = self.ports.map(|port| port.to_string());
        let mut command = self.command("pol-beacon");
        let last = self.plan.validators.saturating_sub(1);
        command.args(["--validators", &format!("0-{last}"), "--genesis-seed", SEED, "--dht", "", "--sidecar", ""]);
        command.args([
            "--execution-endpoint",
            &format!("http://127.0.0.1:{auth}"),
            "--ai-engine",
            &format!("http://127.0.0.1:{ai}"),
        ]);
        command.args(["--http-port", &rest, "--metrics-port", &metrics]);
        self.beacon = Some(Process(command.spawn().expect("pol-beacon")));
    }

    /// Ends the execution client as a crash does.
    pub fn kill_execution(&mut self) {
        self.execution = None;
    }

    /// Ends the beacon node as a crash does.
    pub fn kill_beacon(&mut self) {
        self.beacon = None;
    }

    /// `data` of an answer of the Beacon API; None while there is none.
    pub fn beacon(&self, path: &str) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[5]);
        let answer: Value = reqwest::blocking::get(url).ok()?.json().ok()?;
        answer.get("data").cloned()
    }

    /// `result` of an answer of the execution client; None while there is none.
    pub fn ethereum(&self, method: &str, params: Value) -> Option<Value> {
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = format!("http://127.0.0.1:{}", self.ports[0]);
        let answer: Value = reqwest::blocking::Client::new().post(url).json(&call).send().ok()?.json().ok()?;
        answer.get("result").cloned()
    }

    /// The finalized epoch; 0 while there is none.
    pub fn finalized(&self) -> u64 {
        let data = self.beacon("/eth/v1/beacon/states/head/finality_checkpoints");
        data.and_then(|data| data["finalized"]["epoch"].as_str()?.parse().ok()).unwrap_or(0)
    }

    /// Slot of the head; 0 while there is none.
    pub fn head_slot(&self) -> u64 {
        let data = self.beacon("/eth/v1/beacon/headers/head");
        data.and_then(|data| data["header"]["message"]["slot"].as_str()?.parse().ok()).unwrap_or(0)
    }

    /// Waits.
    ///
    /// # Panics
    /// It took too long; with the end of both logs.
    pub fn until(&self, what: &str, most: Duration, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            if start.elapsed() > most {
                let end = |log: String| log.lines().rev().take(12).collect::<Vec<_>>().join("\n");
                let (execution, beacon) = (end(self.log("pol-execution")), end(self.log("pol-beacon")));
                panic!("{:?}: no {what} within {most:?}\npol-execution:\n{execution}\npol-beacon:\n{beacon}", self.plan);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests of whole nodes run by the machine's clock")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
