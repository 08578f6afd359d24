//! Reads models in GGUF, as llama.cpp writes them: versions 2 and 3, Llama architecture, F32, F16, Q4_1 and Q8_0 tensors, byte-level BPE.
//!
//! # Purpose
//! Real weights are to be had from a package registry in this form, where no model hub can be reached.
//!
//! # Contract
//! [`GgufFile::open`] checks the whole header: counts and lengths against what is left of the file before memory is taken, tensors
//! against the file's length and each other. After that names, shapes and the order of rows are Hugging Face's (GGUF stores the rows
//! of the query and key projections interleaved). No input makes it panic. The format: ggml's `docs/gguf.md`.
//!
//! # What it does not protect against
//! Weights that are bad, or not finite: whoever loads them checks that. Q4_1 is lossy: such a model is for trying things out.
//!
//! This module uses nothing of its crate, so that `testing/fuzz` can compile it without LibTorch.

mod error;
mod header;
mod input;
mod llama;
mod tensor;
mod tokenizer;

pub use error::{GgufError, TensorFault};
pub use header::{HEADER_BYTES_MAX, Header, ITEMS_MAX, TENSORS_MAX, Value};
pub use input::ReadAt;
pub use llama::LlamaLikeConfig;
pub use tensor::{Tensor, TensorType, VALUES_MAX};

use std::{collections::BTreeMap, fs::File, ops::Range, path::Path};

use llama::RowOrder;

/// A model in GGUF, its header read and checked. Weights are read when asked for.
#[derive(Debug)]
pub struct GgufFile<S = File> {
    source: S,
    header: Header,
    config: LlamaLikeConfig,
    /// By Hugging Face name, the GGUF name and the order of its rows.
    names: BTreeMap<String, (String, RowOrder)>,
}

impl GgufFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`GgufError`]: the file's fault, or the operator's.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        Self::new(File::open(path)?)
    }
}

impl<S: ReadAt> GgufFile<S> {
    /// Takes whatever can be read at a place.
    ///
    /// # Errors
    /// [`GgufError`].
    pub fn new(source: S) -> Result<Self, GgufError> {
        let header = Header::read(&source)?;
        let config = LlamaLikeConfig::read(&header)?;
        let mut names = BTreeMap::new();
        for (name, tensor) in &header.tensors {
            let unexpected = || GgufError::Tensor { name: name.clone(), reason: TensorFault::Unexpected };
            let theirs = llama::hugging_face_name(name, config.layers).ok_or_else(unexpected)?;
            if tensor.shape().len() > 2 {
                let reason = TensorFault::Shape(tensor.shape().to_vec());
                return Err(GgufError::Tensor { name: name.clone(), reason });
            }
            let order = RowOrder::of(name, tensor, &config)?;
            // Two spellings of a layer's number are two tensors here and one there.
            if names.insert(theirs, (name.clone(), order)).is_some() {
                return Err(GgufError::Duplicate { what: "tensor", name: name.clone() });
            }
        }
        Ok(Self { source, header, config, names })
    }

    /// What the model is.
    pub const fn config(&self) -> &LlamaLikeConfig {
        &self.config
    }

    /// Metadata and tensors under their GGUF names.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Hugging Face names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Shape of a tensor: rows, columns; or values.
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.tensor(name).map(|(tensor, _)| tensor.shape())
    }

    /// How a tensor's numbers are stored.
    pub fn kind(&self, name: &str) -> Option<TensorType> {
        self.tensor(name).map(|(tensor, _)| tensor.kind())
    }

    fn tensor(&self, name: &str) -> Option<(&Tensor, RowOrder)> {
        let (theirs, order) = self.names.get(name)?;
        self.header.tensors.get(theirs).map(|tensor| (tensor, *order))
    }

    /// All values of a tensor, row by row.
    ///
    /// # Errors
    /// [`GgufError::Rows`] for an unknown name, [`GgufError::Io`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, GgufError> {
        let rows = self.tensor(name).and_then(|(tensor, _)| tensor.shape().first().copied());
        self.read_rows(name, 0..rows.unwrap_or_default())
    }

    /// Some rows of a matrix; some values of a vector. Takes memory for the result, and for whole heads of the projections whose
    /// rows are interleaved.
    ///
    /// # Errors
    /// [`GgufError::Rows`] when there is no such tensor or row, [`GgufError::Io`].
    pub fn read_rows(&self, name: &str, rows: Range<u64>) -> Result<Vec<f32>, GgufError> {
        let missing = || GgufError::Rows { name: name.to_owned(), first: rows.start, end: rows.end };
        let (tensor, order) = self.tensor(name).ok_or_else(missing)?;
        let count = tensor.shape().first().copied().unwrap_or_default();
        if rows.start > rows.end || rows.end > count {
            return Err(missing());
        }
        if let [_] = tensor.shape() {
            let values = tensor.read(&self.source, 0, tensor.rows())?;
            let range = usize::try_from(rows.start).ok().zip(usize::try_from(rows.end).ok());
            return range.and_then(|(first, end)| values.get(first..end)).map(<[f32]>::to_vec).ok_or_else(missing);
        }
        let (first, end) = order.cover(rows.start, rows.end);
        let values = tensor.read(&self.source, first, end)?;
        if order == RowOrder::Plain {
            return Ok(values);
        }
        let width = values.len() / usize::try_from(end - first).unwrap_or(1).max(1);
        let in_file: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
        let row = |row| usize::try_from(order.place(row) - first).ok().and_then(|place| in_file.get(place));
        Ok(rows.clone().filter_map(row).flat_map(|row| row.iter().copied()).collect())
    }

    /// Content of a `tokenizer.json` that makes the same tokens as the tokenizer in this file.
    ///
    /// # Errors
    /// [`GgufError::Tokenizer`], [`GgufError::Key`]: another kind of tokenizer, or a damaged one.
    pub fn tokenizer_json(&self) -> Result<Vec<u8>, GgufError> {
        tokenizer::to_json(&self.header, self.config.vocabulary)
    }
}
