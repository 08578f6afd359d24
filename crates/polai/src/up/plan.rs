//! Which processes make a node, and what they are told. Every port is a flag: what stands in .env or the environment for one of them was
//! read by polai, which may have added an offset.

use std::{ffi::OsString, path::PathBuf};

use pol_kit::exit::Exit;

use super::{chain::Chain, data::TrainData, execution::Execution, lighthouse::Lighthouse};
use crate::{
    args::{NamedPort, Ports, TrainingArgs},
    layout::Layout,
    programs::{self, Programs},
    supervise::{Alerts, Part},
};

/// What runs beside the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ai {
    /// Nothing: every block is an empty AI block.
    Off,
    /// The sidecar judges.
    Gate,
    /// It also trains.
    Train,
}

/// What a node is made of.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Its folder.
    pub layout: &'a Layout,
    /// Its programs.
    pub programs: &'a Programs,
    /// Its execution client.
    pub execution: &'a Execution,
    /// Its ports.
    pub ports: Ports,
    /// Its sidecar.
    pub ai: Ai,
    /// What it trains on.
    pub data: &'a TrainData,
    /// How.
    pub training: &'a TrainingArgs,
    /// The consensus client, when it is not the embedded one.
    pub lighthouse: Option<&'a Lighthouse>,
}

