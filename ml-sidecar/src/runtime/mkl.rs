//! MKL's AVX-512 code on processors that are not Intel's.
//!
//! LibTorch carries MKL, and MKL asks `mkl_serv_intel_cpu_true` whether it may use its best code. The call goes through the dynamic linker,
//! so a definition in the program wins (build.rs exports it). On AMD processors with AVX-512 this doubles the speed of FP32 matrix products.
//! Intel does not support it; FP32 sums round differently, in the seventh digit of a loss.

use std::{env, ffi::c_int, sync::OnceLock};

/// `off` leaves MKL's choice to MKL; anything else, or nothing, takes AVX-512 where the processor has it.
pub const MKL_VARIABLE: &str = "POLAI_MKL";

/// Which code MKL runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MklPath {
    /// Its own choice.
    Default,
    /// AVX-512 on a processor where it would have taken AVX2.
    Avx512,
}

/// The code path of this process, decided once.
pub fn mkl_path() -> MklPath {
    static PATH: OnceLock<MklPath> = OnceLock::new();
    *PATH.get_or_init(|| {
        // A reference keeps the symbol in every program that uses this crate.
        std::hint::black_box(mkl_serv_intel_cpu_true as extern "C" fn() -> c_int);
        let wanted = env::var_os(MKL_VARIABLE).is_none_or(|value| value != "off");
        if wanted && !is_vendor(b"GenuineIntel") && has_avx512() { MklPath::Avx512 } else { MklPath::Default }
    })
}

/// MKL's question: is this an Intel processor?
#[expect(unsafe_code, reason = "the name is MKL's; nothing else in the program defines it")]
#[unsafe(no_mangle)]
extern "C" fn mkl_serv_intel_cpu_true() -> c_int {
    c_int::from(is_vendor(b"GenuineIntel") || mkl_path() == MklPath::Avx512)
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    // What MKL's AVX-512 code for servers uses.
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
fn is_vendor(name: &[u8; 12]) -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].iter().flat_map(|word| word.to_le_bytes()).eq(name.iter().copied())
}

#[cfg(not(target_arch = "x86_64"))]
const fn has_avx512() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
const fn is_vendor(_: &[u8; 12]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mkl_gets_our_answer() {
        mkl_path();
        let program = libloading::os::unix::Library::this();
        #[expect(unsafe_code, reason = "compares an address, never calls it")]
        // SAFETY: the symbol is a function; its address alone is looked at.
        let found = unsafe { program.get::<extern "C" fn() -> c_int>(b"mkl_serv_intel_cpu_true\0") }.unwrap();
        assert_eq!(*found as usize, mkl_serv_intel_cpu_true as *const () as usize);
    }
}
