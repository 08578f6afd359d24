//! Adapters as PEFT writes and reads them: a folder with `adapter_config.json` and `adapter_model.safetensors`.

use std::{collections::BTreeMap, fs, path::Path};

use pol_core::{
    params::{LORA_ALPHA, LORA_DROPOUT_PPM, LORA_RANK},
    state::{Factor, Module, Projection, Shape, ShapeError, Tensor as Place},
};
use pol_kit::fs::{Access, write_durably};
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use serde_json::json;
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

/// What matters of an `adapter_config.json`.
#[derive(Debug, Deserialize)]
struct Config {
    peft_type: String,
    r: u64,
    lora_alpha: f64,
    target_modules: serde_json::Value,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, u64>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
}

/// Reads an adapter folder of PEFT's.
///
/// # Errors
/// [`PeftError`]: what is in the folder is not an adapter of rank 8 on all seven projections of every layer of one model.
pub fn import(folder: &Path, device: Device) -> Result<Adapter, PeftError> {
    let config = serde_json::from_slice::<Config>(&read_bounded(&folder.join(ADAPTER_CONFIG), CONFIG_BYTES_MAX)?)?;
    check(&config)?;
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

fn check(config: &Config) -> Result<(), PeftError> {
    let mut targets: Vec<&str> = Projection::ALL.map(target_of).to_vec();
    targets.sort_unstable();
    let mut found: Vec<&str> = config.target_modules.as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    found.sort_unstable();
    let fields = [
        ("peft_type", config.peft_type == "LORA", config.peft_type.clone(), "LORA".to_owned()),
        ("r", config.r == u64::from(LORA_RANK), config.r.to_string(), LORA_RANK.to_string()),
        ("lora_alpha", config.lora_alpha == f64::from(LORA_ALPHA), config.lora_alpha.to_string(), LORA_ALPHA.to_string()),
        ("target_modules", found == targets, config.target_modules.to_string(), targets.join(", ")),
        ("bias", config.bias.as_deref().is_none_or(|bias| bias == "none"), format!("{:?}", config.bias), "none".to_owned()),
        ("use_dora", !config.use_dora, "true".to_owned(), "false".to_owned()),
        ("use_rslora", !config.use_rslora, "true".to_owned(), "false".to_owned()),
        ("fan_in_fan_out", !config.fan_in_fan_out, "true".to_owned(), "false".to_owned()),
        ("rank_pattern", config.rank_pattern.is_empty(), format!("{:?}", config.rank_pattern), "empty".to_owned()),
        ("alpha_pattern", config.alpha_pattern.is_empty(), format!("{:?}", config.alpha_pattern), "empty".to_owned()),
        ("modules_to_save", config.modules_to_save.as_ref().is_none_or(Vec::is_empty), "a list".to_owned(), "none".to_owned()),
    ];
    match fields.into_iter().find(|(_, good, ..)| !good) {
        Some((field, _, found, expected)) => Err(PeftError::Unsupported { field, found, expected }),
        None => Ok(()),
    }
}
