//! `run.json`: what runs in a folder, for the other commands.
//!
//! # Contract
//! Written whole or not at all. It says what was: whether a node runs now, the folder's lock says.

use std::{fs, io, path::Path, thread, time::Duration};

use pol_kit::{
    exit::Exit,
    fs::{Access, DirectoryLock, LockError, lock_directory, write_durably},
};
use serde::{Deserialize, Serialize};

use crate::{args::Ports, layout::Layout, supervise::PartState};

/// How often somebody else's lock is looked at before it is believed, and the time between two looks.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(50);
/// Longest run.json that is looked at.
const BYTES_MAX: u64 = 64 << 10;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// Process id of polai.
    pub pid: u32,
    /// The chain's name.
    pub genesis_id: String,
    /// Its genesis validators.
    pub validators: u32,
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Seconds of a slot.
    pub slot_seconds: u64,
    /// Where it answers.
    pub ports: Ports,
    /// Whether blocks can come.
    pub ready: bool,
    /// Its processes.
    pub parts: Vec<PartState>,
}

impl RunFile {
    /// Writes it.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_durably(path, &serde_json::to_vec_pretty(self)?, Access::Everybody)
    }

    /// Reads it; None when there is none that can be understood.
    pub fn read(path: &Path) -> Option<Self> {
        let length = fs::metadata(path).ok()?.len();
        let bytes = fs::read(path).ok().filter(|_| length <= BYTES_MAX)?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Whether a node runs in the folder, as its lock says: its process, when the lock names it.
///
/// # Errors
/// The operator's: no such folder, or one that may not be used.
pub fn running(layout: &Layout) -> Result<Option<Option<u32>>, Exit> {
    if !layout.directory().is_dir() {
        return Err(Exit::usage(format!("{}: there is no such folder; polai up makes one", layout.directory().display())));
    }
    match lock_directory(layout.directory()) {
        Ok(_lock) => Ok(None),
        Err(LockError::InUse { pid, .. }) => Ok(Some(pid)),
        Err(error) => Err(error.into()),
    }
}

/// The folder for this process alone. Whoever only looks whether a node runs ([`running`]) holds its lock for a moment: that is waited out.
///
/// # Errors
/// Somebody works in it; no such folder, or one that may not be used.
pub fn hold(layout: &Layout) -> Result<DirectoryLock, LockError> {
    let mut looks = LOOKS;
    loop {
        match lock_directory(layout.directory()) {
            Err(LockError::InUse { .. }) if looks > 0 => looks -= 1,
            ended => return ended,
        }
        thread::sleep(LOOK);
    }
}

/// The node that runs in the folder.
///
/// # Errors
/// The operator's: none does.
pub fn of_running(layout: &Layout) -> Result<RunFile, Exit> {
    let nobody = || Exit::usage(format!("{}: no node runs here (polai up starts one)", layout.directory().display()));
    running(layout)?.ok_or_else(nobody)?;
    RunFile::read(&layout.run_file()).ok_or_else(|| Exit::failure("the node is just starting or stopping: try again"))
}
