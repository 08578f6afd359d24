//! The execution client of a node: pol-execution or pol-reth, and what each is told.

use std::{ffi::OsString, path::PathBuf};

use pol_kit::exit::Exit;

use super::plan::Plan;
use crate::{
    args::{ExecutionArgs, ExecutionClient, NamedPort, UpArgs},
    layout::Layout,
    programs,
    supervise::{Alerts, Part},
};

/// JSON-RPC that both clients answer; `polai` is ours.
const RPC: &str = "eth,net,web3,txpool,debug,trace,polai";

/// An execution client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Execution {
    /// pol-execution.
    Embedded,
    /// pol-reth.
    Reth(Reth),
}

/// What pol-reth is told beside its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reth {
    /// The program, when it is not looked for.
    pub program: Option<PathBuf>,
    /// Port of devp2p.
    pub p2p: u16,
    /// Peers that are always kept.
    pub peers: Vec<String>,
}

impl Execution {
    /// Of the flags.
    ///
    /// # Errors
    /// The operator's: a port beyond 65535, a program that is not there.
    pub fn of(args: &UpArgs) -> Result<Self, Exit> {
        let ExecutionArgs { client, reth_bin, execution_p2p_port, execution_peers } = args.execution.clone();
        if client == ExecutionClient::Embedded {
            return Ok(Self::Embedded);
        }
        if let Some(file) = reth_bin.as_ref().filter(|file| !file.is_file()) {
            return Err(Exit::usage(format!("--reth-bin {}: there is no such file", file.display())));
        }
        let offset = args.ports.port_offset;
        let p2p = execution_p2p_port.checked_add(offset);
        let p2p = p2p.ok_or_else(|| Exit::usage(format!("--port-offset {offset}: Reth's devp2p port would be above 65535")))?;
        Ok(Self::Reth(Reth { program: reth_bin, p2p, peers: execution_peers }))
    }

    /// The one that the chain of a folder lives in, for commands that only read it.
    pub fn of_folder(layout: &Layout) -> Self {
        if !folder(layout).join("db").exists() {
            return Self::Embedded;
        }
        let program = std::env::var_os("POLAI_RETH_BIN").map(PathBuf::from);
        Self::Reth(Reth { program, p2p: 0, peers: Vec::new() })
    }

    /// Name of the program.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Embedded => programs::EXECUTION,
            Self::Reth(_) => programs::RETH,
        }
    }

    /// The port that the other client does not have.
    pub const fn port(&self) -> Option<NamedPort> {
        match self {
            Self::Embedded => None,
            Self::Reth(reth) => Some(NamedPort { port: reth.p2p, what: "devp2p of Reth", variable: "EL_P2P_PORT", udp: false }),
        }
    }

    /// Where the program is.
    ///
    /// # Errors
    /// The operator's: it is not there.
    pub fn program(&self, programs: &programs::Programs) -> Result<PathBuf, Exit> {
        match self {
            Self::Reth(Reth { program: Some(file), .. }) => Ok(file.clone()),
            _ => programs.find(self.name()),
        }
    }

    /// The process.
    pub(super) fn part(&self, plan: &Plan<'_>) -> Result<Part, Exit> {
        let (name, args) = match self {
            Self::Embedded => (programs::EXECUTION, embedded(plan)),
            Self::Reth(reth) => (programs::RETH, reth.args(plan)),
        };
        let log = plan.layout.log(name);
        Ok(Part {
            name,
            program: self.program(plan.programs)?,
            args,
            env: Vec::new(),
            required: true,
            log,
            alerts: Alerts::default(),
        })
    }
}

/// Reth's own data directory.
fn folder(layout: &Layout) -> PathBuf {
    layout.chain_data().join("reth")
}

fn ports(names: [&str; 5], plan: &Plan<'_>) -> Vec<OsString> {
    let ports = &plan.ports;
    let numbers = [ports.http, ports.auth, ports.ai_engine, ports.feed, ports.execution_metrics];
    names.into_iter().zip(numbers).flat_map(|(name, port)| [name.into(), port.to_string().into()]).collect()
}

fn embedded(plan: &Plan<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--data-dir".into(), plan.layout.directory().into()];
    args.extend(ports(["--http.port", "--authrpc.port", "--ai-engine.port", "--feed.port", "--metrics.port"], plan));
    args
}

impl Reth {
    fn args(&self, plan: &Plan<'_>) -> Vec<OsString> {
        let layout = plan.layout;
        let files = [("--datadir", folder(layout)), ("--chain", layout.genesis()), ("--authrpc.jwtsecret", layout.jwt())];
        let mut args: Vec<OsString> = vec!["node".into()];
        args.extend(files.into_iter().flat_map(|(flag, file)| [flag.into(), file.into()]));
        let names = ["--http.port", "--authrpc.port", "--ai-engine.port", "--ai-engine.feed.port", "--ai-engine.metrics.port"];
        args.extend(ports(names, plan));
        let (http, p2p) = (plan.ports.http.to_string(), self.p2p.to_string());
        // HTTP and WebSocket on one port, as pol-execution has it. A chain of one's own has no public nodes to look for.
        let more = ["--http", "--http.api", RPC, "--ws", "--ws.api", RPC, "--ws.port", &http, "--port", &p2p, "--ipcdisable"];
        args.extend(more.map(OsString::from));
        args.extend(["--disable-discovery", "--nat", "none", "--addr", "127.0.0.1"].map(OsString::from));
        // What it says goes to our log.
        args.extend(["--color", "never", "--log.file.max-files", "0"].map(OsString::from));
        if !self.peers.is_empty() {
            args.extend(["--trusted-peers".into(), self.peers.join(",").into()]);
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn of(flags: &[&str]) -> Result<Execution, Exit> {
        let args = Args::parse_from([&["polai", "up"], flags].concat());
        let Command::Up(up) = args.command else { panic!("no up") };
        Execution::of(&up)
    }

    #[test]
    fn the_embedded_client_is_the_default_and_reth_is_asked_for() {
        assert_eq!(of(&[]).unwrap(), Execution::Embedded);
        let reth = of(&["--execution", "reth", "--port-offset", "7", "--execution-peers", "a,b"]).unwrap();
        let peers = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!((reth.name(), &reth), ("pol-reth", &Execution::Reth(Reth { program: None, p2p: 30_310, peers })));
        for wrong in [["--reth-bin", "there/is/none"], ["--port-offset", "40000"]] {
            assert!(of(&[&["--execution", "reth"][..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_folder_is_checked_with_the_client_that_wrote_it() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        assert_eq!(Execution::of_folder(&layout), Execution::Embedded);
        std::fs::create_dir_all(directory.path().join(Path::new("chain_data/reth/db"))).unwrap();
        assert_eq!(Execution::of_folder(&layout).name(), "pol-reth");
    }
}
