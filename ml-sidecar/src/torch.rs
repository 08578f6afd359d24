//! What `tch` leaves open: errors with a kind, and the few calls that are unsafe to use with unchecked lengths.

use tch::{Kind, TchError, Tensor};

/// Why LibTorch did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TorchError {
    /// The GPU's memory is full. The operator's to mend: a smaller batch, a smaller model, another device.
    #[error("out of GPU memory: {0}")]
    CudaOutOfMemory(String),
    /// Main memory is full.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// Anything else: our fault, or a broken driver.
    #[error("LibTorch: {0}")]
    Other(String),
}

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        // The rest of the message is LibTorch's own stack.
        let text = match &error {
            TchError::Torch(text) => text.lines().next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        if text.contains("CUDA out of memory") || text.contains("CUDA error: out of memory") {
            Self::CudaOutOfMemory(text)
        } else if text.contains("can't allocate memory") || text.contains("not enough memory") {
            Self::OutOfMemory(text)
        } else {
            Self::Other(text)
        }
    }
}

impl TorchError {
    /// Whether a device with more memory could do it.
    pub const fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::CudaOutOfMemory(_) | Self::OutOfMemory(_))
    }
}

/// CUDA devices that LibTorch sees.
pub fn cuda_devices() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// For operations that change a tensor in place: `tch` gives it back a second time.
pub(crate) fn in_place(changed: Result<Tensor, TchError>) -> Result<(), TorchError> {
    changed.map(drop).map_err(TorchError::from)
}

/// A CPU tensor from its bytes, little-endian.
///
/// # Errors
/// When the bytes are not exactly those of the shape: `tch` itself would read beyond the slice.
pub fn from_bytes(bytes: &[u8], size: &[i64], kind: Kind) -> Result<Tensor, TorchError> {
    let count = size.iter().try_fold(kind.elt_size_in_bytes(), |product, side| product.checked_mul(usize::try_from(*side).ok()?));
    if count != Some(bytes.len()) {
        return Err(TorchError::Other(format!("{} bytes for a {kind:?} tensor of shape {size:?}", bytes.len())));
    }
    Ok(Tensor::f_from_data_size(bytes, size, kind)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_those_of_the_shape_make_no_tensor() {
        assert!(from_bytes(&[0; 24], &[2, 3], Kind::Float).is_ok());
        for (bytes, size) in [(23, [2_i64, 3]), (25, [2, 3]), (24, [-2, -3]), (0, [i64::MAX, i64::MAX])] {
            assert!(from_bytes(&vec![0; bytes], &size, Kind::Float).is_err(), "{bytes} {size:?}");
        }
    }

    #[test]
    fn a_full_gpu_is_told_from_other_errors() {
        let kind = |text: &str| TorchError::from(TchError::Torch(text.to_owned()));
        assert!(
            matches!(kind("CUDA out of memory. Tried to allocate 2.00 GiB\nstack"), TorchError::CudaOutOfMemory(text) if !text.contains("stack"))
        );
        assert!(matches!(kind("DefaultCPUAllocator: can't allocate memory: you tried"), TorchError::OutOfMemory(_)));
        assert!(!kind("mat1 and mat2 shapes cannot be multiplied").is_out_of_memory());
    }
}
