//! What is wrong with a file is one clear line and exit code 2: one test for each kind of wrong.

#[path = "support/mod.rs"]
mod support;

use std::{fs, os::unix::fs::PermissionsExt as _};

use pol_core::{
    GenesisId, Hash32,
    delta::{Claims, Profile, encode},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use support::{TINY, World};

const WEIGHTS: &str = "model.safetensors";
const NORM: &str = "model.norm.weight";

fn world() -> World {
    World::new(&TINY)
}

/// `eval` of the world's model is refused with these words.
fn model_refused(world: &World, part: &str) {
    let texts = world.write("texts.txt", b"The rain falls on the hills.\n");
    world.refused(&["eval", "--model", world.model(), "--texts", &texts], part);
}

fn weights_refused(world: &World, bytes: &[u8], part: &str) {
    fs::write(world.model_file(WEIGHTS), bytes).unwrap();
    model_refused(world, part);
}

type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

/// The world's weights with a change.
fn changed(world: &World, change: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let bytes = fs::read(world.model_file(WEIGHTS)).unwrap();
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec());
    let mut tensors: Tensors = parsed.tensors().into_iter().map(tensor).collect();
    change(&mut tensors);
    let view = |(name, dtype, shape, data): &'_ (String, Dtype, Vec<usize>, Vec<u8>)| {
        (name.clone(), *dtype, shape.clone(), data.clone())
    };
    let owned: Vec<_> = tensors.iter().map(view).collect();
    let views = owned.iter().map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn norm(tensors: &mut Tensors) -> &mut (String, Dtype, Vec<usize>, Vec<u8>) {
    tensors.iter_mut().find(|(name, ..)| name == NORM).unwrap()
}

#[test]
fn a_pickle_checkpoint() {
    let world = world();
    fs::rename(world.model_file(WEIGHTS), world.model_file("pytorch_model.bin")).unwrap();
    model_refused(&world, "a pickle checkpoint");
}

#[test]
fn a_missing_an_unexpected_and_a_misshaped_tensor() {
    let world = world();
    let missing = changed(&world, |tensors| tensors.retain(|(name, ..)| name != NORM));
    let unexpected = changed(&world, |tensors| tensors.push(("model.extra".to_owned(), Dtype::F32, vec![1], vec![0; 4])));
    let misshaped = changed(&world, |tensors| norm(tensors).2 = vec![64, 2]);
    weights_refused(&world, &missing, "tensor model.norm.weight is missing");
    weights_refused(&world, &unexpected, "tensor model.extra is unexpected");
    weights_refused(&world, &misshaped, "tensor model.norm.weight has shape [64, 2], expected [128]");
}

#[test]
fn truncated_lying_and_huge_safetensors_headers() {
    let world = world();
    let good = fs::read(world.model_file(WEIGHTS)).unwrap();
    weights_refused(&world, &good[..5], "shorter than the 8 bytes");
    weights_refused(&world, &good[..good.len() - 1], "bytes of data, the header says");
    weights_refused(&world, &good[..100], "a header of");
    weights_refused(&world, &[&u64::MAX.to_le_bytes(), &good[8..]].concat(), "expected at most 16777216");
    weights_refused(&world, &[&8_u64.to_le_bytes()[..], b"{nonsens"].concat(), WEIGHTS);
}

#[test]
fn a_dtype_that_is_no_weights() {
    let world = world();
    let bytes = changed(&world, |tensors| norm(tensors).1 = Dtype::I32);
    weights_refused(&world, &bytes, "tensor model.norm.weight is of type I32, expected F32, F16 or BF16");
}

