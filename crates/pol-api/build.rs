//! Compiles the `.proto` files with protox, so that no `protoc` is needed. Nothing generated is committed.

use std::{env, error::Error, fs, path::Path};

const PROTO: &str = "proto";
const FILES: [&str; 5] = [
    "polai/common/v1/common.proto",
    "polai/dht/v1/service.proto",
    "polai/execution/v1/service.proto",
    "polai/quorum/v1/service.proto",
    "polai/sidecar/v1/service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile(FILES, [PROTO])?;
    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_imports(true).open_files(FILES)?;
    let described = Path::new(&env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("descriptors.bin");
    fs::write(described, compiler.encode_file_descriptor_set())?;
    // `Bytes` shares the received buffer: a field costs no allocation before it was checked.
    tonic_prost_build::configure().bytes(".").emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
