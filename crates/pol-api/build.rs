//! Compiles the `.proto` files with protox, so that no `protoc` is needed. Nothing generated is committed.

use std::error::Error;

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
    // `Bytes` shares the received buffer: a field costs no allocation before it was checked.
    tonic_prost_build::configure().bytes(".").emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
