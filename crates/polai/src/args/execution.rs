//! Flags of `polai up` about the execution client.

use std::path::PathBuf;

use clap::ValueEnum;

/// Which execution client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExecutionClient {
    /// pol-execution, this repository's own, for development.
    Embedded,
    /// pol-reth, the custom Reth.
    Reth,
}

/// The execution client, and what only Reth needs.
#[derive(Debug, Clone, clap::Args)]
pub struct ExecutionArgs {
    /// Execution client: pol-execution (embedded) or pol-reth (reth-ai-exex/node builds it)
    #[arg(long = "execution", value_enum, default_value = "embedded", value_name = "CLIENT")]
    pub client: ExecutionClient,
    /// The pol-reth program; by default the one beside polai or in PATH
    #[arg(long, env = "POLAI_RETH_BIN", value_name = "FILE")]
    pub reth_bin: Option<PathBuf>,
    /// Port of Reth's devp2p, TCP; --port-offset is added
    #[arg(long, env = "EL_P2P_PORT", default_value_t = 30_303, value_parser = clap::value_parser!(u16).range(1..), value_name = "PORT")]
    pub execution_p2p_port: u16,
    /// Peers of Reth that are always kept, enode URLs: they give back what a crash lost
    #[arg(long, value_delimiter = ',', value_name = "ENODE")]
    pub execution_peers: Vec<String>,
}
