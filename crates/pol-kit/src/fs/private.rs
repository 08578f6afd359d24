//! Files and directories that only their owner may read.

use super::{Access, sync_parent, write_temporary};
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Why a private file or directory was not taken. Always the operator's to mend; none heals by itself.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others may read or write it, or it may be executed.
    #[error("{}: mode {found:04o} lets others in; run: chmod {wanted:o} {}", path.display(), path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
        /// What they may be at most.
        wanted: u32,
    },
    /// A directory, a pipe or a device, where a file was expected, or the other way round.
    #[error("{}: not {wanted}", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// Longer than any such file is.
    #[error("{}: {found} bytes, at most {limit} are allowed", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The bound.
        limit: u64,
    },
}

/// Reads a file that nobody but its owner can (mode 0600 or less), of at most `limit` bytes. The checks are made on the opened
/// file, so that it cannot be exchanged in between.
///
/// # Errors
/// Each [`PrivateError`]; the operator's fault. The content never shows up in the error.
pub fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, PrivateError> {
    let io = |source| PrivateError::Io { path: path.to_owned(), source };
    // A pipe would block in `open` until somebody writes, hence the look beforehand.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(PrivateError::Kind { path: path.to_owned(), wanted: "a file" });
    }
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(PrivateError::Kind { path: path.to_owned(), wanted: "a file" });
    }
    check_mode(path, metadata.mode(), 0o600)?;
    if metadata.len() > limit {
        return Err(PrivateError::TooLong { path: path.to_owned(), found: metadata.len(), limit });
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Creates a file of mode 0600 that holds `bytes`, durably and in one step: nobody ever sees it empty, half written or readable.
///
/// # Errors
/// [`PrivateError::Io`], kind `AlreadyExists` when there is something under that name; it is left as it is.
pub fn create_private_file(path: &Path, bytes: &[u8]) -> Result<(), PrivateError> {
    let io = |source| PrivateError::Io { path: path.to_owned(), source };
    let temporary = write_temporary(path, bytes, Access::Owner).map_err(io)?;
    temporary.persist_noclobber(path).map_err(|failed| io(failed.error))?;
    sync_parent(path).map_err(io)
}

/// Makes sure that `path` is a directory of mode 0700 or less, and creates it (with its parents, by the umask) when it is not there.
///
/// # Errors
/// Each [`PrivateError`] but `TooLong`; the operator's fault.
pub fn create_private_directory(path: &Path) -> Result<(), PrivateError> {
    let io = |source| PrivateError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return sync_parent(path).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error)),
    }
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_dir() {
        return Err(PrivateError::Kind { path: path.to_owned(), wanted: "a directory" });
    }
    check_mode(path, metadata.mode(), 0o700)
}

fn check_mode(path: &Path, mode: u32, wanted: u32) -> Result<(), PrivateError> {
    let found = mode & 0o7777;
    if found & !wanted == 0 { Ok(()) } else { Err(PrivateError::Mode { path: path.to_owned(), found, wanted }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    fn file_of_mode(directory: &Path, mode: u32) -> PathBuf {
        let path = directory.join(format!("{mode:o}"));
        fs::write(&path, b"secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o604, 0o602, 0o700, 0o666, 0o4600] {
            let path = file_of_mode(directory.path(), mode);
            let error = read_private(&path, 100).unwrap_err();
            assert!(matches!(error, PrivateError::Mode { found, .. } if found == mode), "{error}");
            assert!(error.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{error}");
        }
        for mode in [0o600, 0o400] {
            assert_eq!(read_private(&file_of_mode(directory.path(), mode), 6).unwrap(), b"secret");
        }
    }

    #[test]
    fn a_file_above_its_bound_and_a_directory_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_of_mode(directory.path(), 0o600);
        assert!(matches!(read_private(&path, 5), Err(PrivateError::TooLong { found: 6, limit: 5, .. })));
        assert!(matches!(read_private(directory.path(), 5), Err(PrivateError::Kind { .. })));
        assert!(matches!(read_private(&directory.path().join("none"), 5), Err(PrivateError::Io { .. })));
    }

    #[test]
    fn a_private_file_is_created_0600_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create_private_file(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let error = create_private_file(&path, b"two").unwrap_err();
        assert!(matches!(error, PrivateError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_private_directory_is_created_0700_and_an_open_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/secrets_data");
        create_private_directory(&path).unwrap();
        create_private_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let error = create_private_directory(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 700 "), "{error}");
        let file = file_of_mode(directory.path(), 0o600);
        assert!(matches!(create_private_directory(&file), Err(PrivateError::Kind { .. })));
    }
}
