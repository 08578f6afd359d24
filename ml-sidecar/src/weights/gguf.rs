//! Weights out of a GGUF file.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use tch::Tensor;

use super::{WeightError, WeightSource, as_i64};
use crate::{
    gguf::{GgufError, GgufFile},
    precision::Precision,
    torch::TorchError,
};

/// A GGUF file as a source of weights; quantized rows come out as FP32.
#[derive(Debug)]
pub struct GgufWeights {
    path: PathBuf,
    file: GgufFile,
}

impl GgufWeights {
    /// Opens a file.
    ///
    /// # Errors
    /// [`WeightError::File`], [`WeightError::Format`].
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let file = GgufFile::open(path).map_err(|error| at(path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Content of the `config.json` that a checkpoint of this model would have.
    pub fn config_json(&self) -> String {
        self.file.config().to_json()
    }

    /// Content of the `tokenizer.json` that it would have.
    ///
    /// # Errors
    /// [`WeightError::Format`].
    pub fn tokenizer_json(&self) -> Result<Vec<u8>, WeightError> {
        self.file.tokenizer_json().map_err(|error| at(&self.path, error))
    }
}

impl WeightSource for GgufWeights {
    fn names(&self) -> Vec<&str> {
        self.file.names().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<u64>> {
        self.file.shape(name).map(<[u64]>::to_vec)
    }

    /// None of its numbers are finer than FP16.
    fn precision(&self) -> Precision {
        Precision::F16
    }

    fn rows(&self, name: &str, rows: Range<u64>) -> Result<Tensor, WeightError> {
        let values = self.file.read_rows(name, rows.clone()).map_err(|error| at(&self.path, error))?;
        let flat = Tensor::f_from_slice(&values).map_err(TorchError::from)?;
        let mut sides = vec![as_i64(rows.end.saturating_sub(rows.start))];
        sides.extend(self.file.shape(name).into_iter().flatten().skip(1).map(|side| as_i64(*side)));
        Ok(flat.f_view(&sides[..]).map_err(TorchError::from)?)
    }
}

fn at(path: &Path, error: GgufError) -> WeightError {
    match error {
        GgufError::Io(source) => WeightError::File { path: path.to_owned(), source },
        other => WeightError::Format { path: path.to_owned(), reason: other.to_string() },
    }
}

/// Whether a file begins as a GGUF file does; one that cannot be read does not.
pub(crate) fn is_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && &magic == b"GGUF"
}
