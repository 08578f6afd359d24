//! What a node shows: HTTP for people and scrapers. (gRPC for our own processes comes next.)

pub mod http;
pub mod watch;
