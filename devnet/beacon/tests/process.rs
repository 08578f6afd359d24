//! The program as a person starts it: what it refuses, in one line and with exit code 2; and a life by the real clock.

#![allow(clippy::disallowed_methods, reason = "a test's servers end with its runtime")]

#[path = "../examples/devnet/mod.rs"]
mod devnet;
#[path = "node/engine.rs"]
#[allow(dead_code, reason = "the other user takes more of it")]
mod engine;
#[path = "process/kills.rs"]
mod kills;
#[path = "node/signed.rs"]
mod signed;

use std::{
    net::TcpListener,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use devnet::Devnet;
use engine::MockEngine;
use pol_beacon::types::Minimal;
use pol_kit::clock::{Clock as _, System};
use serde_json::Value;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    chain: Devnet<Minimal>,
    port: u16,
    engine: Arc<MockEngine>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write_genesis(folder: &Path, chain: &Devnet<Minimal>) {
    let testnet = folder.join("testnet");
    std::fs::create_dir_all(&testnet).unwrap();
    for (name, bytes) in chain.files().files() {
        std::fs::write(testnet.join(name), bytes).unwrap();
    }
}

/// A data directory with a chain that begins in a second, of slots of one second.
async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let clock = System::new();
    let chain = Devnet::<Minimal>::at(1, clock.unix_seconds() + 1, 1);
    std::fs::write(folder.path().join("chain.toml"), chain.spec.to_toml()).unwrap();
    write_genesis(folder.path(), &chain);
    let secrets = folder.path().join("secrets_data");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut jwt = std::fs::OpenOptions::new();
    jwt.write(true).create_new(true).mode(0o600);
    std::io::Write::write_all(&mut jwt.open(secrets.join("jwt.hex")).unwrap(), hex::encode(engine::SECRET).as_bytes()).unwrap();
    let hash = chain.genesis.latest_execution_payload_header.block_hash.to_string();
    let engine = MockEngine::start(&hash, Arc::new(clock)).await;
    Place { folder, chain, port: free_port(), engine }
}

/// The program with these flags, and the usual ones where they are not given.
fn command(place: &Place, more: &[&str]) -> Command {
    let (data, port, metrics) = (place.folder.path().display().to_string(), place.port.to_string(), free_port().to_string());
    let usual: [(&str, &str); 7] = [
        ("--data-dir", &data),
        ("--execution-endpoint", &place.engine.url),
        ("--ai-engine", ""),
        ("--dht", ""),
        ("--http-port", &port),
        ("--metrics-port", &metrics),
        ("--validators", "0"),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_pol-beacon"));
    for (flag, value) in usual.iter().filter(|(flag, _)| !more.contains(flag)) {
        command.args([flag, value]);
    }
    command.args(more).env_clear().env("GENESIS_SEED", "2a".repeat(32));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(mut command: Command, says: &str) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("pol-beacon: ") && last.contains(says), "{stderr}");
}

/// Ends the process in any case.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(place: &Place) -> Running {
    let mut command = command(place, &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

async fn get(place: &Place, path: &str) -> Option<Value> {
    let response = reqwest::get(format!("http://127.0.0.1:{}{path}", place.port)).await.ok()?;
    serde_json::from_slice(&response.bytes().await.ok()?).ok()
}

/// The head's slot and root, once the slot is at least this.
async fn head_at(place: &Place, least: u64) -> (u64, String) {
    let began = Instant::now();
    loop {
        if let Some(answer) = get(place, "/eth/v1/beacon/headers/head").await {
            let slot = answer["data"]["header"]["message"]["slot"].as_str().unwrap_or("0").parse().unwrap();
            if slot >= least {
                return (slot, answer["data"]["root"].as_str().unwrap().to_owned());
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no head at slot {least}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_proposes_by_the_real_clock_and_goes_on_after_kill_9_from_the_same_chain() {
    let place = place().await;
    let running = start(&place);
    let (slot, root) = head_at(&place, 3).await;
    // A second node on this data directory is refused.
    refused(command(&place, &["--http-port", &free_port().to_string()]), "in use by process");
    drop(running);
    let _again = start(&place);
    let (later, _) = head_at(&place, slot + 2).await;
    assert!(later > slot);
    let known = get(&place, &format!("/eth/v1/beacon/headers/{root}")).await.unwrap();
    assert_eq!(known["data"]["canonical"], true, "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_to_mend_is_one_line_and_exit_code_2() {
    let place = place().await;
    refused(command(&place, &["--execution-jwt", "/no/such/file"]), "JWT secret");
    refused(command(&place, &["--chain", "/no/such/file"]), "give the chain's file with --chain");
    refused(command(&place, &["--testnet-dir", "/no/such/folder"]), "give the folder of genesis with --testnet-dir");
    refused(command(&place, &["--validators", "5-2"]), "expected an index or a range");
    refused(command(&place, &["--graffiti", &"x".repeat(33)]), "at most 32");
    refused(command(&place, &["--no-such-flag"]), "--no-such-flag");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(command(&place, &["--http-port", &port]), "in use");

    // A readable JWT secret is a secret no more.
    let jwt = place.folder.path().join("secrets_data/jwt.hex");
    std::fs::set_permissions(&jwt, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(command(&place, &[]), "jwt.hex");
    std::fs::set_permissions(&jwt, std::fs::Permissions::from_mode(0o600)).unwrap();

    // Files of another chain.
    write_genesis(place.folder.path(), &Devnet::<Minimal>::at(1, 1_700_000_000, 1));
    refused(command(&place, &[]), "of another chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_of_another_chain_ends_the_node_with_code_2() {
    let mut place = place().await;
    let foreign = format!("0x{}", "77".repeat(32));
    place.engine = MockEngine::start(&foreign, Arc::new(System::new())).await;
    refused(command(&place, &["--log", "error"]), "foreign genesis");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ack_side_runs_in_the_same_process_without_any_of_its_peers() {
    let place = place().await;
    let [grpc, faults, metrics] = [(); 3].map(|()| free_port().to_string());
    let nobody = "http://127.0.0.1:9";
    let flags =
        ["--dht", nobody, "--sidecar", nobody, "--grpc-port", &grpc, "--fault-port", &faults, "--quorum-metrics-port", &metrics];
    let mut command = command(&place, &flags);
    let _running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    head_at(&place, 3).await;
    let answer = reqwest::get(format!("http://127.0.0.1:{faults}/faults")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let page = reqwest::get(format!("http://127.0.0.1:{metrics}/metrics")).await.unwrap().text().await.unwrap();
    assert!(page.contains("polai_quorum_"), "{page}");
}

#[test]
fn the_help_says_what_is_needed() {
    let output = Command::new(env!("CARGO_BIN_EXE_pol-beacon")).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(0));
    for part in ["--testnet-dir", "--execution-endpoint", "--execution-jwt", "GENESIS_SEED", "never run the same", "Exit codes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
