//! The embedded model with four layers more, so that the cap on single modules (section 12 of docs/PROTOCOL.md: from 8 layers on) is asked.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

const LAYERS: usize = 4;

/// Copies the model in `from` to `to`. The new layers are copies of the old ones whose two outputs are zero: the model says the same, and
/// can learn more.
///
/// # Panics
/// No model there, no disk.
pub fn deepened(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a disk");
    fs::copy(from.join("tokenizer.json"), to.join("tokenizer.json")).expect("a tokenizer");
    let text = fs::read_to_string(from.join("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(config["num_hidden_layers"], LAYERS, "the embedded model is another one now");
    config["num_hidden_layers"] = (2 * LAYERS).into();
    fs::write(to.join("config.json"), config.to_string()).expect("a disk");

    let bytes = fs::read(from.join("model.safetensors")).expect("weights");
    let old = SafeTensors::deserialize(&bytes).expect("weights");
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, tensor) in old.tensors() {
        let (dtype, shape, data) = (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec());
        if let Some(twin) = twin(&name) {
            let is_output = ["o_proj", "down_proj"].iter().any(|output| name.contains(output));
            let data = if is_output { vec![0; data.len()] } else { data.clone() };
            tensors.insert(twin, (dtype, shape.clone(), data));
        }
        tensors.insert(name, (dtype, shape, data));
    }
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).expect("a tensor")));
    let file = safetensors::serialize(views, None).expect("weights");
    fs::write(to.join("model.safetensors"), file).expect("a disk");
}

/// Of `model.layers.1.x`, `model.layers.5.x`.
fn twin(name: &str) -> Option<String> {
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    Some(format!("model.layers.{}.{rest}", layer + LAYERS))
}
