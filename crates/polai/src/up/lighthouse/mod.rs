//! A patched Lighthouse as consensus client: beacon node, validator client, and ack-quorum beside them.
//!
//! # Contract
//! Nothing of Lighthouse is fetched or built here: the operator gives the program (patches/lighthouse says how it is made). Keys and
//! genesis are the folder's own; the embedded beacon node must not have run this chain with the same keys, nor afterwards, because each has
//! its own slashing protection.
//!
//! # What it does not protect against
//! A Lighthouse without the patches: it refuses the chain's payloads, or with the first patch alone imports bad certificates.

pub(super) mod keys;

use std::{ffi::OsString, path::PathBuf};

use pol_kit::exit::{Exit, OrUsage as _};

use super::{
    chain::Chain,
    plan::{Ai, Plan},
};
use crate::{
    args::{Consensus, LighthouseArgs, UpArgs},
    layout::Layout,
    programs,
    supervise::{Alerts, Part},
};

/// Lines that mean lost slots. What else Lighthouse says at WARN and above on a small chain means nothing.
const ALERTS: [&str; 8] = [
    "No payload ID, the engine is likely syncing",
    "Failed to update execution head",
    "Block was broadcast too late",
    "Execution engine call failed",
    "Execution endpoint is not synced",
    "ACK quorum: own payload refused",
    "ACK quorum: candidate not cleared",
    "Failed to publish block",
];
/// Slot 0 of a new chain is so many seconds away: an unoptimized validator client opens its key cache for half a minute.
pub const LEAD_SECONDS: u64 = 60;

/// Refuses the beacon node that this chain did not run with: each knows only what it has signed itself.
///
/// # Errors
/// The operator's: the folder has run with the other one.
pub(super) fn one_beacon_node(layout: &Layout, wanted: Consensus) -> Result<(), Exit> {
    let (other, flag) = match wanted {
        Consensus::Embedded => ("lighthouse", "--consensus lighthouse --lighthouse-bin FILE"),
        Consensus::Lighthouse => ("beacon", "--consensus embedded"),
    };
    if !layout.chain_data().join(other).exists() {
        return Ok(());
    }
    let folder = layout.directory().display();
    Err(Exit::usage(format!(
        "{folder}: its validators have signed with the other beacon node, and this one does not know what: give {flag}, or another --data-dir"
    )))
}

/// Who the program is, and whom it talks to.
#[derive(Debug, Clone)]
pub struct Lighthouse {
    program: PathBuf,
    peers: Vec<String>,
}

impl Lighthouse {
    /// As the operator said.
    ///
    /// # Errors
    /// The operator's: no such program.
    pub fn of(args: &UpArgs) -> Result<Self, Exit> {
        let LighthouseArgs { lighthouse_bin, lighthouse_peers } = &args.lighthouse;
        let program = lighthouse_bin.clone().ok_or_else(|| Exit::usage("--consensus lighthouse needs --lighthouse-bin FILE"))?;
        if !program.is_file() {
            return Err(Exit::usage(format!(
                "{}: no such program; patches/lighthouse/README.md says how it is made",
                program.display()
            )));
        }
        Ok(Self { program, peers: lighthouse_peers.clone() })
    }

    /// Beacon node, validator client and ack-quorum, in this order; the keys are written first.
    ///
    /// # Errors
    /// The disk's; a program that is not there.
    pub(super) fn parts(&self, plan: &Plan<'_>, chain: &Chain, trainers: &[String]) -> Result<Vec<Part>, Exit> {
        let keys = keys::write(plan.layout, chain)?;
        Ok(vec![self.beacon(plan, chain), self.validators(plan, chain, &keys)?, ack_quorum(plan, chain, trainers)?])
    }

    fn part(&self, layout: &Layout, name: &'static str, directory: &str, args: Vec<String>) -> Part {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        // Its own log files would be a second copy, of 200 MB each.
        let mut all = vec!["--logfile-max-number".to_owned(), "0".to_owned()];
        all.extend(["--testnet-dir".to_owned(), path(layout.directory().join("testnet"))]);
        all.extend(["--datadir".to_owned(), path(layout.chain_data().join(directory))]);
        all.extend(args);
        let log = layout.log(name);
        let args: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        Part { name, program: self.program.clone(), args, env: Vec::new(), required: true, log, alerts: Alerts::new(&ALERTS) }
    }

    fn beacon(&self, plan: &Plan<'_>, chain: &Chain) -> Part {
        let (ports, loopback) = (&plan.ports, "127.0.0.1".to_owned());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let p2p = ports.beacon_p2p.to_string();
        let quorum = crate::args::Quorum(chain.spec.parameters().quorum).to_string();
        let mut flags = vec![
            ("--http-address", loopback.clone()),
            ("--http-port", ports.beacon.to_string()),
            ("--metrics-port", ports.beacon_metrics.to_string()),
            ("--execution-endpoint", url(ports.auth)),
            ("--execution-jwt", plan.layout.jwt().to_string_lossy().into_owned()),
            ("--listen-address", loopback.clone()),
            ("--port", p2p.clone()),
            ("--enr-address", loopback),
            ("--enr-udp-port", p2p.clone()),
            ("--enr-tcp-port", p2p),
            ("--ai-quorum", quorum),
            ("--ai-chain", plan.layout.chain().to_string_lossy().into_owned()),
            ("--ai-engine", url(ports.ai_engine)),
        ];
        if !self.peers.is_empty() {
            flags.push(("--libp2p-addresses", self.peers.join(",")));
        }
        let mut args = vec!["bn".to_owned()];
        args.extend(
            ["--http", "--metrics", "--disable-upnp", "--disable-quic", "--allow-insecure-genesis-sync"].map(str::to_owned),
        );
        args.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        self.part(plan.layout, programs::LIGHTHOUSE_BN, "lighthouse", args)
    }

    fn validators(&self, plan: &Plan<'_>, chain: &Chain, keys: &keys::Folders) -> Result<Part, Exit> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let fees = chain.seed.seed()?.funded_account().or_usage()?.address();
        let args = [
            "vc",
            "--beacon-nodes",
            &format!("http://127.0.0.1:{}", plan.ports.beacon),
            "--validators-dir",
            &path(&keys.validators),
            "--secrets-dir",
            &path(&keys.passwords),
            "--init-slashing-protection",
            "--suggested-fee-recipient",
            &address(fees),
        ];
        Ok(self.part(plan.layout, programs::LIGHTHOUSE_VC, "lighthouse-vc", args.map(str::to_owned).to_vec()))
    }
}

fn address(bytes: [u8; 20]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn ack_quorum(plan: &Plan<'_>, chain: &Chain, trainers: &[String]) -> Result<Part, Exit> {
    let ports = &plan.ports;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let mut flags = vec![
        ("--beacon", url(ports.beacon)),
        ("--dht", url(ports.dht_grpc)),
        ("--sidecar", if plan.ai == Ai::Off { String::new() } else { url(ports.sidecar) }),
        ("--ai-engine", url(ports.ai_engine)),
        ("--grpc-port", ports.beacon_grpc.to_string()),
        ("--fault-port", ports.faults.to_string()),
        ("--metrics-port", ports.quorum_metrics.to_string()),
        ("--validators", format!("0-{}", chain.validators.saturating_sub(1))),
    ];
    if !trainers.is_empty() {
        flags.push(("--trainer", trainers.join(",")));
    }
    let mut part = plan.part(programs::ACK_QUORUM, &flags)?;
    // Not a flag: those can be read by everybody on this machine.
    part.env.push(("GENESIS_SEED", chain.seed.digits().into()));
    Ok(part)
}
