//! Figures, and the table they are printed as.

use std::time::Duration;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The target as text; empty for a figure that only explains another one.
    pub(crate) target: &'static str,
    /// The figure, with its unit.
    pub(crate) measured: String,
    /// Whether the target was met; none where there is none to meet.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A figure with a target.
    pub(crate) fn judged(what: impl Into<String>, target: &'static str, measured: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), target, measured: measured.into(), met: Some(met) }
    }

    /// A figure that explains another one.
    pub(crate) fn note(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), target: "", measured: measured.into(), met: None }
    }
}

/// Times, sorted.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Sorts them. There is at least one.
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// The smallest time that at least this share of all do not exceed, in percent.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        self.percentile(100)
    }

    /// Half of them, and the tail.
    pub(crate) fn text(&self) -> String {
        let [half, tail, most] = [50, 99, 100].map(|percent| ms(self.percentile(percent)));
        format!("p50 {half}, p99 {tail}, max {most}")
    }
}

/// Milliseconds with the digits that matter.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// Prints rows as a Markdown table.
pub(crate) fn print(rows: &[Row]) {
    println!("| what | target | measured | met |\n| --- | --- | --- | --- |");
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        println!("| {} | {} | {} | {met} |", row.what, row.target, row.measured);
    }
}
