use std::{fs, io::Write as _, path::Path};

use super::*;
use crate::{
    device::Device,
    fixtures::{LLAMA, Memory, QWEN2, noise},
    model::Model,
};

fn config() -> ModelConfig {
    ModelConfig::parse(QWEN2).unwrap()
}

/// A safetensors file of FP32 tensors, header as given by `edit`.
fn write(path: &Path, source: &Memory, edit: impl Fn(&mut serde_json::Value)) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, values)) in &source.0 {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = serde_json::Value::Object(header);
    edit(&mut header);
    let text = header.to_string();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.write_all(&data).unwrap();
}

fn load(source: &dyn WeightSource) -> Result<Model, WeightError> {
    Model::load(source, config(), Device::cpu(), Precision::F32)
}

#[test]
fn one_file_and_shards_give_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let all = Memory::random(&config());
    let single = folder.path().join("single");
    let shards = folder.path().join("shards");
    fs::create_dir_all(&single).unwrap();
    fs::create_dir_all(&shards).unwrap();
    write(&single.join("model.safetensors"), &all, |_| {});
    let (mut first, mut second) = (Memory(BTreeMap::new()), Memory(BTreeMap::new()));
    let mut map = serde_json::Map::new();
    for (index, (name, tensor)) in all.0.iter().enumerate() {
        let (shard, file) = if index % 2 == 0 { (&mut first, "a-1.safetensors") } else { (&mut second, "a-2.safetensors") };
        shard.0.insert(name.clone(), tensor.clone());
        map.insert(name.clone(), file.into());
    }
    write(&shards.join("a-1.safetensors"), &first, |_| {});
    write(&shards.join("a-2.safetensors"), &second, |_| {});
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(shards.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let logits = |source: &dyn WeightSource| {
        let logits = load(source).unwrap().logits(None, &[1, 2, 3]).unwrap();
        crate::adapter::to_vec(&logits.view([-1])).unwrap()
    };
    let expected = logits(&all);
    assert_eq!(logits(&Safetensors::open(&single).unwrap()), expected);
    assert_eq!(logits(&Safetensors::open(&shards).unwrap()), expected);

    for (name, file, part) in [
        ("model.norm.weight", "a-9.safetensors", "No such file"),
        ("model.norm.weight", "../a-1.safetensors", "is not the name of a safetensors file"),
        ("model.norm.weight", "/etc/passwd", "is not the name of a safetensors file"),
        ("other", "a-1.safetensors", "tensor other is not in a-1.safetensors"),
    ] {
        let mut index = index.clone();
        index["weight_map"][name] = file.into();
        fs::write(shards.join("model.safetensors.index.json"), index.to_string()).unwrap();
        let error = Safetensors::open(&shards).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mut index = index;
    index["weight_map"].as_object_mut().unwrap().remove("model.norm.weight");
    fs::write(shards.join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert!(matches!(Safetensors::open(&shards), Err(WeightError::Unexpected { name }) if name == "model.norm.weight"));
}

#[test]
fn missing_unexpected_and_misshaped_tensors_are_named() {
    let bias = "model.layers.1.self_attn.k_proj.bias".to_owned();
    let mut source = Memory::random(&config());
    let tensor = source.0.remove(&bias).unwrap();
    assert!(matches!(load(&source), Err(WeightError::Missing { name, .. }) if name == bias));
    source.0.insert(bias.clone(), (vec![3, 4], tensor.1));
    assert!(matches!(load(&source), Err(WeightError::Misshaped { name, found, .. }) if name == bias && found == [3, 4]));
    let mut source = Memory::random(&config());
    source.0.insert("lm_head.weight".to_owned(), (vec![1], vec![0.0]));
    assert!(matches!(load(&source), Err(WeightError::Unexpected { name }) if name == "lm_head.weight"));
    let mut source = Memory::random(&config());
    source.0.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), (vec![3], vec![0.0; 3]));
    assert!(load(&source).is_ok());
}

