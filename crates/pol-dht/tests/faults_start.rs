//! What the operator got wrong: one clear line on standard error, exit code 2, and nothing half done.

mod common;

use std::{
    fs::{self, Permissions},
    net::UdpSocket,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::daemon::{Daemon, chain_toml, command, free_port};
use tempfile::{TempDir, tempdir};

/// A data directory in which a daemon already ran once.
fn used() -> TempDir {
    let dir = private();
    let port = free_port();
    Daemon::start(command(":", port, dir.path(), &["--solo"]), port).eventually("/dht/peers", |answer| answer.contains("200 OK"));
    dir
}

fn private() -> TempDir {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    dir
}

/// The daemon must end within 20 s with exit code 2, and its last line must say each of `says`.
fn refused(mut command: Command, says: &[&str]) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("the daemon runs, expected it to refuse: {says:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("pol-dht: ")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert_eq!(stderr.lines().last(), lines.first().copied(), "{stderr}");
    assert!(says.iter().all(|part| lines[0].contains(part)), "found {:?}, expected {says:?}", lines[0]);
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn solo(directory: &Path) -> Command {
    command(":", free_port(), directory, &["--solo"])
}

#[test]
fn a_udp_port_in_use_is_one_line_and_exit_code_2() {
    let (dir, taken) = (private(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = taken.local_addr().unwrap().port();
    refused(command(":", port, dir.path(), &["--solo"]), &["in use", &format!("udp/{port}")]);
}

#[test]
fn a_data_directory_of_another_genesis_is_one_line_and_exit_code_2() {
    let dir = used();
    let chain = dir.path().join("another.toml");
    fs::write(&chain, chain_toml(7)).unwrap();
    let other = command(":", free_port(), dir.path(), &["--solo", "--chain", chain.to_str().unwrap()]);
    refused(other, &["belongs to the chain 0000", "dht_db"]);
}

#[test]
fn an_unreadable_secret_is_one_line_and_exit_code_2() {
    let dir = used();
    let key = dir.path().join("dht_db/node.key");
    let good = fs::read(&key).unwrap();
    let path = key.to_str().unwrap();

    for garbage in [&b""[..], b"not a key", &[0; 100_000]] {
        fs::write(&key, garbage).unwrap();
        refused(solo(dir.path()), &[path]);
    }
    fs::write(&key, &good).unwrap();
    for mode in [0o644, 0o660, 0o604] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        refused(solo(dir.path()), &[path, &format!("{mode:04o}")]);
    }
    fs::set_permissions(&key, Permissions::from_mode(0)).unwrap();
    // Whoever runs the tests as root can read anything.
    if fs::read(&key).is_err() {
        refused(solo(dir.path()), &[path, "ermission denied"]);
    }
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    refused(solo(dir.path()), &[path]);
    fs::remove_dir(&key).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600", path]).status().unwrap().success());
    refused(solo(dir.path()), &[path]);
}

#[test]
fn a_data_directory_that_lets_others_in_or_is_none_is_one_line_and_exit_code_2() {
    let dir = private();
    for mode in [0o755, 0o770, 0o707] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        refused(solo(dir.path()), &[dir.path().to_str().unwrap(), "chmod 700"]);
    }
    let file = private().path().join("file");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, b"x").unwrap();
    refused(solo(&file), &[file.to_str().unwrap()]);
    fs::remove_dir_all(file.parent().unwrap()).unwrap();

    let dir = private();
    fs::write(dir.path().join("dht_db"), b"x").unwrap();
    refused(solo(dir.path()), &["data directory"]);
}

#[test]
fn a_damaged_database_is_one_line_and_exit_code_2() {
    let dir = used();
    let database = dir.path().join("dht_db/records.redb");
    let good = fs::read(&database).unwrap();
    let mut header = good.clone();
    header[..64].fill(0xa5);
    for bytes in [vec![0xff; 4_096], header, good[..100].to_vec()] {
        fs::write(&database, bytes).unwrap();
        refused(solo(dir.path()), &["dht_db"]);
    }
}

#[test]
fn a_disk_that_is_full_at_the_start_is_one_line_and_exit_code_2() {
    let dir = private();
    let starved = command("trap '' XFSZ; ulimit -f 1", free_port(), dir.path(), &["--solo"]);
    refused(starved, &["disk", "full"]);
    // And with room again it starts.
    let port = free_port();
    let mut daemon = Daemon::start(command(":", port, dir.path(), &["--solo"]), port);
    daemon.eventually("/health", |answer| answer.contains("200 OK"));
}
