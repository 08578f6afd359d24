//! The wire between POL-AI's own processes: protobuf services, checked conversions, limits.
//!
//! # Place in the flow
//! The DHT daemon, the sidecar, the quorum service and `polai` meet here and nowhere else. `proto/` says what is said, [`convert`]
//! turns it into pol-core's types or refuses it, [`serve`] bounds what a connection may cost, [`chunks`] moves deltas in parts,
//! [`status`] names refusals.
//!
//! # What it does not protect against
//! The services are for loopback: whoever can open the port can call everything. No message says who sent it.

pub mod chunks;
pub mod client;
pub mod connections;
pub mod convert;
pub mod limits;
pub mod quorum;
pub mod serve;
pub mod sidecar;
pub mod snapshots;
pub mod status;
pub mod validators;

pub use prost;
pub use tonic;

/// All services and messages as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Shared messages.
pub mod common {
    /// `polai.common.v1`, generated from `proto/polai/common/v1`.
    #[allow(missing_docs, clippy::missing_const_for_fn)]
    pub mod v1 {
        tonic::include_proto!("polai.common.v1");
    }
}

/// The DHT daemon's service.
pub mod dht {
    /// `polai.dht.v1`, generated from `proto/polai/dht/v1`.
    #[allow(missing_docs, clippy::as_conversions, clippy::missing_const_for_fn)]
    pub mod v1 {
        tonic::include_proto!("polai.dht.v1");
    }
}

/// The execution client's feed.
pub mod execution {
    /// `polai.execution.v1`, generated from `proto/polai/execution/v1`.
    #[allow(missing_docs, clippy::as_conversions, clippy::missing_const_for_fn)]
    pub mod v1 {
        tonic::include_proto!("polai.execution.v1");
    }
}
