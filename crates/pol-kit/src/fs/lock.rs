//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the lock file.
const LOCK_FILE: &str = "LOCK";
/// Digits of a process id that are read back from the file.
const PID_DIGITS: u64 = 10;

/// Why a data directory was not locked. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in it.
    #[error("{}: in use by {}", directory.display(), match pid { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// What that process wrote into the lock file, when it is a number.
        pid: Option<u32>,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The lock of a data directory. It ends with this value, or with the process, whichever way that ends.
#[derive(Debug)]
#[must_use = "the directory is locked only as long as this value lives"]
pub struct DirectoryLock {
    _file: File,
}

/// Locks a data directory for this process (`flock` on its file `LOCK`, which stays there and means nothing by itself).
///
/// # Errors
/// [`LockError::InUse`] when another process, or another part of this one, holds it; [`LockError::Io`] when there is no such
/// directory or it may not be written to.
pub fn lock_directory(directory: &Path) -> Result<DirectoryLock, LockError> {
    let path = directory.join(LOCK_FILE);
    let io = |source| LockError::Io { path: path.clone(), source };
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.take(PID_DIGITS).read_to_string(&mut pid);
            let pid = read.ok().and_then(|_| pid.trim().parse().ok());
            return Err(LockError::InUse { directory: directory.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(DirectoryLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_refuses_the_second_and_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = lock_directory(directory.path()).unwrap();
        let error = lock_directory(directory.path()).unwrap_err();
        let line = format!("{}: in use by process {}", directory.path().display(), std::process::id());
        assert_eq!(error.to_string(), line);
        drop(first);
        let _again = lock_directory(directory.path()).unwrap();
    }

    #[test]
    fn a_lock_file_full_of_rubbish_neither_locks_nor_misleads() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(LOCK_FILE), "x".repeat(100_000)).unwrap();
        let first = lock_directory(directory.path()).unwrap();
        assert!(std::fs::metadata(directory.path().join(LOCK_FILE)).unwrap().len() < 12);
        std::fs::write(directory.path().join(LOCK_FILE), "x".repeat(100_000)).unwrap();
        assert!(matches!(lock_directory(directory.path()), Err(LockError::InUse { pid: None, .. })));
        drop(first);
    }

    #[test]
    fn a_directory_that_is_not_there_is_one_clear_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = lock_directory(&directory.path().join("none")).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
    }
}
