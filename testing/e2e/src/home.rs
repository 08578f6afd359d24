//! A data directory, and the programs that are started on it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Everybody's.
pub const SEED: &str = "3333333333333333333333333333333333333333333333333333333333333333";

/// A program of this workspace, as cargo built it beside this test or program.
///
/// # Panics
/// It is not there.
pub fn program(name: &str) -> PathBuf {
    let own = env::current_exe().expect("its own path");
    let folder = own.parent().expect("target/debug, or deps in it");
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = folder.join(name);
    assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
    program
}

/// Where the embedded model lies: made once for all tests of this target folder.
pub(crate) fn models() -> PathBuf {
    program("polai").with_file_name("e2e-models")
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where a test keeps what a chain must know of its model.
pub(crate) const MODEL_TABLES: &str = "model.toml";

/// Of a small model that does not exist: such a chain has empty AI blocks only.
pub(crate) fn model_tables() -> String {
    let (hash, losses) = ("07".repeat(32), vec!["2000000000"; 32].join(", "));
    format!(
        "[model]\nmanifest_hash = \"{hash}\"\nlayers = 2\nhidden = 64\nquery = 64\nkey_value = 32\nintermediate = 96\n\n\
         [gate]\ndev_texts_hash = \"{hash}\"\nreference_losses = [{losses}]\n"
    )
}

/// What a chain is made with.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Validators, all of them this node's.
    pub validators: u32,
    /// Seconds of a slot.
    pub slot_seconds: u64,
}

/// A data directory and the logs of its programs; gone when dropped.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Makes a chain in it that began, or begins, at `genesis_time`. Its model does not exist.
    pub(crate) fn make_chain(&self, plan: Plan, genesis_time: u64) {
        let tables = self.0.path().join(MODEL_TABLES);
        fs::write(&tables, model_tables()).expect("a disk");
        self.make_chain_of(plan, genesis_time, &tables);
    }

    /// The same, of a model whose tables these are.
    pub(crate) fn make_chain_of(&self, plan: Plan, genesis_time: u64, model: &Path) {
        let (validators, seconds) = (plan.validators.to_string(), plan.slot_seconds.to_string());
        let mut command = self.command("polai");
        command.arg("genesis").args(["--validators", &validators, "--slot-seconds", &seconds]);
        command.args(["--genesis-time", &genesis_time.to_string(), "--seed", SEED]);
        // Any machine seals in time, a busy one too.
        command.args(["--difficulty-floor", "64"]).arg("--model").arg(model);
        let made = command.status().expect("polai");
        assert!(made.success(), "polai genesis: {}", self.log("polai"));
    }

    /// A program of this workspace on this directory.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        let log = fs::File::options().create(true).append(true).open(self.log_path(name)).expect("a log");
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.arg("--data-dir").arg(self.data());
        command
    }

    /// The DHT at these ports: libp2p and HTTP, gRPC.
    pub(crate) fn dht(&self, [http, grpc]: [u16; 2]) -> Command {
        let mut command = self.command("pol-dht");
        command.args(["--listen", &format!("127.0.0.1:{http}"), "--port", &http.to_string(), "--solo"]);
        command.args(["--grpc-listen", &format!("127.0.0.1:{grpc}"), "--grpc-port", &grpc.to_string()]);
        command
    }

    /// The sidecar, which keeps its models where all tests find them.
    pub(crate) fn sidecar(&self) -> Command {
        let mut command = self.command("ml-sidecar");
        command.env("POLAI_MODEL_CACHE", models());
        for name in ["PATH", "LD_LIBRARY_PATH", "HOME"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command
    }

    /// What a chain must know of the embedded model, measured, in a file.
    pub(crate) fn describe_embedded_model(&self) -> PathBuf {
        let tables = self.0.path().join("embedded.toml");
        let mut command = self.sidecar();
        let made = command.args(["model", "chain", "--model", "embedded", "--output"]).arg(&tables).status().expect("ml-sidecar");
        assert!(made.success(), "ml-sidecar model chain: {}", self.log("ml-sidecar"));
        tables
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.log"))
    }

    /// What a program has logged.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }
}

/// Unix seconds.
#[expect(clippy::disallowed_methods, reason = "tests of whole nodes run by the machine's clock")]
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Folder of the embedded model, once it is made.
///
/// # Panics
/// It is not made yet.
pub fn embedded_model() -> PathBuf {
    let found = fs::read_dir(models()).expect("a model").flatten().map(|entry| entry.path());
    let is_one =
        |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("embedded-"));
    let mut found: Vec<PathBuf> = found.filter(is_one).collect();
    // Of several recipes the newest is this program's.
    found.sort_by_key(|path| fs::metadata(path).and_then(|of| of.modified()).ok());
    found.pop().expect("the embedded model")
}
