//! GGUF files, read and refused.

use std::{collections::BTreeMap, path::PathBuf};

use ml_sidecar::gguf::{GgufError, GgufFile, TensorFault, TensorType, Value};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokenizers::Tokenizer;

/// What `tests/data/gguf/make.py` found in the same file with the package `gguf`.
#[derive(Deserialize)]
struct Expected {
    tensors: BTreeMap<String, ExpectedTensor>,
    tokens: BTreeMap<String, Vec<u32>>,
}

#[derive(Deserialize)]
struct ExpectedTensor {
    shape: Vec<u64>,
    sha256: String,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf").join(name)
}

fn bytes() -> Vec<u8> {
    std::fs::read(path("tiny.gguf")).unwrap()
}

fn expected() -> Expected {
    serde_json::from_slice(&std::fs::read(path("tiny.json")).unwrap()).unwrap()
}

fn sha256(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    hex::encode(hasher.finalize())
}

/// The error of a changed file.
fn refused(change: impl FnOnce(&mut Vec<u8>)) -> GgufError {
    let mut changed = bytes();
    change(&mut changed);
    GgufFile::new(changed).expect_err("a broken file")
}

/// Replaces the only occurrence of `from`, which has the same length.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    let [at] = places[..] else { panic!("{} places", places.len()) };
    bytes[at..at + to.len()].copy_from_slice(to);
}

/// Where the 8 bytes after the end of a tensor's name begin: dimensions, then its type and its offset.
fn after(bytes: &[u8], name: &str) -> usize {
    let name = name.as_bytes();
    (0..bytes.len()).find(|at| bytes[*at..].starts_with(name)).unwrap() + name.len()
}

#[test]
fn every_value_is_the_one_that_pythons_package_reads() {
    let file = GgufFile::open(&path("tiny.gguf")).unwrap();
    let expected = expected().tensors;
    assert!(file.names().eq(expected.keys()), "{:?}", file.names().collect::<Vec<_>>());
    for (name, tensor) in expected {
        assert_eq!(file.shape(&name), Some(&tensor.shape[..]), "{name}");
        assert_eq!(sha256(&file.read_f32(&name).unwrap()), tensor.sha256, "{name}");
    }
    let kinds: BTreeMap<String, usize> = file.names().fold(BTreeMap::new(), |mut kinds, name| {
        *kinds.entry(format!("{:?}", file.kind(name).unwrap())).or_default() += 1;
        kinds
    });
    assert_eq!(kinds.len(), 4, "all four number types are in it: {kinds:?}");
}

#[test]
fn rows_read_in_runs_are_the_rows_of_the_whole() {
    let file = GgufFile::open(&path("tiny.gguf")).unwrap();
    for name in file.names() {
        let (whole, shape) = (file.read_f32(name).unwrap(), file.shape(name).unwrap());
        let width = shape.get(1).map_or(1, |width| usize::try_from(*width).unwrap());
        for step in [1, 3, 8, 1_000] {
            let starts = (0..shape[0]).step_by(step);
            let runs = starts.flat_map(|at| file.read_rows(name, at..(at + step as u64).min(shape[0])).unwrap());
            assert!(runs.eq(whole.iter().copied()), "{name} by {step}");
        }
        let from_the_middle = file.read_rows(name, 5..9).unwrap();
        assert_eq!(from_the_middle, whole[5 * width..9 * width]);
        assert!(file.read_rows(name, shape[0]..shape[0]).unwrap().is_empty());
        assert!(matches!(file.read_rows(name, 0..shape[0] + 1), Err(GgufError::Rows { .. })));
    }
    assert!(matches!(file.read_f32("model.nothing.weight"), Err(GgufError::Rows { .. })));
}

#[test]
fn version_two_is_read_as_well() {
    let mut second = bytes();
    second[4] = 2;
    assert_eq!(GgufFile::new(second).unwrap().names().count(), expected().tensors.len());
}

