use std::fs;

use pol_core::GenesisId;
use serde_json::{Value, json};

use super::*;
use crate::{
    fixtures::{LLAMA, Memory, QWEN2, adapter, model},
    model::ModelConfig,
    precision::Precision,
    weights::{Safetensors, WeightError},
};

#[test]
fn integers_go_in_and_come_out_unchanged_up_to_one() {
    let shape = *model(QWEN2).shape();
    let count = shape.value_count() as usize;
    let mut units: Vec<i32> = (0..count).map(|index| (index as i32).wrapping_mul(7_919_333) % (1 << 24)).collect();
    units[..5].copy_from_slice(&[0, 1, -1, 1 << 24, -(1 << 24)]);
    assert_eq!(Adapter::from_units(shape, &units, Device::cpu()).unwrap().to_units().unwrap(), units);
    let state = State::initial(&GenesisId([9; 32]), shape);
    let adapter = Adapter::from_state(&state, Device::cpu()).unwrap();
    assert_eq!(adapter.to_state().unwrap().root(), state.root());
    // Above, FP32 has fewer digits: the nearest one, ties to even.
    units[0] = (1 << 24) + 1;
    units[1] = (1 << 25) + 6;
    let found = Adapter::from_units(shape, &units, Device::cpu()).unwrap().to_units().unwrap();
    assert_eq!(found[..2], [1 << 24, (1 << 25) + 8]);
}

#[test]
fn floats_become_the_nearest_unit_and_bad_ones_are_refused() {
    let unit = 1.0 / 16_777_216.0;
    assert_eq!(units(&[0.5 * unit, 1.5 * unit, -0.5 * unit, 2.6 * unit, -0.0]).unwrap(), [0, 2, 0, 3, 0]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(matches!(units(&[0.0, bad]), Err(AdapterError::NotFinite { index: 1 })));
    }
    for bad in [64.0, -64.0, f32::MAX, f32::MIN] {
        assert!(matches!(units(&[bad]), Err(AdapterError::Values(ValuesError::Bound { index: 0, .. }))));
    }
    assert_eq!(units(&[63.999_996]).unwrap(), [(1 << 30) - 64]);
}

#[test]
fn lists_of_another_length_are_no_adapter() {
    let shape = *model(QWEN2).shape();
    let count = shape.value_count() as usize;
    assert!(matches!(Adapter::from_units(shape, &vec![0; count - 1], Device::cpu()), Err(AdapterError::Values(_))));
    assert!(matches!(Adapter::from_values(shape, &vec![0.0; count + 1], Device::cpu()), Err(AdapterError::Values(_))));
}

#[test]
fn an_adapter_survives_a_folder_of_pefts() {
    for config in [QWEN2, LLAMA] {
        let folder = tempfile::tempdir().unwrap();
        let model = model(config);
        let adapter = adapter(&model, "peft");
        export(&adapter, "base", folder.path()).unwrap();
        let read = import(folder.path(), Device::cpu()).unwrap();
        assert_eq!((read.shape(), read.values().unwrap()), (adapter.shape(), adapter.values().unwrap()));
    }
}

fn edited(edit: impl Fn(&mut Value)) -> PeftError {
    let folder = tempfile::tempdir().unwrap();
    export(&adapter(&model(QWEN2), "peft"), "base", folder.path()).unwrap();
    let path = folder.path().join(ADAPTER_CONFIG);
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    import(folder.path(), Device::cpu()).unwrap_err()
}

#[test]
fn other_adapters_than_plain_lora_of_rank_8_on_all_projections_are_refused() {
    for (field, value) in [
        ("r", json!(16)),
        ("lora_alpha", json!(32)),
        ("peft_type", json!("IA3")),
        ("bias", json!("all")),
        ("target_modules", json!(["q_proj", "v_proj"])),
        ("target_modules", json!("all-linear")),
        ("use_dora", json!(true)),
        ("use_rslora", json!(true)),
        ("rank_pattern", json!({"q_proj": 4})),
        ("modules_to_save", json!(["lm_head"])),
        ("r", Value::Null),
    ] {
        let error = edited(|config| config[field] = value.clone());
        assert!(matches!(&error, PeftError::Unsupported { field: named, .. } if *named == field), "{field}: {error}");
    }
    assert!(matches!(edited(|config| *config = json!([1])), PeftError::Config(_)));
}

#[test]
fn damaged_adapter_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(QWEN2);
    export(&adapter(&model, "peft"), "base", folder.path()).unwrap();
    let path = folder.path().join(ADAPTER_WEIGHTS);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    assert!(matches!(import(folder.path(), Device::cpu()), Err(PeftError::Weights(WeightError::Format { .. }))));
    let mut nan = whole.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &nan).unwrap();
    assert!(matches!(import(folder.path(), Device::cpu()), Err(PeftError::Weights(WeightError::NotFinite { .. }))));
    let text = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut changed = whole.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&path, &changed).unwrap();
        import(folder.path(), Device::cpu()).unwrap_err().to_string()
    };
    assert!(text("layers.2.mlp.up_proj", "layers.9.mlp.up_proj").contains("layers.2.mlp.up_proj"));
    assert!(text("lora_A", "lora_X").contains("missing"));
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("adapter_model.bin"), b"\x80").unwrap();
    assert!(matches!(import(folder.path(), Device::cpu()), Err(PeftError::Weights(WeightError::Pickle { .. }))));
    fs::remove_file(folder.path().join(ADAPTER_CONFIG)).unwrap();
    assert!(matches!(import(folder.path(), Device::cpu()), Err(PeftError::Weights(WeightError::File { .. }))));
}

#[test]
fn merged_weights_say_the_same_as_the_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for text in [QWEN2, LLAMA] {
        let config = ModelConfig::parse(text).unwrap();
        let (model, source) = (model(text), Memory::random(&config));
        let adapter = adapter(&model, "merge");
        merge(&source, &config, &adapter, &path).unwrap();
        let merged = Model::load(&Safetensors::open(folder.path()).unwrap(), config, Device::cpu(), Precision::F32).unwrap();
        let (a, b) = (model.logits(Some(&adapter), &[5, 6, 7]).unwrap(), merged.logits(None, &[5, 6, 7]).unwrap());
        let off = (a - b).abs().max().double_value(&[]);
        assert!(off < 1e-4, "{off}");
        assert!(
            (model.logits(None, &[5, 6, 7]).unwrap() - merged.logits(None, &[5, 6, 7]).unwrap()).abs().max().double_value(&[])
                > 0.01
        );
    }
}

#[test]
fn a_merge_that_cannot_be_written_leaves_nothing() {
    let config = ModelConfig::parse(QWEN2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (adapter, foreign) = (adapter(&model(QWEN2), "merge"), adapter(&model(LLAMA), "merge"));
    let nowhere = folder.path().join("none").join("model.safetensors");
    assert!(matches!(merge(&Memory::random(&config), &config, &adapter, &nowhere), Err(MergeError::Write { .. })));
    let path = folder.path().join("model.safetensors");
    assert!(matches!(merge(&Memory::random(&config), &config, &foreign, &path), Err(MergeError::Adapter(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
