use serde_json::json;

use super::*;
use crate::fixtures::{LLAMA, QWEN2};
use crate::model::Llama3Scaling;

fn with(text: &str, field: &str, value: Value) -> Result<ModelConfig, ConfigError> {
    let mut config: Value = serde_json::from_str(text).unwrap();
    config[field] = value;
    ModelConfig::parse(&config.to_string())
}

fn without(text: &str, field: &str) -> Result<ModelConfig, ConfigError> {
    let mut config: Value = serde_json::from_str(text).unwrap();
    config.as_object_mut().unwrap().remove(field).unwrap();
    ModelConfig::parse(&config.to_string())
}

#[test]
fn both_families_are_read() {
    let qwen2 = ModelConfig::parse(QWEN2).unwrap();
    assert_eq!((qwen2.family, qwen2.head_dimension, qwen2.tied_head, qwen2.has_bias()), (Family::Qwen2, 6, true, true));
    assert_eq!((qwen2.shape.query(), qwen2.shape.key_value(), qwen2.positions), (24, 12, 32_768));
    assert_eq!((qwen2.end_tokens, qwen2.begin_token), (vec![96], None));
    let llama = ModelConfig::parse(LLAMA).unwrap();
    assert_eq!((llama.family, llama.shape.query(), llama.shape.key_value(), llama.positions), (Family::Llama, 48, 16, 2_048));
    let scaling = Llama3Scaling { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_positions: 32.0 };
    assert_eq!(llama.rope, Rope { theta: 500_000.0, scaling: Some(scaling) });
}

#[test]
fn positions_of_transformers_4_and_5_are_read_alike() {
    let old = ModelConfig::parse(LLAMA).unwrap();
    let mut config: Value = serde_json::from_str(LLAMA).unwrap();
    let fields = config.as_object_mut().unwrap();
    let mut rope = fields.remove("rope_scaling").unwrap();
    rope["rope_theta"] = fields.remove("rope_theta").unwrap();
    fields.insert("rope_parameters".to_owned(), rope);
    assert_eq!(ModelConfig::parse(&config.to_string()).unwrap(), old);
    let old_name = json!({"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32});
    assert_eq!(with(LLAMA, "rope_scaling", old_name).unwrap(), old);
    assert_eq!(with(QWEN2, "rope_scaling", Value::Null).unwrap().rope, Rope { theta: 10_000.0, scaling: None });
}

#[test]
fn what_is_not_supported_is_named() {
    for (field, value) in [
        ("model_type", json!("mistral")),
        ("hidden_act", json!("gelu")),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("use_sliding_window", json!(true)),
        ("layer_types", json!(["full_attention", "sliding_attention"])),
        ("quantization_config", json!({"bits": 4})),
        ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
    ] {
        let error = with(LLAMA, field, value).unwrap_err();
        assert!(matches!(&error, ConfigError::Unsupported { .. }) && error.to_string().contains(field), "{field}: {error}");
    }
    let partial = with(LLAMA, "rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": 0.5}));
    assert!(partial.unwrap_err().to_string().contains("partial_rotary_factor"));
    // Qwen2's bias is built in; the field says nothing there.
    assert!(with(QWEN2, "attention_bias", json!(true)).is_ok());
}

#[test]
fn numbers_out_of_range_are_named() {
    for (field, value) in [
        ("vocab_size", json!(0)),
        ("vocab_size", json!(1 << 21)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(5)),
        ("num_key_value_heads", json!(3)),
        ("num_key_value_heads", json!(0)),
        ("head_dim", json!(7)),
        ("head_dim", json!(0)),
        ("hidden_size", json!(25)),
        ("rms_norm_eps", json!(0.0)),
        ("rms_norm_eps", json!(-1.0)),
        ("rope_theta", json!(0.0)),
        ("max_position_embeddings", json!(0)),
        ("eos_token_id", json!(97)),
        ("eos_token_id", json!([1, "x"])),
        ("bos_token_id", json!(-1)),
    ] {
        let error = with(QWEN2, field, value.clone()).unwrap_err();
        let named = matches!(&error, ConfigError::Range { .. });
        assert!(named, "{field} = {value}: {error}");
    }
    for (field, value) in
        [("num_hidden_layers", json!(0)), ("num_hidden_layers", json!(257)), ("intermediate_size", json!(65_537))]
    {
        assert!(matches!(with(QWEN2, field, value).unwrap_err(), ConfigError::Shape(_)), "{field}");
    }
    for (field, value) in [
        ("vocab_size", json!(-1)),
        ("vocab_size", json!(1e30)),
        ("hidden_size", json!("24")),
        ("hidden_size", json!(5_000_000_000_u64)),
    ] {
        assert!(matches!(with(QWEN2, field, value).unwrap_err(), ConfigError::Json(_)), "{field}");
    }
}

#[test]
fn missing_fields_are_named() {
    for field in ["model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"] {
        assert!(matches!(without(QWEN2, field).unwrap_err(), ConfigError::Missing { field: named } if named == field));
    }
    for text in ["", "[]", "null", "{\"model_type\": 3}", &"[".repeat(100_000)] {
        assert!(matches!(ModelConfig::parse(text), Err(ConfigError::Json(_))));
    }
}

#[test]
fn the_parameters_of_known_models_are_counted_right() {
    let qwen = r#"{"model_type":"qwen2","vocab_size":151936,"hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,
        "num_attention_heads":12,"num_key_value_heads":2,"tie_word_embeddings":false}"#;
    let config = ModelConfig::parse(qwen).unwrap();
    // DeepSeek-R1-Distill-Qwen-1.5B.
    assert_eq!((config.parameter_count(), config.shape.value_count()), (1_777_088_000, 9_232_384));
    let source = crate::fixtures::Memory::random(&ModelConfig::parse(LLAMA).unwrap());
    let stored: usize = source.0.values().map(|(_, values)| values.len()).sum();
    assert_eq!(ModelConfig::parse(LLAMA).unwrap().parameter_count(), stored as u64);
}