#[test]
fn the_config_says_what_the_metadata_says() {
    let file = GgufFile::open(&path("tiny.gguf")).unwrap();
    let config = file.config();
    assert_eq!((config.hidden, config.layers, config.heads, config.key_value_heads, config.head_dimension), (32, 2, 4, 2, 8));
    assert_eq!((config.intermediate, config.vocabulary, config.context, config.tied_head), (64, 300, 128, true));
    assert_eq!((config.rope_theta, config.norm_epsilon), (100_000.0, f64::from(1e-5_f32)));
    assert_eq!((config.begin_token, config.end_token), (Some(1), Some(2)));
    let json: serde_json::Value = serde_json::from_str(&config.to_json()).unwrap();
    assert_eq!(
        (&json["model_type"], &json["num_key_value_heads"], &json["rope_theta"]),
        (&"llama".into(), &2.into(), &1e5.into())
    );
    assert_eq!(file.header().values.get("general.name"), Some(&Value::Text("tiny".to_owned())));
}

#[test]
fn the_tokenizer_makes_pythons_tokens() {
    let file = GgufFile::open(&path("tiny.gguf")).unwrap();
    let tokenizer = Tokenizer::from_bytes(file.tokenizer_json().unwrap()).unwrap();
    for (text, ids) in expected().tokens {
        assert_eq!(tokenizer.encode_fast(text.as_str(), true).unwrap().get_ids(), ids, "{text}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    assert_eq!(tokenizer.token_to_id("<|im_end|>"), Some(2));
}

#[test]
fn a_first_token_is_put_in_front_when_the_file_says_so() {
    let mut bytes = bytes();
    let place = after(&bytes, "tokenizer.ggml.add_bos_token") + 4;
    bytes[place] = 1;
    let file = GgufFile::new(bytes).unwrap();
    let tokenizer = Tokenizer::from_bytes(file.tokenizer_json().unwrap()).unwrap();
    assert_eq!(tokenizer.encode_fast("", true).unwrap().get_ids(), [1]);
}

#[test]
fn another_tokenizer_is_refused_by_name() {
    let mut other = bytes();
    replace(&mut other, b"smollm", b"qwen-9");
    let error = GgufFile::new(other).unwrap().tokenizer_json().unwrap_err();
    assert!(error.to_string().contains("qwen-9"), "{error}");
    let mut llama = bytes();
    replace(&mut llama, b"gpt2", b"spm9");
    assert!(GgufFile::new(llama).unwrap().tokenizer_json().unwrap_err().to_string().contains("spm9"));
}

#[test]
fn another_kind_of_file_is_refused() {
    assert!(matches!(refused(|bytes| bytes[0] = b'x'), GgufError::Magic { .. }));
    assert!(matches!(refused(|bytes| bytes[4] = 1), GgufError::Version { found: 1 }));
    let other = refused(|bytes| replace(bytes, b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba"));
    assert!(matches!(other, GgufError::Value { key: "general.architecture", .. }), "{other}");
    assert!(matches!(GgufFile::new(Vec::new()), Err(GgufError::Truncated { .. })));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = bytes();
    for length in (0..whole.len()).step_by(97).chain(whole.len() - 40..whole.len()) {
        let cut = whole[..length].to_vec();
        assert!(GgufFile::new(cut).is_err(), "{length} bytes");
    }
}

#[test]
fn counts_that_lie_are_refused_before_memory_is_taken() {
    for count in [u64::MAX, 1 << 40, 1 << 20] {
        let error = refused(|bytes| bytes[8..16].copy_from_slice(&count.to_le_bytes()));
        assert!(matches!(error, GgufError::Limit { what: "tensors", .. }), "{error}");
        let error = refused(|bytes| bytes[16..24].copy_from_slice(&count.to_le_bytes()));
        assert!(matches!(error, GgufError::Limit { what: "keys", .. }), "{error}");
    }
    let error = refused(|bytes| bytes[8..16].copy_from_slice(&60_000_u64.to_le_bytes()));
    assert!(matches!(error, GgufError::Truncated { .. }), "{error}");
    let many = refused(|bytes| {
        let place = after(bytes, "tokenizer.ggml.tokens") + 8;
        bytes[place..place + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    });
    assert!(matches!(many, GgufError::Limit { what: "array elements", .. }), "{many}");
}

/// Changes a tensor's description: its dimensions (fastest first), type and offset.
fn redescribed(name: &str, change: impl Fn(&mut [u64; 2], &mut u32, &mut u64)) -> GgufError {
    refused(|bytes| {
        let at = after(bytes, name) + 4;
        let u64_at = |at: usize, bytes: &[u8]| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let mut shape = [u64_at(at, bytes), u64_at(at + 8, bytes)];
        let mut kind = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap());
        let mut offset = u64_at(at + 20, bytes);
        change(&mut shape, &mut kind, &mut offset);
        bytes[at..at + 8].copy_from_slice(&shape[0].to_le_bytes());
        bytes[at + 8..at + 16].copy_from_slice(&shape[1].to_le_bytes());
        bytes[at + 16..at + 20].copy_from_slice(&kind.to_le_bytes());
        bytes[at + 20..at + 28].copy_from_slice(&offset.to_le_bytes());
    })
}

fn fault(error: GgufError) -> TensorFault {
    match error {
        GgufError::Tensor { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn tensors_that_contradict_the_file_are_refused() {
    const V: &str = "blk.0.attn_v.weight";
    assert_eq!(fault(redescribed(V, |_, kind, _| *kind = 14)), TensorFault::Type(14));
    assert!(matches!(fault(redescribed(V, |shape, _, _| *shape = [1 << 40, 2])), TensorFault::Shape(_)));
    assert!(matches!(fault(redescribed(V, |shape, _, _| *shape = [u64::MAX, u64::MAX])), TensorFault::Shape(_)));
    assert!(matches!(fault(redescribed(V, |shape, _, _| *shape = [32, 0])), TensorFault::Shape(_)));
    assert_eq!(fault(redescribed(V, |shape, _, _| shape[0] = 33)), TensorFault::Block { found: 33, block: 32 });
    assert!(matches!(fault(redescribed(V, |_, _, offset| *offset += 1)), TensorFault::Alignment { .. }));
    assert!(matches!(fault(redescribed(V, |_, _, offset| *offset = u64::MAX - 31)), TensorFault::Beyond { .. }));
    assert!(matches!(fault(redescribed(V, |shape, _, _| shape[1] = 1 << 34)), TensorFault::Beyond { .. }));
    assert!(matches!(fault(redescribed(V, |_, _, offset| *offset += 32)), TensorFault::Overlap(_)));
    assert!(matches!(fault(redescribed("blk.0.attn_k.weight", |shape, _, _| shape[1] = 8)), TensorFault::Heads { rows: 8, .. }));
}

#[test]
fn names_without_a_place_and_names_that_are_there_twice_are_refused() {
    let unknown = refused(|bytes| replace(bytes, b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"));
    assert_eq!(fault(unknown), TensorFault::Unexpected);
    let beyond = refused(|bytes| replace(bytes, b"blk.1.ffn_up.weight", b"blk.2.ffn_up.weight"));
    assert_eq!(fault(beyond), TensorFault::Unexpected);
    let twice = refused(|bytes| replace(bytes, b"blk.1.ffn_up.weight", b"blk.0.ffn_up.weight"));
    assert!(matches!(twice, GgufError::Duplicate { what: "tensor", .. }), "{twice}");
    let key = refused(|bytes| replace(bytes, b"tokenizer.ggml.eos_token_id", b"tokenizer.ggml.bos_token_id"));
    assert!(matches!(key, GgufError::Duplicate { what: "key", .. }), "{key}");
}

#[test]
fn a_file_that_shrinks_while_it_is_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model.gguf");
    std::fs::copy(path("tiny.gguf"), &copy).unwrap();
    let file = GgufFile::open(&copy).unwrap();
    std::fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(8_192).unwrap();
    assert!(matches!(file.read_f32("model.norm.weight"), Err(GgufError::Io(_))));
    assert!(file.kind("model.norm.weight").is_some_and(TensorType::is_lossless));
}
