//! A data directory, and the programs that are started on it.

use std::{
    env, fs,
    path::PathBuf,
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

    /// Makes a chain in it that began, or begins, at `genesis_time`.
    pub(crate) fn make_chain(&self, plan: Plan, genesis_time: u64) {
        let model = self.0.path().join(MODEL_TABLES);
        fs::write(&model, model_tables()).expect("a disk");
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
