//! Nodes of one machine, for tests: `pol-execution` and `pol-beacon` on a genesis that `polai` made.

pub mod bench;
pub mod bend;
pub mod clients;
pub mod compose;
pub mod deep;
pub mod engine;
pub mod events;
pub mod feed;
pub mod follower;
mod home;
pub mod liar;
pub mod metrics;
pub mod reth;
pub mod sidecars;
pub mod up;
pub mod usage;
pub mod wire;

pub use home::{Plan, SEED, embedded_model, program};

use std::{
    thread,
    time::{Duration, Instant},
};

use home::{Home, Process, now};
use serde_json::Value;

#[path = "../../ports.rs"]
mod ports;

/// One node.
#[derive(Debug)]
pub struct Node {
    plan: Plan,
    home: Home,
    ports: [u16; 10],
    execution: Option<Process>,
    beacon: Option<Process>,
    dht: Option<Process>,
    /// Of the beacon node.
    flags: Vec<String>,
}

impl Node {
    /// Makes a chain and starts its only node.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(plan: Plan) -> Self {
        Self::prepare(plan, None, &[])
    }

    /// The same with a DHT, through which fault votes go, and more flags for the beacon node.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_with_dht(plan: Plan, flags: &[&str]) -> Self {
        let ports = ports::free_ports::<2>();
        Self::prepare(plan, Some(ports), flags)
    }

    fn prepare(plan: Plan, dht: Option<[u16; 2]>, flags: &[&str]) -> Self {
        let home = Home::new();
        home.make_chain(plan, now() + 8);
        let dht_url = dht.map_or_else(String::new, |[_, grpc]| format!("http://127.0.0.1:{grpc}"));
        let flags = ["--dht", &dht_url].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        let mut node = Self { plan, home, ports: ports::free_ports(), execution: None, beacon: None, dht: None, flags };
        node.dht = dht.map(|ports| Process(node.home.dht(ports).spawn().expect("pol-dht")));
        node.start_execution();
        node.start_beacon();
        node
    }

    /// What a program has logged.
    pub fn log(&self, name: &str) -> String {
        self.home.log(name)
    }

    /// Starts the execution client, anew when it runs.
    pub fn start_execution(&mut self) {
        self.execution = None;
        let [http, auth, ai, feed, metrics, ..] = self.ports.map(|port| port.to_string());
        let mut command = self.home.command("pol-execution");
        command.args(["--http.port", &http, "--authrpc.port", &auth, "--ai-engine.port", &ai]);
        command.args(["--feed.port", &feed, "--metrics.port", &metrics]);
        self.execution = Some(Process(command.spawn().expect("pol-execution")));
    }

    /// Starts the beacon node, anew when it runs.
    pub fn start_beacon(&mut self) {
        self.beacon = None;
        let [_, auth, ai, _, _, rest, metrics, grpc, faults, quorum] = self.ports.map(|port| port.to_string());
        let mut command = self.home.command("pol-beacon");
        let last = self.plan.validators.saturating_sub(1);
        command.args(["--validators", &format!("0-{last}"), "--genesis-seed", SEED, "--sidecar", ""]).args(&self.flags);
        command.args(["--grpc-port", &grpc, "--fault-port", &faults, "--quorum-metrics-port", &quorum]);
        command.args([
            "--execution-endpoint",
            &format!("http://127.0.0.1:{auth}"),
            "--ai-engine",
            &format!("http://127.0.0.1:{ai}"),
        ]);
        command.args(["--http-port", &rest, "--metrics-port", &metrics]);
        self.beacon = Some(Process(command.spawn().expect("pol-beacon")));
    }

    /// Whether the DHT, if there is one, still runs.
    pub fn dht_runs(&mut self) -> bool {
        self.dht.as_mut().is_none_or(|dht| dht.0.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// Ends the execution client as a crash does.
    pub fn kill_execution(&mut self) {
        self.execution = None;
    }

    /// Ends the beacon node as a crash does.
    pub fn kill_beacon(&mut self) {
        self.beacon = None;
    }

    /// Where JSON-RPC answers.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Where the Beacon API answers.
    pub fn rest(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[5])
    }

    /// `data` of an answer of the Beacon API; None while there is none.
    pub fn beacon(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.rest());
        let answer: Value = reqwest::blocking::get(url).ok()?.json().ok()?;
        answer.get("data").cloned()
    }

    /// `result` of an answer of the execution client; None while there is none.
    pub fn ethereum(&self, method: &str, params: Value) -> Option<Value> {
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value = reqwest::blocking::Client::new().post(self.http()).json(&call).send().ok()?.json().ok()?;
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
