//! Our side: the same work as `bench.py`, one JSON object on standard output.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use ml_sidecar::{
    adapter::{Adapter, import},
    batch::Batch,
    checkpoint::Checkpoint,
    device::Device,
    loss::Losses,
    model::{Model, ModelConfig},
    precision::Precision,
    train::{Trainer, TrainerOptions},
    weights::Safetensors,
};
use pol_core::{GenesisId, state::State};
use serde_json::{Value, json};

/// What a worker is asked for.
pub(crate) fn run(arguments: &[String]) -> Value {
    let number = |index: usize| arguments[index].parse::<usize>().expect("a number");
    let mut result = match arguments[0].as_str() {
        "train" => train(Path::new(&arguments[1]), [number(2), number(3), number(4), number(5)], number(6) == 1),
        "loss" => losses(Path::new(&arguments[1]), Path::new(&arguments[2]), &arguments[3]),
        other => panic!("{other}"),
    };
    result["peak_mib"] = json!(peak_mib());
    result
}

fn load(folder: &Path) -> (Checkpoint, Model) {
    let checkpoint = Checkpoint::open(folder).expect("model");
    let model = checkpoint.load(Device::cpu(), None).expect("weights");
    (checkpoint, model)
}

fn train(folder: &Path, [batch, length, steps, warmup]: [usize; 4], recompute: bool) -> Value {
    // No tokenizer: the Python side loads none either.
    let config = ModelConfig::parse(&fs::read_to_string(folder.join("config.json")).expect("config")).expect("config");
    let weights = Safetensors::open(folder).expect("weights");
    let model = Model::load(&weights, config, Device::cpu(), Precision::F32).expect("model");
    let state = State::initial(&GenesisId::ZERO, *model.shape());
    let adapter = Adapter::from_state(&state, Device::cpu()).expect("adapter");
    let mut trainer =
        Trainer::new(&adapter, TrainerOptions { recompute, warmup_steps: 0, ..TrainerOptions::default() }).expect("trainer");
    drop((adapter, state));
    let (mut milliseconds, mut processor, mut first, mut loss) = (Vec::new(), Vec::new(), None, 0.0);
    for step in 0..warmup + steps {
        let ids = numbers(step, batch * length, model.config().vocabulary as usize);
        let (start, used) = (Instant::now(), processor_seconds());
        let batch = Batch::new(&ids.chunks(length).collect::<Vec<_>>()).expect("tokens");
        loss = trainer.step(&model, std::slice::from_ref(&batch)).expect("step").loss;
        first.get_or_insert_with(now);
        if step >= warmup {
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
            processor.push((processor_seconds() - used) * 1e3);
        }
    }
    json!({"milliseconds": milliseconds, "processor": processor, "first_step": first, "loss": loss})
}

/// The same token ids as on the Python side.
fn numbers(step: usize, count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|index| ((index * 2_654_435_761 + step * 40_503) % (1 << 32) % vocabulary) as u32).collect()
}

fn losses(folder: &Path, texts: &Path, adapter: &str) -> Value {
    let (checkpoint, model) = load(folder);
    let adapter = (adapter != "-").then(|| import(Path::new(adapter), Device::cpu()).expect("adapter"));
    let text = fs::read_to_string(texts).expect("texts");
    let encode = |line: &str| checkpoint.tokenizer.encode(line).expect("tokens");
    let tokens: Vec<Vec<u32>> = text.lines().filter(|line| !line.trim().is_empty()).map(encode).collect();
    let (start, used) = (Instant::now(), processor_seconds());
    let losses: Losses = model.losses(adapter.as_ref(), &tokens).expect("losses");
    let seconds = start.elapsed().as_secs_f64();
    json!({"seconds": seconds, "processor": [processor_seconds() - used], "loss": losses.mean(), "tokens": losses.tokens()})
}

/// Seconds since 1970, to compare with when the process was started.
#[expect(clippy::disallowed_methods, reason = "a measurement across two processes")]
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Processor time of all threads so far: what counts on a busy machine.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Greatest resident memory so far.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().expect("kB") / 1024.0
}
