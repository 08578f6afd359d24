//! Files and folders of this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::read::Format;

/// Files of one folder, at most, and how deep folders may lie in each other.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: u32 = 16;

/// Why there are no local files. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of a kind that is not read.
    #[error("{}: expected .txt, .jsonl, .json (also .gz, .zst) or .parquet", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a file that can be read.
    #[error("{}: no .txt, .jsonl, .json or .parquet in it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with more files than are read.
    #[error("{}: more than {FILES_MAX} files", path.display())]
    Many {
        /// The folder.
        path: PathBuf,
    },
}

/// The files that paths stand for: themselves, and in folders all of a known kind. In the order of the paths, folders by name.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Format)>, LocalError> {
    let mut found = Vec::new();
    for path in paths {
        let at = |source| LocalError::Io { path: path.clone(), source };
        if fs::metadata(path).map_err(at)?.is_dir() {
            let before = found.len();
            walk(path, DEPTH_MAX, &mut found)?;
            if found.len() == before {
                return Err(LocalError::Empty { path: path.clone() });
            }
        } else {
            let format = kind(path).ok_or_else(|| LocalError::Kind { path: path.clone() })?;
            found.push((path.clone(), format));
        }
    }
    Ok(found)
}

fn kind(path: &Path) -> Option<Format> {
    Format::of(path.to_str()?)
}

fn walk(folder: &Path, depth: u32, found: &mut Vec<(PathBuf, Format)>) -> Result<(), LocalError> {
    let at = |source| LocalError::Io { path: folder.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        entries.push(entry.map_err(at)?);
        if entries.len() > FILES_MAX {
            return Err(LocalError::Many { path: folder.to_owned() });
        }
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let file_type = entry.file_type().map_err(at)?;
        // Links to folders may lead in circles.
        if file_type.is_dir() && depth > 0 {
            walk(&path, depth - 1, found)?;
        } else if !file_type.is_dir()
            && let Some(format) = kind(&path)
        {
            found.push((path, format));
        }
        if found.len() > FILES_MAX {
            return Err(LocalError::Many { path: folder.to_owned() });
        }
    }
    Ok(())
}
