//! Every target that `pol-core` has, measured in one run: `cargo bench -p pol-core --bench core [name of a module]`.
//!
//! A module per subject, each with one `rows()`; add the module and one line to `SUBJECTS`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a benchmark may fail loudly, and its figures are floats"
)]

mod certificate;
mod delta;
mod seal;
#[allow(dead_code, reason = "each subject takes the timing helper that fits it")]
mod table;

type Subject = (&'static str, fn() -> Vec<table::Row>);

const SUBJECTS: &[Subject] = &[("seal", seal::rows), ("certificate", certificate::rows), ("delta", delta::rows)];

fn main() {
    // Cargo passes `--bench`; any other word picks subjects.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!("{}\n", machine());
    let chosen = SUBJECTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name));
    table::print(&chosen.flat_map(|(_, rows)| rows()).collect::<Vec<_>>());
}

/// CPU model, number of CPUs, and which of the instruction sets that matter here it has.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value)
    };
    let flags: Vec<&str> = value("flags").split(' ').collect();
    let has = |flag: &&str| flags.contains(flag);
    let present: Vec<&str> = ["sha_ni", "avx2", "avx512f"].into_iter().filter(has).collect();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, family {}, {cpus} CPUs, flags: {}", value("model name"), value("cpu family"), present.join(" "))
}
