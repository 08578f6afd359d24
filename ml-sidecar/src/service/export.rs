//! The adapter of a state as files in memory.

use std::{fs, io};

use pol_api::sidecar::model::{AdapterFormat, ExportedFile};
use pol_core::state::State;

use crate::{
    adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, AdapterError, PeftError, StateFileError, export, write_state},
    device::Device,
};

const STATE_FILE: &str = "adapter.pols";

/// Why there is no export: our disk's fault, or a defect of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error(transparent)]
    State(#[from] StateFileError),
}

/// Writes an adapter to a folder of its own and reads its files. It takes the adapter's size in memory; callers see that it is done once at a
/// time.
pub(crate) fn files(state: &State, format: AdapterFormat) -> Result<Vec<ExportedFile>, ExportError> {
    let folder = tempfile::tempdir()?;
    let names: &[&str] = match format {
        AdapterFormat::Peft => {
            export(&Adapter::from_state(state, Device::cpu())?, "", folder.path())?;
            &[ADAPTER_CONFIG, ADAPTER_WEIGHTS]
        }
        AdapterFormat::State => {
            write_state(state, &folder.path().join(STATE_FILE))?;
            &[STATE_FILE]
        }
    };
    let read = |name: &&str| {
        let bytes = fs::read(folder.path().join(name))?.into();
        Ok(ExportedFile { name: (*name).to_owned(), bytes })
    };
    names.iter().map(read).collect()
}
