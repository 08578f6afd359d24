//! What lies where in the data directory.

use std::path::{Path, PathBuf};

/// A data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout(PathBuf);

impl Layout {
    /// Of this directory.
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// What the chain is.
    pub fn chain(&self) -> PathBuf {
        self.0.join("chain.toml")
    }

    /// The execution genesis.
    pub fn genesis(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// The beacon node's configuration.
    pub fn config_yaml(&self) -> PathBuf {
        self.0.join("testnet/config.yaml")
    }

    /// Settings, and the seed.
    pub fn env_file(&self) -> PathBuf {
        self.0.join(".env")
    }

    /// Tables of chain.toml that say what the base model is.
    pub fn model_tables(&self) -> PathBuf {
        self.0.join("model.toml")
    }

    /// The base model's name, as it was last given.
    pub fn model_name(&self) -> PathBuf {
        self.0.join("model.name")
    }

    /// Whether a beacon node has run here.
    pub fn has_run(&self) -> bool {
        ["beacon", "lighthouse"].iter().any(|name| self.chain_data().join(name).exists())
    }

    /// Blocks and states, of the execution client and of the beacon node.
    pub fn chain_data(&self) -> PathBuf {
        self.0.join("chain_data")
    }

    /// Keys.
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets_data")
    }

    /// The secret that execution and consensus client share.
    pub fn jwt(&self) -> PathBuf {
        self.secrets().join("jwt.hex")
    }

    /// Key of this node's trainer.
    pub fn trainer_key(&self) -> PathBuf {
        self.secrets().join("trainer.key")
    }

    /// What runs.
    pub fn run_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// Where parts log.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Where a part logs.
    pub fn log(&self, part: &str) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }
}
