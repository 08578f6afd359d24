//! What the twin says, and what we compute.

use std::{collections::BTreeMap, fs, path::Path};

use ml_sidecar::{
    adapter::{Adapter, export, import},
    batch::Batch,
    checkpoint::Checkpoint,
    device::Device,
    model::Model,
    precision::Precision,
    train::{AdamW, Trainer, TrainerOptions},
};
use pol_core::state::{Factor, Projection, Shape};
use pol_parity::{CASES, cases, greatest_difference, relative_distance, run, tensors};

const LOGITS: f64 = 1e-3;

struct Case {
    name: &'static str,
    folder: std::path::PathBuf,
    checkpoint: Checkpoint,
    model: Model,
    results: BTreeMap<String, Vec<f64>>,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        tch::set_num_threads(1);
        let folder = cases(Path::new(env!("CARGO_TARGET_TMPDIR")));
        CASES.into_iter().map(move |name| {
            let folder = folder.join(name);
            let checkpoint = Checkpoint::open(&folder.join("model")).unwrap();
            let model = checkpoint.load(Device::cpu(), None).unwrap();
            assert_eq!(model.precision(), Precision::F32);
            let results = tensors(&folder.join("results.safetensors"));
            Self { name, folder, checkpoint, model, results }
        })
    }

    fn adapter(&self) -> Adapter {
        import(&self.folder.join("adapter"), Device::cpu()).unwrap()
    }

    fn tokens(&self, name: &str) -> Vec<u32> {
        self.results[name].iter().map(|id| *id as u32).collect()
    }

    fn texts(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.folder.join("texts.json")).unwrap()).unwrap()
    }

    /// PEFT's tensors of a kind, in our flat order.
    fn flat(&self, kind: &str) -> Vec<f64> {
        let shape: &Shape = self.model.shape();
        let place = |place: pol_core::state::Tensor| {
            let path = match place.module.projection {
                Projection::Q => "self_attn.q_proj",
                Projection::K => "self_attn.k_proj",
                Projection::V => "self_attn.v_proj",
                Projection::O => "self_attn.o_proj",
                Projection::Gate => "mlp.gate_proj",
                Projection::Up => "mlp.up_proj",
                Projection::Down => "mlp.down_proj",
            };
            let factor = if place.factor == Factor::A { 'A' } else { 'B' };
            let layer = place.module.layer;
            self.results[&format!("{kind}.base_model.model.model.layers.{layer}.{path}.lora_{factor}.weight")].clone()
        };
        shape.tensors().flat_map(place).collect()
    }
}

