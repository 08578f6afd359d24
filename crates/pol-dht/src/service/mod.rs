//! What a node shows: gRPC for this machine's processes, HTTP for people and scrapers.

pub mod alarms;
pub mod grpc;
pub mod http;
pub mod watch;
