//! Where LibTorch lies, for the linker and for the log.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys tells this to the crates that depend on it directly. Without an rpath no program of this crate would start.
    let version = env::var("DEP_TCH_LIBTORCH_LIB").ok().and_then(|folder| {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        fs::read_to_string(Path::new(&folder).parent()?.join("build-version")).ok()
    });
    println!("cargo::rustc-env=POLAI_LIBTORCH_VERSION={}", version.as_deref().map_or("unknown", str::trim));
    // So that LibTorch's MKL finds our answer instead of its own: src/runtime/mkl.rs.
    println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
}
