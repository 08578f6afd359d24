//! The program as a person starts it: what it refuses, in one line and with exit code 2.
#![allow(missing_docs, unreachable_pub)]

#[path = "../src/fixtures.rs"]
mod fixtures;
#[path = "../../testing/ports.rs"]
mod ports;

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use tempfile::{TempDir, tempdir};

fn command(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ack-quorum"));
    command.arg("--data-dir").arg(data).args(more);
    for name in
        ["GENESIS_SEED", "AI_QUORUM", "AI_CHECKPOINT", "BEACON_GRPC_PORT", "PRYSM_GRPC_PORT", "SLASHER_PORT", "JWT_SECRET"]
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ports of its own and peers that nobody serves.
fn alone(ports: &[String; 3]) -> Vec<&str> {
    let mut args = vec!["--ai-engine", "", "--beacon", "http://127.0.0.1:9", "--dht", "http://127.0.0.1:9", "--sidecar", ""];
    args.extend(["--grpc-port", &ports[0], "--fault-port", &ports[1], "--metrics-port", &ports[2]]);
    args
}

fn free_ports() -> [String; 3] {
    ports::free_ports().map(|port| port.to_string())
}

fn chain() -> TempDir {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("chain.toml"), fixtures::spec().to_toml()).unwrap();
    folder
}

fn refused(mut command: Command, says: &str) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("ack-quorum: ") && last.contains(says), "{stderr}");
}

/// Ends the process in any case. The reader stays: a process whose log nobody takes dies of it.
struct Running(Child, Option<Lines<BufReader<ChildStderr>>>);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs until it says that it has started; with that line.
fn started(mut command: Command) -> (Running, String) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut running = Running(child, None);
    let mut log = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if line.contains("ACK quorum service started") {
            running.1 = Some(lines);
            return (running, line);
        }
        log.push_str(&line);
        log.push('\n');
    }
    panic!("it ended:\n{log}");
}

#[test]
fn wrong_use_is_one_line_and_exit_code_2() {
    let folder = chain();
    let ports = free_ports();
    let with = |more: &[&'static str]| {
        let base = alone(&ports);
        let kept = base.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten().copied();
        let args: Vec<&str> = kept.chain(more.iter().copied()).collect();
        command(folder.path(), &args)
    };
    refused(command(tempdir().unwrap().path(), &[]), "--chain");
    refused(with(&["--validators", "0-3"]), "GENESIS_SEED");
    refused(with(&["--validators", "3-0"]), "range such as 0-15");
    refused(with(&["--keystores", "x"]), "--passwords");
    refused(with(&["--keystores", "x", "--passwords", "y", "--validators", "0"]), "one of them");
    refused(with(&["--ai-quorum", "7"]), "AI_QUORUM is 7, but this chain was made with auto");
    refused(with(&["--ai-checkpoint", "x"]), "ROOT:M");
    refused(with(&["--beacon", "https://example.org"]), "no TLS");
    refused(with(&["--ai-engine", "http://127.0.0.1:8552", "--jwt-secret", "none.hex"]), "none.hex");
    let mut seed = with(&["--validators", "0-3"]);
    seed.env("GENESIS_SEED", "zz".repeat(32));
    refused(seed, "GENESIS_SEED");
    std::fs::write(folder.path().join("chain.toml"), "genesis_time = 0\n").unwrap();
    refused(with(&[]), "chain.toml");
}

#[test]
fn a_second_service_on_the_same_guard_keystores_or_port_refuses_to_start() {
    let (first, second, keys) = (chain(), chain(), tempdir().unwrap());
    let (ports, others) = (free_ports(), free_ports());
    let keystores = keys.path().to_string_lossy().into_owned();
    let with_keys = |ports| {
        let mut args = alone(ports);
        args.extend(["--keystores", &keystores, "--passwords", &keystores]);
        args
    };
    let _running = started(command(first.path(), &with_keys(&ports)));
    refused(command(first.path(), &with_keys(&others)), "in use by process");
    refused(command(second.path(), &with_keys(&others)), "in use by process");
    refused(command(second.path(), &alone(&ports)), "in use by another process");
}

#[test]
fn devnet_keys_come_from_the_environment_and_the_guard_moves_by_file() {
    let (old, new) = (chain(), chain());
    let ports = free_ports();
    let mut args = alone(&ports);
    args.extend(["--validators", "0-3"]);
    let mut start = command(old.path(), &args);
    start.env("GENESIS_SEED", "5e".repeat(32));
    let (running, line) = started(start);
    assert!(line.contains("keys=4"), "{line}");
    let file = old.path().join("guard.json");
    let file = file.to_string_lossy();
    refused(command(old.path(), &["guard", "export", &file]), "in use by process");
    drop(running);
    assert!(command(old.path(), &["guard", "export", &file]).output().unwrap().status.success());
    refused(command(old.path(), &["guard", "export", &file]), "exists");
    let imported = command(new.path(), &["guard", "import", &file]).output().unwrap();
    assert!(imported.status.success());
    assert!(String::from_utf8(imported.stdout).unwrap().contains("0 keys"));
    std::fs::write(&*file, "{").unwrap();
    refused(command(new.path(), &["guard", "import", &file]), "interchange");
}
