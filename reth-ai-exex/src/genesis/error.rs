//! Why there is no genesis.

use pol_core::{difficulty::DifficultyError, identity::AccountError, text::HexError};

use super::file::GENESIS_JSON_BYTES_MAX;

/// Why a genesis is refused. The operator's fault, never transient.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The seed has no account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Longer than any genesis.json.
    #[error("genesis.json: found {found} bytes, expected at most {GENESIS_JSON_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not JSON, or a key of another type.
    #[error("genesis.json: {0}")]
    Json(#[from] serde_json::Error),
    /// `config.polai` is not what it should be.
    #[error("genesis.json: config.polai: {0}")]
    Polai(#[source] serde_json::Error),
    /// A key that a chain of this protocol has.
    #[error("genesis.json: no {key}; is it of another chain?")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that this protocol fixes.
    #[error("genesis.json: {key} is {found}, expected {expected}")]
    Fixed {
        /// The key.
        key: &'static str,
        /// Value found.
        found: String,
        /// The only lawful one.
        expected: String,
    },
    /// The chain's name.
    #[error("genesis.json: config.polai.genesisId: {0}")]
    Hex(#[from] HexError),
    /// Slot or floor out of range.
    #[error("genesis.json: {0}")]
    Difficulty(#[from] DifficultyError),
    /// chain.toml and genesis.json are not of one chain.
    #[error("{field}: genesis.json has {found}, chain.toml {expected}; copy both from one genesis directory")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// In genesis.json.
        found: String,
        /// In chain.toml.
        expected: String,
    },
}
