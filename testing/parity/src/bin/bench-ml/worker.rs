//! Our side: the same work as `bench.py`, one JSON object on standard output.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use ml_sidecar::{
    adapter::{Adapter, import},
    batch::Batch,
    device::Device,
    model::{Model, ModelConfig},
    precision::Precision,
    runtime::{self, MklPath},
    train::{Trainer, TrainerOptions},
    weights::Safetensors,
};
use pol_core::{GenesisId, sha256, state::State};
use serde_json::{Value, json};

/// Does what the arguments say and prints what it took. The process is set up as `ml-sidecar` sets itself up, and starts as it does.
pub(crate) fn run(arguments: &[String]) {
    runtime::wait_passively().expect("a process that starts itself anew");
    let threads = std::env::var("OMP_NUM_THREADS").expect("OMP_NUM_THREADS").parse().expect("a number of threads");
    let is_avx512 = runtime::start(threads).mkl == MklPath::Avx512;
    let number = |index: usize| arguments[index].parse::<usize>().expect("a number");
    let case = Path::new(&arguments[1]);
    let mut result = match arguments[0].as_str() {
        "train" => train(case, [number(2), number(3), number(4), number(5)], arguments[6] == "recompute"),
        "loss" => losses(case, arguments[2] == "adapter"),
        "cost" => cost(case, number(2)),
        other => panic!("{other}"),
    };
    result["peak_mib"] = json!(peak_mib());
    result["avx512"] = json!(is_avx512);
    println!("{result}");
}

/// No tokenizer: the Python side loads none either.
fn load(case: &Path) -> Model {
    let folder = case.join("model");
    let config = ModelConfig::parse(&fs::read_to_string(folder.join("config.json")).expect("config")).expect("config");
    let weights = Safetensors::open(&folder).expect("weights");
    Model::load(&weights, config, Device::cpu(), Precision::F32).expect("model")
}

/// The texts of a case, as tokens.
pub(crate) fn texts(case: &Path) -> Vec<Vec<u32>> {
    let all: Value = serde_json::from_slice(&fs::read(case.join("texts.json")).expect("texts")).expect("JSON");
    serde_json::from_value(all["loss_texts"].clone()).expect("tokens")
}

fn train(case: &Path, [batch, length, steps, warmup]: [usize; 4], recompute: bool) -> Value {
    let model = load(case);
    let state = State::initial(&GenesisId::ZERO, *model.shape());
    let adapter = Adapter::from_state(&state, Device::cpu()).expect("adapter");
    let options = TrainerOptions { recompute, warmup_steps: 0, ..TrainerOptions::default() };
    let mut trainer = Trainer::new(&adapter, options).expect("trainer");
    drop((adapter, state));
    let (mut parts, mut first, mut loss) = (Vec::new(), None, 0.0);
    for step in 0..warmup + steps {
        let ids = numbers(step, batch * length, model.config().vocabulary as usize);
        let clock = Clock::start();
        let batch = Batch::new(&ids.chunks(length).collect::<Vec<_>>()).expect("tokens");
        loss = trainer.step(&model, std::slice::from_ref(&batch)).expect("step").loss;
        first.get_or_insert_with(now);
        if step >= warmup {
            parts.push(clock.part(0));
        }
    }
    let peak = peak_mib();
    let values = trainer.adapter().and_then(|adapter| Ok(adapter.values()?)).expect("values");
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let digest: String = sha256(&[&bytes]).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"parts": parts, "first_step": first, "loss": loss, "digest": digest, "peak_steps": peak})
}

/// The same token ids as on the Python side.
fn numbers(step: usize, count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|index| ((index * 2_654_435_761 + step * 40_503) % (1 << 32) % vocabulary) as u32).collect()
}

fn losses(case: &Path, with_adapter: bool) -> Value {
    let (model, texts) = (load(case), texts(case));
    let adapter = with_adapter.then(|| import(&case.join("adapter"), Device::cpu()).expect("adapter"));
    let (mut parts, mut clock) = (Vec::new(), Clock::start());
    let mut go_on = |_| {
        parts.push(clock.part(parts.len()));
        clock = Clock::start();
        true
    };
    let losses = model.losses_while(adapter.as_ref(), &texts, &mut go_on).expect("losses").expect("all of them");
    json!({"parts": parts, "loss": losses.mean(), "tokens": losses.tokens()})
}

/// What an adapter costs: texts by 32, each such part without (even) and with it (odd), in turns.
fn cost(case: &Path, count: usize) -> Value {
    let (model, mut texts) = (load(case), texts(case));
    let adapter = import(&case.join("adapter"), Device::cpu()).expect("adapter");
    texts.truncate(count);
    texts.sort_by_key(Vec::len);
    let mut parts = Vec::new();
    for (turn, some) in texts.chunks(32).enumerate() {
        model.losses(None, some).expect("losses");
        for one in [turn % 2, (turn + 1) % 2] {
            let clock = Clock::start();
            model.losses((one == 1).then_some(&adapter), some).expect("losses");
            parts.push(clock.part(2 * turn + one));
        }
    }
    json!({"parts": parts})
}

/// Measures a part of the work.
struct Clock {
    start: Instant,
    processor: f64,
    waited: f64,
}

impl Clock {
    fn start() -> Self {
        Self { waited: waited_ms(), processor: processor_ms(), start: Instant::now() }
    }

    /// Which part it was; milliseconds, those of processors, and those for which threads waited for a processor that others used.
    fn part(&self, class: usize) -> Value {
        json!([class, self.start.elapsed().as_secs_f64() * 1e3, processor_ms() - self.processor, waited_ms() - self.waited])
    }
}

/// How long the threads of this process have been ready to run and did not.
fn waited_ms() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let waited = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    threads.filter_map(waited).sum::<f64>() / 1e6
}

/// Seconds since 1970, to compare with when the process was started.
#[expect(clippy::disallowed_methods, reason = "a measurement across two processes")]
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Processor time of all threads so far, milliseconds: what counts on a busy machine.
fn processor_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Greatest resident memory so far.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().expect("kB") / 1024.0
}
