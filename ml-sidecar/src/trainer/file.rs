//! Files of the trainer: SHA-256 of the rest, then safetensors: one tensor of JSON, the others arrays.

use std::{io, path::Path};

use pol_core::sha256;
use pol_kit::fs::{Access, write_durably};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Serialize, de::DeserializeOwned};

use crate::weights::{WeightError, read_bounded};

const ABOUT: &str = "about";

/// Why a file of the trainer is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk's.
    #[error(transparent)]
    Read(#[from] WeightError),
    /// The disk's fault: no room, or no permission.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Not what was written, too long to be, or of another version.
    #[error("{path}: damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Arrays of four-byte numbers.
pub(super) trait Numbers: Copy {
    const DTYPE: Dtype;
    fn bytes(self) -> [u8; 4];
    fn of(bytes: [u8; 4]) -> Self;
}

macro_rules! numbers {
    ($($number:ty = $dtype:ident),*) => {
        $(impl Numbers for $number {
            const DTYPE: Dtype = Dtype::$dtype;
            fn bytes(self) -> [u8; 4] {
                self.to_le_bytes()
            }
            fn of(bytes: [u8; 4]) -> Self {
                Self::from_le_bytes(bytes)
            }
        })*
    };
}
numbers!(i32 = I32, u32 = U32, f32 = F32);

/// An array, ready to be written.
pub(super) struct Array(&'static str, Dtype, Vec<u8>);

impl Array {
    fn view(&self) -> Result<(&'static str, TensorView<'_>), SafeTensorError> {
        let Self(name, dtype, bytes) = self;
        let count = if *dtype == Dtype::U8 { bytes.len() } else { bytes.len() / 4 };
        Ok((*name, TensorView::new(*dtype, vec![count], bytes)?))
    }
}

pub(super) fn array<T: Numbers>(name: &'static str, values: &[T]) -> Array {
    Array(name, T::DTYPE, values.iter().flat_map(|value| value.bytes()).collect())
}

/// Writes a file, durably: after a crash it is the old or the new one, whole.
pub(super) fn write(path: &Path, about: &impl Serialize, mut arrays: Vec<Array>) -> Result<(), FileError> {
    let failed = |source: io::Error| FileError::Write { path: path.display().to_string(), source };
    let json = serde_json::to_vec(about).map_err(|error| failed(error.into()))?;
    arrays.push(Array(ABOUT, Dtype::U8, json));
    let views = arrays.iter().map(Array::view);
    let views = views.collect::<Result<Vec<_>, SafeTensorError>>().map_err(|error| failed(io::Error::other(error)))?;
    let body = safetensors::serialize(views, None).map_err(|error| failed(io::Error::other(error)))?;
    let mut bytes = sha256(&[&body]).to_vec();
    bytes.extend(body);
    write_durably(path, &bytes, Access::Owner).map_err(failed)
}

/// A file that was read.
pub(super) struct Arrays {
    bytes: Vec<u8>,
    path: String,
}

impl Arrays {
    /// Reads a file of at most so many bytes; none when there is none.
    pub(super) fn read(path: &Path, most: u64) -> Result<Option<Self>, FileError> {
        if !path.exists() {
            return Ok(None);
        }
        let read = read_bounded(path, most);
        let path = path.display().to_string();
        let mut bytes = match read {
            Err(WeightError::Format { reason, .. }) => return Err(FileError::Damaged { path, reason }),
            read => read?,
        };
        let is_whole = bytes.split_first_chunk::<32>().is_some_and(|(hash, body)| sha256(&[body]) == *hash);
        if !is_whole {
            return Err(FileError::Damaged { path, reason: "its content does not give its hash".to_owned() });
        }
        bytes.drain(..32);
        Ok(Some(Self { bytes, path }))
    }

    pub(super) fn about<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        self.view(ABOUT, Dtype::U8, |bytes| serde_json::from_slice(bytes))?.map_err(|error| self.damaged(error.to_string()))
    }

    pub(super) fn array<T: Numbers>(&self, name: &str) -> Result<Vec<T>, FileError> {
        self.view(name, T::DTYPE, |bytes| bytes.as_chunks().0.iter().map(|number| T::of(*number)).collect())
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> FileError {
        FileError::Damaged { path: self.path.clone(), reason: reason.into() }
    }

    fn view<T>(&self, name: &str, dtype: Dtype, read: impl FnOnce(&[u8]) -> T) -> Result<T, FileError> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| self.damaged(error.to_string()))?;
        let view = tensors.tensor(name).map_err(|error| self.damaged(error.to_string()))?;
        if view.dtype() == dtype { Ok(read(view.data())) } else { Err(self.damaged(format!("{name}: {:?}", view.dtype()))) }
    }
}
