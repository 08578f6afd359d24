//! `pol-execution` alone, and other people's programs beside it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    home::{Home, Plan, Process, SEED, now},
    ports,
};

/// An execution client without a beacon node.
#[derive(Debug)]
pub struct Execution {
    home: Home,
    ports: [u16; 5],
    process: Process,
}

impl Execution {
    /// The dev chain: a block a second, for whoever knows [`SEED`].
    ///
    /// # Panics
    /// It does not start.
    pub fn dev() -> Self {
        Self::start(Home::new(), &["dev", "--block-time", "1", "--seed", SEED])
    }

    /// A chain that began 500 slots ago and waits for its consensus client.
    ///
    /// # Panics
    /// It does not start.
    pub fn old_chain() -> Self {
        let (home, slot_seconds) = (Home::new(), 2);
        home.make_chain(Plan { validators: 1, slot_seconds }, now() - 500 * slot_seconds);
        Self::start(home, &[])
    }

    fn start(home: Home, arguments: &[&str]) -> Self {
        let ports = ports::free_ports::<5>();
        let mut command = home.command("pol-execution");
        for (name, port) in ["http", "authrpc", "ai-engine", "feed", "metrics"].iter().zip(ports) {
            command.arg(format!("--{name}.port")).arg(port.to_string());
        }
        let process = Process(command.args(arguments).spawn().expect("pol-execution"));
        let start = Instant::now();
        while !home.log("pol-execution").contains(" up http=") {
            assert!(start.elapsed() < Duration::from_secs(60), "pol-execution: {}", home.log("pol-execution"));
            thread::sleep(Duration::from_millis(50));
        }
        Self { home, ports, process }
    }

    fn url(&self, port: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[port])
    }

    /// JSON-RPC.
    pub fn http(&self) -> String {
        self.url(0)
    }

    /// Engine API.
    pub fn auth(&self) -> String {
        self.url(1)
    }

    /// AI engine.
    pub fn ai_engine(&self) -> String {
        self.url(2)
    }

    /// genesis.json.
    pub fn genesis(&self) -> PathBuf {
        self.home.data().join("genesis.json")
    }

    /// The JWT secret's file.
    pub fn secret(&self) -> PathBuf {
        self.home.data().join("secrets_data/jwt.hex")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Private key of the funded account, as the dev chain prints it.
    ///
    /// # Panics
    /// It does not.
    pub fn funded_key(&self) -> String {
        let log = self.home.log("pol-execution");
        let key = log.split(" key=").nth(1).and_then(|rest| rest.split_whitespace().next());
        key.expect("the funded account's key").to_owned()
    }
}

/// Where `scripts/setup` keeps what it brings.
///
/// # Panics
/// When neither `POLAI_CACHE` nor `HOME` is set.
pub fn cache() -> PathBuf {
    let below = |variable, folder| env::var_os(variable).map(|base| PathBuf::from(base).join(folder));
    let cache = below("POLAI_CACHE", "").or_else(|| below("XDG_CACHE_HOME", "pol-ai")).or_else(|| below("HOME", ".cache/pol-ai"));
    cache.expect("POLAI_CACHE or HOME")
}

/// A file of `testing/e2e/clients`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs a Python program of `testing/e2e/clients`; what it says.
///
/// # Panics
/// When it fails: a test's verdict. When set-up has not installed its packages.
pub fn python(program: &str, arguments: &[&OsStr]) -> String {
    let python = cache().join("clients-venv/bin/python");
    assert!(python.exists(), "{}: run scripts/setup (it needs Python 3.11 or newer)", python.display());
    run(Command::new(python).env("PYTHONDONTWRITEBYTECODE", "1").arg(file(program)).args(arguments))
}

/// Runs a command to its end; what it says.
///
/// # Panics
/// When it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
