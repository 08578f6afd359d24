//! `ack-quorum`: the service beside a beacon node.

fn main() {}
