//! The subjects of the bench, for its program and for the test that runs its quick form.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark may fail loudly, its figures are floats, and its test prints nothing"
)]

mod ack;
mod cluster;
#[path = "../../../tests/common/mod.rs"]
mod common;
mod delta;
mod http;
mod records;
mod start;
pub(crate) mod table;

use std::{fs, thread};

use table::Row;

/// What to measure, and how much of it.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bench-dht")]
pub(crate) struct Options {
    /// Subjects: records, ack, delta, http, start; all without any
    subjects: Vec<String>,
    /// Seconds instead of minutes, and no figure is compared with its target
    #[arg(long)]
    quick: bool,
    /// Nodes of the ACK cluster [default: 40, quick: 4]
    #[arg(long)]
    nodes: Option<usize>,
    /// ACKs published in the cluster [default: 400, quick: 8]
    #[arg(long)]
    acks: Option<usize>,
    /// ACKs published per second
    #[arg(long, default_value_t = 5)]
    rate: u32,
    /// ACK records held by one node [default: 153600, quick: 512]
    #[arg(long)]
    records: Option<usize>,
    /// Deltas fetched from one peer, and by one that joined later [default: 200, quick: 4]
    #[arg(long)]
    deltas: Option<usize>,
    /// Seconds of requests on /dht/peers [default: 30, quick: 1]
    #[arg(long)]
    seconds: Option<u64>,
    /// Cargo says so to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn size<T>(&self, given: Option<T>, full: T, quick: T) -> T {
        given.unwrap_or(if self.quick { quick } else { full })
    }
}

type Subject = (&'static str, fn(&Options) -> Vec<Row>);

/// The records come first: memory that other subjects left behind would hide their growth.
const SUBJECTS: [Subject; 5] =
    [("records", records::rows), ("ack", ack::rows), ("delta", delta::rows), ("http", http::rows), ("start", start::rows)];

/// Measures the chosen subjects, one after the other. In the quick form no row is judged.
pub(crate) fn run(options: &Options) -> Vec<Row> {
    let known = |name: &String| SUBJECTS.iter().any(|(subject, _)| subject == name);
    assert!(options.subjects.iter().all(known), "subjects are {:?}", SUBJECTS.map(|(name, _)| name));
    let wanted = |name: &str| options.subjects.is_empty() || options.subjects.iter().any(|subject| subject == name);
    let mut rows: Vec<Row> = SUBJECTS.iter().filter(|(name, _)| wanted(name)).flat_map(|(_, rows)| rows(options)).collect();
    if options.quick {
        rows.iter_mut().for_each(|row| row.met = None);
    }
    rows
}

/// The machine without a name: CPU model and family, number of CPUs, memory, and what else keeps it busy.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value)
    };
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let memory = kib("/proc/meminfo", "MemTotal:") >> 20;
    format!("{}, family {}, {cpus} CPUs, {memory} GiB; load average {}", value("model name"), value("cpu family"), load())
}

/// Load averages over 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A line of KiB in one of the kernel's tables.
fn kib(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("Linux has it");
    let line = text.lines().find(|line| line.starts_with(name)).expect("Linux has it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// A runtime as the daemon has it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}
