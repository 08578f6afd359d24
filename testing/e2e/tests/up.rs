//! `polai up` and the commands around it, on a chain without a model.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process::Output,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    liar::{self, Lie},
    up::{Up, kill, lives},
};

const PARTS: [&str; 3] = ["pol-dht", "pol-execution", "pol-beacon"];

fn error(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (output.status.code(), text)
}

fn strings(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// What the execution client says is not believed.
fn lies_are_found(up: &Up) {
    let http = up.port("EL_HTTP_PORT");
    let lies: [(&str, Lie, &str); 2] = [
        (
            "[\"0x2\",false]",
            |text| text.replace("\"gasUsed\":\"0x0\"", "\"gasUsed\":\"0x1\""),
            "CONTRADICTION at block 2: its hash is",
        ),
        (
            "polai_modelHead",
            |text| text.replace("\"updates\":\"0x0\"", "\"updates\":\"0x1\""),
            "counts Some(1) updates, the headers have 0",
        ),
    ];
    for (asked, lie, expected) in lies {
        up.redirect(liar::in_front_of(http, asked, lie));
        let (code, line) = error(&up.run(&["verify"]));
        assert!(code == Some(1) && line.contains(expected), "{line}");
    }
    up.redirect(http);
}

#[test]
fn a_node_survives_kills_of_its_processes_verifies_and_stops_in_time() {
    let mut up = Up::new();
    up.start(&up.without_ai(&[]));
    up.until("block", 3, Duration::from_secs(60));
    // A second one on the same folder.
    let (code, line) = error(&up.run(&strings(&up.without_ai(&[]))));
    assert!(code == Some(2) && line.contains("a node runs here already"), "{line}");
    // Every part is killed, and comes back as another process.
    for part in PARTS {
        let pid = up.pid(part).expect("a process");
        kill(pid, "KILL");
        let status = up.status();
        assert!(status["parts"].is_array(), "{status}");
        while up.pid(part).is_none_or(|now| now == pid) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    let block = up.until("block", 3, Duration::from_secs(30))["block"].as_u64().expect("a block");
    let status = up.until("block", block + 3, Duration::from_secs(60));
    let parts = status["parts"].as_array().expect("parts");
    assert!(parts.iter().all(|part| part["restarts"] == 1), "{status}");
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
    lies_are_found(&up);
    // Ctrl-C.
    let pids = PARTS.map(|part| up.pid(part).expect("a process"));
    up.signal("INT");
    let (took, code) = up.ended(Duration::from_secs(15));
    assert!(took < Duration::from_secs(5) && code == Some(0), "{took:?}, {code:?}: {}", up.said());
    assert_eq!(pids.map(lives), [false; 3]);
    assert!(!up.data().join("run.json").exists());
    // The stopped chain is checked too.
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
}

#[test]
fn a_process_that_hangs_is_killed_and_started_again_and_the_chain_goes_on() {
    let mut up = Up::new();
    up.start(&up.without_ai(&[]));
    // All have answered once: they had to for the first block, and are looked at every two seconds. Who never did may still be starting.
    up.until("block", 6, Duration::from_secs(60));
    let pids = PARTS.map(|part| up.pid(part).expect("a process"));
    for pid in pids {
        kill(pid, "STOP");
    }
    let start = Instant::now();
    while PARTS.iter().zip(pids).any(|(part, hung)| up.pid(part).is_none_or(|now| now == hung)) {
        assert!(start.elapsed() < Duration::from_secs(90), "nobody starts them again: {}", up.said());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(pids.map(lives), [false; 3], "killed, though they were stopped");
    let said = up.said();
    for part in PARTS {
        let line = format!("{part}: ended with signal 9, from polai: its health page was silent");
        assert_eq!(said.matches(&line).count(), 1, "{part}: {said}");
    }
    let block = up.until("block", 1, Duration::from_secs(60))["block"].as_u64().expect("a block");
    let status = up.until("block", block + 3, Duration::from_secs(60));
    let parts = status["parts"].as_array().expect("parts");
    assert!(parts.iter().all(|part| part["restarts"] == 1), "{status}");
}

#[test]
fn wrong_starts_are_one_line_and_begin_nothing() {
    let mut up = Up::new();
    let refused = |up: &Up, flags: &[&str], expected: &str| {
        let (code, line) = error(&up.run(&strings(&up.without_ai(flags))));
        assert!(code == Some(2) && line.contains(expected), "{flags:?}: {line}");
    };
    refused(&up, &["--validators", "0"], "--validators");
    refused(&up, &["--seed", "abc"], "--seed");
    refused(&up, &["--trainer", "abc"], "expected 64 hex digits");
    refused(&up, &["--port-offset", "60000"], "would be above 65535");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, up.port("EL_HTTP_PORT"))).expect("a port");
    refused(&up, &[], &format!("(process {}); stop it", std::process::id()));
    drop(taken);
    assert!(!up.data().join("chain.toml").exists(), "nothing was made");

    // What a chain was made with is not changed later.
    up.start(&up.without_ai(&["--validators", "2"]));
    up.until("block", 1, Duration::from_secs(60));
    let down = up.run(&["down"]);
    assert!(down.status.success(), "{down:?}");
    assert_eq!(up.ended(Duration::from_secs(5)).1, Some(0));
    refused(&up, &["--validators", "3"], "--validators is 3, but this chain was made with 2");
    refused(&up, &["--seed", &"ab".repeat(32)], "was made with another GENESIS_SEED");
    refused(&up, &["--detach", "--preset", "mainnet"], "--preset is mainnet, but this chain was made with minimal");
    let env = fs::read_to_string(up.data().join(".env")).expect("a seed");
    fs::remove_file(up.data().join(".env")).expect("a file");
    refused(&up, &[], "needs the GENESIS_SEED");
    fs::write(up.data().join(".env"), env).expect("a file");
    // As it was, it goes on.
    up.start(&up.without_ai(&[]));
    up.until("block", 2, Duration::from_secs(60));
    up.signal("TERM");
    assert_eq!(up.ended(Duration::from_secs(15)).1, Some(0));
    assert!(up.run(&["reset", "--yes"]).status.success());
    assert!(!up.data().join("chain.toml").exists() && up.data().join(".env").exists());
}

#[test]
fn a_node_with_four_validators_finalizes_detached_and_dies_with_polai() {
    let up = Up::new();
    let started = up.run(&strings(&up.without_ai(&["--validators", "4", "--detach"])));
    assert!(started.status.success(), "{started:?}");
    let (file, pids) = (fs::read_to_string(up.data().join("run.json")).expect("run.json"), PARTS.map(|part| up.pid(part)));
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    let polai = u32::try_from(file["pid"].as_u64().expect("a process")).expect("a process");
    up.until("finalized_epoch", 1, Duration::from_secs(90));
    let doctor = up.run(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("a node runs in this folder"), "{doctor:?}");
    kill(polai, "KILL");
    let dead = |pid: Option<u32>| pid.is_some_and(|pid| !lives(pid));
    for _ in 0..100 {
        if pids.map(dead) == [true; 3] {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("processes outlive polai: {pids:?}");
}
