//! What is measured, and what it must reach.

use super::{
    Options,
    models::{Case, Kind},
    rounds::{Runner, Samples, Side, Task},
    worker,
};

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    target: String,
    measured: String,
    met: Option<bool>,
    /// A matter of right and wrong, not of speed: judged on every machine.
    is_exact: bool,
}

impl Row {
    /// A figure that must not exceed a number.
    fn at_most(what: impl Into<String>, most: f64, found: f64, unit: &str, details: impl Into<String>) -> Self {
        let (target, measured) = (format!("<= {most:.2}{unit}"), format!("**{found:.2}{unit}** ({})", details.into()));
        Self { what: what.into(), target, measured, met: Some(found <= most), is_exact: false }
    }

    /// A figure that must be exactly so, or nearly.
    fn judged(what: impl Into<String>, target: &str, measured: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), target: target.to_owned(), measured: measured.into(), met: Some(met), is_exact: true }
    }

    fn note(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), target: String::new(), measured: measured.into(), met: None, is_exact: false }
    }

    /// Whether it is judged and misses its target. Speed and memory are not judged when sizes are not those of the targets.
    pub(crate) fn is_missed(&self, is_quick: bool) -> bool {
        self.verdict(is_quick) == Some(false)
    }

    fn verdict(&self, is_quick: bool) -> Option<bool> {
        self.met.filter(|_| self.is_exact || !is_quick)
    }
}

/// Prints the head of the table.
pub(crate) fn print_head() {
    println!("| what | target | measured | met |\n| --- | --- | --- | --- |");
}

/// Prints lines of the table.
fn print(rows: &[Row], is_quick: bool) {
    for row in rows {
        let met = match row.verdict(is_quick) {
            Some(true) => "yes",
            Some(false) => "**NO**",
            None => "",
        };
        println!("| {} | {} | {} | {met} |", row.what, row.target, row.measured);
    }
}

/// Sequences, tokens of each, steps, steps before them that do not count.
type Size = [usize; 4];

/// How much is measured with a model.
struct Sizes {
    train: &'static [Size],
    recompute: Size,
    cost_texts: usize,
    /// Rounds of the full pass, which is long.
    loss_rounds: usize,
}

const fn sizes(kind: Kind, rounds: usize) -> Sizes {
    match kind {
        Kind::Tiny => Sizes { train: &[[2, 24, 2, 1]], recompute: [2, 24, 2, 1], cost_texts: 64, loss_rounds: 1 },
        Kind::Embedded => {
            Sizes { train: &[[8, 64, 24, 6], [4, 256, 10, 3]], recompute: [32, 256, 4, 1], cost_texts: 512, loss_rounds: rounds }
        }
        Kind::SmolLm2 => Sizes { train: &[[2, 64, 6, 2]], recompute: [4, 256, 2, 1], cost_texts: 96, loss_rounds: 1 },
    }
}

/// Targets against PEFT: step as MKL has it, step with AVX-512, memory.
const fn targets(kind: Kind) -> [f64; 3] {
    match kind {
        Kind::Tiny | Kind::Embedded => [0.85, 0.60, 0.50],
        Kind::SmolLm2 => [1.00, 0.75, 0.65],
    }
}

/// Everything that the options ask for, printed as it comes.
pub(crate) fn measure(options: &Options, runner: &mut Runner, cases: &[Case]) -> Vec<Row> {
    let mut all = Vec::new();
    let mut add = |rows: Vec<Row>| {
        print(&rows, options.quick);
        all.extend(rows);
    };
    for case in cases {
        let sizes = sizes(case.kind, options.rounds());
        if options.wants("train") {
            for size in sizes.train {
                add(train(runner, options.rounds(), case, *size));
            }
        }
        if options.wants("checkpointing") {
            add(checkpointing(runner, options.rounds(), case, sizes.recompute));
        }
        if options.wants("loss") {
            add(loss(runner, sizes.loss_rounds, case, sizes.cost_texts));
        }
    }
    all
}

fn train(runner: &mut Runner, rounds: usize, case: &Case, [batch, length, steps, warmup]: Size) -> Vec<Row> {
    let folder = case.folder.display();
    let task = |side| Task::new(side, &[&"train", &folder, &batch, &length, &steps, &warmup, &"keep"]);
    let python = Task { side: Side::Python, arguments: task(Side::Python).arguments[..6].to_vec() };
    let samples = runner.alternate(rounds, &[python, task(Side::Plain), task(Side::Ours)]);
    let [peft, plain, ours] = &samples[..] else { unreachable!("three tasks") };
    let [target_plain, target_ours, target_memory] = targets(case.kind);
    let subject = format!("{}, {batch} x {length}", case.name);
    let mut rows =
        vec![time_row(format!("LoRA step, {subject}: time / PEFT, MKL left alone"), target_plain, [plain, peft], steps as f64)];
    let what = format!("LoRA step, {subject}: time / PEFT, as the program is");
    if ours.last()["avx512"] == true {
        rows.push(time_row(format!("{what} (AVX-512 switch)"), target_ours, [ours, peft], steps as f64));
    } else {
        rows.push(Row::note(what, "the switch has nothing to do on this processor"));
    }
    let [own, theirs] = [ours, peft].map(|samples| samples.median("peak_mib"));
    let details = format!("{own:.0} / {theirs:.0} MiB");
    rows.push(Row::at_most(format!("LoRA step, {subject}: peak memory / PEFT"), target_memory, own / theirs, "", details));
    let [own, theirs] = [ours, peft].map(|samples| samples.median("start_seconds"));
    let details = format!("{own:.2} / {theirs:.2} s");
    rows.push(Row::at_most(
        format!("start of the process to the end of the first step, {subject}: time / PEFT"),
        0.5,
        own / theirs,
        "",
        details,
    ));
    rows
}

