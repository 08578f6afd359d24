//! Workers in turns, each a process of its own.

use std::{
    fmt::Display,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{machine::Ticks, worker};

/// Others may use this share of the machine while a worker runs.
const OTHERS_MAX: f64 = 0.04;
/// How long the machine must have been quiet before a worker starts.
const QUIET: Duration = Duration::from_millis(700);

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// transformers and PEFT.
    Python,
    /// We, with the matrix code that MKL chooses by itself.
    Plain,
    /// We, as the program is by default.
    Ours,
}

/// A kind of work, for one side.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) side: Side,
    pub(crate) arguments: Vec<String>,
}

impl Task {
    pub(crate) fn new(side: Side, arguments: &[&dyn Display]) -> Self {
        Self { side, arguments: arguments.iter().map(ToString::to_string).collect() }
    }
}

/// What the runs of one task said.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Value>);

impl Samples {
    /// Median over the runs of a number that each of them gives.
    pub(crate) fn median(&self, field: &str) -> f64 {
        median(self.0.iter().map(|run| run[field].as_f64().unwrap_or(f64::NAN)).collect())
    }

    /// Median over the runs of the median of a list.
    pub(crate) fn median_of(&self, list: &str) -> f64 {
        let numbers = |run: &Value| run[list].as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>();
        median(self.0.iter().map(|run| median(numbers(run))).collect())
    }

    /// What the last run said.
    pub(crate) fn last(&self) -> &Value {
        self.0.last().expect("a run")
    }

    /// Whether all runs said the same.
    pub(crate) fn all(&self, field: &str, value: &Value) -> bool {
        self.0.iter().all(|run| run[field] == *value)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// Runs tasks side by side.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) threads: usize,
    /// Time left for waiting until the machine is quiet, and for runs that others disturbed.
    pub(crate) patience: Duration,
    pub(crate) began: Ticks,
    pub(crate) discarded: usize,
}

impl Runner {
    /// Every task once a round, one after the other, in turning order: what slows the machine for a while slows all.
    pub(crate) fn alternate(&mut self, rounds: usize, tasks: &[Task]) -> Vec<Samples> {
        let mut samples: Vec<Samples> = tasks.iter().map(|_| Samples::default()).collect();
        for round in 0..rounds {
            for place in 0..tasks.len() {
                let at = if round % 2 == 0 { place } else { tasks.len() - 1 - place };
                eprintln!("round {}/{rounds}: {:?} {}", round + 1, tasks[at].side, tasks[at].arguments.join(" "));
                samples[at].0.push(self.undisturbed(&tasks[at]));
            }
        }
        samples
    }

    fn undisturbed(&mut self, task: &Task) -> Value {
        loop {
            self.wait_for_quiet();
            let (ticks, start) = (Ticks::now(), Instant::now());
            let result = self.once(task);
            let others = ticks.others_since();
            if others <= OTHERS_MAX || self.patience.is_zero() {
                return result;
            }
            eprintln!("  others used {:.0} % of the machine: once more", others * 100.0);
            self.patience = self.patience.saturating_sub(start.elapsed());
            self.discarded += 1;
        }
    }

    fn wait_for_quiet(&mut self) {
        while !self.patience.is_zero() {
            let ticks = Ticks::now();
            thread::sleep(QUIET.min(self.patience));
            self.patience = self.patience.saturating_sub(QUIET);
            if ticks.others_since() <= OTHERS_MAX {
                return;
            }
        }
    }

    fn once(&self, task: &Task) -> Value {
        let mut command = match task.side {
            Side::Python => {
                let mut command = Command::new(pol_parity::python());
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("bench.py"));
                command
            }
            Side::Plain | Side::Ours => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.arg("worker");
                command
            }
        };
        command.args(&task.arguments).env("OMP_NUM_THREADS", self.threads.to_string());
        // As each of them comes.
        command.env_remove("OMP_WAIT_POLICY").env_remove(ml_sidecar::runtime::MKL_VARIABLE);
        if task.side == Side::Plain {
            command.env(ml_sidecar::runtime::MKL_VARIABLE, "off");
        }
        let started = worker::now();
        let output = command.stdin(Stdio::null()).output().expect("a worker starts");
        assert!(output.status.success(), "{task:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let mut value: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        if let Some(first) = value["first_step"].as_f64() {
            value["start_seconds"] = json!(first - started);
        }
        value
    }
}
