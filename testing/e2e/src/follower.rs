//! A node without a beacon node: DHT, execution client and sidecar, whose chain is what a test says.

use std::{
    thread,
    time::{Duration, Instant},
};

use pol_api::sidecar::model::ModelState;
use pol_core::genesis::ChainParameters;
use pol_kit::jwt::Secret;
use serde_json::{Value, json};

use crate::{
    engine::Engine,
    home::{Home, Plan, Process, now},
    ports,
    wire::Wire,
};

const START: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(50);

/// The node.
#[derive(Debug)]
pub struct Follower {
    home: Home,
    ports: [u16; 9],
    processes: Vec<Process>,
    sidecar: Option<Process>,
    /// The consensus client's hands.
    pub engine: Engine,
    /// gRPC of DHT and sidecar.
    pub wire: Wire,
}

impl Follower {
    /// A chain of the embedded model that began 100 slots ago, and all three processes on it. A slot lasts longer than a test.
    ///
    /// # Panics
    /// They do not start.
    pub fn start() -> Self {
        let (home, slot_seconds) = (Home::new(), 120);
        let tables = home.describe_embedded_model();
        home.make_chain_of(Plan { validators: 1, slot_seconds }, now() - 100 * slot_seconds, &tables);
        let ports = ports::free_ports::<9>();
        let [http, auth, ai, feed, metrics, dht, dht_grpc, sidecar, _] = ports;
        let mut processes = vec![Process(home.dht([dht, dht_grpc]).spawn().expect("pol-dht"))];
        let mut command = home.command("pol-execution");
        for (name, port) in [("http", http), ("authrpc", auth), ("ai-engine", ai), ("feed", feed), ("metrics", metrics)] {
            command.arg(format!("--{name}.port")).arg(port.to_string());
        }
        processes.push(Process(command.spawn().expect("pol-execution")));
        let secret = home.data().join("secrets_data/jwt.hex");
        let engine = Engine::new(
            format!("http://127.0.0.1:{auth}"),
            format!("http://127.0.0.1:{ai}"),
            Secret::load(&secret).expect("the JWT secret"),
        );
        let wire = Wire::new(&home.data(), dht_grpc, sidecar);
        let mut follower = Self { home, ports, processes, sidecar: None, engine, wire };
        follower.start_sidecar();
        follower.until("sidecar", |model| model.updates == 0);
        follower
    }

    /// Starts the sidecar, anew when it runs: then as after a crash.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_sidecar(&mut self) {
        self.sidecar = None;
        let [.., feed, _, _, dht_grpc, sidecar, metrics] = self.ports.map(|port| port.to_string());
        let mut command = self.home.sidecar();
        command.args(["serve", "--roles", "gate", "--port", &sidecar, "--metrics-port", &metrics]);
        command.args(["--dht", &format!("http://127.0.0.1:{dht_grpc}"), "--feed", &format!("http://127.0.0.1:{feed}")]);
        self.sidecar = Some(Process(command.spawn().expect("ml-sidecar")));
    }

    /// Parameters of the chain.
    pub const fn chain(&self) -> ChainParameters {
        self.wire.spec.parameters()
    }

    /// The next two slots, each with its time: candidates of slots that are over are refused, and of those beyond the next two.
    pub fn slots(&self) -> [(u64, u64); 2] {
        let ChainParameters { genesis_time, slot_seconds, .. } = self.chain();
        let soon = (now() - genesis_time) / slot_seconds + 1;
        [soon, soon + 1].map(|slot| (slot, genesis_time + slot * slot_seconds))
    }

    /// The model head after the canonical head, as the execution client's model log has it, 64 hex digits.
    pub fn model_head(&self) -> Option<String> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "polai_modelHead", "params": [null] });
        let url = format!("http://127.0.0.1:{}", self.ports[0]);
        let answer: Value = reqwest::blocking::Client::new().post(url).json(&call).send().ok()?.json().ok()?;
        answer["result"]["modelHead"].as_str()?.strip_prefix("0x").map(str::to_owned)
    }

    /// Waits for the sidecar's model state to be so.
    ///
    /// # Panics
    /// It took too long; with the ends of the logs.
    pub fn until(&self, what: &str, is_so: impl Fn(&ModelState) -> bool) -> ModelState {
        let start = Instant::now();
        loop {
            let model = self.wire.model();
            if let Some(model) = model.filter(&is_so) {
                return model;
            }
            if start.elapsed() > START {
                let end = |name| self.home.log(name).lines().rev().take(12).collect::<Vec<_>>().join("\n");
                let [sidecar, execution, dht] = ["ml-sidecar", "pol-execution", "pol-dht"].map(end);
                let alive = self.processes.len();
                panic!("no {what} within {START:?}: {model:?}, {alive} others\n{sidecar}\n{execution}\n{dht}");
            }
            thread::sleep(LOOK);
        }
    }
}
