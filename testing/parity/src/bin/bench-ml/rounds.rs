//! Workers in turns, each a process of its own.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::worker;

/// A part of the work is undisturbed when its threads waited, on average, for at most this share of its time for a processor.
const WAITED_MAX: f64 = 0.05;
/// Undisturbed parts that a median needs, in all.
const PARTS_MIN: usize = 5;

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
#[derive(Debug)]
pub(crate) struct Samples {
    runs: Vec<Value>,
    threads: usize,
}

impl Samples {
    /// Median over the runs of a number that each of them gives.
    pub(crate) fn median(&self, field: &str) -> f64 {
        median(self.runs.iter().map(|run| run[field].as_f64().unwrap_or(f64::NAN)).collect())
    }

    /// What one run takes: for every kind of part the median of the undisturbed ones, or of all when none is, times their number.
    pub(crate) fn time(&self, wanted: impl Fn(u64) -> bool) -> Time {
        let mut time = Time { milliseconds: 0.0, processor: 0.0, is_disturbed: self.is_disturbed() };
        for (_, parts) in self.parts().into_iter().filter(|(kind, _)| wanted(*kind)) {
            let number = parts.len() as f64 / self.runs.len() as f64;
            let quiet: Vec<_> = parts.iter().filter(|part| part.is_quiet()).copied().collect();
            let counted = if quiet.is_empty() { &parts } else { &quiet };
            time.milliseconds += number * median(counted.iter().map(|part| part.milliseconds).collect());
            time.processor += number * median(counted.iter().map(|part| part.processor).collect());
        }
        time
    }

    /// Parts of all runs, by kind.
    fn parts(&self) -> BTreeMap<u64, Vec<Part>> {
        let mut all: BTreeMap<u64, Vec<Part>> = BTreeMap::new();
        for part in self.runs.iter().flat_map(|run| run["parts"].as_array().into_iter().flatten()) {
            let number = |index: usize| part[index].as_f64().expect("a number");
            let part_of = Part { milliseconds: number(1), processor: number(2), waited: number(3), threads: self.threads as f64 };
            all.entry(part[0].as_u64().expect("a kind")).or_default().push(part_of);
        }
        all
    }

    /// Whether too much of it ran beside other work.
    fn is_disturbed(&self) -> bool {
        let quiet: Vec<usize> = self.parts().values().map(|parts| parts.iter().filter(|part| part.is_quiet()).count()).collect();
        let all: usize = self.parts().values().map(Vec::len).sum();
        quiet.contains(&0) || quiet.iter().sum::<usize>() < PARTS_MIN.min(all)
    }

    /// What the last run said.
    pub(crate) fn last(&self) -> &Value {
        self.runs.last().expect("a run")
    }

    /// Whether all runs said the same.
    pub(crate) fn all(&self, field: &str, value: &Value) -> bool {
        self.runs.iter().all(|run| run[field] == *value)
    }
}

#[derive(Debug, Clone, Copy)]
struct Part {
    milliseconds: f64,
    processor: f64,
    waited: f64,
    threads: f64,
}

impl Part {
    fn is_quiet(&self) -> bool {
        self.waited <= WAITED_MAX * self.milliseconds * self.threads
    }
}

/// Time of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    pub(crate) milliseconds: f64,
    /// Of all threads.
    pub(crate) processor: f64,
    pub(crate) is_disturbed: bool,
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
    /// Time left for more rounds than asked for, when others disturb.
    pub(crate) patience: Duration,
}

impl Runner {
    /// Every task once a round, one after the other, in turning order: what slows the machine for a while slows all.
    pub(crate) fn alternate(&mut self, rounds: usize, tasks: &[Task]) -> Vec<Samples> {
        let mut samples: Vec<Samples> = tasks.iter().map(|_| Samples { runs: Vec::new(), threads: self.threads }).collect();
        for round in 0.. {
            let start = Instant::now();
            for place in 0..tasks.len() {
                let at = if round % 2 == 0 { place } else { tasks.len() - 1 - place };
                if round >= rounds && !samples[at].is_disturbed() {
                    continue;
                }
                eprintln!("round {}: {:?} {}", round + 1, tasks[at].side, tasks[at].arguments.join(" "));
                samples[at].runs.push(self.once(&tasks[at]));
            }
            if round + 1 < rounds {
                continue;
            }
            if round >= rounds {
                self.patience = self.patience.saturating_sub(start.elapsed());
            }
            if self.patience.is_zero() || !samples.iter().any(Samples::is_disturbed) {
                break;
            }
        }
        samples
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
        command.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT").env_remove(ml_sidecar::runtime::MKL_VARIABLE);
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
