//! Files that survive a crash, files that stay private, and the lock of a data directory.
//!
//! Purpose: one way to write each. Contract: blocking calls; from async code use `spawn_blocking`. What it does not protect
//! against: root, another program of the same user, a disk that lies about `fsync`, network file systems without working locks.

mod lock;
mod private;

pub use lock::{DirectoryLock, LockError, lock_directory};
pub use private::{PrivateError, create_private_directory, create_private_file, read_private};

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::{Builder, NamedTempFile};

/// How the names of unfinished files begin.
const TEMPORARY_PREFIX: &str = ".unfinished-";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner: mode 0600.
    Owner,
    /// Everybody, as far as the umask lets them: mode 0644.
    Everybody,
}

/// Replaces `path` by `bytes` so that after a crash at any moment either the old or the new content is there, whole: temporary
/// file in the same directory, `fsync`, rename, `fsync` of the directory.
///
/// # Errors
/// What the operating system says (the operator's fault: no space, no permission, read-only). The old content is then untouched.
pub fn write_durably(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, access)?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_parent(path)
}

/// Removes what a killed process left unfinished in `directory`. Call it once, with the directory's lock held.
///
/// # Errors
/// What the operating system says (the operator's fault).
pub fn remove_unfinished(directory: &Path) -> io::Result<usize> {
    let mut removed = 0_usize;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

fn write_temporary(path: &Path, bytes: &[u8], access: Access) -> io::Result<NamedTempFile> {
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everybody => 0o644,
    };
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY_PREFIX).permissions(Permissions::from_mode(mode));
    let mut temporary = builder.tempfile_in(parent(path))?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_durable_write_replaces_the_content_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        write_durably(&path, b"one", Access::Everybody).unwrap();
        write_durably(&path, b"two", Access::Owner).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content_and_no_litter() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("taken");
        fs::create_dir(&target).unwrap();
        assert!(write_durably(&target, b"x", Access::Owner).is_err());
        assert!(target.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write_durably(&directory.path().join("no/such/place"), b"x", Access::Owner).is_err());
    }

    #[test]
    fn what_a_killed_process_left_unfinished_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let killed = write_temporary(&directory.path().join("state"), b"half", Access::Owner).unwrap();
        killed.keep().unwrap();
        fs::write(directory.path().join("kept"), b"x").unwrap();
        assert_eq!(remove_unfinished(directory.path()).unwrap(), 1);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(directory.path().join("kept").exists());
    }

    #[test]
    fn a_bare_file_name_is_written_into_the_current_directory() {
        assert_eq!(parent(Path::new("name")), Path::new("."));
        assert_eq!(parent(Path::new("a/name")), Path::new("a"));
    }
}
