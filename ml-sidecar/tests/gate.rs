//! `gate` in scripts: exit codes, the norm cap, a reader that has seen enough.

#[path = "support/mod.rs"]
mod support;

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use support::{TINY, World};

#[test]
fn a_verdict_is_a_success_and_with_check_only_an_ack_is() {
    let world = World::new(&TINY);
    let delta = world.random_delta();
    let arguments = ["gate", "--model", world.model(), "--delta", &delta];
    let judged = world.done(&arguments);
    assert!(judged.contains("CLEAR FAIL") || judged.contains("ABSTAIN"), "{judged}");
    let checked = world.run(&[&arguments[..], &["--check"]].concat());
    assert_eq!(checked.status.code(), Some(1));
    assert!(String::from_utf8(checked.stderr).unwrap().contains("expected ACK"));
    assert!(String::from_utf8(checked.stdout).unwrap().starts_with("Loss gate: "), "the verdict is said all the same");
}

#[test]
fn the_norm_cap_is_asked_when_enough_norms_are_given() {
    let world = World::new(&TINY);
    let delta = world.random_delta();
    let judged = |norms: &str| world.done(&["gate", "--model", world.model(), "--delta", &delta, "--norms", norms]);
    assert!(judged("1,1,1,1,1,1,1,1").contains("ABSTAIN") && judged("1,1,1,1,1,1,1,1").contains("over a cap"));
    assert!(!judged("1,1,1,1,1,1,1").contains("over a cap"));
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let world = World::new(&TINY);
    let delta = world.random_delta();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"))
        .args(["delta", "inspect", "--model", world.model(), &delta, "--data-dir", &world.path("data")])
        .env("OMP_WAIT_POLICY", "passive")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed before anything is written.
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && !said.contains("panicked"), "{said}");
}
