//! The program as a person starts it: what it refuses, in one line and with exit code 2.
#![allow(missing_docs, unreachable_pub)]

#[path = "../src/fixtures.rs"]
mod fixtures;

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
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
fn alone<'a>(ports: &'a [String; 3]) -> Vec<&'a str> {
    let mut args = vec!["--ai-engine", "", "--beacon", "http://127.0.0.1:9", "--dht", "http://127.0.0.1:9", "--sidecar", ""];
    args.extend(["--grpc-port", &ports[0], "--fault-port", &ports[1], "--metrics-port", &ports[2]]);
    args
}

fn free_ports() -> [String; 3] {
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port().to_string())
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

/// Ends the process in any case.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn started(data: &Path, args: &[&str]) -> Running {
    let mut child = command(data, args).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let mut log = String::new();
    for line in stderr.lines() {
        let line = line.unwrap();
        if line.contains("ACK quorum service started") {
            return running;
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
        let mut args: Vec<&str> = alone(&ports);
        args.extend(more);
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
    let _running = started(first.path(), &with_keys(&ports));
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
    let mut child = start.env("GENESIS_SEED", "5e".repeat(32)).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let line = stderr.lines().map_while(Result::ok).find(|line| line.contains("service started")).expect("started");
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
