//! `pol-execution` as a process of its own, on a chain made for the test.
#![allow(dead_code, unreachable_pub)]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use alloy_primitives::B256;
use pol_kit::clock::{Clock as _, System};
use reth_ai_exex::genesis::ExecutionGenesis;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::driver::{
    Driver, Urls,
    chain::{SECRET, genesis},
};

pub(crate) use super::driver::chain::{SEED, SLOT};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pol-execution");

/// A data directory with a genesis, and at most one process on it.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    pub genesis: ExecutionGenesis,
}

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub driver: Driver,
    /// Reads on, so that the process never waits for us.
    _log: std::thread::JoinHandle<()>,
}

impl Home {
    /// A chain that began 500 slots ago.
    pub(crate) fn new() -> Self {
        let now = System::new().unix_seconds();
        let genesis = genesis(now - 500 * SLOT);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("genesis.json"), genesis.to_json().unwrap()).unwrap();
        let secret = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.path().join("jwt.hex"));
        std::io::Write::write_all(&mut secret.unwrap(), hex::encode(SECRET).as_bytes()).unwrap();
        Self { directory, genesis }
    }

    /// As before the first start: what a node has of its chain is gone.
    pub(crate) fn forget_chain(&self) {
        fs::remove_dir_all(self.path().join("chain_data")).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn command(&self) -> Command {
        self.arguments(Command::new(PROGRAM))
    }

    fn arguments(&self, mut command: Command) -> Command {
        command.env_clear().arg("--data-dir").arg(self.directory.path());
        command.arg("--authrpc.jwtsecret").arg(self.directory.path().join("jwt.hex"));
        for port in ["http", "authrpc", "ai-engine", "feed", "metrics"] {
            command.arg(format!("--{port}.port")).arg("0");
        }
        command
    }

    /// Where a file that may not grow is an error, as on a full disk, and not the end.
    pub(crate) fn start_to_starve(&self) -> Process {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]);
        self.spawn(self.arguments(shell))
    }

    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, flags: &[&str]) -> Process {
        let mut command = self.command();
        command.args(flags);
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Process {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = Vec::new();
        let up = loop {
            let Some(Ok(line)) = lines.next() else { panic!("pol-execution did not start: {before:#?}") };
            if line.contains(" up http=") {
                break line;
            }
            before.push(line);
        };
        let loud = std::env::var_os("POLAI_TEST_LOG").is_some();
        let log = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if loud {
                    eprintln!("{line}");
                }
            }
        });
        let url = |name: &str| {
            let from = up.split(&format!(" {name}=")).nth(1).unwrap();
            format!("http://{}", from.split(' ').next().unwrap())
        };
        let urls = Urls { http: url("http"), auth: url("authrpc"), ai_engine: url("ai_engine") };
        let chain = self.genesis.chain();
        let driver = Driver::new(urls, SECRET, chain.genesis_hash(), chain.genesis_time(), chain.slot_seconds());
        Process { child, driver, _log: log }
    }
}

impl Process {
    /// Bounds its files, which the system answers like a full disk: writes fail, reads do not.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap();
    }

    /// SIGKILL: no chance to write anything.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this client calls a header field when it refuses it.
pub(crate) const fn in_its_words(field: &str) -> &str {
    field
}

/// Whom it blames for a block that it knows to be invalid.
pub(crate) const fn blamed_again(blame: B256) -> Option<B256> {
    Some(blame)
}

/// Whom it blames for a child of an invalid block.
pub(crate) const fn blamed_for_child(blame: B256) -> Option<B256> {
    Some(blame)
}
