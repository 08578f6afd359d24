//! The files in the folder of deltas.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use pol_core::{UpdateId, params::DELTA_MAX_BYTES};

use crate::store::error::{StoreError, io_error};

pub(super) const DELTA_SUFFIX: &str = ".pld1";
pub(super) const PIN_SUFFIX: &str = ".pin";
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// What a file's name says.
pub(super) enum Named {
    Delta(UpdateId),
    Pin(UpdateId),
    Temporary,
    Foreign,
}

pub(super) fn classify(name: &str) -> Named {
    let id = |suffix| name.strip_suffix(suffix).and_then(|id| id.parse().ok());
    match (id(DELTA_SUFFIX), id(PIN_SUFFIX), id(TEMPORARY_SUFFIX)) {
        (Some(id), _, _) => Named::Delta(id),
        (_, Some(id), _) => Named::Pin(id),
        (_, _, Some(_)) => Named::Temporary,
        _ => Named::Foreign,
    }
}

pub(super) fn holds_delta(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| (1..=DELTA_MAX_BYTES).contains(&bytes))
}

pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(DELTA_MAX_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file; that it is gone already is no error.
pub(super) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove a file", error)),
        _ => Ok(()),
    }
}
