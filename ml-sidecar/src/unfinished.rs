//! Folders that are written beside their later place, and appear there only when they are whole.
//!
//! What a killed process left goes when the next one begins, unless somebody is at work beside it: who writes holds a shared lock of the place
//! (`flock` on its file `.lock`), who removes an exclusive one.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const PREFIX: &str = ".unfinished-";
const LOCK_FILE: &str = ".lock";

/// A folder that is not finished. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: TempDir,
    _at_work: File,
}

impl Unfinished {
    /// A new folder in `beside`, which is made if need be.
    ///
    /// # Errors
    /// What the operating system says (the operator's fault).
    pub(crate) fn begin(beside: &Path) -> io::Result<Self> {
        fs::create_dir_all(beside)?;
        let lock = File::create(beside.join(LOCK_FILE))?;
        if lock.try_lock().is_ok() {
            remove(&folders(beside));
            lock.unlock()?;
        }
        lock.lock_shared()?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
        Ok(Self { folder, _at_work: lock })
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves it to its place, durably, over what is there.
    ///
    /// # Errors
    /// What the operating system says (the operator's fault).
    pub(crate) fn finish(self, place: &Path) -> io::Result<()> {
        match fs::remove_dir_all(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(self.folder.path(), place)?;
        // It has moved: nothing is left to remove.
        let _ = self.folder.keep();
        File::open(place.parent().unwrap_or(place))?.sync_all()
    }
}

/// Unfinished folders in `beside`, of whomever.
pub(crate) fn folders(beside: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(beside) else { return Vec::new() };
    let is_one = |entry: &fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    entries.flatten().filter(is_one).map(|entry| entry.path()).collect()
}

fn remove(left: &[PathBuf]) {
    for path in left {
        tracing::info!(target: "polai::ml", path = %path.display(), "removed: a process that was killed left it");
        // Only room on the disk hangs on it.
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_others_write_stays() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join(".unfinished-killed");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("texts"), b"half").unwrap();
        fs::write(place.path().join(".unfinished-file"), b"another program's").unwrap();
        let first = Unfinished::begin(place.path()).unwrap();
        assert!(!left.exists());
        let second = Unfinished::begin(place.path()).unwrap();
        assert_eq!(folders(place.path()).len(), 2);
        fs::write(first.path().join("texts"), b"whole").unwrap();
        first.finish(&place.path().join("set")).unwrap();
        let third = Unfinished::begin(place.path()).unwrap();
        assert!(second.path().exists() && third.path().exists(), "the second is still at work");
        drop((second, third));
        assert_eq!(folders(place.path()), [] as [PathBuf; 0]);
        assert_eq!(fs::read(place.path().join("set/texts")).unwrap(), b"whole");
        assert!(place.path().join(".unfinished-file").exists());
    }
}
