//! Files that are read whole, never more of them than any such file has.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use pol_kit::exit::Exit;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk's, or no right to read it.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Longer than any such file is. The operator's: another file lies under its name.
    #[error("{}: longer than {most} bytes, the most such a file may have", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The bound.
        most: u64,
    },
    /// No UTF-8. The operator's, as above.
    #[error("{}: not a text", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
    },
}

impl ReadError {
    /// The same for who ends with it: what only the operator can mend has exit code 2.
    pub fn exit(self) -> Exit {
        if matches!(self, Self::Io { .. }) { Exit::failure(self) } else { Exit::usage(self) }
    }
}

/// Reads a file of at most `most` bytes; None when there is none.
///
/// # Errors
/// [`ReadError`]; the content never shows up in it.
pub fn read_bounded(path: &Path, most: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
    let length = file.metadata().map_err(io)?.len().min(most);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > most {
        return Err(ReadError::TooLong { path: path.to_owned(), most });
    }
    Ok(Some(bytes))
}

/// The same, of a text.
///
/// # Errors
/// [`ReadError`].
pub fn read_text_bounded(path: &Path, most: u64) -> Result<Option<String>, ReadError> {
    let text = read_bounded(path, most)?.map(String::from_utf8).transpose();
    text.map_err(|_| ReadError::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pol_kit::exit::Code;

    use super::*;

    #[test]
    fn a_file_that_is_longer_than_any_such_is_refused_with_its_name_and_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.toml");
        assert!(read_bounded(&path, 4).unwrap().is_none());
        fs::write(&path, "four").unwrap();
        assert_eq!(read_text_bounded(&path, 4).unwrap().as_deref(), Some("four"));
        let exit = read_bounded(&path, 3).unwrap_err().exit();
        assert_eq!(exit.code(), Code::Usage);
        assert_eq!(exit.to_string(), format!("{}: longer than 3 bytes, the most such a file may have", path.display()));
        // It has no end, and no length that could be looked at.
        assert!(matches!(read_bounded(Path::new("/dev/zero"), 1 << 20), Err(ReadError::TooLong { .. })));
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read_text_bounded(&path, 4), Err(ReadError::NotText { .. })));
        assert_eq!(read_bounded(folder.path(), 4).unwrap_err().exit().code(), Code::Failure);
    }
}
