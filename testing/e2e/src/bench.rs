//! What a whole node is held to: `just bench-e2e`.

use std::{
    fmt, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::up::Up;

/// What a machine of two cores needs for the embedded model, if nobody has made it before, and for many rounds of training.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long an idle node is watched.
const IDLE: Duration = Duration::from_secs(60);
/// Linux counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    what: String,
    found: String,
    target: &'static str,
    met: Option<bool>,
}

impl Row {
    /// Whether it has a target that was not met.
    pub fn is_missed(&self) -> bool {
        self.met == Some(false)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = match self.met {
            None => "",
            Some(true) => "yes",
            Some(false) => "**NO**",
        };
        write!(f, "| {} | {} | {} | {met} |", self.what, self.found, self.target)
    }
}

fn row(what: impl Into<String>, found: impl Into<String>, target: &'static str, met: impl Into<Option<bool>>) -> Row {
    Row { what: what.into(), found: found.into(), target, met: met.into() }
}

/// A number in a file of /proc, after `key`.
fn kib(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Seconds of processor time that a process has used.
fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let ticks = [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<f64>().ok()).sum::<f64>();
    ticks / TICKS_PER_SECOND
}

fn parts(up: &Up, status: &Value) -> Vec<(String, u32)> {
    let parts = status["parts"].as_array().cloned().unwrap_or_default();
    let part = |part: &Value| Some((part["name"].as_str()?.to_owned(), u32::try_from(part["pid"].as_u64()?).ok()?));
    let polai = up.process_id().map(|pid| ("polai".to_owned(), pid));
    parts.iter().filter_map(part).chain(polai).collect()
}

fn memory(up: &Up, status: &Value) -> Vec<Row> {
    let of: Vec<_> = parts(up, status).into_iter().map(|(name, pid)| (name, kib(pid, "VmRSS"), kib(pid, "VmHWM"))).collect();
    let mib = |kib: u64| format!("{} MiB", kib >> 10);
    let (now, peak) = of.iter().fold((0, 0), |(now, peak), part| (now + part.1, peak + part.2));
    let each = of.iter().map(|(name, now, peak)| {
        row(format!("memory of {name}, now (peak)"), format!("{} ({})", mib(*now), mib(*peak)), "", None)
    });
    let all = row("memory of the node, all peaks together", mib(peak), "<= 2048 MiB", peak >> 10 <= 2_048);
    let now = row("memory of the node at the end", mib(now), "", None);
    each.chain([now, all]).collect()
}

fn stop(up: &mut Up) -> Row {
    up.signal("INT");
    let (took, code) = up.ended(Duration::from_secs(30));
    let seconds = took.as_secs_f64();
    row("Ctrl-C to all processes ended", format!("{seconds:.2} s"), "<= 5 s", seconds <= 5.0 && code == Some(0))
}

/// Of the trainer. Greater steps teach the embedded model what there is to learn in half as many updates.
const RATE: &str = "0.0002";

/// A node that trains until so many updates are accepted.
///
/// # Panics
/// It does not get there.
pub fn training(updates: u64) -> Vec<Row> {
    let mut up = Up::new();
    let start = Instant::now();
    up.start(&["up", "--learning-rate", RATE].map(str::to_owned));
    let first = up.until("updates", 1, PATIENCE);
    let to_first = start.elapsed().as_secs_f64();
    let loss = |status: &Value, name: &str| status["losses"][name].as_f64().unwrap_or(f64::NAN);
    let (block, before) = (first["block"].as_u64().unwrap_or(0), loss(&first, "before"));
    up.until("finalized_updates", 1, PATIENCE);
    let to_final = start.elapsed().as_secs_f64();
    let last = up.until("updates", updates, PATIENCE);
    let to_last = start.elapsed().as_secs_f64();
    let (after, number) = (loss(&last, "after"), |name: &str| last[name].as_u64());
    let (missed, slots) = (number("missed_slots"), number("head_slot").unwrap_or(1).max(1));
    let found = number("updates").unwrap_or(0);
    let per_slot = format!(
        "{:.2}",
        f64::from(u32::try_from(found).unwrap_or(u32::MAX)) / f64::from(u32::try_from(slots).unwrap_or(u32::MAX))
    );
    let mut rows = vec![
        row("polai up to the first AI block seen", format!("{to_first:.0} s (head: block {block})"), "<= 60 s", to_first <= 60.0),
        row("polai up to the first final AI block, one validator", format!("{to_final:.0} s"), "<= 180 s", to_final <= 180.0),
        row(
            format!("{updates} accepted updates, learning rate {RATE}"),
            format!("{found} in {to_last:.0} s, {slots} slots"),
            "they come",
            found >= updates,
        ),
        row("updates per slot", per_slot, "", None),
        row(
            "loss of the gate's texts, first before to last after",
            format!("{before:.3} -> {after:.3}"),
            "it falls",
            after < before,
        ),
        row("missed slots", missed.map_or_else(|| "?".to_owned(), |missed| missed.to_string()), "0", missed == Some(0)),
    ];
    rows.extend(memory(&up, &last));
    rows.push(stop(&mut up));
    rows
}

/// A node that judges and trains nothing.
///
/// # Panics
/// It does not start.
pub fn idle() -> Vec<Row> {
    let mut up = Up::new();
    up.start(&["up", "--no-train"].map(str::to_owned));
    let status = up.until("block", 3, PATIENCE);
    let used = || parts(&up, &status).into_iter().map(|(name, pid)| (name, processor_seconds(pid))).collect::<Vec<_>>();
    let (start, begin) = (Instant::now(), used());
    thread::sleep(IDLE);
    let (seconds, end) = (start.elapsed().as_secs_f64(), used());
    let shares: Vec<_> = begin.iter().zip(&end).map(|(from, to)| (&from.0, (to.1 - from.1) / seconds * 100.0)).collect();
    let all = shares.iter().map(|(_, share)| share).sum::<f64>();
    let each = shares.iter().map(|(name, share)| format!("{name} {share:.1}")).collect::<Vec<_>>().join(", ");
    vec![
        row("processor of an idle node, share of a core", format!("{all:.1} % ({each})"), "<= 15 %", all <= 15.0),
        row("Ctrl-C of an idle node", stop(&mut up).found, "<= 5 s", None),
    ]
}

/// Processes that want a core, over the last minute.
pub fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
}

/// The machine, and how busy it is: what the figures must be read with.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = load();
    let build = if cfg!(debug_assertions) { "build with debug assertions" } else { "release build" };
    format!("{model}, {cores} cores, load {load}, {build}, slots of 3 s, the embedded model made before")
}
