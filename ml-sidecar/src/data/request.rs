//! What is asked of an acquisition, and what can go wrong.

use std::path::PathBuf;

use super::{local::LocalError, read::ReadError, registry::Dataset, set::SetError};
use crate::hub::HubError;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Datasets of the hub.
    pub datasets: Vec<&'static Dataset>,
    /// Whether the operator named them: then one that cannot be had is an error, else it is passed over.
    pub named: bool,
    /// Files and folders of this machine; instead of datasets, when there are any.
    pub files: Vec<PathBuf>,
    /// Texts in all, shared out evenly; of files, all texts by default.
    pub total: Option<u64>,
    /// Texts of each dataset, instead.
    pub per_dataset: Option<u64>,
    /// Which texts of the many: another seed, other files and row groups.
    pub seed: u64,
    /// Column or field of the text in local files.
    pub column: String,
    /// Whether to ask the hub for its newest commits.
    pub refresh: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            named: true,
            files: Vec::new(),
            total: None,
            per_dataset: None,
            seed: 0,
            column: "text".to_owned(),
            refresh: false,
        }
    }
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Event<'a> {
    /// A source gives texts.
    Progress {
        /// Its name.
        source: &'a str,
        /// Texts that were kept so far.
        kept: u64,
        /// Texts that are wanted of it.
        wanted: u64,
    },
    /// A source is passed over.
    Skipped {
        /// Its name.
        source: &'a str,
        /// Why.
        error: &'a AcquireError,
    },
}

/// Why there are no texts.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// The hub does not give a dataset.
    #[error("{dataset}: {source}{}", remedy(.source))]
    Hub {
        /// The dataset.
        dataset: String,
        /// Why.
        source: HubError,
    },
    /// A file gives no texts.
    #[error("{file}: {source}{}", if let ReadError::Hub(error) = .source { remedy(error) } else { "" })]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: ReadError,
    },
    /// Local files. The operator's fault.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The disk.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Not one text passed the filters, or nothing was asked for.
    #[error("no texts: {looked_at} were looked at, none was kept")]
    Nothing {
        /// Texts that were looked at.
        looked_at: u64,
    },
}

/// What else can be done when texts are all that is wanted.
const fn remedy(error: &HubError) -> &'static str {
    match error {
        HubError::Offline { .. } | HubError::Unreachable { .. } => "; leave --data (--datasets) out for the built-in corpus",
        HubError::Budget { .. } => " (half of --data-budget; sets of texts have the other half)",
        _ => "",
    }
}

impl AcquireError {
    /// Whether there is no hub to speak of.
    pub const fn is_out_of_reach(&self) -> bool {
        match self {
            Self::Hub { source, .. } | Self::Read { source: ReadError::Hub(source), .. } => source.is_out_of_reach(),
            _ => false,
        }
    }
}
