//! Adapters as PEFT writes and reads them: a folder with `adapter_config.json` and `adapter_model.safetensors`.

use std::{fs, path::Path};

use pol_core::{
    params::{LORA_ALPHA, LORA_DROPOUT_PPM, LORA_RANK},
    state::{Factor, Module, Projection, Shape, ShapeError, Tensor as Place},
};
use pol_kit::fs::{Access, write_durably};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};
use tch::Kind;

use super::{Adapter, AdapterError, to_vec};
use crate::{
    device::Device,
    torch::TorchError,
    weights::{Safetensors, WeightError, WeightSource as _, read_bounded},
};

/// Name of the description in an adapter folder.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Name of the values in an adapter folder.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
const PICKLE: &str = "adapter_model.bin";
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Why an adapter folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PeftError {
    /// The folder cannot be written. The operator's to mend.
    #[error("{path}: {source}")]
    Write {
        /// What was written.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The description is not JSON of the right form.
    #[error("{ADAPTER_CONFIG}: {0}")]
    Config(#[from] serde_json::Error),
    /// An adapter that this chain's are not: another rank, other targets, a variant of LoRA.
    #[error("{ADAPTER_CONFIG}: {field} is {found}, expected {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it has to be.
        expected: String,
    },
    /// The values: missing, unexpected, misshaped, damaged, a pickle.
    #[error("{ADAPTER_WEIGHTS}: {0}")]
    Weights(#[from] WeightError),
    /// The values are those of no model's adapter.
    #[error("{ADAPTER_WEIGHTS}: {0}")]
    Shape(#[from] ShapeError),
    /// Not writable as safetensors: our fault.
    #[error("{ADAPTER_WEIGHTS}: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The values are no adapter.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// Where a projection stands in the model.
pub(super) const fn path_of(projection: Projection) -> &'static str {
    match projection {
        Projection::Q => "self_attn.q_proj",
        Projection::K => "self_attn.k_proj",
        Projection::V => "self_attn.v_proj",
        Projection::O => "self_attn.o_proj",
        Projection::Gate => "mlp.gate_proj",
        Projection::Up => "mlp.up_proj",
        Projection::Down => "mlp.down_proj",
    }
}

/// The last part of the path: PEFT's target names.
fn target_of(projection: Projection) -> &'static str {
    path_of(projection).split('.').next_back().unwrap_or_default()
}

/// PEFT's key of a factor.
fn key_of(place: &Place) -> String {
    let factor = if place.factor == Factor::A { 'A' } else { 'B' };
    let module = place.module;
    format!("base_model.model.model.layers.{}.{}.lora_{factor}.weight", module.layer, path_of(module.projection))
}

/// Writes an adapter folder that `peft.PeftModel.from_pretrained` loads. `base` names the base model in it.
///
/// # Errors
/// [`PeftError`].
pub fn export(adapter: &Adapter, base: &str, folder: &Path) -> Result<(), PeftError> {
    let values = adapter.values()?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::new();
    for place in adapter.shape().tensors() {
        let (start, end) = (place.range.start as usize * 4, place.range.end as usize * 4);
        let sides = vec![place.rows as usize, place.columns as usize];
        views.push((key_of(&place), TensorView::new(Dtype::F32, sides, &bytes[start..end])?));
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let weights = safetensors::serialize(views, Some(metadata))?;
    let config = serde_json::to_vec_pretty(&config(base))?;
    fs::create_dir_all(folder).map_err(|source| PeftError::Write { path: folder.display().to_string(), source })?;
    for (name, bytes) in [(ADAPTER_WEIGHTS, weights), (ADAPTER_CONFIG, config)] {
        let path = folder.join(name);
        let write = write_durably(&path, &bytes, Access::Everybody);
        write.map_err(|source| PeftError::Write { path: path.display().to_string(), source })?;
    }
    Ok(())
}

fn config(base: &str) -> serde_json::Value {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": LORA_RANK,
        "lora_alpha": LORA_ALPHA,
        "lora_dropout": f64::from(LORA_DROPOUT_PPM) / 1e6,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "target_modules": Projection::ALL.map(target_of),
    })
}

/// Fields of an `adapter_config.json` that make it another thing than plain LoRA, unless they are absent, null, false or empty.
const VARIANTS: [&str; 14] = [
    "alpha_pattern",
    "arrow_config",
    "fan_in_fan_out",
    "layer_replication",
    "layers_to_transform",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "use_rslora",
];

/// Reads an adapter folder of PEFT's.
///
/// # Errors
/// [`PeftError`]: what is in the folder is not an adapter of rank 8 on all seven projections of every layer of one model.
pub fn import(folder: &Path, device: Device) -> Result<Adapter, PeftError> {
    check(&serde_json::from_slice(&read_bounded(&folder.join(ADAPTER_CONFIG), CONFIG_BYTES_MAX)?)?)?;
    let path = folder.join(ADAPTER_WEIGHTS);
    if !path.is_file() && folder.join(PICKLE).exists() {
        return Err(WeightError::Pickle { path: folder.join(PICKLE) }.into());
    }
    let source = Safetensors::open_file(&path)?;
    let shape = shape_of(&source)?;
    let mut values = vec![0.0; shape.value_count() as usize];
    let mut known = Vec::new();
    for place in shape.tensors() {
        let name = key_of(&place);
        let expected = vec![u64::from(place.rows), u64::from(place.columns)];
        let found = source.shape(&name).ok_or_else(|| WeightError::Missing { name: name.clone(), expected: expected.clone() })?;
        if found != expected {
            return Err(WeightError::Misshaped { name, found, expected }.into());
        }
        let tensor = source.rows(&name, 0..u64::from(place.rows))?;
        let part = to_vec(&tensor.f_to_kind(Kind::Float).map_err(TorchError::from).map_err(WeightError::from)?);
        let part = part.map_err(WeightError::from)?;
        if part.iter().any(|value| !value.is_finite()) {
            return Err(WeightError::NotFinite { name }.into());
        }
        values[place.range.start as usize..place.range.end as usize].copy_from_slice(&part);
        known.push(name);
    }
    known.sort_unstable();
    match source.names().into_iter().find(|name| known.binary_search_by(|known| known.as_str().cmp(name)).is_err()) {
        Some(name) => Err(WeightError::Unexpected { name: name.to_owned() }.into()),
        None => Ok(Adapter::from_values(shape, &values, device)?),
    }
}

/// The shape whose tensors these could be; that they are is checked tensor by tensor.
fn shape_of(source: &Safetensors) -> Result<Shape, PeftError> {
    let side = |projection, factor, side: usize| {
        let name = key_of(&Place { module: Module { layer: 0, projection }, factor, rows: 0, columns: 0, range: 0..0 });
        let missing = || WeightError::Missing { name: name.clone(), expected: Vec::new() };
        let found = source.shape(&name).and_then(|sides| sides.get(side).copied()).ok_or_else(missing)?;
        Ok::<_, PeftError>(u32::try_from(found).unwrap_or(u32::MAX))
    };
    let layers = source.names().len() / (2 * Projection::ALL.len());
    Ok(Shape::new(
        u32::try_from(layers).unwrap_or(u32::MAX),
        side(Projection::Q, Factor::A, 1)?,
        side(Projection::Q, Factor::B, 0)?,
        side(Projection::K, Factor::B, 0)?,
        side(Projection::Gate, Factor::B, 0)?,
    )?)
}

fn check(config: &Map<String, Value>) -> Result<(), PeftError> {
    let field = |name: &str| config.get(name).unwrap_or(&Value::Null);
    let refuse = |field: &'static str, found: &Value, expected: String| {
        Err(PeftError::Unsupported { field, found: found.to_string(), expected })
    };
    for (name, expected) in [("peft_type", json!("LORA")), ("r", json!(LORA_RANK)), ("lora_alpha", json!(LORA_ALPHA))] {
        // PEFT writes alpha as an integer or as a float.
        if *field(name) != expected && field(name).as_f64().is_none_or(|found| Some(found) != expected.as_f64()) {
            return refuse(name, field(name), expected.to_string());
        }
    }
    if !matches!(field("bias").as_str(), None | Some("none")) {
        return refuse("bias", field("bias"), "none".to_owned());
    }
    let mut targets: Vec<&str> = Projection::ALL.map(target_of).to_vec();
    targets.sort_unstable();
    let mut found: Vec<&str> = field("target_modules").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    found.sort_unstable();
    if found != targets {
        return refuse("target_modules", field("target_modules"), targets.join(", "));
    }
    let plain = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match VARIANTS.into_iter().find(|name| !plain(field(name))) {
        Some(name) => refuse(name, field(name), "nothing: plain LoRA".to_owned()),
        None => Ok(()),
    }
}
