//! The main job: a chain whose blocks carry accepted updates of the model.

use std::time::Duration;

use e2e::{
    metrics,
    up::{Up, kill},
};

/// What a machine of two cores needs for the embedded model, if no test has made it before, and for a few rounds of training.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn one_validator_trains_to_finalized_ai_blocks_and_a_killed_sidecar_costs_no_slot() {
    let mut up = Up::new();
    let flags = ["up", "--slot-seconds", "2", "--difficulty-floor", "64"].map(str::to_owned);
    up.start(&flags);
    let first = up.until("updates", 1, PATIENCE);
    let losses = &first["losses"];
    let (before, after) = (losses["before"].as_f64().expect("a loss"), losses["after"].as_f64().expect("a loss"));
    assert!(after * 1000.0 < before * 999.0, "the gate let in what does not help: {first}");
    metrics::check(&up);
    let missed = first["missed_slots"].as_u64().expect("a number");

    kill(up.pid("ml-sidecar").expect("a process"), "KILL");
    let updates = first["updates"].as_u64().expect("a number");
    let second = up.until("updates", updates + 1, PATIENCE);
    assert_eq!(second["missed_slots"].as_u64(), Some(missed), "slots were lost: {second}");
    let sidecar = second["parts"].as_array().expect("parts").iter().find(|part| part["name"] == "ml-sidecar");
    assert_eq!(sidecar.expect("a sidecar")["restarts"], 1, "{second}");
    assert!(second["losses"]["after"].as_f64() < Some(after), "the loss falls: {second}");

    up.until("finalized_updates", 1, PATIENCE);
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
    assert!(!text.contains(" 0 AI blocks"), "{text}");
    up.signal("INT");
    let (took, code) = up.ended(Duration::from_secs(15));
    assert!(took < Duration::from_secs(5) && code == Some(0), "{took:?}, {code:?}: {}", up.said());
    // Once more, by a node that was stopped.
    let verified = up.run(&["verify"]);
    assert!(verified.status.success(), "{verified:?}");
}
