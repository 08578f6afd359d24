//! The table that `just bench-core` prints: every row is measured in this one run, and a ratio is measured side by side.

use std::time::{Duration, Instant};

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Our figure, with unit.
    pub ours: String,
    /// What it was measured against, with unit; "-" for an absolute figure.
    pub against: String,
    /// The ratio or the absolute figure that the target speaks of.
    pub figure: String,
    /// The target as text.
    pub target: &'static str,
    /// Whether the target was met in this run.
    pub met: bool,
}

/// Median seconds of `runs` calls, after one warm-up call.
pub fn median_seconds(runs: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// Median seconds of two calls measured alternately, so that a noisy machine disturbs both alike.
pub fn median_pair(runs: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> (f64, f64) {
    a();
    b();
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        a();
        times.0.push(start.elapsed());
        let start = Instant::now();
        b();
        times.1.push(start.elapsed());
    }
    times.0.sort();
    times.1.sort();
    (times.0[times.0.len() / 2].as_secs_f64(), times.1[times.1.len() / 2].as_secs_f64())
}

/// Prints rows as a Markdown table.
pub fn print(rows: &[Row]) {
    println!("| what | ours | against | figure | target | met |\n| --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let met = if row.met { "yes" } else { "NO" };
        println!("| {} | {} | {} | {} | {} | {met} |", row.what, row.ours, row.against, row.figure, row.target);
    }
}
