//! What a process of ours does, seen from outside. Each test starts this same binary again, as a process that runs one scenario of
//! `child`, and looks at its exit code, its standard error and its time.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::arithmetic_side_effects)]

mod child;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine; every scenario that works as promised takes far less.
const PATIENCE: Duration = Duration::from_secs(20);

struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Process {
    fn start(scenario: &str, directory: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "child::child", "--nocapture"]).env(child::SCENARIO, scenario);
        command.env(child::DIRECTORY, directory.unwrap_or_else(|| Path::new("")));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new() }
    }

    /// Reads its log up to a line that contains `text`.
    fn wait_for(&mut self, text: &str) {
        loop {
            let from = self.log.len();
            assert_ne!(self.stderr.read_line(&mut self.log).unwrap(), 0, "it ended without {text:?}:\n{}", self.log);
            if self.log[from..].contains(text) {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code and the whole of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    self.child.kill().unwrap();
                    self.child.wait().unwrap();
                    panic!("it did not end:\n{}", self.log);
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.stderr.read_to_string(&mut self.log).unwrap();
        (status.code(), self.log)
    }
}

/// What a scenario that ends by itself leaves behind.
fn run(scenario: &str, directory: Option<&Path>) -> (Option<i32>, String) {
    Process::start(scenario, directory).end()
}

fn lines_with(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child::child", "--nocapture"]).env(child::SCENARIO, "talks");
    let status = command.env(child::DIRECTORY, "").stdout(Stdio::null()).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_panic_in_a_critical_task_ends_the_process_with_its_name_on_one_line_and_no_stack_trace() {
    let (code, log) = run("panic", None);
    assert_eq!(code, Some(1), "{log}");
    let line = "critical task node/net/swarm panicked at crates/pol-kit/tests/process/child.rs:";
    assert_eq!(lines_with(&log, line), 2, "one log line and the last line:\n{log}");
    assert!(log.lines().last().unwrap().starts_with(&format!("node: {line}")), "{log}");
    assert!(log.trim_end().ends_with(": index 7 is gone"), "{log}");
    assert_eq!(lines_with(&log, "stack backtrace") + lines_with(&log, "RUST_BACKTRACE"), 0, "{log}");
}

#[test]
fn an_error_in_a_critical_task_ends_the_process_with_its_exit_code() {
    for (scenario, expected, line) in [
        ("error", 1, "node: critical task node/store failed: cannot open the store: disk full"),
        ("port-in-use", 2, "is in use by another process"),
    ] {
        let (code, log) = run(scenario, None);
        assert_eq!(code, Some(expected), "{log}");
        assert!(log.lines().last().unwrap().contains(line), "{log}");
    }
}

#[test]
fn a_panic_outside_of_any_task_is_one_log_line() {
    let (code, log) = run("thread-panic", None);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(lines_with(&log, "a thread panicked at"), 1, "{log}");
    assert_eq!(lines_with(&log, "RUST_BACKTRACE"), 0, "{log}");
}

#[test]
fn sigterm_and_sigint_end_the_process_in_good_order_with_code_0() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut process = Process::start("polite", None);
        process.wait_for("ready");
        process.signal(signal);
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(lines_with(&log, &format!("the process stops reason={name}")), 1, "{log}");
        assert_eq!(lines_with(&log, "flushed"), 1, "{log}");
    }
}

#[test]
fn sigterm_ends_within_the_deadline_and_names_what_had_to_be_aborted() {
    for scenario in ["deaf", "blocked-workers"] {
        let mut process = Process::start(scenario, None);
        process.wait_for("ready");
        let began = Instant::now();
        process.signal(Signal::TERM);
        let (code, log) = process.end();
        let took = began.elapsed();
        assert!(took >= child::DEADLINE && took < child::DEADLINE + Duration::from_secs(4), "{scenario}: {took:?}\n{log}");
        assert_eq!(code, Some(1), "{log}");
        assert!(log.lines().last().unwrap().contains("stopped by SIGTERM; tasks aborted: node/deaf"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut process = Process::start("deaf-for-an-hour", None);
    process.wait_for("ready");
    process.signal(Signal::TERM);
    process.wait_for("the process stops reason=SIGTERM");
    let began = Instant::now();
    process.signal(Signal::INT);
    let (code, log) = process.end();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}\n{log}", began.elapsed());
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.contains("stopped by SIGTERM; tasks aborted: ") && last.contains("node/deaf"), "{log}");
}

#[test]
fn a_secret_file_that_others_can_read_is_refused_with_code_2_and_one_line() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwt.hex");
    std::fs::write(&path, "5e".repeat(32)).unwrap();
    for (mode, expected) in [(0o644, 2), (0o600, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (code, log) = run("secret", Some(directory.path()));
        assert_eq!(code, Some(expected), "{mode:o}: {log}");
        assert_eq!(lines_with(&log, &format!("chmod 600 {}", path.display())), usize::from(expected == 2), "{log}");
        assert!(!log.contains("5e5e"), "the secret is in the log:\n{log}");
    }
}

#[test]
fn a_second_process_in_one_data_directory_gets_one_clear_line_and_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Process::start("lock", Some(directory.path()));
    first.wait_for("ready");
    let (code, log) = run("lock", Some(directory.path()));
    assert_eq!(code, Some(2), "{log}");
    let line = format!("node: {}: in use by process {}", directory.path().display(), first.child.id());
    assert_eq!((lines_with(&log, &line), lines_with(&log, "ready")), (1, 0), "{log}");
    first.child.kill().unwrap();
    assert_eq!(first.end().0, None, "killed");
    let mut next = Process::start("lock", Some(directory.path()));
    next.wait_for("ready");
    next.signal(Signal::TERM);
    assert_eq!(next.end().0, Some(0), "a killed process left its lock behind");
}

#[test]
fn a_bad_flag_ends_with_code_2_and_one_line_and_help_with_code_0() {
    let (code, log) = run("bad-flag", None);
    assert_eq!(code, Some(2), "{log}");
    assert_eq!(log.lines().last(), Some("node: unexpected argument '--listem' found"), "{log}");
    assert_eq!(run("help", None).0, Some(0));
}

#[test]
fn json_lines_are_json_from_the_first_to_the_last_before_the_verdict() {
    let (_, log) = run("json-panic", None);
    let lines: Vec<_> = log.lines().collect();
    let (verdict, logged) = lines.split_last().unwrap();
    assert!(verdict.starts_with("node: critical task node/net/swarm panicked"), "{log}");
    assert!(!logged.is_empty());
    for line in logged {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["timestamp"].is_string() && event["target"].is_string(), "{line}");
    }
}
