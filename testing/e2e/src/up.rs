//! A node as `polai up` runs it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use pol_core::ModelHead;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    home::{MODEL_TABLES, model_tables, models},
    ports, program,
    wire::Wire,
};

/// A folder, and the `polai up` that runs in it.
#[derive(Debug)]
pub struct Up {
    directory: TempDir,
    ports: [u16; 14],
    process: Option<Child>,
}

/// Variables that move the ports, as `polai env` lists them.
const VARIABLES: [&str; 14] = [
    "DHT_PORT",
    "DHT_GRPC_PORT",
    "EL_HTTP_PORT",
    "EL_AUTH_PORT",
    "AI_ENGINE_PORT",
    "EL_FEED_PORT",
    "EL_METRICS_PORT",
    "BEACON_REST_PORT",
    "BEACON_METRICS_PORT",
    "BEACON_GRPC_PORT",
    "SLASHER_PORT",
    "ACK_QUORUM_METRICS_PORT",
    "SIDECAR_PORT",
    "SIDECAR_METRICS_PORT",
];

impl Up {
    /// A folder in which nothing has run.
    ///
    /// # Panics
    /// No disk.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(MODEL_TABLES), model_tables()).expect("a disk");
        Self { directory, ports: ports::free_ports(), process: None }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A port, by the variable that moves it.
    ///
    /// # Panics
    /// No such variable.
    pub fn port(&self, variable: &str) -> u16 {
        let place = VARIABLES.iter().position(|name| *name == variable).expect("a variable of a port");
        self.ports[place]
    }

    /// A command of `polai` on this folder, with this node's ports.
    pub fn polai(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("polai"));
        command.env_clear().stdin(Stdio::null()).args(args).arg("--data-dir").arg(self.data());
        for name in ["PATH", "LD_LIBRARY_PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("POLAI_MODEL_CACHE", models()).env("POLAI_LOG_FORMAT", "json");
        command.envs(VARIABLES.iter().zip(self.ports).map(|(name, port)| (name, port.to_string())));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// It does not start.
    pub fn run(&self, args: &[&str]) -> Output {
        self.polai(args).output().expect("polai")
    }

    /// Flags of a chain that any machine can run, without a model.
    pub fn without_ai(&self, more: &[&str]) -> Vec<String> {
        let tables = self.directory.path().join(MODEL_TABLES).display().to_string();
        let flags = ["up", "--no-ai", "--slot-seconds", "1", "--difficulty-floor", "64", "--model-tables", &tables];
        flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect()
    }

    /// Flags of a chain with a model that any machine can run.
    pub fn with_ai(&self, slot_seconds: u64, more: &[&str]) -> Vec<String> {
        let seconds = slot_seconds.to_string();
        let flags = ["up", "--slot-seconds", &seconds, "--difficulty-floor", "64"];
        flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect()
    }

    /// A file or folder beside the data directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// gRPC of this node's DHT and sidecar.
    ///
    /// # Panics
    /// There is no chain yet.
    pub fn wire(&self) -> Wire {
        Wire::new(&self.data(), self.port("DHT_GRPC_PORT"), self.port("SIDECAR_PORT"))
    }

    /// Runs `ml-sidecar` to its end, in a data directory of its own.
    ///
    /// # Panics
    /// It fails.
    pub fn sidecar(&self, args: &[&str]) {
        let mut command = Command::new(program("ml-sidecar"));
        command.args(args).arg("--data-dir").arg(self.beside("alone")).env("POLAI_MODEL_CACHE", models()).env("POLAI_LOG", "off");
        let output = command.stdin(Stdio::null()).output().expect("ml-sidecar");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts `polai up` with these flags.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(&mut self, flags: &[String]) {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let log = fs::File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = self.polai(&flags);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("polai up"));
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("up.log")
    }

    /// What `polai up` has said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Sends a signal to `polai up`.
    ///
    /// # Panics
    /// It does not run.
    pub fn signal(&self, signal: &str) {
        kill(self.process.as_ref().expect("polai up runs").id(), signal);
    }

    /// Process of `polai up`, while it runs here.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Waits for the end of `polai up`: how long it took, and its exit code.
    ///
    /// # Panics
    /// It does not end.
    pub fn ended(&mut self, most: Duration) -> (Duration, Option<i32>) {
        let start = Instant::now();
        let mut process = self.process.take().expect("polai up runs");
        loop {
            if let Some(status) = process.try_wait().expect("a child") {
                return (start.elapsed(), status.code());
            }
            if start.elapsed() > most {
                drop(process.kill());
                panic!("polai up did not end within {most:?}:\n{}", self.said());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets `run.json` say that JSON-RPC is at another port, until the node writes it anew.
    ///
    /// # Panics
    /// Nothing runs.
    pub fn redirect(&self, http: u16) {
        let path = self.data().join("run.json");
        let mut file: Value = serde_json::from_slice(&fs::read(&path).expect("run.json")).expect("JSON");
        file["ports"]["http"] = http.into();
        fs::write(&path, file.to_string()).expect("a disk");
    }

    /// Process of a part, as `run.json` says.
    pub fn pid(&self, part: &str) -> Option<u32> {
        let file: Value = serde_json::from_slice(&fs::read(self.data().join("run.json")).ok()?).ok()?;
        let parts = file["parts"].as_array()?;
        let pid = parts.iter().find(|entry| entry["name"] == part)?["pid"].as_u64()?;
        u32::try_from(pid).ok()
    }

    /// `polai status --json`.
    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap_or_default()
    }

    /// Waits until the sidecar's model has come to so many updates; the head then.
    ///
    /// # Panics
    /// It took too long.
    pub fn until_model(&self, wire: &Wire, updates: u64) -> ModelHead {
        let start = Instant::now();
        loop {
            let model = wire.model();
            if let Some(model) = model.filter(|model| model.updates == updates && model.behind == 0) {
                return model.model_head;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "not {updates} updates: {model:?}\n{}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a number of the status to be at least so much.
    ///
    /// # Panics
    /// It took too long; with all logs.
    pub fn until(&self, field: &str, least: u64, most: Duration) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if status[field].as_u64().is_some_and(|found| found >= least) {
                return status;
            }
            if start.elapsed() > most {
                let logs = self.run(&["logs", "-n", "15"]);
                let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
                panic!("no {field} >= {least} within {most:?}: {status}\nup:\n{}\nlogs:\n{logs}", self.said());
            }
            thread::sleep(Duration::from_millis(250));
        }
    }
}

impl Default for Up {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Its children die with it.
            drop(process.kill());
            drop(process.wait());
        } else if self.data().join("run.json").exists() {
            // Detached.
            drop(self.polai(&["down"]).output());
        }
        if thread::panicking() {
            let mut err = std::io::stderr().lock();
            drop(writeln!(err, "polai up said:\n{}", self.said()));
        }
    }
}

/// Sends a signal.
///
/// # Panics
/// Nobody gets it.
pub fn kill(pid: u32, signal: &str) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().expect("kill");
    assert!(sent.success(), "kill -{signal} {pid}");
}

/// Whether there is such a process, a zombie not counted.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}
