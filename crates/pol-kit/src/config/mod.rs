//! Layered configuration: flag, else environment, else the `.env` file of the data directory, else the default.
//!
//! Purpose: every process reads its settings in the same order and under the same names, the original's names included. Contract:
//! a process derives `clap::Parser`, gives each setting `#[arg(long, env = "NAME")]` (secrets also `hide_env_values`), has a
//! `data_dir` among them (see [`DataDirArgs`]) and calls [`load`]. Empty variables count as unset. Of the names in [`ALIASES`]
//! either may be used; both with different values in one layer are an error. The process's environment is read, never written.
//! Limits: a `.env` file has at most 64 KiB. Why this way: what a lower layer says becomes clap's default for that argument, so
//! that clap checks it like any other value. What it does not protect against: a misspelt name in `.env`, which may belong to
//! another process; a conflict (`conflicts_with`) with a setting that does not come from a flag.

mod describe;
mod env_file;
mod layers;
mod load;

pub use describe::{Variable, render, variables};
pub use layers::{Origin, Sources};
pub use load::{Loaded, load};

use std::path::PathBuf;

/// Our names and the original's for the same setting.
pub const ALIASES: &[(&str, &str)] = &[
    ("BEACON_GRPC_PORT", "PRYSM_GRPC_PORT"),
    ("BEACON_P2P_PORT", "PRYSM_P2P_PORT"),
    ("BEACON_REST_PORT", "PRYSM_REST_PORT"),
    ("EL_AUTH_PORT", "GETH_AUTH_PORT"),
    ("EL_HTTP_PORT", "GETH_HTTP_PORT"),
    ("EL_P2P_PORT", "GETH_P2P_PORT"),
];

/// The argument that says where `.env` lies, by its clap id.
const DATA_DIR: &str = "data_dir";

/// The data directory, for all processes the same flag.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct DataDirArgs {
    /// Directory of everything that this node keeps, and of its .env file
    #[arg(long = "data-dir", env = "POLAI_DATA_DIR", default_value = "data", value_name = "DIRECTORY", global = true)]
    pub data_dir: PathBuf,
}

/// What is wrong with the configuration. The operator's to mend, always; secrets are never quoted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Two names of one setting, two values.
    #[error("{name} and {alias} are the same setting, but {} sets them to different values: remove one", origin.place())]
    Ambiguous {
        /// Our name.
        name: String,
        /// The original's.
        alias: &'static str,
        /// Where both stand.
        origin: Origin,
    },
    /// A value that its argument does not take.
    #[error("{argument} from {}: {}{reason}", origin.place(), found.as_ref().map(|found| format!("{found:?}: ")).unwrap_or_default())]
    Value {
        /// The flag.
        argument: String,
        /// Where the value comes from.
        origin: Origin,
        /// The value, unless it is a secret.
        found: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A line of `.env` that is no assignment. It is not quoted, it may hold a secret.
    #[error("{}: line {line} is not of the form NAME=value", path.display())]
    EnvFileLine {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A `.env` file that cannot be read.
    #[error("{}: {source}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Everything else that clap says, help and version included.
    #[error("{}", crate::exit::clap_line(.0))]
    Clap(#[from] clap::Error),
}

/// A setting that contradicts what the chain was made with. Chain parameters are decided once, by `polai genesis`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {found}, but this chain was made with {expected} ({decided_by}): remove the setting or make a new chain")]
pub struct Contradiction {
    /// The setting, such as `AI_QUORUM`.
    pub name: &'static str,
    /// What it says.
    pub found: String,
    /// What the chain says.
    pub expected: String,
    /// Where the chain says it, such as `chain.toml`.
    pub decided_by: &'static str,
}

impl Contradiction {
    /// Nothing, when the setting is absent or says the same as the chain.
    ///
    /// # Errors
    /// The contradiction; the operator's fault. A process ends with exit code 2.
    pub fn check<T: PartialEq + ToString>(
        name: &'static str,
        found: Option<&T>,
        expected: &T,
        decided_by: &'static str,
    ) -> Result<(), Self> {
        match found {
            Some(found) if found != expected => {
                Err(Self { name, found: found.to_string(), expected: expected.to_string(), decided_by })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
