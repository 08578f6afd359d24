//! What the processes of a node have logged, as values: `polai` is told to log JSON.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::up::Up;

/// Processes of a node, by the names of their logs.
pub const PARTS: [&str; 4] = ["pol-dht", "pol-execution", "pol-beacon", "ml-sidecar"];
const LOOK: Duration = Duration::from_millis(100);

/// One event of an update's life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When, RFC 3339: sorts as text.
    pub time: String,
    /// Whose log it is in.
    pub part: &'static str,
    /// The update, 64 hex digits.
    pub update: String,
    /// What has happened, as `pol_kit::telemetry::Stage` has it.
    pub stage: String,
}

/// Every line of a part's log that is JSON, oldest first; the rotated files too.
pub fn lines(up: &Up, part: &str) -> Vec<Value> {
    let file = |number: usize| {
        up.data().join(if number == 0 { format!("logs/{part}.log") } else { format!("logs/{part}.log.{number}") })
    };
    let texts = (0..=3).rev().filter_map(|number| fs::read(file(number)).ok());
    let parsed = |text: Vec<u8>| {
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
    };
    texts.flat_map(parsed).collect()
}

/// All events of all updates, in order of time.
pub fn all(up: &Up) -> Vec<Event> {
    let mut events: Vec<Event> =
        PARTS.iter().flat_map(|part| lines(up, part).into_iter().filter_map(|line| event(part, &line))).collect();
    events.sort();
    events
}

fn event(part: &'static str, line: &Value) -> Option<Event> {
    let text = |name: &str| Some(line[name].as_str()?.to_owned());
    let is_one = line["target"] == "polai::update";
    is_one.then(|| Some(Event { time: text("timestamp")?, part, update: text("update_id")?, stage: text("stage")? })).flatten()
}

/// Waits for an update to reach a stage, in whichever process.
///
/// # Panics
/// It took too long; with what has become of it.
pub fn until(up: &Up, update: &str, stage: &str, most: Duration) {
    let start = Instant::now();
    loop {
        let of_update: Vec<Event> = all(up).into_iter().filter(|event| event.update == update).collect();
        if of_update.iter().any(|event| event.stage == stage) {
            return;
        }
        assert!(
            start.elapsed() < most,
            "{update} is not {stage} within {most:?}: {of_update:#?}\n{}",
            gate(up, update).unwrap_or_default()
        );
        thread::sleep(LOOK);
    }
}

/// Updates that blocks name: sealed here, or imported.
pub fn in_blocks(up: &Up) -> Vec<String> {
    let stages = ["sealed", "imported", "finalized", "applied"];
    let mut named: Vec<String> =
        all(up).into_iter().filter(|event| stages.contains(&event.stage.as_str())).map(|event| event.update).collect();
    named.sort();
    named.dedup();
    named
}

/// What the loss gate has said of an update: its verdict and its reason; None while it has not.
pub fn gate(up: &Up, update: &str) -> Option<String> {
    let of_update = |line: &Value| line["update_id"] == update && line["target"] == "polai::gate";
    let line = lines(up, "ml-sidecar").into_iter().find(of_update)?;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    Some(format!("{} {}{}", text("message"), text("reason"), text("error")))
}

/// Waits for the gate's verdict.
///
/// # Panics
/// It took too long.
pub fn until_gated(up: &Up, update: &str, most: Duration) -> String {
    let start = Instant::now();
    loop {
        if let Some(said) = gate(up, update) {
            return said;
        }
        assert!(start.elapsed() < most, "the gate says nothing of {update} within {most:?}");
        thread::sleep(LOOK);
    }
}