fn logits(model: &Model, adapter: Option<&Adapter>, tokens: &[u32]) -> Vec<f64> {
    let logits = model.logits(adapter, tokens).unwrap();
    let mut values = vec![0.0_f32; logits.numel()];
    logits.f_copy_data(&mut values, logits.numel()).unwrap();
    values.into_iter().map(f64::from).collect()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn logits_are_those_of_transformers_and_peft() {
    for case in Case::all() {
        let tokens = case.tokens("ids");
        let base = greatest_difference(&logits(&case.model, None, &tokens), &case.results["logits.base"]);
        let adapter = case.adapter();
        let found = logits(&case.model, Some(&adapter), &tokens);
        let adapted = greatest_difference(&found, &case.results["logits.adapter"]);
        let moved = greatest_difference(&found, &case.results["logits.base"]);
        println!("{}: base {base:.1e}, adapter {adapted:.1e}", case.name);
        assert!(base <= LOGITS && adapted <= LOGITS, "{}: {base} {adapted}", case.name);
        assert!(moved > 100.0 * LOGITS, "{}: the adapter changes next to nothing", case.name);
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn losses_of_texts_in_batches_are_those_of_texts_one_by_one() {
    for case in Case::all() {
        let texts = case.texts()["loss_texts"].as_array().unwrap().clone();
        let ids = |text: &serde_json::Value| text.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let texts: Vec<Vec<u32>> = texts.iter().map(ids).collect();
        let losses = case.model.losses(Some(&case.adapter()), &texts).unwrap();
        let found: Vec<f64> = losses.texts.iter().filter(|text| text.tokens > 0).map(|text| text.sum).collect();
        let expected = &case.results["text.losses"];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 3e-6 * expected.abs(), "{}: {found} {expected}", case.name);
        }
        let mean = expected.iter().sum::<f64>() / losses.tokens() as f64;
        let off = (losses.mean().unwrap() / mean - 1.0).abs();
        println!("{}: mean loss off by {off:.1e}", case.name);
        assert!(found.len() == expected.len() && off <= 1e-6, "{}: {off}", case.name);
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn three_training_steps_are_those_of_peft() {
    for case in Case::all() {
        let ids = case.tokens("batches");
        let batches: Vec<Batch> =
            ids.chunks(4 * 24).map(|step| Batch::new(&step.chunks(24).collect::<Vec<_>>()).unwrap()).collect();
        let options = TrainerOptions {
            optimizer: AdamW { learning_rate: 1e-3, ..AdamW::default() },
            warmup_steps: 0,
            dropout: 0.0,
            ..TrainerOptions::default()
        };
        let start = case.adapter();
        for recompute in [false, true] {
            let mut trainer = Trainer::new(&start, TrainerOptions { recompute, ..options }).unwrap();
            let mut losses = Vec::new();
            for (index, batch) in batches.iter().enumerate() {
                losses.push(trainer.step(&case.model, std::slice::from_ref(batch)).unwrap().loss);
                if index == 0 {
                    // After one step the first moment is a tenth of the clipped gradient.
                    let found: Vec<f64> =
                        trainer.optimizer_state().unwrap().first.iter().map(|value| f64::from(*value)).collect();
                    let expected = case.flat("gradient");
                    let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
                    let clip = (1.0 / (norm + 1e-6)).min(1.0);
                    let expected: Vec<f64> = expected.iter().map(|value| value * clip * 0.1).collect();
                    let off = relative_distance(&found, &expected);
                    println!("{}: gradients off by {off:.1e}", case.name);
                    assert!(off <= 1e-4, "{}: {off}", case.name);
                }
            }
            for (found, expected) in losses.iter().zip(&case.results["train.losses"]) {
                assert!((found / expected - 1.0).abs() <= 1e-4, "{}: {found} {expected}", case.name);
            }
            let found: Vec<f64> = trainer.adapter().unwrap().values().unwrap().into_iter().map(f64::from).collect();
            let before: Vec<f64> = start.values().unwrap().into_iter().map(f64::from).collect();
            let expected = case.flat("trained");
            let off = relative_distance(&found, &expected);
            println!("{}: adapter off by {off:.1e}, it moved by {:.1e}", case.name, relative_distance(&before, &expected));
            assert!(off <= 1e-4 && relative_distance(&before, &expected) > 10.0 * off, "{}: {off}", case.name);
        }
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn an_exported_adapter_gives_the_same_logits_in_peft() {
    let work = tempfile::tempdir().unwrap();
    // One process of Python takes seconds: the case with everything in it.
    let case = Case::all().nth(1).unwrap();
    let values: Vec<f32> = case.adapter().values().unwrap().iter().map(|value| -1.5 * value).collect();
    let ours = Adapter::from_values(*case.model.shape(), &values, Device::cpu()).unwrap();
    let (folder, out) = (work.path().join("adapter"), work.path().join("logits.safetensors"));
    export(&ours, "tiny", &folder).unwrap();
    run("twin.py", &[Path::new("adapter"), &case.folder.join("model"), &folder, &out]);
    let off = greatest_difference(&logits(&case.model, Some(&ours), &case.tokens("ids")), &tensors(&out)["logits"]);
    println!("exported adapter: {off:.1e}");
    assert!(off <= LOGITS, "{off}");
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn tokens_are_those_of_the_python_tokenizer() {
    for case in Case::all() {
        for text in case.texts()["tokenizer"].as_array().unwrap() {
            let expected: Vec<u32> = text["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            assert_eq!(case.checkpoint.tokenizer.encode(text["text"].as_str().unwrap()).unwrap(), expected, "{text}");
        }
    }
}
