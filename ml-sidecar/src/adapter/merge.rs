//! An adapter added into a copy of the base weights, for programs that know no adapters.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use pol_core::{
    params::{LORA_ALPHA, LORA_RANK},
    state::{Factor, Shape, Tensor as Place},
};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use tch::{Kind, Tensor};

use super::{Adapter, AdapterError, peft::path_of, to_vec};
use crate::{
    model::ModelConfig,
    torch::TorchError,
    weights::{WeightError, WeightSource, check, expected},
};

const SCALE: f64 = LORA_ALPHA as f64 / LORA_RANK as f64;

/// Why there is no merged model.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// It cannot be written. The operator's to mend.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The base weights.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// The adapter is another model's.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// No header for such tensors: our fault.
    #[error("{0}")]
    Header(String),
}

/// Writes `W + (alpha / r) B A` for every adapted weight and all others as they are, in FP32, as one safetensors file. Memory: one tensor.
///
/// FP32 always: merged into 16 bits, a loss moves by more than the gate's threshold. For the same reason the gate never merges.
///
/// # Errors
/// [`MergeError`].
pub fn merge(source: &dyn WeightSource, config: &ModelConfig, adapter: &Adapter, path: &Path) -> Result<(), MergeError> {
    check(source, config)?;
    if *adapter.shape() != config.shape {
        return Err(AdapterError::Shape { found: *adapter.shape(), expected: config.shape }.into());
    }
    let unfinished = path.with_extension("unfinished");
    let written = write(source, config, adapter, &unfinished);
    let error = |source| MergeError::Write { path: path.to_owned(), source };
    match written {
        Ok(()) => fs::rename(&unfinished, path).map_err(error),
        Err(failed) => {
            // What is left of it is worth nothing; that it cannot be removed changes nothing for the caller.
            fs::remove_file(&unfinished).ok();
            Err(failed)
        }
    }
}

fn write(source: &dyn WeightSource, config: &ModelConfig, adapter: &Adapter, path: &Path) -> Result<(), MergeError> {
    let error = |source| MergeError::Write { path: path.to_owned(), source };
    let mut file = BufWriter::new(File::create(path).map_err(error)?);
    let mut offset = 0_usize;
    let infos = expected(config).into_iter().map(|(name, sides)| {
        let shape: Vec<usize> = sides.iter().map(|side| *side as usize).collect();
        let start = offset;
        offset += 4 * shape.iter().product::<usize>();
        (name, TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, offset) })
    });
    let infos: Vec<_> = infos.collect();
    let names: Vec<String> = infos.iter().map(|(name, _)| name.clone()).collect();
    let description = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let header = Metadata::new(Some(description), infos).map_err(|error| MergeError::Header(error.to_string()))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| MergeError::Header(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(error)?;
    file.write_all(&header).map_err(error)?;
    for name in names {
        for value in to_vec(&merged(source, &config.shape, adapter, &name)?).map_err(WeightError::from)? {
            file.write_all(&value.to_le_bytes()).map_err(error)?;
        }
    }
    file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).map_err(error)
}

/// One tensor of the merged model, FP32.
fn merged(source: &dyn WeightSource, shape: &Shape, adapter: &Adapter, name: &str) -> Result<Tensor, MergeError> {
    let rows = source.shape(name).and_then(|sides| sides.first().copied()).unwrap_or(0);
    let base = source.rows(name, 0..rows)?;
    let add = || {
        let base = base.f_to_kind(Kind::Float)?;
        let own =
            |place: &Place| name == format!("model.layers.{}.{}.weight", place.module.layer, path_of(place.module.projection));
        let factor = |wanted| -> Result<Option<Tensor>, TorchError> {
            let Some(place) = shape.tensors().find(|place| place.factor == wanted && own(place)) else { return Ok(None) };
            let sides = [i64::from(place.rows), i64::from(place.columns)];
            let (start, length) = (i64::from(place.range.start), i64::from(place.rows) * i64::from(place.columns));
            Ok(Some(adapter.flat().f_narrow(0, start, length)?.f_view(sides)?.f_to(tch::Device::Cpu)?))
        };
        match (factor(Factor::A)?, factor(Factor::B)?) {
            (Some(a), Some(b)) => Ok(base.f_add(&b.f_mul_scalar(SCALE)?.f_mm(&a)?)?),
            _ => Ok(base),
        }
    };
    Ok(add().map_err(|error: TorchError| WeightError::from(error))?)
}