#[test]
fn nan_weights() {
    let world = world();
    let bytes = changed(&world, |tensors| norm(tensors).3[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
    weights_refused(&world, &bytes, "tensor model.norm.weight holds a value that is not finite");
}

#[test]
fn a_tokenizer_of_another_model() {
    let (world, config) = (world(), "config.json");
    let text = fs::read_to_string(world.model_file(config)).unwrap();
    fs::write(world.model_file(config), text.replace("\"vocab_size\":320", "\"vocab_size\":300")).unwrap();
    model_refused(&world, "tokenizer and model do not match");
    fs::write(world.model_file(config), text).unwrap();
    fs::write(world.model_file("tokenizer.json"), "{}").unwrap();
    model_refused(&world, "tokenizer.json");
}

#[test]
fn a_delta_of_another_genesis_another_head_damaged_or_too_long() {
    let world = world();
    let (model, delta) = (world.model(), world.path("d.pld"));
    let refused = |part: &str| world.refused(&["gate", "--model", model, "--delta", &delta], part);
    refused("No such file");
    world.say(&format!("train --model {model} --steps 1 --refining-steps 0 --batch 1 --length 16 --out {delta}"));
    let other_head = "11".repeat(32);
    world.refused(&["gate", "--model", model, "--delta", &delta, "--head", &other_head], &format!("not {other_head}"));
    let good = fs::read(&delta).unwrap();
    for (at, part) in [(0, "magic"), (10, "genesis"), (300, "delta")] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&delta, &bytes).unwrap();
        refused(part);
    }
    fs::write(&delta, vec![0; 150_001]).unwrap();
    refused("150000");
    // Well made and signed, for another chain with the same model.
    let shape = ml_sidecar::checkpoint::Checkpoint::open(model.as_ref()).unwrap().config.shape;
    let context = pol_core::delta::Context { genesis_id: GenesisId([9; 32]), shape, profile: Profile::F16x20 };
    let head = context.genesis_id.into();
    let claims = Claims { model_head: head, slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 1 };
    let change = vec![1 << 14; shape.value_count() as usize];
    let foreign = encode(&context, &claims, &change).unwrap().sign(&ml_sidecar::local::key(1));
    fs::write(&delta, foreign.as_bytes()).unwrap();
    refused("genesis");
}

#[test]
fn a_state_and_texts_that_are_none() {
    let world = world();
    let (model, delta, texts) = (world.model(), world.path("d.pld"), world.write("texts.txt", b"one line\n"));
    world.say(&format!("train --model {model} --steps 1 --refining-steps 0 --batch 1 --length 16 --out {delta}"));
    world.refused(&["gate", "--model", model, "--delta", &delta, "--dev-texts", &texts], "DEV_TEXTS: 1 texts, expected 512");
    world.refused(&["gate", "--model", model, "--delta", &delta, "--state", &texts], "not a state file");
    world.refused(&["gate", "--model", model, "--delta", &delta, "--chain", &texts], "TOML parse error");
    world.refused(&["gate", "--model", model, "--delta", &delta, "--precision", "bf16"], "the gate needs fp32");
    world.refused(&["train", "--model", model, "--out", &delta, "--data", &world.path("none.txt")], "No such file");
    world.refused(&["train", "--model", model, "--out", &delta, "--steps", "0"], "--steps");
    world.refused(&["generate", "--model", model, "--prompt", ""], "no tokens");
    world.refused(&["generate", "--model", model, "--prompt", "x", "--temperature", "0"], "0.001 to 100");
}

/// How a full GPU falls back is tested where the device is picked: `checkpoint::tests`.
#[test]
fn a_gpu_that_is_not_there_when_it_is_asked_for_by_name() {
    let world = world();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ml-sidecar"));
    command.args(["generate", "--model", world.model(), "--prompt", "x", "--device", "cuda:63"]);
    let output = command.env("OMP_WAIT_POLICY", "passive").env("POLAI_LOG", "off").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.lines().count() == 1 && said.contains("device cuda:63"), "{said}");
}

#[test]
fn no_place_for_the_cache() {
    let world = world();
    let file = world.write("file", b"");
    world.refused(&["model", "init", "--model-cache", &format!("{file}/models")], "Not a directory");
    world.refused(&["model", "fetch", "nothing"], "expected smollm2-135m or owner/name");
    world.refused(&["model", "info", "--model", "smollm2-135m"], "ml-sidecar model fetch smollm2-135m");
    // Whoever is root may write anywhere.
    let closed = world.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(format!("{closed}/x"), "").is_err() {
        world.refused(&["model", "init", "--model-cache", &format!("{closed}/models")], "Permission denied");
    }
}

#[test]
fn a_gguf_file_that_is_damaged_or_none() {
    let world = world();
    let texts = world.write("texts.txt", b"a b\n");
    let tiny = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/gguf/tiny.gguf")).unwrap();
    let short = world.write("short.gguf", &tiny[..tiny.len() / 2]);
    world.refused(&["eval", "--model", &short, "--texts", &texts], "short.gguf");
    let none = world.write("none.gguf", b"no model");
    world.refused(&["eval", "--model", &none, "--texts", &texts], "no GGUF file");
    assert!(world.done(&["eval", "--model", &world.write("tiny.gguf", &tiny), "--texts", &texts]).starts_with("loss "));
}
