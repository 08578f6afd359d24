//! `kill -9` on every process of a node that trains, again and again, in an order that a seed gives.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    events::PARTS,
    up::{Up, kill},
};
use serde_json::Value;

const SEED: &str = "kills/1";
const SLOT_SECONDS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(600);
/// What a kill of execution client or beacon node may cost: its restart, with the supervisor's pause, which grows up to 4 s in five kills.
const RESTART_SLOTS: u64 = 4;

fn random(what: &str) -> u64 {
    let [a, b, c, d, ..] = pol_core::sha256(&[SEED.as_bytes(), what.as_bytes()]);
    u64::from(u32::from_le_bytes([a, b, c, d]))
}

/// Each part so many times, in an order of chance.
fn order(times: usize) -> Vec<&'static str> {
    let mut all: Vec<(u64, &str)> =
        PARTS.iter().flat_map(|part| (0..times).map(move |time| (random(&format!("{part} {time}")), *part))).collect();
    all.sort_unstable();
    all.into_iter().map(|(_, part)| part).collect()
}

fn number(status: &Value, field: &str) -> u64 {
    status[field].as_u64().unwrap_or_else(|| panic!("no {field}: {status}"))
}

/// Kills a part, waits for it to be well again and for blocks; how many slots that cost.
fn slots_lost(up: &Up, part: &str, number_of_kill: usize) -> u64 {
    let before = up.until("block", 1, PATIENCE);
    let pid = up.pid(part).expect("a process");
    // Anywhere in a slot.
    thread::sleep(Duration::from_millis(random(&format!("moment {number_of_kill}")) % (SLOT_SECONDS * 1_000)));
    kill(pid, "KILL");
    let start = Instant::now();
    loop {
        let status = up.status();
        let parts = status["parts"].as_array().cloned().unwrap_or_default();
        let found = parts.iter().find(|entry| entry["name"] == part);
        let is_back = found.is_some_and(|entry| {
            entry["pid"].as_u64().is_some_and(|now| now != u64::from(pid)) && entry["health"] != Value::Null
        });
        if is_back {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{part} does not come back: {status}");
        thread::sleep(Duration::from_millis(100));
    }
    let after = up.until("block", number(&before, "block") + 3, PATIENCE);
    // Three slots of quiet, so that what it costs is counted here.
    let after = up.until("block", number(&after, "block") + 2, PATIENCE);
    number(&after, "missed_slots") - number(&before, "missed_slots")
}

fn survives(times: usize) {
    let mut up = Up::new();
    up.start(&up.with_ai(SLOT_SECONDS, &[]));
    up.until("updates", 1, PATIENCE);
    let mut lost: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (number, part) in order(times).into_iter().enumerate() {
        let slots = slots_lost(&up, part, number);
        println!("kill {number}: {part}, {slots} slots lost");
        lost.entry(part).or_default().push(slots);
        let most = if ["pol-execution", "pol-beacon"].contains(&part) { RESTART_SLOTS } else { 0 };
        assert!(slots <= most, "{part}: {slots} slots lost, {lost:?}\n{}", up.said());
    }
    // Nothing of the AI path is stuck: updates go on, and become final.
    let status = up.status();
    let updates = number(&status, "updates");
    up.until("updates", updates + 2, PATIENCE);
    up.until("finalized_updates", updates + 1, PATIENCE);
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
    let status = up.status();
    println!("{lost:?}\n{text}\n{status}");
    let parts = status["parts"].as_array().expect("parts");
    assert!(parts.iter().all(|part| part["restarts"] == times), "{status}");
    up.signal("INT");
    let (took, code) = up.ended(Duration::from_secs(15));
    assert!(took < Duration::from_secs(5) && code == Some(0), "{took:?}, {code:?}: {}", up.said());
    // By fresh processes, out of what is on the disk.
    let verified = up.run(&["verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

/// One kill of each in the short tier: tests/up.rs and tests/train.rs.
#[test]
fn long_every_process_killed_five_times_costs_no_slot_but_its_own_restart_and_the_chain_stays_sound() {
    survives(5);
}
