//! `polai doctor`.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{self, Stdio},
};

use pol_core::{Hash32, genesis::ChainSpec};
use pol_kit::{
    clock::{Clock, System},
    exit::Exit,
    jwt::Secret,
};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::{
    args::DoctorArgs,
    ask::{Ask, AskError},
    busy,
    layout::Layout,
    programs::{self, Programs},
    run_file::{self, RunFile},
    up::{chain, execution::Execution, free_bytes, say},
};

/// Less than this, and a node of the embedded model may be killed for want of memory.
const MEMORY_KIB: u64 = 2 << 20;
const DISK_BYTES: u64 = 2 << 30;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Worth to know.
    Note,
    Bad,
}

/// What was looked at, what was found, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    what: &'static str,
    text: String,
    fix: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.grade {
            Grade::Good => "ok",
            Grade::Note => "note",
            Grade::Bad => "WRONG",
        };
        write!(f, "{mark:<6}{:<14}{}", self.what, self.text)?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "\n{:20}mend it: {fix}", ""))
    }
}

fn good(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { grade: Grade::Good, what, text: text.into(), fix: None }
}

fn note(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { grade: Grade::Note, ..good(what, text) }
}

fn bad(what: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { grade: Grade::Bad, fix: Some(fix.into()), ..good(what, text) }
}

/// Looks at this machine and at the folder.
///
/// # Errors
/// Exit code 1 when something is wrong.
pub fn doctor(layout: &Layout, args: &DoctorArgs, programs: &Programs) -> Result<(), Exit> {
    let is_running = layout.directory().is_dir() && run_file::running(layout)?.is_some();
    let mut findings = machine(layout);
    let idle = idle_sidecar(layout, is_running);
    findings.extend(wanted(layout).map(|name| match (program(programs, name), idle) {
        (found, Some(why)) if name == programs::SIDECAR => not_needed(found, why),
        (found, _) => found,
    }));
    findings.extend(folder(layout, &System::new()));
    if is_running {
        findings.push(good("ports", "a node runs in this folder and has them"));
        findings.extend(running(layout)?);
    } else {
        let busy = busy::busy(&args.ports.ports()?.named());
        findings.push(if busy.is_empty() {
            good("ports", "all free")
        } else {
            bad("ports", busy::line(&busy), "stop who has them, or give polai up --port-offset NUMBER")
        });
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    match findings.iter().filter(|finding| finding.grade == Grade::Bad).count() {
        0 => Ok(()),
        count => Err(Exit::failure(format!("{count} finding(s)"))),
    }
}

/// Programs of ours that the folder's node is made of. Lighthouse is the operator's own.
fn wanted(layout: &Layout) -> [&'static str; 4] {
    let is_lighthouse = layout.chain_data().join("lighthouse").exists();
    programs::ALL.map(|name| match name {
        programs::EXECUTION => Execution::of_folder(layout).name(),
        programs::BEACON if is_lighthouse => programs::ACK_QUORUM,
        name => name,
    })
}

/// Why the folder's node does without ml-sidecar, when it does. Of a stopped one that trained before, nobody knows what comes next.
fn idle_sidecar(layout: &Layout, is_running: bool) -> Option<&'static str> {
    let names_none = |spec: &ChainSpec| spec.parameters().manifest_hash == Hash32::ZERO;
    if chain::read(layout).ok().flatten().as_ref().is_some_and(names_none) {
        return Some("the chain names no model");
    }
    let runs = is_running.then(|| RunFile::read(&layout.run_file())).flatten();
    let without = match runs {
        Some(file) => !file.parts.is_empty() && file.parts.iter().all(|part| part.name != programs::SIDECAR),
        None => layout.log(programs::DHT).exists() && !layout.log(programs::SIDECAR).exists(),
    };
    without.then_some("the node runs with --no-ai")
}

/// A program that the node does without is nothing to mend.
fn not_needed(found: Finding, why: &str) -> Finding {
    match found.grade {
        Grade::Bad => note(found.what, format!("not needed, {why}: {}", found.text)),
        Grade::Good | Grade::Note => found,
    }
}