impl Plan<'_> {
    /// Ports that its processes will take.
    pub fn needed_ports(&self) -> Vec<NamedPort> {
        let needs = |port: &NamedPort| {
            let of_ai = [self.ports.sidecar, self.ports.sidecar_metrics].contains(&port.port);
            (self.ai != Ai::Off || !of_ai) && (self.lighthouse.is_some() || port.port != self.ports.beacon_p2p)
        };
        self.ports.named().into_iter().filter(needs).chain(self.execution.port()).collect()
    }

    /// Programs that must be there.
    ///
    /// # Errors
    /// The operator's: one is not.
    pub fn find_programs(&self) -> Result<Vec<PathBuf>, Exit> {
        let wanted = programs::ALL.iter().filter(|name| self.ai != Ai::Off || **name != programs::SIDECAR);
        let beacon = if self.lighthouse.is_some() { programs::ACK_QUORUM } else { programs::BEACON };
        wanted
            .map(|name| match *name {
                programs::EXECUTION => self.execution.program(self.programs),
                programs::BEACON => self.programs.find(beacon),
                name => self.programs.find(name),
            })
            .collect()
    }

    /// The processes, in the order in which they are started. Without a chain's keys the beacon node only follows.
    ///
    /// # Errors
    /// The operator's: a program that is not there.
    pub fn parts(&self, chain: Option<&Chain>, trainers: &[String]) -> Result<Vec<Part>, Exit> {
        let mut parts = vec![self.dht()?, self.execution.part(self)?];
        match self.lighthouse.zip(chain) {
            Some((lighthouse, chain)) => parts.extend(lighthouse.parts(self, chain, trainers)?),
            None => parts.push(self.beacon(chain, trainers)?),
        }
        if self.ai != Ai::Off {
            parts.push(self.sidecar(chain)?);
        }
        Ok(parts)
    }

    pub(super) fn part(&self, name: &'static str, flags: &[(&str, String)]) -> Result<Part, Exit> {
        let mut args: Vec<OsString> = vec!["--data-dir".into(), self.layout.directory().into()];
        args.extend(flags.iter().flat_map(|(flag, value)| [OsString::from(flag), value.into()]));
        let (program, log) = (self.programs.find(name)?, self.layout.log(name));
        Ok(Part { name, program, args, env: Vec::new(), required: false, log, alerts: Alerts::default() })
    }

    fn dht(&self) -> Result<Part, Exit> {
        let (http, grpc) = (self.ports.dht, self.ports.dht_grpc);
        let flags = [
            ("--listen", format!("127.0.0.1:{http}")),
            ("--port", http.to_string()),
            ("--grpc-listen", format!("127.0.0.1:{grpc}")),
            ("--grpc-port", grpc.to_string()),
        ];
        let mut part = self.part(programs::DHT, &flags)?;
        part.args.push("--solo".into());
        Ok(part)
    }

    fn beacon(&self, chain: Option<&Chain>, trainers: &[String]) -> Result<Part, Exit> {
        let ports = &self.ports;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut flags = vec![
            ("--execution-endpoint", url(ports.auth)),
            ("--ai-engine", url(ports.ai_engine)),
            ("--dht", url(ports.dht_grpc)),
            ("--sidecar", if self.ai == Ai::Off { String::new() } else { url(ports.sidecar) }),
            ("--http-port", ports.beacon.to_string()),
            ("--metrics-port", ports.beacon_metrics.to_string()),
            ("--grpc-port", ports.beacon_grpc.to_string()),
            ("--fault-port", ports.faults.to_string()),
            ("--quorum-metrics-port", ports.quorum_metrics.to_string()),
        ];
        flags.extend(chain.map(|chain| ("--validators", format!("0-{}", chain.validators.saturating_sub(1)))));
        if !trainers.is_empty() {
            flags.push(("--trainer", trainers.join(",")));
        }
        let mut part = self.part(programs::BEACON, &flags)?;
        // Not a flag: those can be read by everybody on this machine.
        part.env.extend(chain.map(|chain| ("GENESIS_SEED", chain.seed.digits().into())));
        Ok(Part { required: true, ..part })
    }

    fn sidecar(&self, chain: Option<&Chain>) -> Result<Part, Exit> {
        let ports = &self.ports;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut flags = vec![
            ("--roles", if self.ai == Ai::Train { "gate,train" } else { "gate" }.to_owned()),
            ("--chain", path(self.layout.chain())),
            ("--dht", url(ports.dht_grpc)),
            ("--feed", url(ports.feed)),
            ("--port", ports.sidecar.to_string()),
            ("--metrics-port", ports.sidecar_metrics.to_string()),
        ];
        flags.extend(chain.map(|chain| ("--model", chain.model.clone())));
        if self.ai == Ai::Train {
            flags.push(("--trainer-key", path(self.layout.trainer_key())));
            flags.extend(self.data.flags());
        }
        let mut part = self.part(programs::SIDECAR, &flags)?;
        part.args.insert(0, "serve".into());
        if self.ai == Ai::Train {
            part.args.extend(self.training.flags().into_iter().map(OsString::from));
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn lines(ai: Ai, folder: &Path) -> Vec<String> {
        for name in programs::ALL {
            fs::write(folder.join(name), "").unwrap();
        }
        let args = Args::parse_from(["polai", "up", "--port-offset", "10"]);
        let Command::Up(up) = args.command else { panic!("no up") };
        let (layout, programs) = (Layout::new(Path::new("d")), Programs::in_folders(vec![folder.to_owned()]));
        let plan = Plan {
            layout: &layout,
            programs: &programs,
            execution: &Execution::Embedded,
            ports: up.ports.ports().unwrap(),
            ai,
            data: &TrainData::Corpus,
            training: &up.training,
            lighthouse: None,
        };
        let parts = plan.parts(None, &["aa".to_owned(), "bb".to_owned()]).unwrap();
        let text = |part: &Part| part.args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        parts.iter().map(|part| format!("{} {}", part.name, text(part))).collect()
    }

    #[test]
    fn every_process_is_told_its_ports_with_the_offset() {
        let folder = tempfile::tempdir().unwrap();
        let lines = lines(Ai::Train, folder.path());
        assert_eq!(
            lines[0],
            "pol-dht --data-dir d --listen 127.0.0.1:13347 --port 13347 --grpc-listen 127.0.0.1:13348 --grpc-port 13348 --solo"
        );
        assert!(
            lines[1].ends_with("--http.port 8555 --authrpc.port 8561 --ai-engine.port 8562 --feed.port 8563 --metrics.port 9011")
        );
        assert!(lines[2].contains(" --sidecar http://127.0.0.1:8570 --http-port 3510 ") && lines[2].ends_with("--trainer aa,bb"));
        assert!(
            lines[3].starts_with(
                "ml-sidecar serve --data-dir d --roles gate,train --chain d/chain.toml --dht http://127.0.0.1:13348"
            )
        );
        assert!(lines[3].ends_with("--trainer-key d/secrets_data/trainer.key"), "{}", lines[3]);
    }

    #[test]
    fn without_ai_there_is_no_sidecar_and_the_beacon_node_knows() {
        let folder = tempfile::tempdir().unwrap();
        let lines = lines(Ai::Off, folder.path());
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains(" --sidecar  --http-port 3510 "), "{}", lines[2]);
    }
}
