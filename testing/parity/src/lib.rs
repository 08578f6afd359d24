//! Runs the Python twin and reads what it says.
//!
//! The twin makes tiny random checkpoints and what transformers and PEFT compute on them. That takes about 20 seconds, so it is done once
//! per content of `twin.py`, in the build folder: by `scripts/test` before the tests, else by the first test.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};

/// Names of the cases, which are folders.
pub const CASES: [&str; 3] = ["qwen2-tied-bias", "llama-gqa-scaled", "qwen2-sharded-bf16"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `scripts/setup` keeps what it brings.
///
/// # Panics
/// When neither `POLAI_CACHE` nor `HOME` is set.
pub fn cache() -> PathBuf {
    let below = |variable, folder| env::var_os(variable).map(|base| PathBuf::from(base).join(folder));
    let cache = below("POLAI_CACHE", "").or_else(|| below("XDG_CACHE_HOME", "pol-ai")).or_else(|| below("HOME", ".cache/pol-ai"));
    cache.expect("POLAI_CACHE or HOME")
}

/// Python with the twin's packages.
///
/// # Panics
/// When set-up has not installed it: a test's verdict.
pub fn python() -> PathBuf {
    let python = cache().join("parity-venv/bin/python");
    assert!(python.exists(), "{}: run scripts/setup (it needs Python 3.11 or newer)", python.display());
    python
}

/// Runs a program of this folder.
///
/// # Panics
/// When it fails: a test's verdict.
pub fn run(program: &str, arguments: &[&Path]) {
    let output = Command::new(python()).arg(here().join(program)).args(arguments).output().expect("Python starts");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The folder of the cases, made when it is not there; `target` is the test's `CARGO_TARGET_TMPDIR`.
///
/// # Panics
/// When the twin fails.
pub fn cases(target: &Path) -> PathBuf {
    let source = fs::read(here().join("twin.py")).expect("twin.py");
    let version: String = Sha256::digest(&source).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = target.join(format!("parity-{version}"));
    if !folder.exists() {
        run("twin.py", &[Path::new("cases"), target]);
    }
    folder
}

/// Tensors of a safetensors file, as FP64 (exact for all that the twin writes).
///
/// # Panics
/// When it is not one.
pub fn tensors(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let values = |view: &safetensors::tensor::TensorView<'_>| -> Vec<f64> {
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|word| f64::from_le_bytes(*word)).collect(),
            Dtype::I64 => data.as_chunks().0.iter().map(|word| i64::from_le_bytes(*word) as f64).collect(),
            other => panic!("{other:?}"),
        }
    };
    file.iter().map(|(name, view)| (name.to_owned(), values(&view))).collect()
}

/// Greatest difference of two lists.
///
/// # Panics
/// When they are of different lengths.
pub fn greatest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// L2 norm of the difference over the L2 norm of `expected`.
///
/// # Panics
/// When they are of different lengths.
pub fn relative_distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
}
