//! Flags for a Lighthouse with our patches as consensus client.

use std::path::PathBuf;

/// The program, and whom it talks to. How one comes to it: patches/lighthouse/README.md.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LighthouseArgs {
    /// Lighthouse v5.3.0 with patches/lighthouse, for --consensus lighthouse
    #[arg(long, value_name = "FILE", required_if_eq("consensus", "lighthouse"))]
    pub lighthouse_bin: Option<PathBuf>,
    /// Other beacon nodes, as multiaddresses. A restarted node dials, one that only listens waits: give every node all others
    #[arg(long = "lighthouse-peer", value_delimiter = ',', value_name = "MULTIADDR")]
    pub lighthouse_peers: Vec<String>,
}