/// What only a running node can say: whether execution client and folder have one secret, and who its peers are.
fn running(layout: &Layout) -> Result<Vec<Finding>, Exit> {
    let Some(file) = RunFile::read(&layout.run_file()) else {
        return Ok(vec![note("node", "it is just starting or stopping")]);
    };
    let ask = Ask::new()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (engine, peers) =
        (format!("http://127.0.0.1:{}", file.ports.auth), format!("http://127.0.0.1:{}/dht/peers", file.ports.dht));
    let secret = Secret::load(&layout.jwt()).ok();
    let token = secret.and_then(|secret| secret.token(System::new().unix_seconds()).ok());
    let (height, page) = runtime.block_on(async {
        let height = ask.call_with_token::<Value>(&engine, token.as_deref(), "eth_blockNumber", json!([]));
        tokio::join!(height, ask.page(&peers))
    });
    let jwt = match height {
        Ok(_) => good("JWT", "the execution client takes the folder's secret, which the beacon node reads too"),
        Err(AskError::Refused { code: 401, .. }) => bad(
            "JWT",
            "the execution client has another secret than the folder",
            "start it with the folder's secrets_data/jwt.hex (polai down, polai up)",
        ),
        Err(error) => bad("execution", error.to_string(), "polai status and polai logs say more"),
    };
    let count = page.and_then(|(_, page)| Some(page.get("peers")?.as_array()?.len()));
    let peers = match count {
        Some(0) => note("peers", "0 in the DHT: this node is alone, as one that polai up started is"),
        Some(count) => good("peers", format!("{count} in the DHT")),
        None => bad("peers", "pol-dht does not answer", "polai logs pol-dht"),
    };
    Ok(vec![jwt, peers])
}

fn machine(layout: &Layout) -> Vec<Finding> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available =
        info.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse::<u64>().ok());
    let memory = match available {
        Some(kib) if kib >= MEMORY_KIB => good("memory", format!("{} MiB available", kib >> 10)),
        Some(kib) => {
            bad("memory", format!("{} MiB available, 2048 are needed", kib >> 10), "end other programs, or polai up --no-ai")
        }
        None => note("memory", "/proc/meminfo does not say"),
    };
    // The folder may be still to be made: then its parent's disk counts.
    let place = layout.directory().ancestors().find(|place| place.is_dir()).unwrap_or_else(|| Path::new("."));
    let disk = match free_bytes(&Layout::new(place)) {
        Some(free) if free >= DISK_BYTES => good("disk", format!("{} GiB free", free >> 30)),
        Some(free) => bad("disk", format!("{} MiB free, 2048 are needed", free >> 20), "make room, or give another --data-dir"),
        None => note("disk", "the system does not say how much is free"),
    };
    let gpu = if Path::new("/proc/driver/nvidia/version").exists() {
        good("GPU", "an NVIDIA driver is loaded; ml-sidecar device says whether it computes there (scripts/setup --cuda)")
    } else {
        note("GPU", "none: the CPU computes, which the embedded model is made for")
    };
    vec![memory, disk, gpu]
}

/// Whether a program starts, and its version.
fn program(programs: &Programs, name: &'static str) -> Finding {
    let path = match programs.find(name) {
        Ok(path) => path,
        // It may lie where --reth-bin says.
        Err(error) if name == programs::RETH => return note(name, error.to_string()),
        Err(error) => return bad(name, error.to_string(), "scripts/devnet builds all of them"),
    };
    let output = process::Command::new(&path).arg("--version").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let own = env!("CARGO_PKG_VERSION");
            if text.ends_with(own) {
                good(name, format!("{text} ({})", path.display()))
            } else {
                bad(name, format!("{text}, but polai is {own} ({})", path.display()), "build all programs from one checkout")
            }
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
            let is_torch = text.contains("libtorch") || text.contains("libc10");
            let fix = if is_torch {
                "LibTorch is not found: start through scripts/with-env, after scripts/setup"
            } else {
                "build it anew"
            };
            bad(name, text, fix)
        }
        Err(error) => bad(name, format!("{}: {error}", path.display()), "build it anew"),
    }
}

