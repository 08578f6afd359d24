//! Small random models for tests.

use std::{collections::BTreeMap, ops::Range};

use pol_core::sha256;
use tch::{Kind, Tensor};

use crate::{
    adapter::Adapter,
    device::Device,
    model::{Model, ModelConfig},
    precision::Precision,
    weights::{WeightError, WeightSource, expected},
};

/// A Qwen2 model: bias, tied head, two heads per key head.
pub(crate) const QWEN2: &str = r#"{"model_type":"qwen2","vocab_size":97,"hidden_size":24,"intermediate_size":40,"num_hidden_layers":3,
    "num_attention_heads":4,"num_key_value_heads":2,"hidden_act":"silu","rms_norm_eps":1e-6,"rope_theta":10000.0,
    "tie_word_embeddings":true,"eos_token_id":96}"#;

/// A Llama model: Llama 3's positions, a head of its own, heads of another width than hidden / heads.
pub(crate) const LLAMA: &str = r#"{"model_type":"llama","vocab_size":89,"hidden_size":24,"intermediate_size":32,"num_hidden_layers":2,
    "num_attention_heads":3,"num_key_value_heads":1,"head_dim":16,"rms_norm_eps":1e-5,"rope_theta":500000.0,
    "rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":32},"tie_word_embeddings":false}"#;

/// Pseudo-random numbers between -0.5 and 0.5.
pub(crate) fn noise(seed: &str, count: usize) -> Vec<f32> {
    let block = |index: usize| sha256(&[seed.as_bytes(), &index.to_le_bytes()]);
    let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) as f32 / 4_294_967_296.0 - 0.5;
    (0..count.div_ceil(8)).flat_map(|index| block(index).as_chunks().0.iter().map(word).collect::<Vec<_>>()).take(count).collect()
}

/// A checkpoint in memory.
#[derive(Debug)]
pub(crate) struct Memory(pub(crate) BTreeMap<String, (Vec<u64>, Vec<f32>)>);

impl Memory {
    pub(crate) fn random(config: &ModelConfig) -> Self {
        let tensor = |(name, shape): (String, Vec<u64>)| {
            let count = shape.iter().product::<u64>() as usize;
            let scale = if name.contains("norm") { 0.2 } else { 0.6 };
            let offset = if name.contains("norm") { 1.0 } else { 0.0 };
            let values = noise(&name, count).iter().map(|value| value * scale + offset).collect();
            (name, (shape, values))
        };
        Self(expected(config).into_iter().map(tensor).collect())
    }
}

impl WeightSource for Memory {
    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<u64>> {
        self.0.get(name).map(|(shape, _)| shape.clone())
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn rows(&self, name: &str, rows: Range<u64>) -> Result<Tensor, WeightError> {
        let (shape, values) = &self.0[name];
        let sides: Vec<i64> = shape.iter().map(|side| *side as i64).collect();
        let all = Tensor::f_from_slice(values).unwrap().f_view(&sides[..]).unwrap().f_to_kind(Kind::Float).unwrap();
        Ok(all.f_narrow(0, rows.start as i64, (rows.end - rows.start) as i64).unwrap())
    }
}

/// A model on the CPU.
pub(crate) fn model(config: &str) -> Model {
    // Tests run side by side, each a process: more threads would only wait for each other.
    tch::set_num_threads(1);
    let config = ModelConfig::parse(config).unwrap();
    Model::load(&Memory::random(&config), config, Device::cpu(), Precision::F32).unwrap()
}

/// An adapter for it, A and B random.
pub(crate) fn adapter(model: &Model, seed: &str) -> Adapter {
    let values: Vec<f32> = noise(seed, model.shape().value_count() as usize).iter().map(|value| value * 0.2).collect();
    Adapter::from_values(*model.shape(), &values, Device::cpu()).unwrap()
}

/// A text of so many tokens.
pub(crate) fn tokens(model: &Model, seed: &str, count: usize) -> Vec<u32> {
    let vocabulary = model.config().vocabulary as f32;
    noise(seed, count).iter().map(|value| ((value + 0.5) * vocabulary) as u32 % model.config().vocabulary).collect()
}
