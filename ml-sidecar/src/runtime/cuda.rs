//! The CUDA backend, opened at run time: one program for machines with and without it.

use std::{ffi::c_int, sync::OnceLock};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Opens `libtorch_cuda.so` if the installed LibTorch has it; says whether it does. The first call decides, and it must come before the
/// first tensor: backends register when they are loaded.
///
/// A program linked to it by name would not start where it is missing; and where it is there, the linker drops it, since no symbol of it is
/// used by name.
pub fn open_cuda() -> bool {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            #[expect(unsafe_code, reason = "the backend registers itself by its initializers")]
            // SAFETY: the library is LibTorch's own, found through this program's rpath; it stays open until the process ends.
            unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }.ok()
        })
        .is_some()
}

/// Memory of a CUDA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaMemory {
    /// Bytes free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Memory of the device with this index; None without CUDA or when the driver does not say.
pub fn cuda_memory(index: usize) -> Option<CudaMemory> {
    type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    if !open_cuda() {
        return None;
    }
    let index = c_int::try_from(index).ok()?;
    let (mut free, mut total) = (0_usize, 0_usize);
    #[expect(unsafe_code, reason = "tch has no call for it")]
    // SAFETY: the signatures are those of CUDA's runtime API; both pointers live through the call.
    unsafe {
        let process = Library::this();
        let set = process.get::<SetDevice>(b"cudaSetDevice\0").ok()?;
        let info = process.get::<MemGetInfo>(b"cudaMemGetInfo\0").ok()?;
        if set(index) != 0 || info(&raw mut free, &raw mut total) != 0 {
            return None;
        }
    }
    Some(CudaMemory { free: u64::try_from(free).ok()?, total: u64::try_from(total).ok()? })
}