fn folder(layout: &Layout, clock: &dyn Clock) -> Vec<Finding> {
    let (mut findings, folder) = (Vec::new(), layout.directory().display().to_string());
    if !layout.directory().exists() {
        return vec![note("folder", format!("{folder} is still to be made; polai up does it"))];
    }
    for path in [layout.directory().to_owned(), layout.secrets(), layout.env_file(), layout.jwt(), layout.trainer_key()] {
        let Ok(found) = fs::metadata(&path) else { continue };
        let (mode, wanted) = (found.mode() & 0o7777, if found.is_dir() { 0o700 } else { 0o600 });
        if mode & !wanted != 0 {
            let path = path.display();
            findings.push(bad(
                "permissions",
                format!("{path}: mode {mode:04o} lets others in"),
                format!("chmod {wanted:o} {path}"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(good("permissions", "nobody else can read keys"));
    }
    match chain::read(layout) {
        Ok(None) => findings.push(note("chain", format!("none in {folder}; polai up makes one"))),
        Err(error) => {
            findings.push(bad("chain", error.to_string(), "copy chain.toml from where the chain was made, or polai reset"))
        }
        Ok(Some(spec)) => {
            findings.push(good("chain", spec.genesis_id().to_string()));
            findings.push(time(spec.parameters().genesis_time, layout, clock));
            findings.push(match Secret::load(&layout.jwt()) {
                Ok(_) => good("secret", "jwt.hex is there, for execution and consensus client alike"),
                Err(error) => {
                    bad("secret", error.to_string(), format!("delete {}: polai up makes a new one", layout.jwt().display()))
                }
            });
        }
    }
    findings
}

/// Only what this machine alone can know: no other clock is asked.
fn time(genesis_time: u64, layout: &Layout, clock: &dyn Clock) -> Finding {
    let now = clock.unix_seconds();
    match now.checked_sub(genesis_time) {
        Some(age) => good("clock", format!("slot 0 was {age} s ago")),
        None if layout.has_run() => {
            let ahead = genesis_time.saturating_sub(now);
            bad("clock", format!("slot 0 is in {ahead} s, but the chain ran before"), "set this machine's clock")
        }
        None => note("clock", format!("slot 0 is in {} s", genesis_time.saturating_sub(now))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser as _;
    use pol_kit::clock::Manual;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn keys_that_others_can_read_are_found_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let layout = Layout::new(directory.path());
        let clock = Manual::at(1_800_000_000);
        let found = folder(&layout, &clock);
        assert_eq!(found.iter().map(|finding| finding.grade).collect::<Vec<_>>(), [Grade::Good, Grade::Note]);
        fs::write(layout.env_file(), "").unwrap();
        fs::set_permissions(layout.env_file(), fs::Permissions::from_mode(0o644)).unwrap();
        let found = folder(&layout, &clock);
        assert_eq!(found[0].grade, Grade::Bad);
        assert!(found[0].to_string().contains("mend it: chmod 600 "), "{}", found[0]);
    }

    #[test]
    fn a_clock_behind_a_chain_that_ran_is_wrong_and_before_its_first_slot_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (layout, clock) = (Layout::new(directory.path()), Manual::at(100));
        assert_eq!(time(90, &layout, &clock).grade, Grade::Good);
        assert_eq!(time(110, &layout, &clock).grade, Grade::Note);
        fs::create_dir_all(directory.path().join("chain_data/beacon")).unwrap();
        assert_eq!(time(110, &layout, &clock).grade, Grade::Bad);
    }

    #[test]
    fn a_folder_that_runs_without_ai_is_not_broken_by_a_missing_ml_sidecar() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let missing = || program(&Programs::in_folders(Vec::new()), programs::SIDECAR);
        assert_eq!((missing().grade, idle_sidecar(&layout, false)), (Grade::Bad, None), "nothing is known of a new folder");
        fs::create_dir(layout.logs()).unwrap();
        fs::write(layout.log(programs::DHT), "").unwrap();
        let why = idle_sidecar(&layout, false).unwrap();
        let found = not_needed(missing(), why);
        assert_eq!((found.grade, &found.fix), (Grade::Note, &None));
        assert!(found.text.starts_with("not needed, the node runs with --no-ai: ml-sidecar is neither"), "{found}");
        fs::write(layout.log(programs::SIDECAR), "").unwrap();
        assert_eq!(idle_sidecar(&layout, false), None, "it had one: it may want it again");

        let parts = |names: &[&str]| names.iter().map(|name| json!({ "name": name, "restarts": 0 })).collect::<Vec<_>>();
        let mut running =
            json!({ "pid": 1, "genesis_id": "", "validators": 1, "genesis_time": 0, "slot_seconds": 3, "ready": true });
        let Command::Doctor(of) = Args::parse_from(["polai", "doctor"]).command else { panic!("no doctor") };
        running["ports"] = serde_json::to_value(of.ports.ports().unwrap()).unwrap();
        for (names, expected) in [(&["pol-dht"][..], true), (&["pol-dht", "ml-sidecar"], false)] {
            running["parts"] = json!(parts(names));
            fs::write(layout.run_file(), running.to_string()).unwrap();
            assert!(RunFile::read(&layout.run_file()).is_some());
            assert_eq!(idle_sidecar(&layout, true).is_some(), expected, "{names:?}");
        }
    }

    #[test]
    fn a_program_that_does_not_start_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pol-dht");
        fs::write(&path, "#!/bin/sh\necho 'pol-dht: libtorch.so: cannot open' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs::in_folders(vec![directory.path().to_owned()]);
        let found = program(&programs, "pol-dht");
        assert!(found.grade == Grade::Bad && found.fix.unwrap().contains("scripts/with-env"));
        assert_eq!(program(&programs, "pol-beacon").grade, Grade::Bad);
    }
}