#[test]
fn a_qwen2_checkpoint_is_no_llama_model() {
    let llama = ModelConfig::parse(LLAMA).unwrap();
    let error = check(&Memory::random(&config()), &llama).unwrap_err();
    assert!(matches!(&error, WeightError::Missing { name, .. } if name == "lm_head.weight"), "{error}");
    // The same widths, but the config knows no bias: it would be lost.
    let text = QWEN2.replace("qwen2", "llama");
    let error = check(&Memory::random(&config()), &ModelConfig::parse(&text).unwrap()).unwrap_err();
    assert!(matches!(&error, WeightError::Unexpected { name } if name.ends_with("k_proj.bias")), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut source = Memory::random(&config());
        source.0.get_mut("model.layers.2.mlp.down_proj.weight").unwrap().1[77] = bad;
        assert!(matches!(load(&source), Err(WeightError::NotFinite { name }) if name == "model.layers.2.mlp.down_proj.weight"));
    }
    // A sum beyond FP32 of finite values is no reason.
    let values = Tensor::from_slice(&[f32::MAX, f32::MAX]);
    assert!(is_finite(&values).unwrap() && !is_finite(&Tensor::from_slice(&[1.0, f32::NAN])).unwrap());
}

#[test]
fn lying_headers_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let source = Memory::random(&config());
    let refused = |part: &str| {
        let error = Safetensors::open_file(&path).unwrap_err().to_string();
        assert!(error.contains(part), "{error}, expected {part}");
    };
    for (bytes, part) in [
        (&b""[..], "shorter than the 8 bytes"),
        (&[1, 0, 0], "shorter than the 8 bytes"),
        (&[0xff; 20], "expected at most"),
        (&[200, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'], "a header of 200 bytes in a file of 10"),
        (&[2, 0, 0, 0, 0, 0, 0, 0, b'[', b']'], "invalid type"),
        (&[4, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "expected value"),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(part);
    }
    let name = "model.norm.weight";
    write(&path, &source, |header| header[name]["data_offsets"][1] = u64::MAX.into());
    refused("");
    write(&path, &source, |header| header[name]["shape"] = serde_json::json!([u64::MAX, u64::MAX]));
    refused("");
    write(&path, &source, |header| header[name]["shape"] = serde_json::json!([25]));
    refused("");
    write(&path, &source, |header| drop(header.as_object_mut().unwrap().remove(name)));
    refused("");
    // Whole, then cut short by a byte, then a byte too long.
    write(&path, &source, |_| {});
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused("bytes of data, the header says");
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    refused("bytes of data, the header says");
    fs::write(&path, &whole).unwrap();
    let opened = Safetensors::open_file(&path).unwrap();
    assert!(opened.rows(name, 5..99).is_err() && opened.rows("none", 0..1).is_err());
    // Cut short after it was opened: an error, no signal.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(load(&opened), Err(WeightError::File { .. })));
}

#[test]
fn numbers_that_are_no_weights_and_pickles_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let source = Memory([("x".to_owned(), (vec![2], vec![1.0, 2.0]))].into());
    for kind in ["I32", "U32"] {
        write(&path, &source, |header| header["x"]["dtype"] = kind.into());
        assert!(matches!(Safetensors::open_file(&path), Err(WeightError::Kind { found, .. }) if found == kind));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(Safetensors::open(folder.path()), Err(WeightError::None { .. })));
    fs::write(folder.path().join("pytorch_model.bin"), b"\x80\x02").unwrap();
    let error = Safetensors::open(folder.path()).unwrap_err();
    assert!(matches!(&error, WeightError::Pickle { .. }) && error.to_string().contains("never read"), "{error}");
}

#[test]
fn large_tensors_are_read_in_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    // Sixteen whole blocks of 2 MiB and a bit.
    let (rows, columns) = (8_200_u64, 1_024_u64);
    let values = noise("block", (rows * columns) as usize);
    write(&path, &Memory([("x".to_owned(), (vec![rows, columns], values.clone()))].into()), |_| {});
    let source = Safetensors::open_file(&path).unwrap();
    let mut target = Tensor::zeros([rows as i64, columns as i64], (Kind::Float, tch::Device::Cpu));
    read_into(&source, "x", &mut target).unwrap();
    assert_eq!(crate::adapter::to_vec(&target.view([-1])).unwrap(), values);
}
