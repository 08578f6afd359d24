//! Safetensors checkpoints: one file, or shards with an index.
//!
//! Files are read, not mapped: one that is cut short while it is read is an error, not a signal.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::{WeightError, WeightSource, as_i64};
use crate::{precision::Precision, torch};

/// Longest header of a file, and longest index, bytes. A 14B model's header has about 100,000.
pub const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Files of one model.
pub const SHARDS_MAX: usize = 1_024;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A checkpoint in safetensors files.
#[derive(Debug)]
pub struct Safetensors {
    files: Vec<OpenFile>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    kind: Kind,
    shape: Vec<u64>,
    /// Bytes from the beginning of the file.
    start: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Safetensors {
    /// The checkpoint of a model folder.
    ///
    /// # Errors
    /// [`WeightError`].
    pub fn open(folder: &Path) -> Result<Self, WeightError> {
        if folder.join(INDEX).is_file() {
            return Self::open_shards(folder);
        }
        if folder.join(SINGLE).is_file() {
            return Self::open_file(&folder.join(SINGLE));
        }
        let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "model.pt"];
        match pickles.map(|name| folder.join(name)).into_iter().find(|path| path.exists()) {
            Some(path) => Err(WeightError::Pickle { path }),
            None => Err(WeightError::None { path: folder.to_owned() }),
        }
    }

    /// One file.
    ///
    /// # Errors
    /// [`WeightError`].
    pub fn open_file(path: &Path) -> Result<Self, WeightError> {
        let mut source = Self { files: Vec::new(), tensors: BTreeMap::new() };
        source.add(path)?;
        Ok(source)
    }

    fn open_shards(folder: &Path) -> Result<Self, WeightError> {
        let path = folder.join(INDEX);
        let text = read_bounded(&path, HEADER_BYTES_MAX)?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| format(&path, error))?;
        let mut shards: Vec<&str> = index.weight_map.values().map(String::as_str).collect();
        shards.sort_unstable();
        shards.dedup();
        if shards.len() > SHARDS_MAX {
            return Err(format(&path, format_args!("{} shards, expected at most {SHARDS_MAX}", shards.len())));
        }
        let mut source = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for shard in &shards {
            if !is_file_name(shard) {
                return Err(format(&path, format_args!("shard {shard:?} is not the name of a safetensors file")));
            }
            source.add(&folder.join(shard))?;
        }
        for (name, shard) in &index.weight_map {
            let found = source.tensors.get(name).and_then(|entry| shards.get(entry.file));
            if found != Some(&shard.as_str()) {
                return Err(format(&path, format_args!("tensor {name} is not in {shard}")));
            }
        }
        match source.tensors.keys().find(|name| !index.weight_map.contains_key(*name)) {
            Some(name) => Err(WeightError::Unexpected { name: name.clone() }),
            None => Ok(source),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), WeightError> {
        let file = File::open(path).map_err(|source| WeightError::File { path: path.to_owned(), source })?;
        let (data, infos) = read_header(path, &file)?;
        for (name, info) in infos {
            let kind = match info.dtype {
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                other => return Err(WeightError::Kind { name, found: format!("{other:?}") }),
            };
            let entry = Entry {
                file: self.files.len(),
                kind,
                shape: info.shape.iter().map(|side| *side as u64).collect(),
                start: data.saturating_add(info.data_offsets.0 as u64),
            };
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(format(path, format_args!("tensor {name} is in another file too")));
            }
        }
        self.files.push(OpenFile { path: path.to_owned(), file });
        Ok(())
    }
}

impl WeightSource for Safetensors {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<u64>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    fn precision(&self) -> Precision {
        let is = |kind| self.tensors.values().filter(|entry| entry.kind == kind).count();
        let counts = [(is(Kind::Float), Precision::F32), (is(Kind::BFloat16), Precision::Bf16), (is(Kind::Half), Precision::F16)];
        counts.into_iter().max_by_key(|(count, _)| *count).map_or(Precision::F32, |(_, precision)| precision)
    }

    fn rows(&self, name: &str, rows: Range<u64>) -> Result<Tensor, WeightError> {
        let missing = || WeightError::Missing { name: name.to_owned(), expected: Vec::new() };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        let OpenFile { path, file } = self.files.get(entry.file).ok_or_else(missing)?;
        let all = entry.shape.first().copied().unwrap_or(0);
        if rows.start > rows.end || rows.end > all {
            return Err(format(path, format_args!("rows {rows:?} of {name}, which has {all}")));
        }
        // The header was checked against the length of the file, so these products are at most that.
        let row_bytes = super::row_values(&entry.shape).saturating_mul(entry.kind.elt_size_in_bytes() as u64);
        let count = rows.end.saturating_sub(rows.start);
        let mut bytes = vec![0; usize::try_from(count.saturating_mul(row_bytes)).unwrap_or(usize::MAX)];
        let offset = entry.start.saturating_add(rows.start.saturating_mul(row_bytes));
        file.read_exact_at(&mut bytes, offset).map_err(|source| WeightError::File { path: path.clone(), source })?;
        let mut size = vec![as_i64(count)];
        size.extend(entry.shape.iter().skip(1).map(|side| as_i64(*side)));
        Ok(torch::from_bytes(&bytes, &size, entry.kind)?)
    }
}

/// Where the data begins, and the tensors. Nothing is allocated before its length was compared with the file's.
fn read_header(path: &Path, file: &File) -> Result<(u64, Vec<(String, TensorInfo)>), WeightError> {
    let io = |source| WeightError::File { path: path.to_owned(), source };
    let length = file.metadata().map_err(io)?.len();
    let mut word = [0; 8];
    file.read_exact_at(&mut word, 0).map_err(|_| format(path, "shorter than the 8 bytes that a safetensors file begins with"))?;
    let header = u64::from_le_bytes(word);
    if header > HEADER_BYTES_MAX {
        return Err(format(path, format_args!("a header of {header} bytes, expected at most {HEADER_BYTES_MAX}")));
    }
    let data = header.saturating_add(8);
    if data > length {
        return Err(format(path, format_args!("a header of {header} bytes in a file of {length}")));
    }
    let mut text = vec![0; usize::try_from(header).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut text, 8).map_err(io)?;
    let metadata: safetensors::tensor::Metadata = serde_json::from_slice(&text).map_err(|error| format(path, error))?;
    let found = length.saturating_sub(data);
    if metadata.data_len() as u64 != found {
        return Err(format(path, format_args!("{found} bytes of data, the header says {}", metadata.data_len())));
    }
    let tensors = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    Ok((data, tensors))
}

/// A whole file, when it is not longer than `limit`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, WeightError> {
    let io = |source| WeightError::File { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(io)?.len();
    if length > limit {
        return Err(format(path, format_args!("{length} bytes, expected at most {limit}")));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path).map_err(io)?, limit), &mut bytes).map_err(io)?;
    Ok(bytes)
}

fn is_file_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain && !name.starts_with('.') && name.ends_with(".safetensors")
}

fn format(path: &Path, reason: impl ToString) -> WeightError {
    WeightError::Format { path: path.to_owned(), reason: reason.to_string() }
}
