//! `pol-execution` as a process of its own, on a chain made for the test.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use pol_core::{
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    identity::GenesisSeed,
    params::Preset,
    state::Shape,
};
use pol_kit::clock::{Clock as _, System};
use reth_ai_exex::{
    chain::hash32,
    genesis::{ExecutionGenesis, GenesisDraft, GenesisParameters},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Driver, Urls, wallet::CHAIN_ID};

pub const SEED: [u8; 32] = [7; 32];
pub const SLOT: u64 = 6;
const PROGRAM: &str = env!("CARGO_BIN_EXE_pol-execution");
const SECRET: [u8; 32] = [0x5e; 32];

/// A data directory with a genesis, and at most one process on it.
pub struct Home {
    directory: tempfile::TempDir,
    pub genesis: ExecutionGenesis,
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    pub driver: Driver,
    /// Reads on, so that the process never waits for us.
    _log: std::thread::JoinHandle<()>,
}

impl Home {
    /// A chain that began 500 slots ago.
    pub fn new() -> Self {
        let now = System::new().unix_seconds();
        let genesis = genesis(now - 500 * SLOT);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("genesis.json"), genesis.to_json().unwrap()).unwrap();
        let secret = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.path().join("jwt.hex"));
        std::io::Write::write_all(&mut secret.unwrap(), hex::encode(SECRET).as_bytes()).unwrap();
        Self { directory, genesis }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn command(&self) -> Command {
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
    pub fn start_to_starve(&self) -> Process {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]);
        self.spawn(self.arguments(shell))
    }

    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub fn start_with(&self, flags: &[&str]) -> Process {
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
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap();
    }

    /// SIGKILL: no chance to write anything.
    pub fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> ExitStatus {
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

fn genesis(genesis_time: u64) -> ExecutionGenesis {
    let (chain_id, difficulty_floor) = (CHAIN_ID, 256);
    let seed = GenesisSeed::from_bytes(SEED);
    let draft = GenesisDraft::build(&GenesisParameters { seed, genesis_time, chain_id, difficulty_floor }).unwrap();
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time,
        preset: Preset::Minimal,
        slot_seconds: SLOT,
        chain_id,
        genesis_validators_root: Default::default(),
        execution_genesis_hash: hash32(draft.hash()),
        quorum: QuorumRule::Auto,
        difficulty_floor,
        manifest_hash: Default::default(),
        shape: Shape::new(1, 8, 8, 8, 8).unwrap(),
        dev_texts_hash: Default::default(),
        reference_losses: [NanoNats::new(1).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    })
    .unwrap();
    draft.finish(&spec).unwrap()
}