/// Times for so many steps a run.
fn time_row(what: String, target: f64, [ours, theirs]: [&Samples; 2], steps: f64) -> Row {
    let [own, other] = [ours, theirs].map(|samples| samples.time(|_| true));
    let mut details = format!(
        "{:.1} / {:.1} ms; processor time {:.2}",
        own.milliseconds / steps,
        other.milliseconds / steps,
        own.processor / other.processor
    );
    if own.is_disturbed || other.is_disturbed {
        details += "; disturbed";
    }
    Row::at_most(what, target, own.milliseconds / other.milliseconds, "", details)
}

fn checkpointing(runner: &mut Runner, rounds: usize, case: &Case, [batch, length, steps, warmup]: Size) -> Vec<Row> {
    let folder = case.folder.display();
    let task = |way: &str| Task::new(Side::Ours, &[&"train", &folder, &batch, &length, &steps, &warmup, &way]);
    let samples = runner.alternate(rounds, &[task("keep"), task("recompute")]);
    let [keep, recompute] = &samples[..] else { unreachable!("two tasks") };
    let subject = format!("checkpointing, {}, {batch} x {length}", case.name);
    let [with, without] = [recompute, keep].map(|samples| samples.median("peak_steps"));
    let is_same = samples.iter().all(|samples| samples.all("digest", &keep.last()["digest"]));
    vec![
        Row::at_most(format!("{subject}: peak memory"), 0.65, with / without, "", format!("{with:.0} / {without:.0} MiB")),
        time_row(format!("{subject}: time"), 1.35, [recompute, keep], steps as f64),
        Row::judged(
            format!("{subject}: adapter after {} steps", steps + warmup),
            "the same bits",
            if is_same { "the same bits" } else { "other bits" },
            is_same,
        ),
    ]
}

fn loss(runner: &mut Runner, rounds: usize, case: &Case, cost_texts: usize) -> Vec<Row> {
    let folder = case.folder.display();
    let task = |side, which: &str| Task::new(side, &[&"loss", &folder, &which]);
    let tasks = [task(Side::Python, "base"), task(Side::Plain, "base"), task(Side::Ours, "base"), task(Side::Ours, "adapter")];
    let samples = runner.alternate(rounds, &tasks);
    let [naive, plain, ours, _adapted] = &samples[..] else { unreachable!("four tasks") };
    let lengths: Vec<usize> = worker::texts(&case.folder).iter().map(Vec::len).collect();
    let (mean, max) = (lengths.iter().sum::<usize>() as f64 / lengths.len() as f64, lengths.iter().max().copied().unwrap_or(0));
    let subject = format!("loss of {} texts, {}", lengths.len(), case.name);
    let naive_what =
        format!("{subject}: time / transformers with naive padding, MKL left alone; mean {mean:.1}, max {max} tokens");
    let off = (plain.median("loss") / naive.median("loss") - 1.0).abs();
    let off_switched = (ours.median("loss") / naive.median("loss") - 1.0).abs();
    let mut rows = vec![
        time_row(naive_what, mean / max as f64 + 0.1, [plain, naive], 1.0),
        Row::judged(
            format!("{subject}: mean loss, relative difference"),
            "<= 1e-6",
            format!("**{:.1e}** ({:.7}; with the switch {off_switched:.1e})", off, plain.median("loss")),
            off.max(off_switched) <= 1e-6,
        ),
    ];
    let [seconds, adapted_seconds] = [2, 3].map(|task| samples[task].time(|_| true).milliseconds / 1e3);
    let details = format!("{:.0} tokens/s; {adapted_seconds:.1} s with an adapter", ours.median("tokens") / seconds);
    let what = format!("{subject}: a full pass");
    if case.kind == Kind::SmolLm2 {
        rows.push(Row::at_most(what, 40.0, seconds, " s", details));
    } else {
        rows.push(Row::note(what, format!("{seconds:.2} s ({details})")));
    }
    let cost = runner.alternate(rounds, &[Task::new(Side::Ours, &[&"cost", &folder, &cost_texts])]).remove(0);
    let [without, with] = [0, 1].map(|one| cost.time(|kind| kind % 2 == one));
    let mut details = format!("processor time {:.2}", with.processor / without.processor);
    if with.is_disturbed {
        details += "; disturbed";
    }
    let ratio = with.milliseconds / without.milliseconds;
    rows.push(Row::at_most(format!("unmerged adapter, {}: time / none", case.name), 1.1, ratio, "", details));
    rows
}
