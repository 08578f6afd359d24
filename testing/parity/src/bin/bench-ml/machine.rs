//! The machine, and what else keeps it busy.

use std::{fs, thread};

/// Processor, cores, memory, versions: without a name.
pub(crate) fn describe(threads: usize) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value)
    };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let gib = fs::read_to_string("/proc/meminfo").ok().and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    format!(
        "{}, family {}, {cores} cores, {} GiB; {threads} threads, FP32, LibTorch {} on both sides",
        value("model name"),
        value("cpu family"),
        gib.unwrap_or(0) >> 20,
        ml_sidecar::runtime::libtorch_version(),
    )
}

/// Load averages over 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Processor time of the whole machine, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    total: u64,
    busy: u64,
    /// This process and its children that have ended.
    own: u64,
}

impl Ticks {
    /// Up to now.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("Linux has it");
        let ticks: Vec<u64> = stat.lines().next().expect("a line").split_whitespace().skip(1).flat_map(str::parse).collect();
        // user nice system idle iowait irq softirq steal; guests are counted in user.
        let (total, idle) = (ticks[..8].iter().sum::<u64>(), ticks[3] + ticks[4]);
        let own = fs::read_to_string("/proc/self/stat").expect("Linux has it");
        let (_, fields) = own.rsplit_once(')').expect("a name in parentheses");
        let own = fields.split_whitespace().skip(11).take(4).flat_map(str::parse::<u64>).sum();
        Self { total, busy: total - idle, own }
    }

    /// Share of the machine, 0 to 1, that others used since then.
    pub(crate) fn others_since(self) -> f64 {
        let now = Self::now();
        let others = (now.busy - self.busy).saturating_sub(now.own - self.own);
        others as f64 / (now.total - self.total).max(1) as f64
    }
}
